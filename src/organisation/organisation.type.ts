import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import type { RoleName } from '../access/actor';
import { seesMasked, shown } from '../access/masking';
import { Node } from '../api/node';
import { OrderDirectionEnum } from '../api/order';
import { connectionOf } from '../api/pagination';
import { DateTime, SafeInt } from '../api/scalars';
import { ExtensionFieldObject } from '../extension-field/extension-field.resolver';
import { ExtensionFilter } from '../extension-field/extension-filter';
import { toTypedId } from '../platform/typed-id';
import type { AsOf } from './history';
import type { Department, Employee, EmployeeStatusName } from './organisation.entity';

export const EmployeeStatusEnum = {
  ACTIVE: 'ACTIVE',
  INACTIVE: 'INACTIVE',
  DISABLED: 'DISABLED',
  SUSPENDED: 'SUSPENDED',
  REMOVED: 'REMOVED',
} as const;
registerEnumType(EmployeeStatusEnum, {
  name: 'EmployeeStatus',
  description: 'How a person stands. ACTIVE, INACTIVE and DISABLED are present.',
  valuesConfig: {
    ACTIVE: { description: 'In the directory and usable.' },
    INACTIVE: { description: 'In the directory, not activated there yet.' },
    DISABLED: { description: 'Disabled in the directory.' },
    SUSPENDED: { description: 'Gone from the directory; removed after the grace period, or back with the same id.' },
    REMOVED: { description: 'Gone for longer than the grace period.' },
  },
});

export const EmploymentStatusEnum = {
  REGULAR: 'REGULAR',
  PROBATION: 'PROBATION',
  INTERN: 'INTERN',
  CONTRACTOR: 'CONTRACTOR',
  ON_LEAVE: 'ON_LEAVE',
  LEFT: 'LEFT',
  UNKNOWN: 'UNKNOWN',
} as const;
registerEnumType(EmploymentStatusEnum, {
  name: 'EmploymentStatus',
  description: 'How a person is employed.',
  valuesConfig: {
    REGULAR: { description: 'Regular employment.' },
    PROBATION: { description: 'On probation.' },
    INTERN: { description: 'An intern.' },
    CONTRACTOR: { description: 'A contractor.' },
    ON_LEAVE: { description: 'On leave.' },
    LEFT: { description: 'Has left.' },
    UNKNOWN: { description: 'Not told.' },
  },
});

export const GenderEnum = { MALE: 'MALE', FEMALE: 'FEMALE', UNKNOWN: 'UNKNOWN' } as const;
registerEnumType(GenderEnum, {
  name: 'Gender',
  description: 'As the directory tells it.',
  valuesConfig: {
    MALE: { description: 'Male.' },
    FEMALE: { description: 'Female.' },
    UNKNOWN: { description: 'The directory does not say.' },
  },
});

@ObjectType('Department', { implements: Node, description: 'A node of the local organisation’s tree.' })
export class DepartmentObject extends Node {
  uuid: string;
  identitySourceId: string;
  parentId: string | null;
  extensionTexts: Record<string, string>;
  /** As of when it was read, and everything below it is. */
  asOf: AsOf;

  @Field(() => String, { description: 'Its name.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Its English name; null where there is none.' })
  englishName: string | null;

  @Field(() => SafeInt, {
    nullable: true,
    description: 'Larger comes first among its siblings; null where the directory has no order.',
  })
  order: number | null;

  @Field(() => DateTime, { description: 'When it came.' })
  createdAt: Date;

  @Field(() => DateTime, {
    description:
      'When anything of the department itself last changed. Send it as `expectedUpdatedAt` to be told if somebody else was faster.',
  })
  updatedAt: Date;
}

@ObjectType('Employee', { implements: Node, description: 'A person of the local organisation.' })
export class EmployeeObject extends Node {
  uuid: string;
  identitySourceId: string;
  managerId: string | null;
  mainDepartmentId: string | null;
  extensionTexts: Record<string, string>;
  /** As of when it was read, and everything below it is. */
  asOf: AsOf;

  @Field(() => String, { description: 'Unique, ignoring case, among a source’s present people.' })
  username: string;

  @Field(() => String, { description: 'The name that people read.' })
  displayName: string;

  @Field(() => String, { nullable: true, description: 'English name or alias; null where not told.' })
  englishName: string | null;

  @Field(() => String, { nullable: true, description: 'Job title; null where not told.' })
  position: string | null;

  @Field(() => String, { nullable: true, description: 'E-mail address, masked for viewers; null where not told.' })
  email: string | null;

  @Field(() => String, { nullable: true, description: 'Mobile number, masked for viewers; null where not told.' })
  mobile: string | null;

