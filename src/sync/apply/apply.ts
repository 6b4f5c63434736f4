import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import { holdFieldsStill } from '../../extension-field/extension-field.service';
import { EXTENSION_PREFIX } from '../../field-mapping/field-mapping';
import { announceSearch, type RunQuery, refreshSearch } from '../../organisation/search-index';
import { AppError } from '../../platform/app-error';
import { skipOlderReads } from '../plan/fields';
import { countApplied } from '../plan/plan';
import { refuseTakenValues } from '../plan/taken-values';
import type { Run } from '../task/lease';
import { tellChanged, tellRecords } from '../task/record-events';
import {
  type CounterState,
  isProven,
  NO_PROGRESS,
  type ProgressState,
  type SyncTaskStatusName,
} from '../task/sync-task.entity';
import { APPLY_GROUPS, READ_GROUPS } from './groups';
import { REMEMBER_MISSING_MEMBERS, REMEMBER_UNRESOLVED } from './references';
import * as reversal from './reversal';
import * as settle from './settle';
import type { Step } from './statements';
import * as sql from './statements';

/** So many changed people can be searched for from the commit on; of more the search text is made afterwards. */
const FOUND_AT_ONCE = 2_000;

/** How the task ended, as the apply step leaves it. */
export interface Applied {
  readonly status: SyncTaskStatusName;
  readonly counters: CounterState[];
}

/**
 * What PostgreSQL refuses since a reference leads to what is gone, or a value is taken: 23503, 23505, 23P01
 * (postgresql.org/docs/18/errcodes-appendix.html). Something else was applied between the plan and its end.
 */
const REFUSALS = ['23503', '23505', '23P01'];

/** Something here changed since the plan was made: it has to be made again. */
export class PlanOutdated extends Error {}

/**
 * The fifth step, in one transaction: readers see the organisation before or after, never between. The task's end is written
 * in the same transaction, so it is applied exactly once, whoever is killed when.
 * @param basis how many tasks of the source had been applied when the plan was begun; undefined where that is not known
 * @throws PlanOutdated when an object changed here since the plan; nothing is then written
 */
export async function apply(
  dataSource: DataSource,
  run: Run,
  complete: boolean,
  basis: number | undefined,
  progress: ProgressState,
): Promise<Applied> {
  const undoing = run.task.trigger === 'REVERT';
  try {
    return await inTransaction(dataSource, async (client) => {
      await beginApplying(client, run.task.identitySourceId);
      await run.lease.check(client);
      if (undoing) await applyReversal(client, run);
      else await applySnapshot(client, run, basis);
      return finish(client, run, complete, progress);
    });
  } catch (error) {
    if (!undoing && REFUSALS.includes((error as { code?: string }).code ?? ''))
      throw new PlanOutdated('PostgreSQL refused the plan.', { cause: error });
    throw error;
  }
}

async function applySnapshot(client: PoolClient, run: Run, basis: number | undefined): Promise<void> {
  // An event task has no record of what it found as it is here; a full run may have applied something older to that since.
  if (run.task.trigger === 'EVENT' && basis !== (await countApplied(client, run))) throw new PlanOutdated();
  const parameters = [run.task.id, run.task.identitySourceId];
  const { rows: older } = await client.query<{ builtOn: boolean }>(skipOlderReads(0), parameters);
  const { rows } = await client.query(settle.IS_OUTDATED, parameters);
  if (rows[0].outdated || older.some(({ builtOn }) => builtOn)) throw new PlanOutdated();
  await applyRecords(client, run);
  await settleFormerHolds(client, run);
  await execute(client, settle.FORGET_REJECTIONS, run);
  if (run.task.trigger === 'EVENT') {
    await execute(client, settle.NOTE_READS, run);
    await execute(client, settle.REOPEN_PAGES, run);
    await execute(client, settle.ASK_FOR_FULL_RUN, run);
  } else {
    if (run.task.includesEmployees) await execute(client, settle.MARK_PAGES_APPLIED, run);
    await execute(client, settle.CLOSE_EVENTS, run);
  }
}

/** A reversal follows no snapshot: whatever it brings back, the next run compares anew. */
async function applyReversal(client: PoolClient, run: Run): Promise<void> {
  await execute(client, reversal.SKIP_CHANGED, run);
  for (const objectType of ['DEPARTMENT', 'EMPLOYEE'] as const) await refuseTakenValues(client, run, objectType);
  await execute(client, sql.createDepartments(true).sql, run);
  await execute(client, reversal.DROP_LOST_EDGES, run);
  await applyRecords(client, run);
  await execute(client, reversal.FORGET_HASHES, run);
}

