import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root, Subscription } from 'type-graphql';
import { Role } from '../../access/role';
import type { MaybePromise } from '../../api/batches';
import type { RequestContext } from '../../api/context';
import { type Page, PageArgs } from '../../api/pagination';
import { SafeInt } from '../../api/scalars';
import { UserErrorCode } from '../../api/user-error';
import { abortable, sequence } from '../../events/event-stream';
import { toUserError } from '../../identity-source/identity-source.resolver';
import { IdentitySourceObject, toIdentitySource } from '../../identity-source/identity-source.type';
import { toProposal } from '../../identity-source/settings.resolver';
import { loadDirectoryGroup } from '../../organisation/directory-group.resolver';
import { DirectoryGroupObject } from '../../organisation/directory-group.type';
import { loadDepartment, loadEmployee } from '../../organisation/organisation.resolver';
import { DepartmentObject, EmployeeObject } from '../../organisation/organisation.type';
import { uuidOf } from '../../platform/typed-id';
import { type DecisionOutcome, decideHeldRecords } from '../apply/held-records';
import type { DerivedOutcome } from '../task/derived-tasks';
import type { CancelOutcome, StartOutcome } from '../task/sync.service';
import type { SyncTaskStatusName } from '../task/sync-task.entity';
import { listRecords } from './sync-record.list';
import { SyncRecordConnection, SyncRecordEvent, SyncRecordFilter, SyncRecordObject } from './sync-record.type';
import { recordStream, taskStream, tasksStream } from './sync-streams';
import {
  ApplyPreviewInput,
  ApplyPreviewPayload,
  DecideHeldRecordsInput,
  DecideHeldRecordsPayload,
  RevertSyncTaskInput,
  RevertSyncTaskPayload,
} from './sync-task.input';
import { listTasks, SyncTaskConnection, SyncTaskFilter } from './sync-task.list';
import {
  CancelSyncTaskInput,
  CancelSyncTaskPayload,
  StartSyncTaskInput,
  StartSyncTaskPayload,
  SyncTaskEvent,
  SyncTaskObject,
  toSyncTask,
} from './sync-task.type';

const ONLY_AFTER =
  'Only events after this number, and no snapshot first. Refused with EVENTS_GONE where something after it is no longer kept (ROLLCALL_EVENT_DAYS): subscribe without it.';

@Resolver(() => SyncTaskObject)
export class SyncTaskResolver {
  @Role('VIEWER')
  @Query(() => SyncTaskObject, { nullable: true, description: 'One task; null when there is none with this id.' })
  async syncTask(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The task.' }) id: string,
  ): Promise<SyncTaskObject | null> {
    return loadTask(ctx, uuidOf('task', id));
  }