  @Field(() => String, { nullable: true, description: 'Land line, masked for viewers; null where not told.' })
  telephone: string | null;

  @Field(() => String, { nullable: true, description: 'Address, masked for viewers; null where not told.' })
  address: string | null;

  @Field(() => GenderEnum, { nullable: true, description: 'Null where no mapping tells it.' })
  gender: keyof typeof GenderEnum | null;

  @Field(() => EmployeeStatusEnum, { description: 'How the person stands.' })
  status: EmployeeStatusName;

  @Field(() => EmploymentStatusEnum, { description: 'How the person is employed.' })
  employmentStatus: keyof typeof EmploymentStatusEnum;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Since when the person is missing; null unless suspended or removed.',
  })
  suspendedAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When a suspended person is removed; null otherwise.' })
  removalDueAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Since when the person is blocked here; null when not.' })
  blockedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'Why the person is blocked; null when not.' })
  blockedReason: string | null;

  @Field(() => String, { nullable: true, description: 'Who blocked the person; null when not blocked.' })
  blockedBy: string | null;

  @Field(() => [String], {
    description:
      'Fields that were edited here although the source tells them: of position and employmentStatus. updateEmployee takes them back with `takeBack`.',
  })
  editedFields: string[];

  @Field(() => DateTime, { description: 'When the person came.' })
  createdAt: Date;

  @Field(() => DateTime, {
    description:
      'When anything about the person last changed; a block is none. Send it as `expectedUpdatedAt` to be told if somebody else was faster.',
  })
  updatedAt: Date;
}

@ObjectType('Membership', { description: 'One person’s place in one department.' })
export class MembershipObject {
  departmentId: string;
  asOf: AsOf;

  @Field(() => Boolean, { description: 'Whether the person leads the department.' })
  isLeader: boolean;

  @Field(() => Boolean, { description: 'Whether it is the person’s main department.' })
  isMain: boolean;

  @Field(() => SafeInt, {
    nullable: true,
    description: 'Larger comes first within the department; null where not told.',
  })
  order: number | null;
}

/** A row of a person's departments. */
export type Membership = Pick<MembershipObject, 'departmentId' | 'isLeader' | 'order'>;

export function toMembership(row: Membership, { mainDepartmentId, asOf }: EmployeeObject): MembershipObject {
  const membership = new MembershipObject();
  membership.departmentId = row.departmentId;
  membership.asOf = asOf;
  membership.isLeader = row.isLeader;
  membership.isMain = row.departmentId === mainDepartmentId;
  membership.order = row.order;
  return membership;
}

export const DepartmentConnection = connectionOf(DepartmentObject, 'Department');
export const EmployeeConnection = connectionOf(EmployeeObject, 'Employee');

export function toDepartment(row: Department, asOf: AsOf): DepartmentObject {
  const department = Object.assign(new DepartmentObject(), row);
  department.id = toTypedId('department', row.id);
  department.uuid = row.id;
  department.extensionTexts = row.extensionValues;
  department.asOf = asOf;
  return department;
}

/**
 * Without the constructor, which would give each of a page's objects every field before the row does.
 * @param row what was read of it: fields that are not asked for have no value
 * @param role viewers see personal values masked
 */
export function toEmployee(row: Employee, role: RoleName, asOf: AsOf): EmployeeObject {
  const employee: EmployeeObject = Object.assign(Object.create(EmployeeObject.prototype), row);
  employee.id = toTypedId('employee', row.id);
  employee.uuid = row.id;
  employee.extensionTexts = row.extensionValues;
  employee.asOf = asOf;
  // A later touch that changed nothing left no version.
  if (asOf && employee.updatedAt > asOf.at) employee.updatedAt = asOf.at;
  if (!seesMasked(role)) return employee;
  for (const field of ['email', 'mobile', 'telephone', 'address'] as const) {
    employee[field] = shown(field, row[field], role);
  }
  return employee;
}

@ObjectType({ description: 'One extension field’s value.' })
export class ExtensionValue {
  @Field(() => ExtensionFieldObject, { description: 'The field.' })
  field: ExtensionFieldObject;

  @Field(() => String, {
    nullable: true,
    description:
      'The value as text: decimal numbers, true or false, days as YYYY-MM-DD, choices as their option; null where there is none.',
  })
  value: string | null;
}

@InputType({ description: 'Which departments to list; all conditions together.' })
export class DepartmentFilter {
  @Field(() => ID, { nullable: true, description: 'Of this identity source only.' })
  identitySourceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Children of this department only.' })
  parentId?: string | null;

  @Field(() => String, { nullable: true, description: 'Found anywhere in the name or English name, ignoring case.' })
  text?: string | null;