/** Applying is serial for a source: whoever else applies waits here, and a task then finds its lease gone. */
export async function beginApplying(client: PoolClient, identitySourceId: string): Promise<void> {
  await client.query(`SET LOCAL work_mem = '64MB'`);
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [identitySourceId]);
  await holdFieldsStill(client);
}

/** What a task's records do, in its order, but for the departments that go. */
function steps(run: Run, extensions: boolean): Step[] {
  const undoing = run.task.trigger === 'REVERT';
  return [
    // Those of a reversal came first, since edges lead to them.
    ...(undoing ? [] : [sql.createDepartments(extensions)]),
    sql.updateDepartments(extensions),
    sql.createEmployees(extensions),
    sql.updateEmployees(extensions),
    sql.SUSPEND_EMPLOYEES,
    sql.REMOVE_EMPLOYEES,
    sql.DELETE_MEMBERSHIPS,
    sql.CREATE_MEMBERSHIPS,
    sql.WRITE_MEMBERSHIPS,
    sql.RENAME_LINKS,
    ...(undoing ? [sql.RESTORE_LINKS] : [sql.CREATE_LINKS, sql.WRITE_LINKS]),
    sql.MARK_MISSING,
    ...APPLY_GROUPS,
  ];
}

async function applyRecords(client: PoolClient, run: Run): Promise<void> {
  const { rows } = await client.query<sql.OpenRecords>(sql.COUNT_OPEN, [run.task.id]);
  const extensions = await changesExtensions(client, run);
  for (const step of steps(run, extensions))
    if (sql.count(rows, step) > 0) await execute(client, sql.narrowed(rows, step), run);
  if (sql.count(rows, sql.DELETE_DEPARTMENTS) > 0) await deleteDepartments(client, run);
  await rememberUnresolved(client, run);
  const renamed = sql.count(rows, { objectType: 'EMPLOYEE', actions: ['CREATE', ...sql.CHANGES] });
  await renewSearch(client, run, renamed);
}

/** Whether records may change extension fields: those that are mapped, or that are unique, since a taken value is left out. */
async function changesExtensions(client: PoolClient, { task }: Run): Promise<boolean> {
  if (task.trigger === 'REVERT') return true;
  if (task.mappings.some(({ localField }) => localField.startsWith(EXTENSION_PREFIX))) return true;
  const { rows } = await client.query('SELECT EXISTS (SELECT FROM extension_field WHERE is_unique) AS any');
  return rows[0].any;
}

/** A run that brings departments only has answers neither about people nor about groups. */
async function rememberUnresolved(client: PoolClient, run: Run): Promise<void> {
  if (!run.task.includesEmployees) return;
  await execute(client, REMEMBER_UNRESOLVED, run);
  const { rows } = await client.query(READ_GROUPS, [run.task.id]);
  if (rows[0].any) await execute(client, REMEMBER_MISSING_MEMBERS, run);
}

async function deleteDepartments(client: PoolClient, run: Run): Promise<void> {
  while ((await execute(client, sql.DELETE_DEPARTMENTS.sql, run)) > 0);
  await execute(client, sql.KEEP_FILLED_DEPARTMENTS.sql, run);
  await execute(client, sql.DELETE_DEPARTMENT_LINKS.sql, run);
}

/** @param people whose names and other searched values may have changed */
async function renewSearch(client: PoolClient, run: Run, people: number): Promise<void> {
  const query: RunQuery = async (text, parameters) => (await client.query(text, parameters)).rows;
  if (people > FOUND_AT_ONCE) await announceSearch(query, run.task.identitySourceId);
  else if (people > 0) await refreshSearch(query, { taskId: run.task.id });
}

/** Statements name $2 only where they need it; PostgreSQL refuses a parameter that none does. */
async function execute(client: PoolClient, statement: string, run: Run): Promise<number> {
  const parameters = statement.includes('$2') ? [run.task.id, run.task.identitySourceId] : [run.task.id];
  const { rowCount } = await client.query(statement, parameters);
  return rowCount ?? 0;
}

