import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
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
import type { ApplyAhead } from './ahead';
import { applyRecords, beginApplying, execute } from './apply-records';
import * as reversal from './reversal';
import * as settle from './settle';
import * as sql from './statements';
import { dropUnfitValues } from './unfit-values';

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
  ahead?: ApplyAhead,
): Promise<Applied> {
  const undoing = run.task.trigger === 'REVERT';
  const rest = async (client: PoolClient, after?: number) => {
    if (undoing) await applyReversal(client, run);
    else await applySnapshot(client, run, basis, after);
    return finish(client, run, complete, progress);
  };
  try {
    const applied = await ahead?.commit(rest);
    if (applied) return applied;
    return await inTransaction(dataSource, async (client) => {
      await beginApplying(client, run.task.identitySourceId);
      await run.lease.check(client);
      return rest(client);
    });
  } catch (error) {
    if (!undoing && REFUSALS.includes((error as { code?: string }).code ?? ''))
      throw new PlanOutdated('PostgreSQL refused the plan.', { cause: error });
    throw error;
  }
}

async function applySnapshot(client: PoolClient, run: Run, basis: number | undefined, after?: number): Promise<void> {
  // An event task has no record of what it found as it is here; a full run may have applied something older to that since.
  if (run.task.trigger === 'EVENT' && basis !== (await countApplied(client, run))) throw new PlanOutdated();
  const parameters = [run.task.id, run.task.identitySourceId];
  const { rows: older } = await client.query<{ builtOn: boolean }>(skipOlderReads(0), parameters);
  const { rows } = await client.query(settle.IS_OUTDATED, parameters);
  if (rows[0].outdated || older.some(({ builtOn }) => builtOn)) throw new PlanOutdated();
  await applyRecords(client, run, after);
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
  await dropUnfitValues(client, run);
  while ((await execute(client, reversal.SKIP_CIRCLES, run)) > 0);
  await execute(client, reversal.DROP_LOST_PARENTS, run);
  for (const objectType of ['DEPARTMENT', 'EMPLOYEE'] as const) await refuseTakenValues(client, run, objectType);
  await execute(client, sql.createDepartments(true).sql, run);
  for (const step of sql.GIVE_BACK_PLACES) await execute(client, step.sql, run);
  await execute(client, reversal.DROP_LOST_EDGES, run);
  await applyRecords(client, run);
  await execute(client, reversal.FORGET_HASHES, run);
  if (run.task.settings.switchesAutomaticOff) await execute(client, reversal.SWITCH_AUTOMATIC_OFF, run);
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
  // applied_at is what objects have as updated_at, by which an undo knows that they are as the task left them.
  const ended = await client.query(
    `UPDATE sync_task SET status = $3, applied_at = now(), finished_at = clock_timestamp(), lease_until = NULL, counters = $4, progress = $5,
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
