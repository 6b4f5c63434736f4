import { type DataSource, In } from 'typeorm';
import type { Actor } from '../../access/actor';
import type { EventLog, Listener, StoredEvent } from '../../events/event-log';
import { follow } from '../../events/event-stream';
import { canBeFollowed } from '../../identity-source/source-stream';
import type { RecordsPayload } from '../task/record-events';
import { SyncTask, type SyncTaskStatusName, type TaskState } from '../task/sync-task.entity';
import { recordsBetween } from './sync-record.list';
import { SyncRecordEvent, type SyncRecordFilter, toSyncRecord } from './sync-record.type';
import { SyncTaskEvent, toSyncTask } from './sync-task.type';

const RECORDS_AT_ONCE = 500;
const OPEN: ReadonlySet<SyncTaskStatusName> = new Set(['QUEUED', 'RUNNING', 'HELD']);

/** What the streams read. */
export interface StreamSources {
  readonly dataSource: DataSource;
  readonly events: EventLog;
  /** Who listens. */
  readonly actor: Actor;
}

type TaskEvent = StoredEvent & { readonly taskId: string; readonly payload: TaskState };

/** The task as it is now (or, with `after`, nothing first), then every change until it ends. */
export async function* taskStream(from: StreamSources, taskId: string, after: number | undefined, listener: Listener) {
  const task = await from.dataSource.manager.findOneBy(SyncTask, { id: taskId });
  if (!task) return;
  if (after === undefined) {
    yield taskEvent(task, undefined, task.lastSequence);
    if (!OPEN.has(task.status)) return;
  }
  const start = after ?? task.lastSequence;
  if (await isOver(from.dataSource, taskId, start)) return;
  for await (const event of follow(from, start, { taskId }, listener)) {
    if (!isTaskEvent(event)) continue;
    yield toldOnce(task, event);
    if (!OPEN.has(event.payload.status)) return;
  }
}

/**
 * Open tasks as they are now (or, with `after`, nothing first), then every change of every task; ends by itself only where there
 * is no such source.
 */
export async function* tasksStream(
  from: StreamSources,
  identitySourceId: string | undefined,
  after: number | undefined,
  listener: Listener,
) {
  if (!(await canBeFollowed(from.dataSource, identitySourceId))) return;
  // The number is taken first: what happens while the snapshot is read is delivered after it, never lost.
  const start = after ?? (await from.events.last());
  const rows = new Map<string, SyncTask>();
  const filter = identitySourceId === undefined ? {} : { identitySourceId };
  /** What the snapshot tells already may come after its number once more. */
  const shown = new Map<string, number>();
  if (after === undefined) {
    // In one statement: a task that goes from one status to the next is in it once.
    const open = { where: { ...filter, status: In([...OPEN]) }, order: { id: 'ASC' } } as const;
    for (const task of await from.dataSource.manager.find(SyncTask, open)) {
      shown.set(task.id, task.lastSequence);
      yield taskEvent(task, undefined, task.lastSequence);
    }
  }
  for await (const event of follow(from, start, filter, listener)) {
    if (!isTaskEvent(event) || event.sequence <= (shown.get(event.taskId) ?? 0)) continue;
    const task = rows.get(event.taskId) ?? (await from.dataSource.manager.findOneBy(SyncTask, { id: event.taskId }));
    if (!task) continue;
    if (OPEN.has(event.payload.status)) rows.set(event.taskId, task);
    else rows.delete(event.taskId);
    yield toldOnce(task, event);
  }
}

/**
 * Records as they are now (or, with `after`, nothing first), then as they are planned and applied, until the task ends. A plan
 * that is made again is told from its beginning, and of the former one nothing more.
 */
export async function* recordStream(
  from: StreamSources,
  taskId: string,
  after: number | undefined,
  filter: SyncRecordFilter | undefined,
  listener: Listener,
) {
  const start = after ?? (await startOfRecords(from.dataSource, taskId));
  if (await isOver(from.dataSource, taskId, start)) return;
  for await (const event of follow(from, start, { taskId }, listener)) {
    if (event.kind === 'RECORDS') yield* expand(from, event, start, filter);
    else if (isTaskEvent(event) && !OPEN.has(event.payload.status)) return;
  }
}

/** One event about a run of records becomes one for each record; those the caller has had are left out. */
async function* expand(from: StreamSources, event: StoredEvent, after: number, filter: SyncRecordFilter | undefined) {
  const { taskId, firstOrdinal } = event;
  if (taskId === null || firstOrdinal === null) return;
  const firstSequence = event.sequence - event.size + 1;
  const { state, plan } = event.payload as RecordsPayload;
  const begin = firstOrdinal + Math.max(0, after - firstSequence + 1);
  const end = firstOrdinal + event.size - 1;
  for (let ordinal = begin; ordinal <= end; ordinal += RECORDS_AT_ONCE) {
    const last = Math.min(end, ordinal + RECORDS_AT_ONCE - 1);
    for (const row of await recordsBetween(from.dataSource, taskId, [ordinal, last], plan, withoutResult(filter))) {
      const follows = row.result === 'PLANNED' || row.result === 'APPLIED';
      const then = state && follows ? { ...row, result: state } : row;
      if (filter?.result && !filter.result.includes(then.result)) continue;
      yield Object.assign(new SyncRecordEvent(), {
        sequence: firstSequence + row.ordinal - firstOrdinal,
        plan,
        record: toSyncRecord(then, from.actor.role),
      });
    }
  }
}

/** The result is the event's, not today's, so it is compared afterwards. */
function withoutResult(filter: SyncRecordFilter | undefined): SyncRecordFilter | undefined {
  return filter && { ...filter, result: null };
}

/** Whether nothing more will come: the task is unknown, or has ended and its last event is not after the number. */
async function isOver(dataSource: DataSource, taskId: string, after: number): Promise<boolean> {
  const [task] = await dataSource.query(
    `SELECT status, last_sequence AS last, EXISTS (SELECT FROM event WHERE task_id = $1 AND sequence IS NULL) AS pending
       FROM sync_task WHERE id = $1`,
    [taskId],
  );
  return !task || (!OPEN.has(task.status) && !task.pending && task.last <= after);
}

/** The number just before all records were told: as applied, or until then as the plan that stands was begun. */
async function startOfRecords(dataSource: DataSource, taskId: string): Promise<number> {
  const [row] = await dataSource.query(
    `SELECT min(e.sequence - e.size) AS start FROM event e JOIN sync_task t ON t.id = e.task_id
      WHERE e.task_id = $1 AND e.kind = 'RECORDS' AND e.payload -> 'plan' = to_jsonb(t.plan)
        AND (t.applied_at IS NULL OR e.payload ->> 'state' = 'APPLIED')`,
    [taskId],
  );
  return row?.start ?? 0;
}

function isTaskEvent(event: StoredEvent): event is TaskEvent {
  return event.kind === 'TASK';
}

const told = new WeakMap<StoredEvent, SyncTaskEvent>();

/** The one object for an event, whoever listens, so that what is asked of it is worked out once. */
function toldOnce(task: SyncTask, event: TaskEvent): SyncTaskEvent {
  const known = told.get(event) ?? taskEvent(task, event.payload, event.sequence);
  told.set(event, known);
  return known;
}

function taskEvent(task: SyncTask, state: TaskState | undefined, sequence: number): SyncTaskEvent {
  return Object.assign(new SyncTaskEvent(), { sequence, task: toSyncTask(task, state, sequence) });
}
