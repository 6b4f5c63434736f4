import { Column, Entity, PrimaryColumn } from 'typeorm';

export type EmployeeStatusName = 'ACTIVE' | 'INACTIVE' | 'DISABLED' | 'SUSPENDED' | 'REMOVED';

/** Statuses of people who are present: lists and counts mean these unless a filter says otherwise. */
export const PRESENT_STATUSES: readonly EmployeeStatusName[] = ['ACTIVE', 'INACTIVE', 'DISABLED'];

/** The same as an SQL list. */
export const PRESENT = `(${PRESENT_STATUSES.map((status) => `'${status}'`).join(', ')})`;

/** A node of the local organisation's tree. */
@Entity({ name: 'department' })
export class Department {
  @PrimaryColumn({ type: 'uuid', default: () => 'new_id()' })
  id: string;

  @Column({ type: 'uuid', name: 'identity_source_id' })
  identitySourceId: string;

  /** Null at the top. */
  @Column({ type: 'uuid', name: 'parent_id', nullable: true })
  parentId: string | null;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', name: 'english_name', nullable: true })
  englishName: string | null;

  /** Larger comes first. */
  @Column({ type: 'bigint', nullable: true })
  order: number | null;

  /** Extension fields' values by key, as text. */
  @Column({ type: 'jsonb', name: 'extension_values', default: {} })
  extensionValues: Record<string, string>;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  /** The change of the organisation that this row stands since; kept by triggers. */
  @Column({ type: 'bigint', select: false, insert: false, update: false, default: () => 'current_change()' })
  since: number;
}

/** A person of the local organisation. */
@Entity({ name: 'employee' })
export class Employee {
  @PrimaryColumn({ type: 'uuid', default: () => 'new_id()' })
  id: string;

  @Column({ type: 'uuid', name: 'identity_source_id' })
  identitySourceId: string;

  @Column({ type: 'text' })
  username: string;

  @Column({ type: 'text', name: 'display_name' })
  displayName: string;

  @Column({ type: 'text', name: 'english_name', nullable: true })
  englishName: string | null;

  @Column({ type: 'text', nullable: true })
  position: string | null;

  @Column({ type: 'text', nullable: true })
  email: string | null;

  @Column({ type: 'text', nullable: true })
  mobile: string | null;

  @Column({ type: 'text', nullable: true })
  telephone: string | null;

  @Column({ type: 'text', nullable: true })
  address: string | null;

  @Column({ type: 'text', nullable: true })
  gender: 'MALE' | 'FEMALE' | 'UNKNOWN' | null;

  @Column({ type: 'text', name: 'employment_status', default: 'UNKNOWN' })
  employmentStatus: 'REGULAR' | 'PROBATION' | 'INTERN' | 'CONTRACTOR' | 'ON_LEAVE' | 'LEFT' | 'UNKNOWN';

  @Column({ type: 'text' })
  status: EmployeeStatusName;

  @Column({ type: 'uuid', name: 'manager_id', nullable: true })
  managerId: string | null;

  @Column({ type: 'uuid', name: 'main_department_id', nullable: true })
  mainDepartmentId: string | null;

  @Column({ type: 'timestamptz', name: 'suspended_at', nullable: true })
  suspendedAt: Date | null;

  /** When the first complete run removes a suspended person. */
  @Column({ type: 'timestamptz', name: 'removal_due_at', nullable: true })
  removalDueAt: Date | null;

  /** Extension fields' values by key, as text. */
  @Column({ type: 'jsonb', name: 'extension_values', default: {} })
  extensionValues: Record<string, string>;

  /** Built-in fields that were edited here although the source tells them. */
  @Column({ type: 'text', name: 'edited_fields', array: true, default: '{}' })
  editedFields: string[];

  @Column({ type: 'timestamptz', name: 'blocked_at', nullable: true })
  blockedAt: Date | null;

  @Column({ type: 'text', name: 'blocked_reason', nullable: true })
  blockedReason: string | null;

  @Column({ type: 'text', name: 'blocked_by', nullable: true })
  blockedBy: string | null;

  @Column({ type: 'timestamptz', name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column({ type: 'timestamptz', name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;

  /** The change of the organisation that this row stands since; kept by triggers. */
  @Column({ type: 'bigint', select: false, insert: false, update: false, default: () => 'current_change()' })
  since: number;
}

/** Which person is in which department. */
@Entity({ name: 'membership' })
export class Membership {
  @PrimaryColumn({ type: 'uuid', name: 'employee_id' })
  employeeId: string;

  @PrimaryColumn({ type: 'uuid', name: 'department_id' })
  departmentId: string;

  @Column({ type: 'boolean', name: 'is_leader', default: false })
  isLeader: boolean;

  /** Larger comes first within the department. */
  @Column({ type: 'bigint', nullable: true })
  order: number | null;

  /** The change of the organisation that this row stands since; kept by triggers. */
  @Column({ type: 'bigint', select: false, insert: false, update: false, default: () => 'current_change()' })
  since: number;
}
