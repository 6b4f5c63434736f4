import { latestOf } from '../plan/fields';

/**
 * Told references that are none here: to departments, a manager, members who are outside what is synchronized or have not come
 * yet. Whoever has one is compared again until it resolves. Parameters as in `statements.ts`.
 *
 * Worked out from what was told and what is here, so that it holds whatever became of the records, and where there is none because
 * nothing else changed.
 */

/** Writes what is missing of `told` beside `held`, rows of (local_id, mark) each, into the links of `compared`. */
const rememberMissing = (tables: string) => `
WITH ${tables}, missing AS (
  SELECT local_id, array_agg(mark ORDER BY mark) AS marks
    FROM (SELECT * FROM told EXCEPT SELECT * FROM held) absent GROUP BY local_id
)
UPDATE link l SET unresolved = missing.marks
  FROM compared c LEFT JOIN missing ON missing.local_id = c.local_id
 WHERE l.local_id = c.local_id AND l.unresolved IS DISTINCT FROM missing.marks`;

/**
 * Of those who were compared without a change of theirs being applied, who had unresolved references, and whose record says that
 * they will. What was read of somebody before something newer was applied says nothing. A department that was read and is not here
 * is outside the scope, which is no reference to wait for; nor is a manager whom an earlier one set once keeps out.
 */
export const REMEMBER_UNRESOLVED = rememberMissing(`
recorded AS MATERIALIZED (
  SELECT external_key, edges, action FROM sync_record WHERE task_id = $1 AND object_type = 'EMPLOYEE' AND result IS NULL
), candidate AS MATERIALIZED (
  (SELECT k.external_key FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id AND NOT p.applied, unnest(p.keys) AS k (external_key)
    WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'
      -- Where everybody here has come with this run nobody was compared without a change.
      AND (SELECT count(*) FROM recorded WHERE action = 'CREATE')
        < (SELECT count(*) FROM link WHERE identity_source_id = $2 AND kind = 'EMPLOYEE')
   EXCEPT SELECT external_key FROM recorded)
  UNION
  SELECT external_key FROM link WHERE identity_source_id = $2 AND kind = 'EMPLOYEE' AND unresolved IS NOT NULL
  UNION
  SELECT external_key FROM recorded WHERE edges ? 'unresolved'
), latest AS (${latestOf('candidate')}
), compared AS MATERIALIZED (
  SELECT s.external_key, s.manager_key, s.department_keys, l.local_id, e.manager_id
    FROM latest
    JOIN staged_employee s ON s.page_id = latest.page_id AND s.external_key = latest.external_key AND s.status <> 'LEFT'
    JOIN link l ON l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.external_key = s.external_key AND l.read_at <= latest.read_at
    JOIN employee e ON e.id = l.local_id
), outside AS MATERIALIZED (
  SELECT s.external_key FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
   WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT'
  EXCEPT
  SELECT external_key FROM link WHERE identity_source_id = $2 AND kind = 'DEPARTMENT'
), told AS (
  SELECT local_id, 'D:' || k AS mark FROM compared, unnest(department_keys) k WHERE k NOT IN (SELECT external_key FROM outside)
  UNION ALL
  SELECT local_id, 'E:' || manager_key FROM compared
   WHERE manager_key <> external_key
     AND NOT (manager_id IS NOT NULL AND EXISTS (SELECT FROM sync_task t, jsonb_array_elements(t.mappings) m
                WHERE t.id = $1 AND m ->> 'localField' = 'manager' AND m ->> 'owner' = 'SET_ONCE'))
), held AS (
  SELECT m.employee_id, 'D:' || d.external_key FROM compared c JOIN membership m ON m.employee_id = c.local_id
    JOIN link d ON d.local_id = m.department_id
  UNION ALL
  SELECT c.local_id, 'E:' || boss.external_key FROM compared c JOIN link boss ON boss.local_id = c.manager_id
)`);

/** The same of directory groups and their members. */
export const REMEMBER_MISSING_MEMBERS = rememberMissing(`
latest AS (
  SELECT DISTINCT ON (s.external_key) s.external_key, s.employee_keys, s.department_keys, p.applied
    FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id JOIN staged_group s ON s.page_id = p.id
   WHERE tp.task_id = $1 AND tp.object_type = 'GROUP'
   ORDER BY s.external_key, tp.read_at DESC, s.page_id DESC
), compared AS MATERIALIZED (
  SELECT latest.*, g.local_id
    FROM latest JOIN link g ON g.identity_source_id = $2 AND g.kind = 'GROUP' AND g.external_key = latest.external_key
   WHERE NOT latest.applied OR g.unresolved IS NOT NULL OR g.hash IS NULL
      OR EXISTS (SELECT FROM sync_record r WHERE r.task_id = $1 AND r.object_type = 'GROUP' AND r.external_key = g.external_key)
), told AS (
  SELECT local_id, 'E:' || k AS mark FROM compared, unnest(employee_keys) k
  UNION ALL SELECT local_id, 'D:' || k FROM compared, unnest(department_keys) k
), held AS (
  SELECT m.group_id, 'E:' || l.external_key FROM directory_group_employee m JOIN link l ON l.local_id = m.employee_id
   WHERE m.group_id IN (SELECT local_id FROM compared)
  UNION ALL
  SELECT m.group_id, 'D:' || l.external_key FROM directory_group_department m JOIN link l ON l.local_id = m.department_id
   WHERE m.group_id IN (SELECT local_id FROM compared)
)`);
