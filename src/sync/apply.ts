import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import { AppError } from '../platform/app-error';
import * as sql from './apply/statements';
import type { Run } from './lease';
import { type CounterState, NO_PROGRESS, type ProgressState, type SyncTaskStatusName } from './sync-task.entity';

/** From suspension to removal, for people missing from the directory. */
export const LEAVER_GRACE_DAYS = 7;

/** A paused worker's open transaction must not block the one that took over. */
const IDLE_LIMIT_MS = 15_000;

const BEFORE_SUSPENSION = [sql.CREATE_DEPARTMENTS, sql.UPDATE_DEPARTMENTS, sql.CREATE_EMPLOYEES, sql.UPDATE_EMPLOYEES];
const AFTER_SUSPENSION = [
  sql.REMOVE_EMPLOYEES,
  sql.DELETE_MEMBERSHIPS,
  sql.WRITE_MEMBERSHIPS,
  sql.WRITE_LINKS,
  sql.MARK_MISSING,
];

/** How the task ended, as the apply step leaves it. */
export interface Applied {
  readonly status: SyncTaskStatusName;
  readonly counters: CounterState[];
}

/**
 * The fifth step, in one transaction: readers see the organisation before or after, never between. The task's end is written
 * in the same transaction, so it is applied exactly once, whoever is killed when.
 */
export async function apply(
  dataSource: DataSource,
  run: Run,
  complete: boolean,
  progress: ProgressState,
): Promise<Applied> {
  return inTransaction(dataSource, async (client) => {
    await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS}`);
    await client.query(`SET LOCAL work_mem = '64MB'`);
    // Applying is serial for a source: whoever else applies waits here, and then finds its lease gone.
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [run.task.identitySourceId]);
    await run.lease.check(client);
    for (const statement of BEFORE_SUSPENSION) await execute(client, statement, run);
    await client.query(sql.SUSPEND_EMPLOYEES, [run.task.id, LEAVER_GRACE_DAYS]);
    for (const statement of AFTER_SUSPENSION) await execute(client, statement, run);
    await deleteDepartments(client, run);
    await execute(client, sql.MARK_PAGES_APPLIED, run);
    return finish(client, run, complete, progress);
  });
}

async function deleteDepartments(client: PoolClient, run: Run): Promise<void> {
  while ((await execute(client, sql.DELETE_DEPARTMENTS, run)) > 0);
  await execute(client, sql.KEEP_FILLED_DEPARTMENTS, run);
  await execute(client, sql.DELETE_DEPARTMENT_LINKS, run);
}

/** Statements name $2 only where they need it; PostgreSQL refuses a parameter that none does. */
async function execute(client: PoolClient, statement: string, run: Run): Promise<number> {
  const parameters = statement.includes('$2') ? [run.task.id, run.task.identitySourceId] : [run.task.id];
  const { rowCount } = await client.query(statement, parameters);
  return rowCount ?? 0;
}

async function finish(client: PoolClient, run: Run, complete: boolean, progress: ProgressState): Promise<Applied> {
  const { id, identitySourceId } = run.task;
  const { rows } = await client.query(sql.COUNT_RESULTS, [id]);
  const { rows: former } = await client.query('SELECT counters FROM sync_task WHERE id = $1', [id]);
  const unchanged = former[0].counters.filter((counter: CounterState) => counter.action === 'NONE');
  const counters: CounterState[] = [...rows, ...unchanged];
  const clean = complete && counters.every((counter) => counter.failed === 0 && counter.skipped === 0);
  const status: SyncTaskStatusName = clean ? 'SUCCEEDED' : 'PARTIALLY_SUCCEEDED';
  const finished = {
    ...NO_PROGRESS,
    ...progress,
    phase: 'FINISHED',
    percent: 100,
    estimatedSecondsLeft: 0,
    currentDepartment: null,
  };
  const ended = await client.query(
    `UPDATE sync_task SET status = $3, applied_at = now(), finished_at = now(), lease_until = NULL, counters = $4, progress = $5
      WHERE id = $1 AND fence = $2 AND status = 'RUNNING'`,
    [id, run.lease.fence, status, JSON.stringify(counters), JSON.stringify(finished)],
  );
  if (ended.rowCount === 0) throw new AppError('LEASE_LOST', 'Another worker took the task over.');
  await client.query(
    `INSERT INTO event (kind, identity_source_id, task_id, first_ordinal, size, payload)
     SELECT 'RECORDS', $2, $1, 1, count(*), '{"state": "APPLIED"}' FROM sync_record WHERE task_id = $1 HAVING count(*) > 0`,
    [id, identitySourceId],
  );
  await writeTaskEvent(client, id);
  return { status, counters };
}

/** Tells subscribers how the task stands now, in the transaction that changed it. */
export async function writeTaskEvent(client: Pick<PoolClient, 'query'>, taskId: string): Promise<void> {
  await client.query(
    `INSERT INTO event (kind, identity_source_id, task_id, payload)
     SELECT 'TASK', identity_source_id, id, jsonb_build_object('status', status, 'startedAt', started_at, 'finishedAt', finished_at,
            'progress', progress, 'counters', counters, 'certificate', certificate, 'failure', failure)
       FROM sync_task WHERE id = $1`,
    [taskId],
  );
}
