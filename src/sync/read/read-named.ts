import type { DataSource } from 'typeorm';
import type { DirectoryConnector } from '../../connector/directory-connector';
import type { Run } from '../task/lease';
import { readObject } from './read-again';
import type { AnyPage, StagedType } from './stage';

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

/** Groups that wait for somebody or some department that this task has read. */
const WAITING_GROUPS = `
SELECT l.external_key AS key, l.external_id AS id FROM link l
 WHERE l.identity_source_id = (SELECT identity_source_id FROM sync_task WHERE id = $1) AND l.kind = 'GROUP'
   AND l.unresolved && ARRAY(SELECT left(tp.object_type, 1) || ':' || k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id,
                                    unnest(p.keys) k WHERE tp.task_id = $1)`;

/** What there is to be read of a type: what events name, and groups that wait for what was read. */
const namedObjects = (objectType: StagedType) => `
SELECT external_key AS key, external_id AS id FROM directory_event WHERE task_id = $1 AND object_type = '${objectType}'
${objectType === 'GROUP' ? `UNION ALL ${WAITING_GROUPS}` : ''}`;

/** Whether an event task has any group to read: most have none. */
export async function groupsToRead(dataSource: DataSource, run: Run): Promise<boolean> {
  const [row] = await dataSource.query(`SELECT EXISTS (${namedObjects('GROUP')}) AS any`, [run.task.id]);
  return row.any;
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
      `SELECT DISTINCT ON (key) key, id FROM (${namedObjects(objectType)}) e
        WHERE key > $3
          AND NOT EXISTS (SELECT FROM task_page p WHERE p.task_id = $1 AND p.page_key = 'again:' || e.key AND p.object_type = $2)
        ORDER BY key LIMIT ${BATCH}`,
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
