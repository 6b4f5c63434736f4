import type { DataSource } from 'typeorm';
import {
  type DirectoryConnector,
  DirectoryError,
  GoneUnlessListed,
  hasGroups,
} from '../../connector/directory-connector';
import { mapConcurrently } from '../../connector/map-concurrently';
import { UnreadableGuard } from '../../connector/unreadable-guard';
import { inTransaction } from '../../database/transaction';
import { NO_ID } from '../plan/changed-ids';
import type { Run } from '../task/lease';
import type { AnyPage } from './stage';
import type { StagedObject, StagedType } from './staged-rows';
import { requireDepartments } from './told-groups';

/**
 * So many objects are looked for at once that are to be read by themselves: their ids take little room, a whole company's would not,
 * and looking for them goes through all that was read.
 */
export const BATCH = 10_000;
const CONCURRENCY = 8;

/**
 * Objects that are here but missing from the snapshot, each read once more by itself: somebody who moved between two reads,
 * or whose department answered empty, is no leaver. Gone is an empty page, present a page of one, an error an unreadable page
 * that keeps the object from being removed. So is, once more, whoever is missing for so long that they are about to be removed.
 */
export async function* readMissingAgain(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  objectType: StagedType,
): AsyncIterable<AnyPage> {
  let after = '';
  for (;;) {
    const missing = await nextMissing(dataSource, run, objectType, after);
    const last = missing.at(-1);
    if (!last) return;
    yield* readObjects(dataSource, connector, run, objectType, missing, true);
    after = last.key;
  }
}

/** People all of whose departments are still in the directory but no longer chosen: reading them again would prove nothing. */
const LEFT_SCOPE = `
  SELECT m.employee_id FROM membership m JOIN link d ON d.local_id = m.department_id
   WHERE d.identity_source_id = $2 AND EXISTS (SELECT FROM sync_task t WHERE t.id = $1 AND t.settings #>> '{scope,mode}' = 'PARTIAL')
   GROUP BY m.employee_id
  HAVING bool_and(EXISTS (SELECT FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
                           WHERE tp.task_id = $1 AND s.external_key = d.external_key)
                  AND NOT EXISTS (SELECT FROM task_page tp WHERE tp.task_id = $1 AND tp.page_key = 'employees-of:' || d.external_key))`;

/** A group that has members here and was told to have none: an answer that came empty looks the same. */
const EMPTIED = `EXISTS (SELECT FROM directory_group_employee m WHERE m.group_id = l.local_id
                         UNION ALL SELECT FROM directory_group_department m WHERE m.group_id = l.local_id)
  AND EXISTS (SELECT FROM task_page tp JOIN staged_group s ON s.page_id = tp.page_id
               WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' AND s.external_key = l.external_key
                 AND s.employee_keys = '{}' AND s.department_keys = '{}')`;

/** Somebody who is about to be removed: they may have come back since they were last asked for. */
const GRACE_ENDED = `w.status = 'SUSPENDED' AND w.removal_due_at <= now()`;

/** Whether anybody is about to be removed. */
export async function hasGraceEnded(dataSource: DataSource, run: Run): Promise<boolean> {
  const [row] = await dataSource.query(
    `SELECT EXISTS (SELECT FROM employee w JOIN link l ON l.local_id = w.id
                     WHERE l.identity_source_id = $1 AND l.kind = 'EMPLOYEE' AND l.missing_since IS NOT NULL AND ${GRACE_ENDED}) AS any`,
    [run.task.identitySourceId],
  );
  return row.any;
}

async function nextMissing(
  dataSource: DataSource,
  run: Run,
  objectType: StagedType,
  after: string,
): Promise<Missing[]> {
  return inTransaction(dataSource, async (client) => {
    await client.query(`SET LOCAL work_mem = '64MB'`);
    const values = [run.task.id, run.task.identitySourceId, objectType, after];
    return (await client.query<Missing>(MISSING, values)).rows;
  });
}

