import { type DataSource, In } from 'typeorm';
import type { Actor } from '../../access/actor';
import { eventsGone } from '../../api/errors';
import { type EventLog, type Listener, LOG_BEGIN, type StoredEvent } from '../../events/event-log';
import { follow } from '../../events/event-stream';
import { canBeFollowed } from '../../identity-source/source-stream';
import type { RecordsPayload } from '../task/record-events';
import { SyncTask, type SyncTaskStatusName, type TaskState } from '../task/sync-task.entity';
import { recordsBetween } from './sync-record.list';
import { SyncRecordEvent, type SyncRecordFilter, type SyncRecordRow, toSyncRecord } from './sync-record.type';
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

/**
 * The task as it is now (or, with `after`, nothing first), then every change until it ends. Where events after the number are no
 * longer kept, the task as it is stands for them: every event is a whole one.
 */
export async function* taskStream(from: StreamSources, taskId: string, after: number | undefined, listener: Listener) {
  const place = await placeOf(from.dataSource, taskId);
  const task = place && (await from.dataSource.manager.findOneBy(SyncTask, { id: taskId }));
  if (!task) return;
  let start = after;
  if (start !== undefined && isKept(place, start)) {
    if (isOver(place, start)) return;
  } else {
    start = task.lastSequence;
    yield taskEvent(task, undefined, start);
    if (!OPEN.has(task.status)) return;
  }
  for await (const event of follow(from, Math.max(start, place.logBegin), { taskId }, listener)) {
    if (!isTaskEvent(event)) continue;
    yield toldOnce(task, event);
    if (!OPEN.has(event.payload.status)) return;
  }
}

/**
 * Open tasks as they are now (or, with `after`, nothing first), then every change of every task; ends by itself only where there
 * is no such source.
 * @throws GraphQLError EVENTS_GONE when some event after the number is no longer kept
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
    // In one statement: a task that goes from one status to the next is in it once. In the order of their last events, so that
    // whoever goes on from one of them gets those of the others that they have not had.
    const open = { where: { ...filter, status: In([...OPEN]) }, order: { lastSequence: 'ASC' } } as const;
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
 * @throws GraphQLError EVENTS_GONE when some event after the number is no longer kept
 */
export async function* recordStream(
  from: StreamSources,
  taskId: string,
  after: number | undefined,
  filter: SyncRecordFilter | undefined,
  listener: Listener,
) {
  const place = await placeOf(from.dataSource, taskId);
  if (!place) return;
  if (after !== undefined) {
    if (!isKept(place, after)) throw eventsGone();
    if (isOver(place, after)) return;
  }
  const told = after ?? (await startOfRecords(from.dataSource, taskId, place));
  if (told === undefined) {
    yield* asTheyStand(from, taskId, place.begin, filter);
    if (!place.isOpen) return;
  }
  const start = Math.max(told ?? place.logLast, place.logBegin);
  for await (const event of follow(from, start, { taskId }, listener)) {
    if (event.kind === 'RECORDS') yield* expand(from, event, start, filter);
    else if (isTaskEvent(event) && !OPEN.has(event.payload.status)) return;
  }
}

/**
 * A task's records where the events that told them are no longer kept. Their numbers lead up to where its events that are kept
 * begin, so that whoever has not had all of them cannot go on from where they are.
 */
async function* asTheyStand(from: StreamSources, taskId: string, begin: number, filter: SyncRecordFilter | undefined) {
  const [{ plan, count }] = await from.dataSource.query(
    `SELECT plan, (SELECT coalesce(max(ordinal), 0) FROM sync_record WHERE task_id = t.id) AS count FROM sync_task t WHERE id = $1`,
    [taskId],
  );
  for (let first = 1; first <= count; first += RECORDS_AT_ONCE) {
    const last = first + RECORDS_AT_ONCE - 1;
    for (const row of await recordsBetween(from.dataSource, taskId, [first, last], plan, filter))
      yield recordEvent(from, row, plan, Math.max(0, begin - count + row.ordinal));
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
      yield recordEvent(from, then, plan, firstSequence + row.ordinal - firstOrdinal);
    }
  }
}

function recordEvent(from: StreamSources, row: SyncRecordRow, plan: number, sequence: number): SyncRecordEvent {
  return Object.assign(new SyncRecordEvent(), { sequence, plan, record: toSyncRecord(row, from.actor.role) });
}

/** The result is the event's, not today's, so it is compared afterwards. */
function withoutResult(filter: SyncRecordFilter | undefined): SyncRecordFilter | undefined {
  return filter && { ...filter, result: null };
}

/** Where a task stands in the log of events; all of it is seen at one moment. */
interface Place {
  readonly isOpen: boolean;
  /** The number of its last event, unless one waits to be numbered. */
  readonly last: number;
  readonly isNumbered: boolean;
  /** The number after which all of its events are kept: 0 where it never had another. */
  readonly begin: number;
  /** The number after which all events are kept, and the last one given. */
  readonly logBegin: number;
  readonly logLast: number;
}

/** A task and its first event are written in one transaction, so they have one time. */
const PLACE = `
SELECT t.status IN ('QUEUED', 'RUNNING', 'HELD') AS "isOpen", t.last_sequence AS last,
       NOT EXISTS (SELECT FROM event WHERE task_id = t.id AND sequence IS NULL) AS "isNumbered",
       CASE WHEN first.created_at = t.queued_at THEN 0 ELSE coalesce(first.begin, t.last_sequence) END AS begin,
       ${LOG_BEGIN} AS "logBegin", counter.last AS "logLast"
  FROM sync_task t CROSS JOIN event_counter counter LEFT JOIN LATERAL (
    SELECT created_at, sequence - size AS begin FROM event WHERE task_id = t.id ORDER BY sequence LIMIT 1) first ON true
 WHERE t.id = $1`;

/** @returns undefined when there is no such task */
async function placeOf(dataSource: DataSource, taskId: string): Promise<Place | undefined> {
  const [place] = await dataSource.query(PLACE, [taskId]);
  return place;
}

/** Whether the number was given, and all of the task's events after it are kept. */
function isKept(place: Place, after: number): boolean {
  return place.begin <= after && after <= place.logLast;
}

/** Whether nothing comes after the number: the task has ended, and its last event is not after it. */
function isOver(place: Place, after: number): boolean {
  return !place.isOpen && place.isNumbered && place.last <= after;
}

/**
 * The number just before all records were told: as applied, or until then as the plan that stands was begun.
 * @returns undefined where not all of that is kept
 */
async function startOfRecords(dataSource: DataSource, taskId: string, { begin }: Place): Promise<number | undefined> {
  const isWhole = begin === 0;
  const [row] = await dataSource.query(
    `SELECT min(e.sequence - e.size) AS start FROM event e JOIN sync_task t ON t.id = e.task_id
      WHERE e.task_id = $1 AND e.kind = 'RECORDS' AND e.payload -> 'plan' = to_jsonb(t.plan)
        AND CASE WHEN t.applied_at IS NULL THEN $2 ELSE e.payload ->> 'state' = 'APPLIED' END`,
    [taskId, isWhole],
  );
  return row.start ?? (isWhole ? 0 : undefined);
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
