import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Node } from '../../api/node';
import { connectionOf } from '../../api/pagination';
import { DateTime, SafeInt } from '../../api/scalars';
import { UserError, UserErrorCode } from '../../api/user-error';
import { ConfigureSynchronizationInput } from '../../identity-source/synchronization-settings.type';
import { toTypedId } from '../../platform/typed-id';
import type {
  CertificateState,
  CounterState,
  FailureState,
  ProgressState,
  SyncPhaseName,
  SyncTask,
  SyncTaskModeName,
  SyncTaskStatusName,
  SyncTaskTriggerName,
  TaskState,
} from '../task/sync-task.entity';

export const SyncTaskModeEnum = { APPLY: 'APPLY', PREVIEW: 'PREVIEW' } as const;
registerEnumType(SyncTaskModeEnum, {
  name: 'SyncTaskMode',
  description: 'What a task does with its plan.',
  valuesConfig: {
    APPLY: { description: 'Changes the local organisation.' },
    PREVIEW: { description: 'Plans and shows, and changes nothing.' },
  },
});

export const SyncTaskTriggerEnum = {
  MANUAL: 'MANUAL',
  SCHEDULED: 'SCHEDULED',
  EVENT: 'EVENT',
  REVERT: 'REVERT',
} as const;
registerEnumType(SyncTaskTriggerEnum, {
  name: 'SyncTaskTrigger',
  description: 'What started a task.',
  valuesConfig: {
    MANUAL: { description: 'Somebody, by startSyncTask.' },
    SCHEDULED: { description: 'The schedule.' },
    EVENT: { description: 'A callback of the directory.' },
    REVERT: { description: 'Undoing another task.' },
  },
});

export const SyncTaskStatusEnum = {
  QUEUED: 'QUEUED',
  RUNNING: 'RUNNING',
  HELD: 'HELD',
  SUCCEEDED: 'SUCCEEDED',
  PARTIALLY_SUCCEEDED: 'PARTIALLY_SUCCEEDED',
  FAILED: 'FAILED',
  CANCELED: 'CANCELED',
} as const;
registerEnumType(SyncTaskStatusEnum, {
  name: 'SyncTaskStatus',
  description: 'How a task stands.',
  valuesConfig: {
    QUEUED: { description: 'Waits for a worker.' },
    RUNNING: { description: 'A worker is at it.' },
    HELD: { description: 'What was safe is applied; the rest waits for approval.' },
    SUCCEEDED: { description: 'The snapshot was proven complete and nothing failed.' },
    PARTIALLY_SUCCEEDED: {
      description: 'Something was not read, or an object failed; the certificate and the records say what.',
    },
    FAILED: { description: 'Nothing was applied; `failure` says why.' },
    CANCELED: { description: 'Canceled before anything was applied.' },
  },
});

export const SyncPhaseEnum = {
  WAITING: 'WAITING',
  FETCHING: 'FETCHING',
  PLANNING: 'PLANNING',
  APPLYING: 'APPLYING',
  FINISHED: 'FINISHED',
} as const;
registerEnumType(SyncPhaseEnum, {
  name: 'SyncPhase',
  description: 'What a task is doing.',
  valuesConfig: {
    WAITING: { description: 'Not begun.' },
    FETCHING: { description: 'Reading the directory.' },
    PLANNING: { description: 'Comparing what was read with what is here.' },
    APPLYING: { description: 'Changing the local organisation.' },
    FINISHED: { description: 'Ended.' },
  },
});

export const SyncObjectTypeEnum = { DEPARTMENT: 'DEPARTMENT', EMPLOYEE: 'EMPLOYEE', GROUP: 'GROUP' } as const;
registerEnumType(SyncObjectTypeEnum, {
  name: 'SyncObjectType',
  description: 'What is synchronized.',
  valuesConfig: {
    DEPARTMENT: { description: 'A department.' },
    EMPLOYEE: { description: 'A person.' },
    GROUP: { description: 'A group that the directory keeps, such as a WeCom tag. Its fields are not mapped.' },
  },
});

export const SyncActionEnum = {
  CREATE: 'CREATE',
  UPDATE: 'UPDATE',
  MOVE: 'MOVE',
  SUSPEND: 'SUSPEND',
  REMOVE: 'REMOVE',
  RESTORE: 'RESTORE',
  RENAME_ID: 'RENAME_ID',
  NONE: 'NONE',
} as const;
registerEnumType(SyncActionEnum, {
  name: 'SyncAction',
  description: 'What a task does to an object.',
  valuesConfig: {
    CREATE: { description: 'New here.' },
    UPDATE: { description: 'Values changed.' },
    MOVE: {
      description: 'A department’s parent, or a person’s departments or main department, changed, whatever else did.',
    },
    SUSPEND: { description: 'A leaver: logged off, to be removed after the grace period.' },
    REMOVE: { description: 'Gone: a department or a group at once, a person after the grace period.' },
    RESTORE: { description: 'A leaver who came back, with the same id.' },
    RENAME_ID: { description: 'The same person under another id, as the directory says, whatever else changed.' },
    NONE: { description: 'Only in counters: unchanged.' },
  },
});

