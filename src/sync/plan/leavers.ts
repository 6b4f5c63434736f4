import { hasAnyOf, hasOnly } from '../../database/sets';
import { workingTable } from '../../database/working-tables';
import { NO_ID } from './changed-ids';
import { confirmedGone, employeeFields, latestOf, missingReadAt, NEXT_ORDINAL, unreadAgain } from './fields';

/** The plan's records of people who go, and whom the snapshot names. Parameters: $1 task, $2 identity source. */

const OF_SOURCE = `l.identity_source_id = $2 AND l.kind = 'EMPLOYEE'`;

/** Where somebody who goes was, in the form of a comparison. */
const GOING = `
  LEFT JOIN link boss ON boss.local_id = w.manager_id
  LEFT JOIN department_target main ON main.local_id = w.main_department_id
  LEFT JOIN LATERAL (
    SELECT string_agg(t.path_before || CASE WHEN m.is_leader THEN ' (leader)' ELSE '' END, E'\\n' ORDER BY t.path_before) AS shown,
           jsonb_agg(jsonb_build_array(m.department_id, m.is_leader, m."order")) AS edges
      FROM membership m JOIN department_target t ON t.local_id = m.department_id WHERE m.employee_id = w.id) places ON true`;

const GOING_FIELDS = employeeFields('w', 'boss.external_id', 'places.shown', 'main.path_before');
const GOING_EDGES = `jsonb_build_object('departments', places.edges, 'main', w.main_department_id, 'manager', w.manager_id)`;

/** Everybody of the source. */
const LINKS = `link l WHERE ${OF_SOURCE}`;

/** Of those whom an event task has looked at, each looked up by itself. */
const LINKS_READ = `(
    SELECT substr(page_key, 7) AS external_key FROM task_page WHERE task_id = $1 AND object_type = 'EMPLOYEE' AND page_key LIKE 'again:%'
    UNION
    SELECT external_key FROM displaced) read
    CROSS JOIN LATERAL (SELECT * FROM ${LINKS} AND l.external_key = read.external_key OFFSET 0) l`;

/** People under the ids that they have once those are with somebody else who have got them. */
const peopleOf = (links: string) => `(
  SELECT l.local_id, l.missing_since, l.rejected_at, l.read_at, d.local_id IS NOT NULL AS displaced,
         CASE WHEN d.local_id IS NULL THEN l.external_key ELSE coalesce(d.holder ->> 'externalKey', ${NO_ID} || l.local_id) END AS external_key,
         coalesce(d.holder ->> 'externalId', l.external_id) AS external_id
    FROM (SELECT l.* FROM ${links}) l LEFT JOIN displaced d ON d.local_id = l.local_id)`;

/** Whether a person's id is with somebody else, so that there is nothing to ask for. */
const WITHOUT_ID = `left(l.external_key, 1) = ${NO_ID}`;

/**
 * Leavers: present here, and missing from a snapshot that was proven complete, or told to have left, or outside the scope.
 * Absence counts only for what was last applied from a read before this one began, and where the directory, asked for the
 * person alone, said that they are gone, or of whose id that it is somebody else's; not where somebody decided to keep them until they
 * are seen again.
 * @param byEvents for an event task, which tells only of those whom it has looked at
 */
export const recordSuspensions = (byEvents: boolean) => `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, reason_code, third_party,
                         before, after, changed, edges_before, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY l.external_key),
       'EMPLOYEE', l.external_key, l.external_id, l.local_id, w.display_name, 'SUSPEND',
       CASE WHEN gone.external_key IS NULL AND elsewhere.external_key IS NOT NULL THEN 'OUT_OF_SCOPE' ELSE 'LEFT_SOURCE' END,
       told.third_party, ${GOING_FIELDS}, ${GOING_FIELDS} || '{"status": "SUSPENDED"}', '{status}', ${GOING_EDGES},
       coalesce(gone.read_at, ${missingReadAt('EMPLOYEE')}), w.updated_at
  FROM ${peopleOf(byEvents ? LINKS_READ : LINKS)} l
  JOIN employee w ON w.id = l.local_id
  JOIN sync_task t ON t.id = $1
  LEFT JOIN plan_employee gone ON gone.external_key = l.external_key AND gone.status = 'LEFT'
  LEFT JOIN staged_employee told ON told.page_id = gone.page_id AND told.external_key = gone.external_key
  LEFT JOIN outside_scope elsewhere ON elsewhere.external_key = l.external_key
  ${GOING}
 WHERE l.missing_since IS NULL AND l.rejected_at IS NULL
   AND NOT EXISTS (SELECT FROM plan_employee e WHERE e.status <> 'LEFT' AND e.external_key = l.external_key)
   AND (l.displaced OR NOT EXISTS (SELECT FROM plan_employee e WHERE e.status <> 'LEFT' AND e.old_external_key = l.external_key))
   AND (gone.external_key IS NOT NULL
        OR (l.displaced AND ${WITHOUT_ID})
        OR (t.trigger = 'EVENT' AND (${confirmedGone('EMPLOYEE')} OR elsewhere.external_key IS NOT NULL))
        OR (t.trigger <> 'EVENT' AND (t.certificate ->> 'complete')::boolean AND l.read_at < t.started_at
            AND (l.external_key IN (SELECT external_key FROM seen_key)) IS NOT TRUE
            AND (${WITHOUT_ID} OR ${confirmedGone('EMPLOYEE')} OR elsewhere.external_key IS NOT NULL)))`;

