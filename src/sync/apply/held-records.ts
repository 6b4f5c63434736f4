import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { EventLog } from '../../events/event-log';
import { readWaitingForValues } from '../task/event-task';
import type { SyncTaskStatusName } from '../task/sync-task.entity';
import { endIfDecided } from './apply';
import { beginApplying } from './apply-records';
import { REMOVE_GROUPS } from './groups';
import type { Step } from './statements';
import * as sql from './statements';

export interface Decision {
  readonly taskId: string;
  readonly approve: boolean;
  /** Null: all that are held. */
  readonly recordIds: readonly string[] | null;
}

export type DecisionOutcome =
  | { readonly kind: 'decided'; readonly taskId: string }
  | { readonly kind: 'notFound' | 'nothingNamed' | 'sourceDeleted' }
  | { readonly kind: 'nothingHeld'; readonly status: SyncTaskStatusName }
  | { readonly kind: 'notHeld'; readonly count: number };

interface HeldTask {
  readonly identitySourceId: string;
  readonly status: SyncTaskStatusName;
  readonly sourceDeleted: boolean;
}

/**
 * The decided records stand in a table of the transaction, so that the same statements apply them that apply a whole task. IS TRUE
 * keeps them hashed: the planner expects one record, and would go through all that are decided for each.
 */
const DECIDED = 'r.task_id = $1 AND (r.id IN (SELECT id FROM decided)) IS TRUE AND r.result IS NULL';

/**
 * Approves or rejects removals that wait, in whole or by item. Approved ones are applied at once; what came back or was changed
 * here since the plan is skipped. People who wait for a value that an approval frees are read again. Rejected ones are kept and not asked about again before they are seen again.
 */
export async function decideHeldRecords(
  dataSource: DataSource,
  events: EventLog,
  decision: Decision,
): Promise<DecisionOutcome> {
  const outcome = await inTransaction(dataSource, (client) => decideIn(client, decision));
  await events.publish();
  return outcome;
}

async function decideIn(client: PoolClient, decision: Decision): Promise<DecisionOutcome> {
  const { taskId, approve, recordIds } = decision;
  const [named] = (await client.query('SELECT identity_source_id AS id FROM sync_task WHERE id = $1', [taskId])).rows;
  if (!named) return { kind: 'notFound' };
  // The same order of locks as a task that applies: first the source, then the task.
  await beginApplying(client, named.id);
  const { rows } = await client.query<HeldTask>(
    `SELECT t.identity_source_id AS "identitySourceId", t.status, s.deleted_at IS NOT NULL AS "sourceDeleted"
       FROM sync_task t JOIN identity_source s ON s.id = t.identity_source_id WHERE t.id = $1 FOR UPDATE OF t`,
    [taskId],
  );
  const task = rows[0] as HeldTask;
  if (task.sourceDeleted) return { kind: 'sourceDeleted' };
  if (task.status !== 'HELD') return { kind: 'nothingHeld', status: task.status };
  await client.query(
    `CREATE TEMP TABLE decided ON COMMIT DROP AS
     SELECT id, ordinal FROM sync_record WHERE task_id = '${taskId}' AND result = 'HELD'`,
  );
  if (recordIds) {
    if (recordIds.length === 0) return { kind: 'nothingNamed' };
    await client.query('DELETE FROM decided WHERE id <> ALL ($1::uuid[])', [recordIds]);
    const [left] = (await client.query('SELECT count(*)::int AS count FROM decided')).rows;
    const asked = new Set(recordIds).size;
    if (left.count < asked) return { kind: 'notHeld', count: asked - left.count };
  }
  if (approve) await applyDecided(client, taskId, task);
  else await keepDecided(client, taskId, task);
  await client.query(ACCEPT_EXTENT, [taskId]);
  await client.query(NOTE_DECISION, [taskId]);
  const { rows: decided } = await client.query('SELECT array_agg(ordinal ORDER BY ordinal) AS ordinals FROM decided');
  await endIfDecided(client, taskId, decided[0].ordinals ?? []);
  return { kind: 'decided', taskId };
}

/** Once nothing waits any more, and something was approved, what can be seen becomes what the next run is compared with. */
const ACCEPT_EXTENT = `
UPDATE sync_task t SET extent_accepted = true
 WHERE t.id = $1 AND NOT EXISTS (SELECT FROM sync_record WHERE task_id = $1 AND result = 'HELD')
   AND EXISTS (SELECT FROM sync_record WHERE task_id = $1 AND applied_at IS NOT NULL)`;

/** Whoever has planned before has not seen what was decided. */
const NOTE_DECISION = 'UPDATE sync_task SET decided_at = clock_timestamp() WHERE id = $1';

/** Whoever is suspended may have been seen since, on a page that is as it was: the next run that names them compares them. */
const COMPARE_AGAIN = `
UPDATE link l SET hash = NULL FROM sync_record r WHERE ${DECIDED} AND r.object_type = 'EMPLOYEE' AND l.local_id = r.local_id`;

async function applyDecided(client: PoolClient, taskId: string, task: HeldTask): Promise<void> {
  await client.query(
    `UPDATE sync_record r
        SET applied_at = now(), result = CASE WHEN coalesce(d.id, e.id, g.id) IS NULL THEN 'SKIPPED' END,
            reason_code = CASE WHEN coalesce(d.id, e.id, g.id) IS NULL THEN 'CHANGED_SINCE_PLAN' ELSE r.edges_before ->> 'reason' END
       FROM decided, sync_record x
       LEFT JOIN link l ON l.local_id = x.local_id AND l.missing_since IS NULL AND l.read_at <= x.read_at
       LEFT JOIN employee e ON e.id = l.local_id AND e.updated_at = x.local_version
       LEFT JOIN department d ON d.id = l.local_id AND d.updated_at = x.local_version
       LEFT JOIN directory_group g ON g.id = l.local_id AND g.updated_at = x.local_version
      WHERE decided.id = r.id AND x.id = r.id AND r.task_id = $1`,
    [taskId],
  );
  const run = async (step: Step) =>
    (await client.query(step.sql.replaceAll(sql.OPEN, DECIDED), [taskId])).rowCount ?? 0;
  for (const step of [sql.SUSPEND_EMPLOYEES, sql.MARK_MISSING, ...REMOVE_GROUPS]) await run(step);
  await client.query(COMPARE_AGAIN, [taskId]);
  await run(sql.REMEMBER_PLACES);
  while ((await run(sql.DELETE_DEPARTMENTS)) > 0);
  await run(sql.KEEP_FILLED_DEPARTMENTS);
  await run(sql.DELETE_DEPARTMENT_LINKS);
  await readWaitingForValues(client, taskId, task.identitySourceId);
}

async function keepDecided(client: PoolClient, taskId: string, task: HeldTask): Promise<void> {
  await client.query(
    `UPDATE sync_record r SET result = 'SKIPPED', reason_code = 'REJECTED' FROM decided WHERE decided.id = r.id AND r.task_id = $1`,
    [taskId],
  );
  await client.query(
    `UPDATE link l SET rejected_at = now() FROM sync_record r JOIN decided ON decided.id = r.id
      WHERE l.identity_source_id = $1 AND l.kind = r.object_type AND l.external_key = r.external_key AND l.missing_since IS NULL`,
    [task.identitySourceId],
  );
}