  @Field(() => [ExtensionFilter], { nullable: true, description: 'With these extension values, all of them.' })
  extensionValues?: ExtensionFilter[] | null;
}

@InputType({ description: 'Which employees to list; all conditions together.' })
export class EmployeeFilter {
  @Field(() => ID, { nullable: true, description: 'Of this identity source only.' })
  identitySourceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Members of this department only; an unknown one has none.' })
  departmentId?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'With departmentId: also members of the departments below it.' })
  includeSubtree?: boolean | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Members of this directory group only; the people of its departments are none by that. Not together with asOf.',
  })
  directoryGroupId?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'true: only those blocked, false: only those not.' })
  blocked?: boolean | null;

  @Field(() => [EmploymentStatusEnum], { nullable: true, description: 'Of one of these employment statuses.' })
  employmentStatus?: (keyof typeof EmploymentStatusEnum)[] | null;

  @Field(() => [ExtensionFilter], { nullable: true, description: 'With these extension values, all of them.' })
  extensionValues?: ExtensionFilter[] | null;

  @Field(() => [EmployeeStatusEnum], {
    nullable: true,
    description: 'Of one of these statuses; those present when absent.',
  })
  status?: EmployeeStatusName[] | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Found in display name (Chinese, its pinyin or initials), user name, English name, e-mail or numbers, ignoring case; viewers cannot search the last two. One or two letters are found at the beginning of a word. As of a past moment it is found as it was written: no pinyin.',
  })
  text?: string | null;
}

export const EmployeeOrderFieldEnum = {
  CREATED_AT: 'CREATED_AT',
  UPDATED_AT: 'UPDATED_AT',
  DISPLAY_NAME: 'DISPLAY_NAME',
  USERNAME: 'USERNAME',
  STATUS: 'STATUS',
  POSITION: 'POSITION',
  EXTENSION_FIELD: 'EXTENSION_FIELD',
} as const;
registerEnumType(EmployeeOrderFieldEnum, {
  name: 'EmployeeOrderField',
  description: 'What employees can be sorted by. Equal ones follow each other as they came.',
  valuesConfig: {
    CREATED_AT: { description: 'When they came.' },
    UPDATED_AT: { description: 'When anything about them last changed.' },
    DISPLAY_NAME: {
      description:
        'Display name in pinyin order: by syllable and tone, character by character, the surname as surnames are read; Latin names stand among them by their letters. For the moments in which a large synchronization’s people are being prepared, a list begins as they came; a list once begun goes on in its order.',
    },
    USERNAME: { description: 'User name, ignoring case.' },
    STATUS: { description: 'Status, by the alphabet.' },
    POSITION: { description: 'Job title by code point; those without one come last in both directions.' },
    EXTENSION_FIELD: {
      description:
        'The value of `extensionKey`: numbers as numbers, days as days, everything else by code point; those without one come last in both directions.',
    },
  },
});

@InputType({ description: 'How to sort employees.' })
export class EmployeeOrder {
  @Field(() => EmployeeOrderFieldEnum, { description: 'By what.' })
  field: keyof typeof EmployeeOrderFieldEnum;

  @Field(() => String, {
    nullable: true,
    description: 'With EXTENSION_FIELD, and needed there: the field’s identifier.',
  })
  extensionKey?: string | null;

  @Field(() => OrderDirectionEnum, { defaultValue: 'ASC', description: 'Which end first.' })
  direction: keyof typeof OrderDirectionEnum;
}

export const DepartmentOrderFieldEnum = { TREE: 'TREE', EXTENSION_FIELD: 'EXTENSION_FIELD' } as const;
registerEnumType(DepartmentOrderFieldEnum, {
  name: 'DepartmentOrderField',
  description: 'What departments can be sorted by.',
  valuesConfig: {
    TREE: { description: 'As the directory shows them: larger order first, then as they came.' },
    EXTENSION_FIELD: {
      description:
        'The value of `extensionKey`: numbers as numbers, days as days, everything else by code point; those without one come last in both directions.',
    },
  },
});

@InputType({ description: 'How to sort departments.' })
export class DepartmentOrder {
  @Field(() => DepartmentOrderFieldEnum, { description: 'By what.' })
  field: keyof typeof DepartmentOrderFieldEnum;

  @Field(() => String, {
    nullable: true,
    description: 'With EXTENSION_FIELD, and needed there: the field’s identifier.',
  })
  extensionKey?: string | null;

  @Field(() => OrderDirectionEnum, { defaultValue: 'ASC', description: 'Which end first.' })
  direction: keyof typeof OrderDirectionEnum;
}