const DUE = `due AS MATERIALIZED (
  SELECT l.external_key FROM link l JOIN employee w ON w.id = l.local_id AND w.status = 'SUSPENDED' AND w.removal_due_at <= now()
   WHERE ${OF_SOURCE} AND l.missing_since IS NOT NULL
)`;

/** Leavers whose grace period has ended, by a complete run that does not see them either, or is told that they have left. */
export const RECORD_REMOVALS = `
WITH ${DUE}, latest AS (${latestOf('due')}
), told AS (
  SELECT s.external_key, s.status
    FROM latest JOIN staged_employee s ON s.page_id = latest.page_id AND s.external_key = latest.external_key
)
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, reason_code, before, after,
                         changed, edges_before, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY l.external_key),
       'EMPLOYEE', l.external_key, l.external_id, l.local_id, w.display_name, 'REMOVE', 'GRACE_ENDED',
       ${GOING_FIELDS}, (${GOING_FIELDS} || '{"status": "REMOVED"}') - '{departments,mainDepartment,manager}'::text[],
       array_remove(ARRAY['status', CASE WHEN places.shown IS NOT NULL THEN 'departments' END,
         CASE WHEN main.path_before IS NOT NULL THEN 'mainDepartment' END, CASE WHEN boss.external_id IS NOT NULL THEN 'manager' END], NULL),
       ${GOING_EDGES}, ${missingReadAt('EMPLOYEE')}, w.updated_at
  FROM due
  JOIN link l ON ${OF_SOURCE} AND l.external_key = due.external_key
  JOIN employee w ON w.id = l.local_id
  JOIN sync_task t ON t.id = $1 AND (t.certificate ->> 'complete')::boolean AND t.trigger <> 'EVENT'
  ${GOING}
 WHERE NOT EXISTS (SELECT FROM plan_employee e WHERE e.external_key = l.external_key AND e.status <> 'LEFT')
   AND NOT ${unreadAgain('EMPLOYEE')}
   AND ((l.external_key IN (SELECT external_key FROM seen_key)) IS NOT TRUE
        OR EXISTS (SELECT FROM told WHERE told.external_key = l.external_key AND told.status = 'LEFT'))`;

/** Everybody whom the snapshot names, from the pages' own lists. */
export const COLLECT_SEEN = workingTable(
  'seen_key',
  `
SELECT DISTINCT k.external_key
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) AS k (external_key)
 WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'`,
  ['external_key'],
);

/** Of them those who are about to be removed. */
export const COLLECT_SEEN_OF_DUE = workingTable(
  'seen_key',
  `
WITH ${DUE}
SELECT DISTINCT k.external_key
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) AS k (external_key)
 WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND EXISTS (SELECT FROM due)
   AND (k.external_key IN (SELECT external_key FROM due)) IS TRUE`,
  ['external_key'],
);

/** A run that brings departments only looks at nobody. */
export const SEE_NOBODY = workingTable('seen_key', `SELECT NULL::text AS external_key WHERE false`);

/**
 * Departments of a partial scope. One that is kept outside it gets nobody; to an event task, which does not know what else left the scope
 * with it, it is as any that is here.
 */
const CHOSEN = `SELECT external_key FROM department_target
  WHERE stays AND (in_scope OR (SELECT trigger = 'EVENT' FROM sync_task WHERE id = $1))`;

const LATEST_PLACES = `
SELECT DISTINCT ON (s.external_key) s.external_key, s.department_keys
  FROM task_page tp JOIN staged_employee s ON s.page_id = tp.page_id
 WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'
 ORDER BY s.external_key, tp.read_at DESC`;

/** With a partial scope: those of them who are, as last read, in a department of the scope. */
export const COLLECT_SEEN_IN_SCOPE = workingTable(
  'seen_key',
  `
SELECT external_key FROM (${LATEST_PLACES}) latest WHERE ${hasAnyOf('department_keys', CHOSEN)}`,
  ['external_key'],
);

/**
 * Those who are outside a partial scope: the snapshot names them, but not within it, or every department they are in is still
 * in the directory and no longer chosen. With the whole directory in scope there are none. An event task has read only some
 * departments and people: of a department that it does not know it cannot tell, and of who is in one that left the scope the full
 * run tells that is then due.
 */
export const COLLECT_OUTSIDE_SCOPE = workingTable(
  'outside_scope',
  `
SELECT external_key FROM (${LATEST_PLACES}) latest
 WHERE (SELECT settings #>> '{scope,mode}' FROM sync_task WHERE id = $1) = 'PARTIAL'
   AND NOT ${hasAnyOf('department_keys', CHOSEN)}
   AND ((SELECT trigger <> 'EVENT' FROM sync_task WHERE id = $1)
        OR ${hasOnly('department_keys', 'SELECT external_key FROM read_department WHERE NOT in_scope')})
UNION
SELECT l.external_key
  FROM link l JOIN membership m ON m.employee_id = l.local_id
  JOIN link d ON d.local_id = m.department_id
  LEFT JOIN read_department r ON r.external_key = d.external_key AND NOT r.in_scope
 WHERE l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND EXISTS (SELECT FROM read_department WHERE NOT in_scope)
   AND (SELECT trigger <> 'EVENT' FROM sync_task WHERE id = $1)
 GROUP BY l.external_key HAVING bool_and(r.external_key IS NOT NULL)`,
);
