import type { DataSource } from 'typeorm';
import { type DirectoryConnector, GoneUnlessListed } from '../../connector/directory-connector';
import { hasAnyOf } from '../../database/sets';
import { EXTENSION_PREFIX, type MappedObjectType } from '../../field-mapping/field-mapping';
import { PRESENT } from '../../organisation/organisation.entity';
import type { Run } from '../task/lease';
import { BATCH, readObjects } from './read-again';
import type { AnyPage } from './stage';
import type { StagedType } from './staged-rows';

/** An event task with what it has read of a type. */
const readOf = (objectType: MappedObjectType) => `
  sync_task t JOIN task_page tp ON tp.task_id = t.id AND tp.object_type = '${objectType}'
  JOIN staged_${objectType.toLowerCase()} s ON s.page_id = tp.page_id`;

const isHere = (kind: MappedObjectType, key: string) =>
  `EXISTS (SELECT FROM link h WHERE h.identity_source_id = t.identity_source_id AND h.kind = '${kind}' AND h.external_key = ${key})`;

/**
 * Departments that what was read leads to, and without which it cannot be told where it belongs: the new parent of one that was
 * moved, and one that somebody is in and that is not here. Somebody whom a partial scope does not have moves about outside it.
 */
const DEPARTMENTS_AROUND = `
SELECT s.parent_key AS key, s.third_party ->> 'parent' AS id
  FROM ${readOf('DEPARTMENT')}
 WHERE t.id = $1 AND s.parent_key IS NOT NULL
   AND NOT EXISTS (SELECT FROM link l JOIN department d ON d.id = l.local_id JOIN link up ON up.local_id = d.parent_id
                    WHERE l.identity_source_id = t.identity_source_id AND l.kind = 'DEPARTMENT' AND l.external_key = s.external_key
                      AND up.external_key = s.parent_key)
UNION ALL
SELECT place.key, place.id
  FROM ${readOf('EMPLOYEE')},
       unnest(s.department_keys, string_to_array(s.third_party ->> 'departments', E'\n')) AS place (key, id)
 WHERE t.id = $1 AND NOT ${isHere('DEPARTMENT', 'place.key')}
   AND (t.settings #>> '{scope,mode}' IS DISTINCT FROM 'PARTIAL' OR ${isHere('EMPLOYEE', 's.external_key')})`;

/** Departments that this task has found gone, as they are here. */
const GONE_DEPARTMENTS = `
  sync_task t JOIN task_page tp ON tp.task_id = t.id AND tp.object_type = 'DEPARTMENT' AND tp.page_key LIKE 'again:%'
  JOIN snapshot_page p ON p.id = tp.page_id AND p.keys = '{}'
  JOIN link d ON d.identity_source_id = t.identity_source_id AND d.kind = 'DEPARTMENT' AND d.external_key = substr(tp.page_key, 7)`;

/** The departments below those: a directory deletes none that has any, so they are elsewhere, or gone as well. */
const DEPARTMENTS_BELOW = `
SELECT l.external_key AS key, l.external_id AS id
  FROM ${GONE_DEPARTMENTS} JOIN department below ON below.parent_id = d.local_id JOIN link l ON l.local_id = below.id WHERE t.id = $1`;

/** And whoever is in them. */
const PEOPLE_OF_GONE = `
SELECT l.external_key AS key, l.external_id AS id
  FROM ${GONE_DEPARTMENTS} JOIN membership m ON m.department_id = d.local_id
  JOIN employee e ON e.id = m.employee_id AND e.status IN ${PRESENT} JOIN link l ON l.local_id = e.id WHERE t.id = $1`;

/** Who has a value here that must be unique, and that somebody else is told to have by now: they may have given it up. */
const HOLDERS = `
SELECT l.external_key AS key, l.external_id AS id
  FROM ${readOf('EMPLOYEE')}
  JOIN employee e ON e.identity_source_id = t.identity_source_id AND lower(e.username) = lower(s.mapped ->> 'username') AND e.status IN ${PRESENT}
  JOIN link l ON l.local_id = e.id AND l.external_key <> s.external_key WHERE t.id = $1
UNION ALL
SELECT l.external_key, l.external_id
  FROM ${readOf('EMPLOYEE')}
  JOIN extension_field f ON f.is_unique AND f.object_type = 'EMPLOYEE'
  JOIN extension_unique_value held ON held.identity_source_id = t.identity_source_id AND held.field_key = f.key
                                  AND held.value_key = canonical(f.key, s.mapped ->> ('${EXTENSION_PREFIX}' || f.key))
  JOIN link l ON l.local_id = held.object_id AND l.kind = 'EMPLOYEE' AND l.external_key <> s.external_key WHERE t.id = $1`;