/**
 * Who or what is here, and ids that people here are said to have got by now. Parameters: $1 task, $2 identity source, $3 object type,
 * $4 the key to go on after. IS NOT TRUE keeps the sets hashed, for which they need room: the planner expects that few links are looked
 * at, and would go through everything that was read for each.
 */
const MISSING = `
WITH seen AS (
  SELECT k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
   WHERE tp.task_id = $1 AND tp.object_type = $3
), left_scope AS (${LEFT_SCOPE}
)
SELECT l.external_key AS key, l.external_id AS id FROM link l
 WHERE l.identity_source_id = $2 AND l.kind = $3 AND l.external_key > $4 AND left(l.external_key, 1) <> ${NO_ID}
   AND ((l.missing_since IS NULL AND l.rejected_at IS NULL)
        OR EXISTS (SELECT FROM employee w WHERE w.id = l.local_id AND ${GRACE_ENDED}))
   AND ((l.external_key IN (SELECT k FROM seen)) IS NOT TRUE OR (l.kind = 'GROUP' AND ${EMPTIED}))
   AND (l.local_id IN (SELECT employee_id FROM left_scope)) IS NOT TRUE
   AND ('again:' || l.external_key IN (SELECT page_key FROM task_page WHERE task_id = $1 AND object_type = $3)) IS NOT TRUE
UNION
SELECT e.new_external_key, max(e.new_external_id)
  FROM directory_event e
  JOIN link l ON l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.external_key = e.external_key
 WHERE e.identity_source_id = $2 AND e.new_external_key > $4 AND $3 = 'EMPLOYEE' AND l.missing_since IS NULL AND e.received_at > l.read_at
   AND (e.new_external_key IN (SELECT k FROM seen)) IS NOT TRUE
   AND ('again:' || e.new_external_key IN (SELECT page_key FROM task_page WHERE task_id = $1 AND object_type = $3)) IS NOT TRUE
 GROUP BY e.new_external_key
 ORDER BY key LIMIT ${BATCH}`;

export interface Missing {
  readonly key: string;
  readonly id: string;
}

/**
 * Each object read by itself, in any order.
 * @param unlisted whether they are in none of the directory's lists, which were all read
 * @throws DirectoryError when reading on makes no sense
 */
export async function* readObjects(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  objectType: StagedType,
  objects: readonly Missing[],
  unlisted = false,
): AsyncIterable<AnyPage> {
  const guard = new UnreadableGuard(() => connector.extent(run.signal));
  const read = mapConcurrently(objects, CONCURRENCY, (object) =>
    readObject(connector, run, objectType, object, unlisted),
  );
  for await (const page of requireDepartments(dataSource, connector, run, read)) yield await guard.pass(page);
}

/** One object: gone is an empty page, present a page of one, an error that concerns it alone an unreadable page. */
async function readObject(
  connector: DirectoryConnector,
  run: Run,
  objectType: StagedType,
  missing: Missing,
  unlisted: boolean,
): Promise<AnyPage> {
  const page = { key: `again:${missing.key}`, readAt: new Date() };
  try {
    const object = await readOne(connector, objectType, missing.id, run.signal).catch((error) => {
      if (!(unlisted && error instanceof GoneUnlessListed)) throw error;
      return undefined;
    });
    const objects = object ? [object] : [];
    // Never shared with another run: the answer counts for this one alone.
    const content = { kind: 'read' as const, digest: `once:${run.task.id}`, objects, problems: [] };
    return { ...page, content } as AnyPage;
  } catch (error) {
    if (!(error instanceof DirectoryError) || error.stopsReading) throw error;
    return { ...page, content: { kind: 'unreadable', error } };
  }
}

async function readOne(
  connector: DirectoryConnector,
  objectType: StagedType,
  id: string,
  signal: AbortSignal,
): Promise<StagedObject | undefined> {
  if (objectType === 'EMPLOYEE') return connector.employee(id, signal);
  if (objectType === 'DEPARTMENT') return connector.department(id, signal);
  if (!hasGroups(connector)) throw new Error('The directory has no groups to read.');
  return connector.group(id, signal);
}
