import type { PoolClient } from 'pg';

/** What an event about a run of records carries. */
export interface RecordsPayload {
  /** What they were, unless they have a result of their own; missing where each is told as it stands. */
  readonly state?: 'PLANNED' | 'APPLIED';
  /** Which of the task's plans they belong to: of a former one nothing is told any more. */
  readonly plan: number;
}

/** $1: the task. `runs` has the first ordinal and the size of each run of records. */
const eventsOf = (runs: string, state: RecordsPayload['state']) => `
INSERT INTO event (kind, identity_source_id, task_id, first_ordinal, size, payload)
SELECT 'RECORDS', t.identity_source_id, t.id, run.first, run.size,
       jsonb_build_object('plan', t.plan)${state ? ` || '{"state": "${state}"}'` : ''}
  FROM sync_task t, (${runs}) run
 WHERE t.id = $1 ORDER BY run.first`;

/** Neighbouring ordinals as runs, so that thousands of records that changed together are few events. */
const RUNS_OF_CHANGED = `
SELECT min(ordinal) AS first, count(*) AS size
  FROM (SELECT ordinal, ordinal - row_number() OVER (ORDER BY ordinal) AS run FROM changed) numbered GROUP BY run`;

/** From an ordinal to the last. */
const RUN_TO_THE_END = `
SELECT $2::int AS first, last - $2 + 1 AS size
  FROM (SELECT max(ordinal) AS last FROM sync_record WHERE task_id = $1) records WHERE last >= $2`;

/** Tells subscribers of a task's records, from one ordinal to the last; in the transaction that wrote them. */
export async function tellRecords(
  client: PoolClient,
  taskId: string,
  state: 'PLANNED' | 'APPLIED',
  first = 1,
): Promise<void> {
  await client.query(eventsOf(RUN_TO_THE_END, state), [taskId, first]);
}

/** Tells subscribers how these records stand now; in the transaction that changed them. */
export async function tellChanged(client: PoolClient, taskId: string, ordinals: readonly number[]): Promise<void> {
  await client.query(`WITH changed (ordinal) AS (SELECT unnest($2::int[])) ${eventsOf(RUNS_OF_CHANGED, undefined)}`, [
    taskId,
    ordinals,
  ]);
}

/**
 * A statement that changes records of the plan $1 and tells subscribers of them.
 * @param change UPDATE sync_record r ...; its $1 is the task, too
 */
export function changingPlanned(change: string): string {
  return `WITH changed (ordinal) AS (${change} RETURNING r.ordinal) ${eventsOf(RUNS_OF_CHANGED, 'PLANNED')}`;
}