@ObjectType({ description: 'How far a task has come.' })
export class SyncProgress implements ProgressState {
  @Field(() => SyncPhaseEnum, { description: 'What it is doing.' })
  phase: SyncPhaseName;

  @Field(() => Float, { description: '0 to 100, over all phases.' })
  percent: number;

  @Field(() => Int, { description: 'Departments whose people were read.' })
  departmentsDone: number;

  @Field(() => Int, { nullable: true, description: 'Departments to read; null before they are known.' })
  departmentsTotal: number | null;

  @Field(() => Int, { description: 'People read so far; someone in two departments is read twice.' })
  employeesDone: number;

  @Field(() => Int, { nullable: true, description: 'People expected, from what is here; null on the first run.' })
  employeesTotal: number | null;

  @Field(() => Float, { nullable: true, description: 'Objects read per second; null before it is known.' })
  ratePerSecond: number | null;

  @Field(() => Int, { nullable: true, description: 'Seconds until reading ends; null where it cannot be told.' })
  estimatedSecondsLeft: number | null;

  @Field(() => Int, { description: 'Calls made to the directory.' })
  sourceCalls: number;

  @Field(() => Int, { description: 'Milliseconds spent waiting because of rate limits.' })
  throttledMs: number;

  @Field(() => String, { nullable: true, description: 'The department just read; null while none is.' })
  currentDepartment: string | null;
}

@ObjectType({ description: 'Objects of one type and action, by what became of them.' })
export class SyncCounter implements CounterState {
  @Field(() => SyncObjectTypeEnum, { description: 'What was counted.' })
  objectType: string;

  @Field(() => SyncActionEnum, { description: 'What was done; NONE counts the unchanged.' })
  action: string;

  @Field(() => Int, { description: 'Planned; for NONE the number of unchanged objects.' })
  planned: number;

  @Field(() => Int, { description: 'Applied.' })
  applied: number;

  @Field(() => Int, { description: 'Waiting for approval.' })
  held: number;

  @Field(() => Int, { description: 'Left alone for a reason that the record names.' })
  skipped: number;

  @Field(() => Int, { description: 'Could not be applied; the record says why.' })
  failed: number;
}

@ObjectType({ description: 'Whether what was read was proven complete. Only then may something missing be removed.' })
export class SnapshotCertificate implements CertificateState {
  @Field(() => Boolean, {
    description: 'Every page of departments and people was read, and nothing speaks against it.',
  })
  complete: boolean;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'Every directory group was read; false also keeps the task from SUCCEEDED. Null where they were left alone: the app may not read them, or the task brings departments only.',
  })
  groupsComplete: boolean | null;

  @Field(() => [String], {
    description: 'Why something is not complete, why removals wait, or what was left alone, in plain words.',
  })
  reasons: string[];

  @Field(() => Int, { description: 'Departments seen.' })
  departmentsRead: number;

  @Field(() => Int, { description: 'People seen, each once.' })
  employeesRead: number;

  @Field(() => Int, { description: 'Directory groups seen.' })
  groupsRead: number;

  @Field(() => Int, { description: 'Answers of the directory.' })
  pagesRead: number;

  @Field(() => Int, { description: 'Calls made, retries included.' })
  sourceCalls: number;

  @Field(() => Int, {
    description:
      'Objects missing from it that could not be read once more by themselves: they stay as they are; and lists that lacked what is there.',
  })
  unconfirmed: number;

  @Field(() => String, { description: 'Changes when what the directory lets us see changes.' })
  scopeFingerprint: string;
}

@ObjectType('SyncTask', { implements: Node, description: 'One synchronization run.' })
export class SyncTaskObject extends Node {
  uuid: string;
  identitySourceId: string;
  originId: string | null;

  @Field(() => SyncTaskModeEnum, { description: 'What it does with its plan.' })
  mode: SyncTaskModeName;

  @Field(() => SyncTaskTriggerEnum, { description: 'What started it.' })
  trigger: SyncTaskTriggerName;

  @Field(() => SyncTaskStatusEnum, { description: 'How it stands.' })
  status: SyncTaskStatusName;

