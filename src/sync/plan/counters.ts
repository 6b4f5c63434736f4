import type { PoolClient } from 'pg';
import type { CounterState, SyncActionName } from '../task/sync-task.entity';

/** A plan's records, counted. */
export interface Counted {
  /** The last ordinal; that which was counted after where there are no more. */
  readonly last: number;
  readonly counters: readonly CounterState[];
}

/** What is planned after an ordinal. */
export async function countRecords(client: PoolClient, taskId: string, after: number): Promise<Counted> {
  const { rows } = await client.query<CounterState & { last: number }>(
    `SELECT object_type AS "objectType", action, count(*)::int AS planned, 0 AS applied,
            (count(*) FILTER (WHERE result = 'HELD'))::int AS held, (count(*) FILTER (WHERE result = 'SKIPPED'))::int AS skipped,
            (count(*) FILTER (WHERE result = 'FAILED'))::int AS failed, max(ordinal) AS last
       FROM sync_record WHERE task_id = $1 AND ordinal > $2 GROUP BY object_type, action ORDER BY 1, 2`,
    [taskId, after],
  );
  return {
    last: Math.max(after, ...rows.map((row) => row.last)),
    counters: rows.map(({ last: _, ...counter }) => counter),
  };
}

/** How many records of a type and these actions will be applied unless something comes in between. Pure. */
export function openOf(
  counters: readonly CounterState[],
  objectType: string,
  ...actions: readonly SyncActionName[]
): number {
  return counters
    .filter((c) => c.objectType === objectType && actions.some((action) => action === c.action))
    .reduce((total, c) => total + c.planned - c.held - c.skipped - c.failed, 0);
}

/** Counters of the same type and action become one. Pure. */
export function sum(counters: readonly CounterState[]): CounterState[] {
  const sums = new Map<string, CounterState>();
  for (const counter of counters) {
    const key = `${counter.objectType} ${counter.action}`;
    const { planned = 0, held = 0, skipped = 0, failed = 0 } = sums.get(key) ?? {};
    sums.set(key, {
      ...counter,
      planned: planned + counter.planned,
      held: held + counter.held,
      skipped: skipped + counter.skipped,
      failed: failed + counter.failed,
    });
  }
  return [...sums.values()];
}

/** Objects that a snapshot has, or reflects, and of which nothing is recorded. */
export function unchanged(objectType: string, total: number, counters: readonly CounterState[]): CounterState {
  const changed = counters
    .filter((c) => c.objectType === objectType && !['REMOVE', 'SUSPEND'].includes(c.action))
    .reduce((before, counter) => before + counter.planned, 0);
  const planned = Math.max(0, total - changed);
  return { objectType, action: 'NONE', planned, applied: 0, held: 0, skipped: 0, failed: 0 };
}
