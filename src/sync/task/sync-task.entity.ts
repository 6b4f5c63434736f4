import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { FieldMapping } from '../../field-mapping/field-mapping';

export type SyncTaskModeName = 'APPLY' | 'PREVIEW';
export type SyncTaskTriggerName = 'MANUAL' | 'SCHEDULED' | 'EVENT' | 'REVERT';
export type SyncTaskStatusName =
  | 'QUEUED'
  | 'RUNNING'
  | 'HELD'
  | 'SUCCEEDED'
  | 'PARTIALLY_SUCCEEDED'
  | 'FAILED'
  | 'CANCELED';
/** What a task does to an object. */
export type SyncActionName = 'CREATE' | 'UPDATE' | 'MOVE' | 'SUSPEND' | 'REMOVE' | 'RESTORE' | 'RENAME_ID';
export type SyncPhaseName = 'WAITING' | 'FETCHING' | 'PLANNING' | 'APPLYING' | 'FINISHED';

/** How far a task has come. Departments and employees count objects read, or in the later phases planned and applied. */
export interface ProgressState {
  phase: SyncPhaseName;
  percent: number;
  departmentsDone: number;
  departmentsTotal: number | null;
  employeesDone: number;
  employeesTotal: number | null;
  ratePerSecond: number | null;
  estimatedSecondsLeft: number | null;
  sourceCalls: number;
  throttledMs: number;
  currentDepartment: string | null;
}

/** Objects of one type and action, by what became of them. */
export interface CounterState {
  objectType: string;
  action: string;
  planned: number;
  applied: number;
  held: number;
  skipped: number;
  failed: number;
}

/** Whether the snapshot was proven complete, and what it was made of. */
export interface CertificateState {
  /** Departments and people were: a group that cannot be read is no reason to keep a leaver. */
  complete: boolean;
  /** Directory groups were; null where they were not read, for want of permission or because only departments were. */
  groupsComplete: boolean | null;
  /** Why something is not complete, or what was left alone or waits, in plain words. */
  reasons: string[];
  departmentsRead: number;
  employeesRead: number;
  groupsRead: number;
  pagesRead: number;
  sourceCalls: number;
  /** Objects missing from it that could not be read once more by themselves: they stay as they are; and lists that lacked what is there. */
  unconfirmed?: number;
  /** Third-party fields of people that the directory stopped showing while it was read: what is here of them stays. */
  fieldsWithdrawn?: readonly string[];
  scopeFingerprint: string;
}

/** Whether nothing is left that a later run must still find out: what nothing may look green without. */
export function isProven(certificate: CertificateState | null): boolean {
  return certificate?.complete === true && certificate.groupsComplete !== false && (certificate.unconfirmed ?? 0) === 0;
}

/** What a task shows while it runs and afterwards: one object, so that an event can carry it as it was. */
export interface TaskState {
  status: SyncTaskStatusName;
  startedAt: string | null;
  finishedAt: string | null;
  progress: ProgressState;
  counters: CounterState[];
  plan: number;
  certificate: CertificateState | null;
  failure: FailureState | null;
}

export interface FailureState {
  code: string;
  message: string;
}

/** Which part of the directory a source synchronizes. */
export interface ScopeState {
  readonly mode: 'ALL' | 'PARTIAL';
  /** With PARTIAL: the chosen departments' external ids, each with its subtree. */
  readonly departmentIds: readonly string[];
}

/** When removals wait for approval, and how long leavers stay. */
export interface SafeguardState {
  readonly maxRemovals: number;
  readonly maxRemovalPercent: number;
  readonly minimumObjects: number;
  readonly leaverGraceDays: number;
}

/** A source's settings as they were when the task was started. */
export interface TaskSettings {
  readonly scope: ScopeState;
  readonly safeguards: SafeguardState;
  /** A preview of other settings: the task whose stored snapshot it reads in the directory's place. */
  readonly snapshotTaskId?: string;
  /** A reversal: automatic synchronization ends where it is applied. */
  readonly switchesAutomaticOff?: boolean;
}

