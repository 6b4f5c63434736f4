import type { PoolClient } from 'pg';

/** Takes back everything that was planned for a task; whoever was told of it learns that by the plan's number. */
export async function forgetPlan(client: PoolClient, taskId: string): Promise<void> {
  await client.query('DELETE FROM sync_record WHERE task_id = $1', [taskId]);
  // Last, because others wait for the task's row until the commit.
  await client.query(`UPDATE sync_task SET plan = plan + 1, planned_at = NULL, counters = '[]' WHERE id = $1`, [
    taskId,
  ]);
}

/**
 * A task that ends before its plan is whole, by a fault or because it was canceled, shows nothing of it: none of it was ever to be
 * applied. In the transaction that ends the task.
 */
export async function forgetUnfinishedPlan(client: PoolClient, taskId: string): Promise<void> {
  const { rows } = await client.query(
    'SELECT plan > 0 AND planned_at IS NULL AS unfinished FROM sync_task WHERE id = $1',
    [taskId],
  );
  if (rows[0]?.unfinished) await forgetPlan(client, taskId);
}
