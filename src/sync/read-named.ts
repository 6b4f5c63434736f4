import type { DataSource } from 'typeorm';
import type { DirectoryConnector } from '../connector/directory-connector';
import type { Run } from './lease';
import { type AnyPage, readObject } from './read-again';
import type { StagedType } from './stage';

const AT_ONCE = 8;
/** Named objects are taken in batches of this size, so that a storm is never held in memory. */
const BATCH = 500;

/** Claims what callbacks have named and no task has read yet. */
export async function claimEvents(dataSource: DataSource, run: Run): Promise<void> {
  await dataSource.query(
    `UPDATE directory_event SET task_id = $1 WHERE identity_source_id = $2 AND task_id IS NULL
        AND (object_type = 'DEPARTMENT' OR $3)`,
    [run.task.id, run.task.identitySourceId, run.task.includesEmployees],
  );
}

/** Each object that a task's events name, read from the directory by itself: the event only says that it is worth reading. */
export async function* readNamed(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  objectType: StagedType,
): AsyncIterable<AnyPage> {
  let after = '';
  for (;;) {
    const named: { key: string; id: string }[] = await dataSource.query(
      `SELECT DISTINCT ON (external_key) external_key AS key, external_id AS id FROM directory_event e
        WHERE task_id = $1 AND object_type = $2 AND external_key > $3
          AND NOT EXISTS (SELECT FROM task_page p WHERE p.task_id = $1 AND p.page_key = 'again:' || e.external_key AND p.object_type = $2)
        ORDER BY external_key LIMIT ${BATCH}`,
      [run.task.id, objectType, after],
    );
    const last = named.at(-1);
    if (!last) return;
    for (let i = 0; i < named.length; i += AT_ONCE) {
      yield* await Promise.all(
        named.slice(i, i + AT_ONCE).map((object) => readObject(connector, run, objectType, object)),
      );
    }
    after = last.key;
  }
}