/** What an event task brings, in the form of \`link.unresolved\`; of people outside a partial scope nobody waits for what is told here. */
const BROUGHT = `
SELECT 'D:' || s.external_key FROM ${readOf('DEPARTMENT')} WHERE t.id = $1
UNION ALL
SELECT 'E:' || s.external_key FROM ${readOf('EMPLOYEE')}
 WHERE t.id = $1
   AND (t.settings #>> '{scope,mode}' IS DISTINCT FROM 'PARTIAL'
        OR EXISTS (SELECT FROM unnest(s.department_keys) k WHERE ${isHere('DEPARTMENT', 'k')}
                      OR EXISTS (SELECT FROM task_page d WHERE d.task_id = $1 AND d.object_type = 'DEPARTMENT' AND d.page_key = 'again:' || k)))`;

/** People, or groups, with references that what was read may resolve. */
const waiting = (kind: 'EMPLOYEE' | 'GROUP') => `
SELECT l.external_key AS key, l.external_id AS id
  FROM sync_task t JOIN link l ON l.identity_source_id = t.identity_source_id AND l.kind = '${kind}' AND l.unresolved IS NOT NULL
 WHERE t.id = $1 AND l.missing_since IS NULL AND ${hasAnyOf('l.unresolved', BROUGHT)}`;

/** Beside what events name. */
const AROUND: Readonly<Record<StagedType, string>> = {
  DEPARTMENT: `${DEPARTMENTS_AROUND} UNION ALL ${DEPARTMENTS_BELOW}`,
  EMPLOYEE: `${waiting('EMPLOYEE')} UNION ALL ${PEOPLE_OF_GONE} UNION ALL ${HOLDERS}`,
  GROUP: waiting('GROUP'),
};

/**
 * What there is to be read of a type, of a changed id both, as far as it was not read already. IS NOT TRUE keeps that hashed, where the
 * planner expects little.
 */
const toRead = (objectType: StagedType) => `
SELECT key, id FROM (
  SELECT named.key, named.id FROM directory_event, LATERAL (VALUES (external_key, external_id), (new_external_key, new_external_id)) named (key, id)
   WHERE task_id = $1 AND object_type = '${objectType}' AND named.key IS NOT NULL
  UNION ALL ${AROUND[objectType]}) e
 WHERE ('again:' || e.key IN (SELECT page_key FROM task_page WHERE task_id = $1 AND object_type = '${objectType}')) IS NOT TRUE`;

/** The types of which an event task has something to read, in their order; none once everything around it is known. */
export async function typesToRead(
  dataSource: DataSource,
  run: Run,
  types: readonly StagedType[],
): Promise<StagedType[]> {
  const [row] = await dataSource.query(
    `SELECT ${types.map((type) => `EXISTS (${toRead(type)}) AS "${type}"`).join(', ')}`,
    [run.task.id],
  );
  return types.filter((type) => row[type]);
}

/** Whether somebody in doubt has gone, only the directory's lists can tell. */
const MAKE_FULL_RUN_DUE = `UPDATE identity_source SET next_run_at = now() WHERE id = $1 AND automatic_enabled`;

/**
 * Each object that a task's events name, or that it leads to, read from the directory by itself: the event only says that it is
 * worth reading.
 */
export async function* readNamed(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  objectType: StagedType,
): AsyncIterable<AnyPage> {
  let after = '';
  for (;;) {
    const named: { key: string; id: string }[] = await dataSource.query(
      `SELECT DISTINCT ON (key) key, id FROM (${toRead(objectType)}) unread WHERE key > $2 ORDER BY key LIMIT ${BATCH}`,
      [run.task.id, after],
    );
    const last = named.at(-1);
    if (!last) return;
    let inDoubt = false;
    for await (const page of readObjects(dataSource, connector, run, objectType, named)) {
      inDoubt ||= page.content.kind === 'unreadable' && page.content.error instanceof GoneUnlessListed;
      yield page;
    }
    if (inDoubt) await dataSource.query(MAKE_FULL_RUN_DUE, [run.task.identitySourceId]);
    after = last.key;
  }
}
