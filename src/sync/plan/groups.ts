import { workingTable } from '../../database/working-tables';
import { confirmedGone, goneSince, missingReadAt, NEXT_ORDINAL, unreadAgain } from './fields';

/**
 * The directory groups' part of the plan, after the people's: whoever comes in this run is a member at once. Parameters: $1 task,
 * $2 identity source.
 */

/** Whether a run has read a group, or has one here: without either none of the other statements is needed. */
export const ANY_GROUPS = `
SELECT EXISTS (SELECT FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
                WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' AND p.keys <> '{}')
    OR EXISTS (SELECT FROM link WHERE identity_source_id = $2 AND kind = 'GROUP') AS any`;

/** The same where the snapshot is the former one and nothing else is planned: only what is undecided is looked at. */
export const ANY_WAITING = `
SELECT EXISTS (SELECT FROM link
                WHERE identity_source_id = $2 AND kind = 'GROUP' AND (unresolved IS NOT NULL OR hash IS NULL)) AS any`;

/** Every group that the snapshot names. */
export const COLLECT_SEEN_GROUPS = workingTable(
  'seen_group',
  `
SELECT k.external_key, bool_and(p.applied) AS applied
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) AS k (external_key)
 WHERE tp.task_id = $1 AND tp.object_type = 'GROUP'
 GROUP BY k.external_key`,
);

/**
 * Which groups to compare: those on a page that the local organisation does not reflect yet, those that are not here, and those
 * whom a change around them reaches: a member that may resolve now, or has another id, an undone change, somebody or a department that
 * goes.
 */
const CANDIDATES = `
SELECT s.external_key FROM seen_group s
 WHERE NOT s.applied
    OR NOT EXISTS (SELECT FROM link l WHERE l.identity_source_id = $2 AND l.kind = 'GROUP' AND l.external_key = s.external_key)
UNION
SELECT l.external_key FROM link l
 WHERE l.identity_source_id = $2 AND l.kind = 'GROUP' AND (l.unresolved IS NOT NULL OR l.hash IS NULL)
UNION
SELECT l.external_key
  FROM department_target t JOIN directory_group_department m ON m.department_id = t.local_id JOIN link l ON l.local_id = m.group_id
 WHERE NOT t.stays
UNION
SELECT l.external_key
  FROM displaced d JOIN directory_group_employee m ON m.employee_id = d.local_id JOIN link l ON l.local_id = m.group_id
UNION
SELECT l.external_key
  FROM sync_record r JOIN directory_group_employee m ON m.employee_id = r.local_id JOIN link l ON l.local_id = m.group_id
 WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.action = 'REMOVE' AND r.result IS NULL`;

/** Each of them as last read, with the local row it is or will be; but for one that came empty and could not be asked for again. */
export const COLLECT_GROUPS = workingTable(
  'plan_group',
  `
SELECT DISTINCT ON (s.external_key) s.external_key, s.external_id, s.name, s.employee_keys, s.department_keys, s.third_party, s.hash,
       tp.read_at, l.local_id IS NOT NULL AS linked, coalesce(l.local_id, new_id()) AS local_id
  FROM task_page tp
  JOIN staged_group s ON s.page_id = tp.page_id
  JOIN (${CANDIDATES}) c ON c.external_key = s.external_key
  LEFT JOIN link l ON l.identity_source_id = $2 AND l.kind = 'GROUP' AND l.external_key = s.external_key
 WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' AND NOT ${goneSince('GROUP', 's.external_key', 'tp.read_at')}
   AND NOT ${unreadAgain('GROUP')}
 ORDER BY s.external_key, tp.read_at DESC, s.page_id DESC`,
  ['external_key', 'local_id'],
);

/** Whom a tag can point to: people here who are not removed, and those who come in this run; under the ids that they will have. */
const PEOPLE = `
SELECT r.external_key, r.local_id FROM sync_record r
 WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.action IN ('CREATE', 'RESTORE', 'RENAME_ID') AND r.result IS NULL
UNION
SELECT l.external_key, l.local_id FROM link l JOIN employee e ON e.id = l.local_id AND e.status <> 'REMOVED'
 WHERE l.identity_source_id = $2 AND l.kind = 'EMPLOYEE'
   AND (l.local_id IN (SELECT r.local_id FROM sync_record r
                        WHERE r.task_id = $1 AND r.action IN ('REMOVE', 'RENAME_ID') AND r.result IS NULL
                        UNION ALL SELECT d.local_id FROM displaced d)) IS NOT TRUE`;

/** They are here until somebody has decided. */
const HELD_DEPARTMENTS = `
  SELECT r.local_id FROM sync_record r
   WHERE r.task_id = $1 AND r.object_type = 'DEPARTMENT' AND r.action = 'REMOVE' AND r.result = 'HELD'`;