  @Field(() => String, {
    nullable: true,
    description: 'The name of the credential that started it; null for the schedule.',
  })
  startedBy: string | null;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  queuedAt: Date;

  @Field(() => DateTime, { nullable: true, description: 'When a worker first took it; null before.' })
  startedAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it ended; null before.' })
  finishedAt: Date | null;

  @Field(() => SyncProgress, { description: 'How far it has come.' })
  progress: SyncProgress;

  @Field(() => [SyncCounter], {
    description:
      'What it does, in figures, which grow while it is planned; the unchanged are counted at the end of the plan.',
  })
  counters: SyncCounter[];

  @Field(() => Int, {
    description:
      'Which plan its records are of; 0 before it is planned. It grows when a plan is made again, or forgotten because the task ends before it is whole: what was told of the former one no longer holds.',
  })
  plan: number;

  @Field(() => Boolean, { description: 'Whether it brings people and directory groups as well as departments.' })
  includesEmployees: boolean;

  @Field(() => SnapshotCertificate, { nullable: true, description: 'Null before everything was read.' })
  certificate: SnapshotCertificate | null;

  @Field(() => UserError, { nullable: true, description: 'Why it failed; null unless it did.' })
  failure: UserError | null;

  @Field(() => SafeInt, {
    description: 'The number of its latest event: subscribe with it as `afterSequence` to miss nothing.',
  })
  lastSequence: number;
}

export const SyncTaskConnection = connectionOf(SyncTaskObject, 'SyncTask');

/** @param state how the task stood when an event was written; without it as it stands now */
export function toSyncTask(row: SyncTask, state?: TaskState, sequence?: number): SyncTaskObject {
  const { id: uuid } = row;
  const shown = state ?? row;
  const date = (value: string | Date | null) => (value === null ? null : new Date(value));
  return Object.assign(new SyncTaskObject(), {
    id: toTypedId('task', uuid),
    uuid,
    identitySourceId: row.identitySourceId,
    originId: row.originId,
    mode: row.mode,
    trigger: row.trigger,
    startedBy: row.startedBy,
    queuedAt: row.queuedAt,
    includesEmployees: row.includesEmployees,
    lastSequence: sequence ?? row.lastSequence,
    status: shown.status,
    startedAt: date(shown.startedAt),
    finishedAt: date(shown.finishedAt),
    progress: shown.progress,
    counters: shown.counters,
    plan: shown.plan,
    certificate: shown.certificate && { ...shown.certificate, unconfirmed: shown.certificate.unconfirmed ?? 0 },
    failure: toUserError(shown.failure),
  });
}

function toUserError(failure: FailureState | null): UserError | null {
  if (!failure) return null;
  const code = UserErrorCode[failure.code as keyof typeof UserErrorCode] ?? UserErrorCode.INTERNAL;
  return { code, message: failure.message, field: null };
}

@ObjectType({ description: 'A task at the moment of an event.' })
export class SyncTaskEvent {
  @Field(() => SafeInt, { description: 'The event’s number; send it as `afterSequence` to go on from here.' })
  sequence: number;

  @Field(() => SyncTaskObject, { description: 'The task as it stood.' })
  task: SyncTaskObject;
}

@InputType({ description: 'Which task to start.' })
export class StartSyncTaskInput {
  @Field(() => ID, { description: 'The source to synchronize.' })
  identitySourceId: string;

  @Field(() => SyncTaskModeEnum, { defaultValue: 'APPLY', description: 'Whether to apply the plan or only show it.' })
  mode: SyncTaskModeName;

  @Field(() => ConfigureSynchronizationInput, {
    nullable: true,
    description:
      'Plans with settings that are not saved yet, from the last complete snapshot unless the scope grew. Previews only.',
  })
  proposed?: ConfigureSynchronizationInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'Any text of the caller’s; a repeated request with it gets the first one’s task.',
  })
  idempotencyKey?: string | null;
}

@ObjectType({ description: 'What became of startSyncTask.' })
export class StartSyncTaskPayload {
  @Field(() => SyncTaskObject, { nullable: true, description: 'The task, new or already open; null when refused.' })
  syncTask: SyncTaskObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@InputType({ description: 'Which task to cancel.' })
export class CancelSyncTaskInput {
  @Field(() => ID, { description: 'The task.' })
  id: string;
}

@ObjectType({ description: 'What became of cancelSyncTask.' })
export class CancelSyncTaskPayload {
  @Field(() => SyncTaskObject, {
    nullable: true,
    description: 'The task; it ends before anything is applied. Null when refused.',
  })
  syncTask: SyncTaskObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}
