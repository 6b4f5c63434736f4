import type { PoolClient } from 'pg';
import { cancelOpenTask } from '../sync/task/sync.service';

/** Closes a source and cancels its open tasks, previews excepted, in the caller's transaction. */
export async function closeSource(client: PoolClient, id: string): Promise<void> {
  await client.query(
    `UPDATE identity_source SET status = 'CLOSED', version = version + 1, updated_at = now() WHERE id = $1`,
    [id],
  );
  const { rows } = await client.query(
    `SELECT id FROM sync_task WHERE identity_source_id = $1 AND mode = 'APPLY' AND status IN ('QUEUED', 'RUNNING')`,
    [id],
  );
  for (const task of rows) await cancelOpenTask(client, task.id);
}