/** One synchronization run. */
@Entity({ name: 'sync_task' })
export class SyncTask {
  @PrimaryColumn({ type: 'uuid', default: () => 'new_id()' })
  id: string;

  @Column({ type: 'uuid', name: 'identity_source_id' })
  identitySourceId: string;

  @Column({ type: 'text' })
  mode: SyncTaskModeName;

  @Column({ type: 'text' })
  trigger: SyncTaskTriggerName;

  @Column({ type: 'text', default: 'QUEUED' })
  status: SyncTaskStatusName;

  /** Who asked for it: a token's name; null for the scheduler. */
  @Column({ type: 'text', name: 'started_by', nullable: true })
  startedBy: string | null;

  @Column({ type: 'boolean', name: 'includes_employees', default: true })
  includesEmployees: boolean;

  @Column({ type: 'timestamptz', name: 'queued_at', default: () => 'now()' })
  queuedAt: Date;

  @Column({ type: 'timestamptz', name: 'started_at', nullable: true })
  startedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'finished_at', nullable: true })
  finishedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'applied_at', nullable: true })
  appliedAt: Date | null;

  /** When removals that it held were last approved or rejected. */
  @Column({ type: 'timestamptz', name: 'decided_at', nullable: true })
  decidedAt: Date | null;

  /** When what follows the commit was done: pages that nothing needs are gone. */
  @Column({ type: 'timestamptz', name: 'tidied_at', nullable: true })
  tidiedAt: Date | null;

  @Column({ type: 'timestamptz', name: 'cancel_requested_at', nullable: true })
  cancelRequestedAt: Date | null;

  /** Grows each time a worker takes the task; a worker whose number is old may write nothing. */
  @Column({ type: 'integer', default: 0 })
  fence: number;

  @Column({ type: 'timestamptz', name: 'lease_until', nullable: true })
  leaseUntil: Date | null;

  @Column({ type: 'jsonb', default: {} })
  progress: ProgressState;

  @Column({ type: 'jsonb', default: [] })
  counters: CounterState[];

  @Column({ type: 'jsonb', nullable: true })
  certificate: CertificateState | null;

  /** What the directory let us see during this task. */
  @Column({ type: 'jsonb', nullable: true })
  extent: unknown;

  /** Third-party fields that anybody in the snapshot has, by object type; null before it was certified. */
  @Column({ type: 'jsonb', nullable: true })
  filled: Record<string, string[]> | null;

  /** Whether what could be seen is what the next run is compared with: not while removals for its shrinking wait. */
  @Column({ type: 'boolean', name: 'extent_accepted', default: false })
  extentAccepted: boolean;

  @Column({ type: 'jsonb', nullable: true })
  failure: FailureState | null;

  /** The field mappings that the task was planned with. */
  @Column({ type: 'jsonb' })
  mappings: FieldMapping[];

  /** Changes with everything that a snapshot's rows depend on: mappings and scope. */
  @Column({ type: 'text', name: 'settings_version' })
  settingsVersion: string;

  @Column({ type: 'jsonb', default: {} })
  settings: TaskSettings;

  /** The preview applied, or the task reverted. */
  @Column({ type: 'uuid', name: 'origin_id', nullable: true })
  originId: string | null;

  /** When its plan was begun; null until the plan is whole. */
  @Column({ type: 'timestamptz', name: 'planned_at', nullable: true })
  plannedAt: Date | null;

  /** Which plan its records are of: grows whenever what was planned is forgotten. */
  @Column({ type: 'integer', default: 0 })
  plan: number;

  @Column({ type: 'bigint', name: 'last_sequence', default: 0 })
  lastSequence: number;
}

/** The progress of a task that nobody has begun. */
export const NO_PROGRESS: ProgressState = {
  phase: 'WAITING',
  percent: 0,
  departmentsDone: 0,
  departmentsTotal: null,
  employeesDone: 0,
  employeesTotal: null,
  ratePerSecond: null,
  estimatedSecondsLeft: null,
  sourceCalls: 0,
  throttledMs: 0,
  currentDepartment: null,
};