/** What earlier tasks held is taken over or lapses; a task with nothing left to decide ends. */
async function settleFormerHolds(client: PoolClient, run: Run): Promise<void> {
  const { rows } = await client.query(settle.SETTLE_FORMER_HOLDS, [run.task.id, run.task.identitySourceId]);
  for (const { taskId, ordinals } of rows) await endIfDecided(client, taskId, ordinals);
}

/**
 * Counts a held task anew and ends it once nothing is left to decide; in the transaction that decided.
 * @param ordinals the records whose result changed, to be told to subscribers
 */
export async function endIfDecided(client: PoolClient, taskId: string, ordinals: readonly number[]): Promise<void> {
  await tellChanged(client, taskId, ordinals);
  const { rows } = await client.query('SELECT counters, certificate FROM sync_task WHERE id = $1', [taskId]);
  const { counters, clean, held } = await countResults(client, taskId, rows[0].counters);
  const ended: SyncTaskStatusName = clean && isProven(rows[0].certificate) ? 'SUCCEEDED' : 'PARTIALLY_SUCCEEDED';
  const status = held ? 'HELD' : ended;
  await client.query(`UPDATE sync_task SET counters = $2, status = $3 WHERE id = $1`, [
    taskId,
    JSON.stringify(counters),
    status,
  ]);
  await writeTaskEvent(client, taskId);
}

interface Results {
  readonly counters: CounterState[];
  /** Nothing failed, and nothing was skipped that ought to have been done. */
  readonly clean: boolean;
  readonly held: boolean;
}

async function countResults(client: PoolClient, taskId: string, former: readonly CounterState[]): Promise<Results> {
  const { rows } = await client.query(sql.COUNT_RESULTS, [taskId]);
  const unchanged = former.filter((counter) => counter.action === 'NONE');
  const { rows: faults } = await client.query(
    `SELECT EXISTS (SELECT FROM sync_record WHERE task_id = $1
        AND (result = 'FAILED' OR reason_code IN ('INVALID_VALUE', 'VALUE_TAKEN', 'CHANGED_SINCE_PLAN')
             -- A run that brings departments only never removes one that somebody is in.
             OR (reason_code = 'DEPARTMENT_NOT_EMPTY' AND (SELECT includes_employees FROM sync_task WHERE id = $1)))) AS any`,
    [taskId],
  );
  const counters = [...(rows as CounterState[]), ...unchanged];
  return { counters, clean: !faults[0].any, held: counters.some((counter) => counter.held > 0) };
}

async function finish(client: PoolClient, run: Run, complete: boolean, progress: ProgressState): Promise<Applied> {
  const { id } = run.task;
  const { rows: former } = await client.query('SELECT counters FROM sync_task WHERE id = $1', [id]);
  const { counters, clean, held } = await countResults(client, id, former[0].counters);
  const status: SyncTaskStatusName = held ? 'HELD' : clean && complete ? 'SUCCEEDED' : 'PARTIALLY_SUCCEEDED';
  const finished = {
    ...NO_PROGRESS,
    ...progress,
    phase: 'FINISHED',
    percent: 100,
    estimatedSecondsLeft: 0,
    currentDepartment: null,
  };
  const ended = await client.query(
    `UPDATE sync_task SET status = $3, applied_at = now(), finished_at = now(), lease_until = NULL, counters = $4, progress = $5,
            extent_accepted = extent_accepted OR ($6 AND NOT EXISTS (SELECT FROM sync_record WHERE task_id = $1 AND result = 'HELD'))
      WHERE id = $1 AND fence = $2 AND status = 'RUNNING'`,
    [id, run.lease.fence, status, JSON.stringify(counters), JSON.stringify(finished), complete],
  );
  if (ended.rowCount === 0) throw new AppError('LEASE_LOST', 'Another worker took the task over.');
  await tellRecords(client, id, 'APPLIED');
  await writeTaskEvent(client, id);
  return { status, counters };
}

/** Tells subscribers how the task stands now, in the transaction that changed it. */
export async function writeTaskEvent(client: Pick<PoolClient, 'query'>, taskId: string): Promise<void> {
  await client.query(
    `INSERT INTO event (kind, identity_source_id, task_id, payload)
     SELECT 'TASK', identity_source_id, id, jsonb_build_object('status', status, 'startedAt', started_at, 'finishedAt', finished_at,
            'progress', progress, 'counters', counters, 'plan', plan, 'certificate', certificate, 'failure', failure)
       FROM sync_task WHERE id = $1`,
    [taskId],
  );
}
