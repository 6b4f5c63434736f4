import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import { refreshSearch } from '../organisation/search-index';

/** A task that was applied. */
export interface AppliedTask {
  readonly id: string;
  readonly identitySourceId: string;
}

/**
 * What follows a task's commit: pages that nothing needs any more go, and people who changed can be found. Any number of callers
 * may do it at once, and again.
 * @param peopleChanged whether search has to be looked at
 */
export async function tidy(dataSource: DataSource, task: AppliedTask, peopleChanged: boolean): Promise<void> {
  await forgetOldPages(dataSource, task);
  // Last, because after a large run it takes longest, and the next run wants what comes before it.
  if (peopleChanged) {
    await refreshSearch((sql, parameters) => dataSource.query(sql, parameters), {
      identitySourceId: task.identitySourceId,
    });
  }
  await dataSource.query('UPDATE sync_task SET tidied_at = now() WHERE id = $1', [task.id]);
}

/** What a run does after its commit takes a few seconds; of a million people who changed, minutes. */
const TIDIED_WITHIN = '5 minutes';

/** Tasks whose worker was killed between their commit and tidying up. */
export async function tidyAbandoned(dataSource: DataSource): Promise<void> {
  const tasks: AppliedTask[] = await dataSource.query(
    `SELECT id, identity_source_id AS "identitySourceId" FROM sync_task
      WHERE tidied_at IS NULL AND applied_at < now() - interval '${TIDIED_WITHIN}' ORDER BY id`,
  );
  for (const task of tasks) await tidy(dataSource, task, true);
}

/** Page versions that neither the last complete snapshot, nor this one, nor an open task is made of. */
async function forgetOldPages(dataSource: DataSource, task: AppliedTask): Promise<void> {
  await inTransaction(dataSource, async (client) => {
    const kept = `SELECT id FROM sync_task WHERE identity_source_id = $1 AND (id = $2 OR status IN ('QUEUED', 'RUNNING')
        OR id = (SELECT id FROM sync_task WHERE identity_source_id = $1 AND (certificate ->> 'complete')::boolean AND applied_at IS NOT NULL
                  ORDER BY id DESC LIMIT 1))`;
    const parameters = [task.identitySourceId, task.id];
    await client.query(
      `DELETE FROM task_page WHERE task_id IN (SELECT id FROM sync_task WHERE identity_source_id = $1)
            AND task_id NOT IN (${kept})`,
      parameters,
    );
    const { rows } = await client.query(
      `DELETE FROM snapshot_page p WHERE identity_source_id = $1
            AND NOT EXISTS (SELECT FROM task_page tp WHERE tp.page_id = p.id) RETURNING id`,
      parameters.slice(0, 1),
    );
    const ids = rows.map((row: { id: number }) => row.id);
    await client.query('DELETE FROM staged_employee WHERE page_id = ANY ($1)', [ids]);
    await client.query('DELETE FROM staged_department WHERE page_id = ANY ($1)', [ids]);
  });
}