/** Every edge that a candidate has, will have, or both. What does not resolve is left for the run that brings it. */
export const COLLECT_GROUP_EDGES = workingTable(
  'group_edge',
  `
SELECT group_id, kind, member_id, bool_or(told) AS told, bool_or(NOT told) AS here
  FROM (
    SELECT g.local_id AS group_id, 'EMPLOYEE' AS kind, p.local_id AS member_id, true AS told
      FROM plan_group g CROSS JOIN unnest(g.employee_keys) AS k (external_key) JOIN (${PEOPLE}) p ON p.external_key = k.external_key
    UNION ALL
    SELECT g.local_id, 'DEPARTMENT', t.local_id, true
      FROM plan_group g CROSS JOIN unnest(g.department_keys) AS k (external_key)
      JOIN department_target t ON t.external_key = k.external_key AND (t.stays OR (t.local_id IN (${HELD_DEPARTMENTS})) IS TRUE)
    UNION ALL
    SELECT g.local_id, 'EMPLOYEE', m.employee_id, false
      FROM plan_group g JOIN directory_group_employee m ON m.group_id = g.local_id
    UNION ALL
    SELECT g.local_id, 'DEPARTMENT', m.department_id, false
      FROM plan_group g JOIN directory_group_department m ON m.group_id = g.local_id
  ) edges
 GROUP BY group_id, kind, member_id`,
  ['group_id', 'kind', 'member_id'],
);

/**
 * What this run makes of the members, found in one pass: records were only just written, so that the planner would take their
 * number for small and look through all of them for each member.
 */
export const COLLECT_MEMBER_RECORDS = workingTable(
  'member_record',
  `
SELECT r.local_id, r.external_id, r.after ->> 'displayName' AS display_name
  FROM sync_record r
 WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.result IS NULL
   AND (r.local_id IN (SELECT member_id FROM group_edge WHERE kind = 'EMPLOYEE')) IS TRUE`,
  ['local_id'],
);

/** Members as people read them: somebody's name with their id, a department's path; before and after the run. */
const MEMBER_NAMES = `
  LEFT JOIN employee w ON x.kind = 'EMPLOYEE' AND w.id = x.member_id
  LEFT JOIN link l ON l.local_id = w.id
  LEFT JOIN member_record r ON x.kind = 'EMPLOYEE' AND r.local_id = x.member_id
  LEFT JOIN department_target t ON x.kind = 'DEPARTMENT' AND t.local_id = x.member_id
  CROSS JOIN LATERAL (
    SELECT CASE x.kind WHEN 'EMPLOYEE' THEN w.display_name || ' (' || l.external_id || ')' ELSE t.path_before END AS before,
           CASE x.kind WHEN 'EMPLOYEE'
             THEN coalesce(r.display_name, w.display_name) || ' (' || coalesce(r.external_id, l.external_id) || ')'
             ELSE coalesce(t.path_after, t.path_before) END AS after) named`;

const shownMembers = (when: 'before' | 'after', kind: string, condition: string) =>
  `string_agg(named.${when}, E'\\n' ORDER BY named.${when} COLLATE "C") FILTER (WHERE x.kind = '${kind}' AND ${condition})`;

const members = (kind: string, condition: string) =>
  `array_agg(x.member_id ORDER BY x.member_id) FILTER (WHERE x.kind = '${kind}' AND ${condition})`;

const groupFields = (name: string, employees: string, departments: string) =>
  `jsonb_strip_nulls(jsonb_build_object('name', ${name}, 'employees', ${employees}, 'departments', ${departments}))`;

const groupEdges = (employees: string, departments: string) =>
  `jsonb_strip_nulls(jsonb_build_object('employees', to_jsonb(${employees}), 'departments', to_jsonb(${departments})))`;

/**
 * One record for each group that differs. `edges` holds the members that it gets and `edges_before` those that it loses, so that
 * a large group with one change costs one edge, and the reverse of a record is the two exchanged. A name that is not told keeps
 * what is here; without one it is the id.
 */