  @Role('VIEWER')
  @Query(() => SyncTaskConnection, { description: 'Tasks of all sources, newest first.' })
  syncTasks(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => SyncTaskFilter, { nullable: true, description: 'Which ones.' }) filter?: SyncTaskFilter,
  ): Promise<Page<SyncTaskObject>> {
    return listTasks(ctx, filter ?? {}, page);
  }

  @Role('OPERATOR')
  @Mutation(() => StartSyncTaskPayload, { description: 'Starts a sync task, or returns the one already open.' })
  async startSyncTask(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => StartSyncTaskInput, { description: 'Which one.' }) input: StartSyncTaskInput,
  ): Promise<StartSyncTaskPayload> {
    const identitySourceId = uuidOf('source', input.identitySourceId);
    const { mode, idempotencyKey = null } = input;
    const proposed = input.proposed ? toProposal(input.proposed) : null;
    return toStartPayload(ctx, await ctx.sync.start(ctx.actor, { identitySourceId, mode, idempotencyKey, proposed }));
  }

  @Role('OPERATOR')
  @Mutation(() => CancelSyncTaskPayload, {
    description: 'Ends a task before it applies anything: a queued one at once, a running one between two batches.',
  })
  async cancelSyncTask(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CancelSyncTaskInput, { description: 'Which one.' }) input: CancelSyncTaskInput,
  ): Promise<CancelSyncTaskPayload> {
    return toCancelPayload(ctx, await ctx.sync.cancel(uuidOf('task', input.id)));
  }

  @Role('OPERATOR')
  @Mutation(() => DecideHeldRecordsPayload, {
    description:
      'Approves or rejects removals that a task holds. Whoever waits for a value that an approval frees is read again at once, by an event task.',
  })
  async decideHeldRecords(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DecideHeldRecordsInput, { description: 'Which ones, and how.' }) input: DecideHeldRecordsInput,
  ): Promise<DecideHeldRecordsPayload> {
    const recordIds = input.recordIds?.map((id) => uuidOf('record', id)) ?? null;
    const decision = { taskId: uuidOf('task', input.taskId), approve: input.approve, recordIds };
    return toDecidePayload(ctx, await decideHeldRecords(ctx.dataSource, ctx.events, decision));
  }

  @Role('OPERATOR')
  @Mutation(() => ApplyPreviewPayload, {
    description:
      'Applies a preview exactly as it was shown, by a task of its own; refused when anything changed since.',
  })
  async applyPreview(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => ApplyPreviewInput, { description: 'Which one.' }) input: ApplyPreviewInput,
  ): Promise<ApplyPreviewPayload> {
    const outcome = await ctx.derivedTasks.applyPreview(ctx.actor, uuidOf('task', input.taskId));
    return toDerivedPayload(ctx, outcome, 'PREVIEW_STALE');
  }

  @Role('OPERATOR')
  @Mutation(() => RevertSyncTaskPayload, {
    description: 'Undoes a task, by a task of its own: what it changed and nobody has changed since.',
  })
  async revertSyncTask(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => RevertSyncTaskInput, { description: 'Which one.' }) input: RevertSyncTaskInput,
  ): Promise<RevertSyncTaskPayload> {
    const { taskId, keepAutomaticSynchronization: keep } = input;
    return toDerivedPayload(
      ctx,
      await ctx.derivedTasks.revert(ctx.actor, uuidOf('task', taskId), keep),
      'TASK_NOT_REVERTIBLE',
    );
  }

  @Role('VIEWER')
  @Subscription(() => SyncTaskEvent, {
    name: 'syncTask',
    description:
      'The task now, then every change until it ends; afterSequence resumes. Where something after that number is no longer kept, the task now comes first, as without a number: it tells all that was missed.',
    subscribe: ({ args, context }) => {
      const id = uuidOf('task', args['id']);
      const after = sequence(args['afterSequence']);
      return abortable((listener) => taskStream(context, id, after, listener)) as never;
    },
  })
  syncTaskSubscription(
    @Root() event: SyncTaskEvent,
    @Arg('id', () => ID, { description: 'The task.' }) _id: string,
    @Arg('afterSequence', () => SafeInt, {
      nullable: true,
      description: 'Only events after this number, and no snapshot first, as far as they are kept.',
    })
    _afterSequence?: number,
  ): SyncTaskEvent {
    return event;
  }

  @Role('VIEWER')
  @Subscription(() => SyncTaskEvent, {
    name: 'syncTasks',
    description: 'The open tasks now, then every change of every task, of one source or of all; afterSequence resumes.',
    subscribe: ({ args, context }) => {
      const given = args['identitySourceId'];
      const source = given == null ? undefined : uuidOf('source', given);
      const after = sequence(args['afterSequence']);
      return abortable((listener) => tasksStream(context, source, after, listener)) as never;
    },
  })
  syncTasksSubscription(
    @Root() event: SyncTaskEvent,
    @Arg('identitySourceId', () => ID, { nullable: true, description: 'Of this source only.' }) _id?: string,
    @Arg('afterSequence', () => SafeInt, { nullable: true, description: ONLY_AFTER })
    _afterSequence?: number,
  ): SyncTaskEvent {
    return event;
  }

  @Role('VIEWER')
  @Subscription(() => SyncRecordEvent, {
    description:
      'A task’s records now, then as they are planned, while the rest of the plan is worked out, and as they are applied, until the task ends; afterSequence resumes. A record whose result changes is told again; of a filter by result, those that end it belong to it as well, such as APPLIED and SKIPPED beside HELD. A plan that was interrupted, or that is outdated because something changed here, is made again: its records are then told from the first, with a higher `plan`. Of a task that ends before its plan is whole no record stays. Where the events that told the records are no longer kept, the records are told as they stand.',
    subscribe: ({ args, context }) => {
      const id = uuidOf('task', args['taskId']);
      const after = sequence(args['afterSequence']);
      const filter = args['filter'] ?? undefined;
      return abortable((listener) => recordStream(context, id, after, filter, listener)) as never;
    },
  })
  syncRecords(
    @Root() event: SyncRecordEvent,
    @Arg('taskId', () => ID, { description: 'The task.' }) _taskId: string,
    @Arg('afterSequence', () => SafeInt, { nullable: true, description: ONLY_AFTER })
    _afterSequence?: number,
    @Arg('filter', () => SyncRecordFilter, { nullable: true, description: 'Which ones.' }) _filter?: SyncRecordFilter,
  ): SyncRecordEvent {
    return event;
  }

  @FieldResolver(() => IdentitySourceObject, { description: 'The source that it synchronizes.' })
  async identitySource(@Root() task: SyncTaskObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(task.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => SyncTaskObject, {
    nullable: true,
    description: 'The preview applied, or the task reverted; null otherwise.',
  })
  origin(@Root() task: SyncTaskObject, @Ctx() ctx: RequestContext): Promise<SyncTaskObject | null> {
    return task.originId ? loadTask(ctx, task.originId) : Promise.resolve(null);
  }

  @FieldResolver(() => SyncRecordConnection, {
    description: 'What it did, or would do, object by object; while it is planned, what is planned so far.',
  })
  records(
    @Root() task: SyncTaskObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => SyncRecordFilter, { nullable: true, description: 'Which ones.' }) filter?: SyncRecordFilter,
  ): Promise<Page<SyncRecordObject>> {
    return listRecords(ctx, task.uuid, filter, page);
  }
}

