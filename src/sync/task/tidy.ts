import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import { LAST_SNAPSHOTS } from './last-snapshots';

/** A task that was applied. */
export interface AppliedTask {
  readonly id: string;
  readonly identitySourceId: string;
}

/**
 * What follows a task's commit: pages that nothing needs any more go. Any number of callers may do it at once, and again.
 */
export async function tidy(dataSource: DataSource, task: AppliedTask): Promise<void> {
  await forgetOldPages(dataSource, task);
  await dataSource.query('UPDATE sync_task SET tidied_at = now() WHERE id = $1', [task.id]);
}

/** Forgetting pages takes a second or two; of a million people, minutes. */
const TIDIED_WITHIN = '5 minutes';

/** Makes up for workers that were killed between a commit and tidying up. */
export async function tidyAbandoned(dataSource: DataSource): Promise<void> {
  const tasks: AppliedTask[] = await dataSource.query(
    `SELECT id, identity_source_id AS "identitySourceId" FROM sync_task
      WHERE tidied_at IS NULL AND applied_at < now() - interval '${TIDIED_WITHIN}' ORDER BY id`,
  );
  for (const task of tasks) await tidy(dataSource, task);
}

/** Page versions that neither a last complete snapshot, nor this one, nor an open task is made of, with what was staged of them. */
async function forgetOldPages(dataSource: DataSource, task: AppliedTask): Promise<void> {
  const pageIds = await inTransaction(dataSource, (client) => deletePages(client, task));
  if (pageIds.length === 0) return;
  // Of a worker that is killed here it is left to the retention.
  for (const table of ['staged_employee', 'staged_department', 'staged_group'])
    await dataSource.query(`DELETE FROM ${table} WHERE page_id = ANY ($1)`, [pageIds]);
}

async function deletePages(client: PoolClient, task: AppliedTask): Promise<number[]> {
  if (!(await holdSnapshotsStill(client, task.identitySourceId, task.id))) return [];
  await client.query(
    `DELETE FROM task_page WHERE task_id IN (SELECT id FROM sync_task WHERE identity_source_id = $1)
        AND task_id NOT IN (SELECT id FROM sync_task WHERE identity_source_id = $1
                              AND (id = $2 OR status IN ('QUEUED', 'RUNNING') OR id IN (${LAST_SNAPSHOTS})))`,
    [task.identitySourceId, task.id],
  );
  return deleteUnusedPages(client, task.identitySourceId);
}

/**
 * Nothing goes while a task reads a snapshot: it counts on what is stored, also before it refers to it. Whoever makes such a task locks
 * its source, and so does this, so that none begins until the transaction ends. What an event task reads it shares with nobody: that lock
 * lets it be opened, since a callback that comes meanwhile would wait for the scheduler's next look. It lets others tidy up as well, who
 * would meet in the same rows: the first lock is against them.
 * @param butFor a task that has read already
 * @returns whether nobody reads
 */
async function holdSnapshotsStill(
  client: PoolClient,
  identitySourceId: string,
  butFor: string | null,
): Promise<boolean> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 3))', [identitySourceId]);
  await client.query('SELECT FROM identity_source WHERE id = $1 FOR SHARE', [identitySourceId]);
  const { rows } = await client.query(
    `SELECT FROM sync_task
      WHERE identity_source_id = $1 AND id IS DISTINCT FROM $2 AND trigger <> 'EVENT' AND status IN ('QUEUED', 'RUNNING') LIMIT 1`,
    [identitySourceId, butFor],
  );
  return rows.length === 0;
}

async function deleteUnusedPages(client: PoolClient, identitySourceId: string): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(
    `DELETE FROM snapshot_page p WHERE identity_source_id = $1
        AND NOT EXISTS (SELECT FROM task_page tp WHERE tp.page_id = p.id) RETURNING id`,
    [identitySourceId],
  );
  return rows.map((row) => row.id);
}

/** Page versions that nobody refers to any more, of every source. @returns how many went */
export async function forgetUnusedPages(dataSource: DataSource): Promise<number> {
  const sources: { id: string }[] = await dataSource.query(
    `SELECT DISTINCT identity_source_id AS id FROM snapshot_page p WHERE NOT EXISTS (SELECT FROM task_page tp WHERE tp.page_id = p.id)`,
  );
  let forgotten = 0;
  for (const { id } of sources) {
    const pages = await inTransaction(dataSource, async (client) =>
      (await holdSnapshotsStill(client, id, null)) ? deleteUnusedPages(client, id) : [],
    );
    forgotten += pages.length;
  }
  return forgotten;
}