export const RECORD_GROUPS = `
WITH compared AS (
  SELECT g.*, here.name AS name_before, here.updated_at, coalesce(g.name, here.name, g.external_id) AS name_after,
         e.employees_added, e.employees_lost, e.departments_added, e.departments_lost
    FROM plan_group g
    LEFT JOIN directory_group here ON here.id = g.local_id
    LEFT JOIN (
      SELECT x.group_id, ${members('EMPLOYEE', 'NOT x.here')} AS employees_added,
             ${members('EMPLOYEE', 'NOT x.told')} AS employees_lost,
             ${members('DEPARTMENT', 'NOT x.here')} AS departments_added,
             ${members('DEPARTMENT', 'NOT x.told')} AS departments_lost
        FROM group_edge x WHERE x.told <> x.here GROUP BY x.group_id) e ON e.group_id = g.local_id
), differing AS MATERIALIZED (
  SELECT * FROM (
    SELECT c.*, array_remove(ARRAY[
             CASE WHEN NOT c.linked OR canonical('name', c.name_after) IS DISTINCT FROM canonical('name', c.name_before) THEN 'name' END,
             CASE WHEN c.employees_added IS NOT NULL OR c.employees_lost IS NOT NULL THEN 'employees' END,
             CASE WHEN c.departments_added IS NOT NULL OR c.departments_lost IS NOT NULL THEN 'departments' END], NULL) AS changed
      FROM compared c) c
   WHERE cardinality(c.changed) > 0
), shown AS (
  SELECT x.group_id, ${shownMembers('before', 'EMPLOYEE', 'x.here')} AS employees_before,
         ${shownMembers('after', 'EMPLOYEE', 'x.told')} AS employees_after,
         ${shownMembers('before', 'DEPARTMENT', 'x.here')} AS departments_before,
         ${shownMembers('after', 'DEPARTMENT', 'x.told')} AS departments_after
    FROM differing d JOIN group_edge x ON x.group_id = d.local_id ${MEMBER_NAMES}
   GROUP BY x.group_id
)
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, third_party, before, after,
                         changed, edges, edges_before, hash, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY d.external_key), 'GROUP', d.external_key, d.external_id, d.local_id,
       d.name_after, CASE WHEN d.linked THEN 'UPDATE' ELSE 'CREATE' END, d.third_party,
       CASE WHEN d.linked THEN ${groupFields('d.name_before', 's.employees_before', 's.departments_before')} END,
       ${groupFields('d.name_after', 's.employees_after', 's.departments_after')},
       d.changed, ${groupEdges('d.employees_added', 'd.departments_added')}, ${groupEdges('d.employees_lost', 'd.departments_lost')},
       d.hash, d.read_at, d.updated_at
  FROM differing d LEFT JOIN shown s ON s.group_id = d.local_id`;

/**
 * Groups that the directory no longer has: missing from a list that was read whole, or told to be gone. There is no grace: who is
 * in a group that is gone is in none.
 */
export const RECORD_GROUP_REMOVALS = `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, reason_code, before, changed,
                         edges_before, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY c.external_key), 'GROUP', c.external_key, c.external_id, c.local_id, c.name,
       'REMOVE', 'LEFT_SOURCE', c.before, ARRAY(SELECT jsonb_object_keys(c.before)), c.edges, c.read_at, c.updated_at
  FROM (
    SELECT l.external_key, l.external_id, l.local_id, g.name, g.updated_at, ${missingReadAt('GROUP')} AS read_at,
           ${groupFields('g.name', shownMembers('before', 'EMPLOYEE', 'true'), shownMembers('before', 'DEPARTMENT', 'true'))} AS before,
           ${groupEdges(members('EMPLOYEE', 'true'), members('DEPARTMENT', 'true'))} AS edges
      FROM (
        SELECT l.* FROM link l JOIN sync_task t ON t.id = $1
         WHERE l.identity_source_id = $2 AND l.kind = 'GROUP' AND l.rejected_at IS NULL
           AND CASE WHEN t.trigger = 'EVENT' THEN ${confirmedGone('GROUP')} ELSE
                 (t.certificate ->> 'complete')::boolean AND (t.certificate ->> 'groupsComplete')::boolean AND l.read_at < t.started_at
                 AND NOT EXISTS (SELECT FROM seen_group s WHERE s.external_key = l.external_key)
                 AND ${confirmedGone('GROUP')} END
      ) l
      JOIN directory_group g ON g.id = l.local_id
      LEFT JOIN (
        SELECT group_id, 'EMPLOYEE' AS kind, employee_id AS member_id FROM directory_group_employee
        UNION ALL SELECT group_id, 'DEPARTMENT', department_id FROM directory_group_department) x ON x.group_id = g.id
      LEFT JOIN employee w ON x.kind = 'EMPLOYEE' AND w.id = x.member_id
      LEFT JOIN link person ON person.local_id = w.id
      LEFT JOIN department_target t ON x.kind = 'DEPARTMENT' AND t.local_id = x.member_id
      CROSS JOIN LATERAL (SELECT coalesce(w.display_name || ' (' || person.external_id || ')', t.path_before) AS before) named
     GROUP BY l.external_key, l.external_id, l.local_id, g.name, g.updated_at
  ) c`;

export const GROUP_STATEMENTS = [
  COLLECT_SEEN_GROUPS,
  COLLECT_GROUPS,
  COLLECT_GROUP_EDGES,
  COLLECT_MEMBER_RECORDS,
  RECORD_GROUPS,
  RECORD_GROUP_REMOVALS,
];