@Resolver(() => SyncRecordObject)
export class SyncRecordResolver {
  @FieldResolver(() => SyncTaskObject, { description: 'The task it belongs to.' })
  task(@Root() record: SyncRecordObject, @Ctx() ctx: RequestContext): Promise<SyncTaskObject | null> {
    return loadTask(ctx, record.row.taskId);
  }

  @FieldResolver(() => DepartmentObject, {
    nullable: true,
    description: 'The department as it is now; null for other objects, and where it is not here.',
  })
  department(@Root() record: SyncRecordObject, @Ctx() ctx: RequestContext): MaybePromise<DepartmentObject | null> {
    return loadDepartment(ctx, record.objectType === 'DEPARTMENT' ? record.row.localId : null);
  }

  @FieldResolver(() => EmployeeObject, {
    nullable: true,
    description: 'The employee as they are now; null for other objects, and where they are not here.',
  })
  employee(@Root() record: SyncRecordObject, @Ctx() ctx: RequestContext): MaybePromise<EmployeeObject | null> {
    return loadEmployee(ctx, record.objectType === 'EMPLOYEE' ? record.row.localId : null);
  }

  @FieldResolver(() => DirectoryGroupObject, {
    nullable: true,
    description: 'The directory group as it is now; null for other objects, and where it is not here.',
  })
  directoryGroup(@Root() record: SyncRecordObject, @Ctx() ctx: RequestContext): Promise<DirectoryGroupObject | null> {
    return loadDirectoryGroup(ctx, record.objectType === 'GROUP' ? record.row.localId : null);
  }
}

export async function loadTask(ctx: RequestContext, uuid: string): Promise<SyncTaskObject | null> {
  const row = await ctx.loaders.task.load(uuid);
  return row && toSyncTask(row);
}

async function toStartPayload(ctx: RequestContext, outcome: StartOutcome): Promise<StartSyncTaskPayload> {
  const source = ['input', 'identitySourceId'];
  switch (outcome.kind) {
    case 'started':
    case 'alreadyRunning':
      return { syncTask: await loadTask(ctx, outcome.taskId), userErrors: [] };
    case 'anotherRunning':
      return refused(
        'TASK_RUNNING',
        'A task of another mode, or a preview of other settings, is open for this source; wait for it to end, or cancel it.',
        ['input', 'mode'],
      );
    case 'beingCanceled':
      return refused('TASK_RUNNING', 'A task of this source is being canceled: start again in a moment.', source);
    case 'notFound':
      return refused('NOT_FOUND', 'There is no identity source with this id.', source);
    case 'sourceClosed':
      return refused('SOURCE_CLOSED', 'The identity source is closed: enable it first, or start a PREVIEW.', source);
    case 'notApplicable':
      return refused('SYNC_NOT_APPLICABLE', 'A custom source has no directory to read.', source);
    case 'unauthorized':
      return refused(
        'AUTHORIZATION_REQUIRED',
        'No company has authorized this source, or it has cancelled: startAuthorization gives the QR code to scan.',
        source,
      );
    case 'proposalRefused':
      return { syncTask: null, userErrors: outcome.refusals.map(toUserError) };
    case 'keyReused':
      return refused('IDEMPOTENCY_KEY_REUSED', 'This idempotency key was used with another input; use a new one.', [
        'input',
        'idempotencyKey',
      ]);
    default:
      return assertNever(outcome);
  }
}

async function toCancelPayload(ctx: RequestContext, outcome: CancelOutcome): Promise<CancelSyncTaskPayload> {
  switch (outcome.kind) {
    case 'canceled':
      return { syncTask: await loadTask(ctx, outcome.taskId), userErrors: [] };
    case 'notFound':
      return refused('NOT_FOUND', 'There is no sync task with this id.', ['input', 'id']);
    case 'ended':
      return refused('TASK_NOT_CANCELABLE', notCancelable(outcome.status), ['input', 'id']);
    default:
      return assertNever(outcome);
  }
}

function notCancelable(status: SyncTaskStatusName): string {
  if (status !== 'HELD') return `The task has ended (${status}).`;
  return 'The task has applied what was safe, and nothing of it runs; removals wait for approval: reject them with decideHeldRecords.';
}

async function toDerivedPayload(
  ctx: RequestContext,
  outcome: DerivedOutcome,
  refusedCode: 'PREVIEW_STALE' | 'TASK_NOT_REVERTIBLE',
): Promise<ApplyPreviewPayload> {
  const field = ['input', 'taskId'];
  switch (outcome.kind) {
    case 'started':
      return { syncTask: await loadTask(ctx, outcome.taskId), userErrors: [] };
    case 'notFound':
      return refused('NOT_FOUND', 'There is no sync task with this id.', field);
    case 'sourceClosed':
      return refused('SOURCE_CLOSED', 'The identity source is closed: enable it first.', field);
    case 'sourceDeleted':
      return refused('SOURCE_CLOSED', 'The identity source is deleted: restore it and enable it first.', field);
    case 'taskRunning':
      return refused('TASK_RUNNING', 'A task is open for this source; wait for it to end, or cancel it.', field);
    case 'refused':
      return refused(refusedCode, outcome.reason, field);
    default:
      return assertNever(outcome);
  }
}

async function toDecidePayload(ctx: RequestContext, outcome: DecisionOutcome): Promise<DecideHeldRecordsPayload> {
  switch (outcome.kind) {
    case 'decided':
      return { syncTask: await loadTask(ctx, outcome.taskId), userErrors: [] };
    case 'notFound':
      return refused('NOT_FOUND', 'There is no sync task with this id.', ['input', 'taskId']);
    case 'nothingNamed':
      return refused(
        'INVALID_INPUT',
        'recordIds is empty: name records, or leave it out to decide all that are held.',
        ['input', 'recordIds'],
      );
    case 'sourceDeleted':
      return refused('SOURCE_CLOSED', 'The identity source is deleted: restore it first.', ['input', 'taskId']);
    case 'nothingHeld':
      return refused('NOTHING_HELD', `The task holds nothing (${outcome.status}).`, ['input', 'taskId']);
    case 'notHeld': {
      const message = `${outcome.count} of these records are not held by this task, or were decided already. Nothing was decided.`;
      return refused('NOTHING_HELD', message, ['input', 'recordIds']);
    }
    default:
      return assertNever(outcome);
  }
}

function refused(code: keyof typeof UserErrorCode, message: string, field: readonly string[]) {
  return { syncTask: null, userErrors: [{ code: UserErrorCode[code], message, field }] };
}

function assertNever(outcome: never): never {
  throw new Error(`Unhandled outcome ${JSON.stringify(outcome)}`);
}
