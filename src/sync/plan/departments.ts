import { workingTable } from '../../database/working-tables';
import { PRESENT } from '../../organisation/organisation.entity';
import {
  changedFields,
  confirmedGone,
  departmentFields,
  goneSince,
  keptFields,
  mappedOver,
  missingReadAt,
  NEXT_ORDINAL,
  withheldMark,
} from './fields';

/** The department half of the plan. Parameters: $1 task, $2 identity source. */

/**
 * Departments here that are chosen, or below a chosen one: what an event task, which reads only some, goes by with a partial scope.
 * Others may be here until the next full run, where the scope was changed.
 */
export const COLLECT_SCOPE_HERE = workingTable(
  'scope_here',
  `
WITH RECURSIVE chosen AS (
  SELECT l.external_key, l.local_id
    FROM sync_task t JOIN link l ON l.identity_source_id = $2 AND l.kind = 'DEPARTMENT' AND t.settings #> '{scope,departmentIds}' ? l.external_id
   WHERE t.id = $1 AND t.trigger = 'EVENT' AND t.settings #>> '{scope,mode}' = 'PARTIAL'
  UNION
  SELECT l.external_key, l.local_id FROM department d JOIN chosen ON d.parent_id = chosen.local_id JOIN link l ON l.local_id = d.id
)
SELECT external_key FROM chosen`,
);

/** Every department of the snapshot, as last read, and whether it belongs to the scope: chosen, or below a chosen one. */
export const COLLECT_READ_DEPARTMENTS = workingTable(
  'read_department',
  `
WITH RECURSIVE latest AS MATERIALIZED (
  SELECT DISTINCT ON (s.external_key) s.page_id, s.external_key, s.external_id, s.parent_key, tp.read_at
    FROM task_page tp
    JOIN staged_department s ON s.page_id = tp.page_id
   WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT'
   ORDER BY s.external_key, tp.read_at DESC
), chosen AS (
  SELECT latest.external_key FROM latest JOIN sync_task t ON t.id = $1
   WHERE t.settings #>> '{scope,mode}' IS DISTINCT FROM 'PARTIAL' OR t.settings #> '{scope,departmentIds}' ? latest.external_id
         -- An event names one department alone; what it hangs under tells whether it is in scope.
      OR latest.parent_key IN (SELECT external_key FROM scope_here)
  UNION
  SELECT latest.external_key FROM latest JOIN chosen ON latest.parent_key = chosen.external_key
)
SELECT latest.page_id, latest.external_key, latest.read_at, chosen.external_key IS NOT NULL AS in_scope
  FROM latest LEFT JOIN chosen ON chosen.external_key = latest.external_key`,
);

/** The tree as it will be: the snapshot's departments within the scope, each with the local row it is or will be. */
export const COLLECT_DEPARTMENTS = workingTable(
  'plan_department',
  `
SELECT s.page_id, s.external_key, s.external_id, s.parent_key, s."order", s.leader_keys, s.third_party, s.mapped, s.invalid,
       s.hash || ${withheldMark('DEPARTMENT')} AS hash, r.read_at, l.hash AS link_hash, l.local_id IS NOT NULL AS linked, coalesce(l.local_id, new_id()) AS local_id,
       NULL::uuid AS parent_id, NULL::text AS reason_code, NULL::text AS path, 0 AS depth
  FROM read_department r
  JOIN staged_department s ON s.page_id = r.page_id AND s.external_key = r.external_key
  LEFT JOIN link l ON l.identity_source_id = $2 AND l.kind = 'DEPARTMENT' AND l.external_key = s.external_key
 WHERE r.in_scope AND NOT ${goneSince('DEPARTMENT', 's.external_key', 'r.read_at')}`,
);

/** Whether a department is in the snapshot, outside the scope; of what an event task reads, the full run tells that is then due. */
const leftScope = (key: string) => `EXISTS (
  SELECT FROM read_department r JOIN sync_task t ON t.id = $1 AND t.trigger <> 'EVENT' WHERE r.external_key = ${key} AND NOT r.in_scope)`;

/** A parent that is neither in the snapshot nor here, or is outside the scope, cannot be hung under: its child becomes top-level. */
export const FORGET_UNKNOWN_PARENTS = `
UPDATE plan_department d SET parent_key = NULL,
       reason_code = CASE WHEN NOT EXISTS (SELECT FROM read_department r WHERE r.external_key = d.parent_key) THEN 'PARENT_UNKNOWN' END
 WHERE parent_key IS NOT NULL
   AND NOT EXISTS (SELECT FROM plan_department p WHERE p.external_key = d.parent_key)
   AND NOT EXISTS (SELECT FROM kept_department k WHERE k.external_key = d.parent_key
                      AND NOT ${leftScope('k.external_key')})`;

/**
 * Departments that are here, not in the snapshot, and stay: the snapshot does not prove them gone, or somebody has decided to keep them
 * or whoever is in them, and so the ones above. Of those people no page tells any more; where one does, they are there.
 */
export const COLLECT_KEPT_DEPARTMENTS = workingTable(
  'kept_department',
  `
WITH RECURSIVE decided AS (
  SELECT local_id AS id FROM link WHERE identity_source_id = $2 AND kind = 'DEPARTMENT' AND rejected_at IS NOT NULL
  UNION
  SELECT m.department_id
    FROM link person JOIN employee e ON e.id = person.local_id AND e.status IN ${PRESENT}
    JOIN membership m ON m.employee_id = e.id
   WHERE person.identity_source_id = $2 AND person.kind = 'EMPLOYEE' AND person.rejected_at IS NOT NULL
     AND (person.external_key IN (SELECT k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
                                   WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE')) IS NOT TRUE
  UNION
  SELECT d.parent_id FROM decided JOIN department d ON d.id = decided.id WHERE d.parent_id IS NOT NULL
)
SELECT l.external_key, l.local_id
  FROM link l JOIN sync_task t ON t.id = $1
 WHERE l.identity_source_id = $2 AND l.kind = 'DEPARTMENT'
   AND NOT EXISTS (SELECT FROM plan_department d WHERE d.external_key = l.external_key)
   AND NOT ((l.local_id IN (SELECT id FROM decided)) IS NOT TRUE AND CASE WHEN t.trigger = 'EVENT' THEN ${confirmedGone('DEPARTMENT')} ELSE
            (t.certificate ->> 'complete')::boolean AND l.read_at < t.started_at
            AND (${confirmedGone('DEPARTMENT')} OR EXISTS (SELECT FROM read_department r WHERE r.external_key = l.external_key)) END)`,
);

/**
 * Cuts each cycle at its lowest key that the snapshot has; what hangs below a cycle keeps its parent. Departments that are kept hang
 * where they do here, also below one that is now told to be below them.
 */
export const CUT_CYCLES = `
WITH RECURSIVE tree AS MATERIALIZED (
  SELECT external_key, parent_key, false AS kept FROM plan_department
  UNION ALL
  SELECT k.external_key, up.external_key, true
    FROM kept_department k JOIN department d ON d.id = k.local_id LEFT JOIN link up ON up.local_id = d.parent_id
), reached AS (
  -- Not a join, for which the planner would go through all of them for each of them.
  SELECT d.external_key FROM tree d
   WHERE d.parent_key IS NULL OR d.parent_key NOT IN (SELECT external_key FROM tree)
  UNION ALL
  SELECT d.external_key FROM tree d JOIN reached r ON d.parent_key = r.external_key
), lost AS MATERIALIZED (
  -- Not NOT IN, since the planner expects too many of them to keep them hashed.
  SELECT external_key, parent_key, kept FROM tree
   WHERE external_key IN (SELECT external_key FROM tree EXCEPT SELECT external_key FROM reached)
), walk AS (
  SELECT external_key AS start, parent_key AS at, ARRAY[external_key] AS path, CASE WHEN NOT kept THEN external_key END AS lowest FROM lost
  UNION ALL
  SELECT w.start, l.parent_key, w.path || l.external_key, least(w.lowest, CASE WHEN NOT l.kept THEN l.external_key END)
    FROM walk w JOIN lost l ON l.external_key = w.at
   WHERE w.at <> ALL (w.path) AND cardinality(w.path) < 64
)
UPDATE plan_department SET parent_key = NULL, reason_code = 'DEPARTMENT_CYCLE'
 WHERE external_key IN (SELECT start FROM walk WHERE at = start AND lowest = start)
    -- Longer than any directory's depth: every department of it goes to the top, so that none is lost.
    OR external_key IN (SELECT start FROM walk WHERE at <> ALL (path) AND cardinality(path) >= 64)`;

export const RESOLVE_PARENTS = `
UPDATE plan_department d SET parent_id = p.local_id
  FROM (SELECT external_key, local_id FROM plan_department UNION ALL SELECT external_key, local_id FROM kept_department) p
 WHERE p.external_key = d.parent_key`;

/** Departments as they are here, with their paths. */
export const COLLECT_HERE = workingTable(
  'here_department',
  `
WITH RECURSIVE here AS (
  SELECT id, name AS path, 0 AS depth FROM department WHERE identity_source_id = $2 AND parent_id IS NULL
  UNION ALL
  SELECT d.id, h.path || ' / ' || d.name, h.depth + 1 FROM department d JOIN here h ON d.parent_id = h.id
)
SELECT * FROM here`,
);

/** Names from the top, as people read them, joined by " / "; below a department that the snapshot does not have, from its path here. */
export const DESCRIBE_PATHS = `
WITH RECURSIVE tree AS (
  SELECT d.local_id, coalesce(up.path || ' / ', '') || (d.mapped ->> 'name') AS path, coalesce(up.depth + 1, 0) AS depth
    FROM plan_department d LEFT JOIN here_department up ON up.id = d.parent_id
   WHERE NOT EXISTS (SELECT FROM plan_department p WHERE p.local_id = d.parent_id)
  UNION ALL
  SELECT d.local_id, t.path || ' / ' || (d.mapped ->> 'name'), t.depth + 1
    FROM plan_department d JOIN tree t ON d.parent_id = t.local_id
)
UPDATE plan_department d SET path = tree.path, depth = tree.depth FROM tree WHERE tree.local_id = d.local_id`;

/** Every department that a membership may point to after the run, with the path it has now and will have. */
export const COLLECT_TARGETS = workingTable(
  'department_target',
  `
SELECT coalesce(after.external_key, l.external_key) AS external_key, coalesce(after.local_id, here.id) AS local_id,
       here.path AS path_before, here.depth AS depth_before, coalesce(after.path, here.path) AS path_after,
       after.local_id IS NOT NULL OR EXISTS (SELECT FROM kept_department k WHERE k.local_id = here.id) AS stays,
       after.local_id IS NOT NULL
         OR ((SELECT trigger <> 'EVENT' OR settings #>> '{scope,mode}' IS DISTINCT FROM 'PARTIAL' FROM sync_task WHERE id = $1)
             -- One that is kept although it left the scope has who is in it, and gets nobody.
             AND NOT ${leftScope('l.external_key')})
         OR l.external_key IN (SELECT external_key FROM scope_here) AS in_scope,
       after.leader_keys
  FROM here_department here
  FULL JOIN plan_department after ON after.local_id = here.id
  LEFT JOIN link l ON l.local_id = here.id`,
  ['external_key', 'local_id', 'stays'],
);

/** One record for each department that differs. */
export const RECORD_DEPARTMENTS = `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, result, reason_code,
                         third_party, before, after, changed, kept, edges, edges_before, hash, read_at, local_version)
SELECT $1, row_number() OVER (ORDER BY c.depth, c.external_key), 'DEPARTMENT', c.external_key, c.external_id, c.local_id,
       c.after ->> 'name',
       CASE WHEN c.id IS NULL THEN 'CREATE' WHEN 'parent' = ANY (c.changed) THEN 'MOVE' ELSE 'UPDATE' END,
       CASE WHEN cardinality(c.changed) = 0 THEN 'FAILED' END,
       CASE WHEN c.invalid IS NOT NULL THEN 'INVALID_VALUE' ELSE c.reason_code END,
       c.third_party, c.before, c.after, c.changed, c.kept, jsonb_build_object('parent', c.parent_id),
       CASE WHEN c.id IS NOT NULL THEN jsonb_build_object('parent', c.local_parent_id) END, c.hash, c.read_at, c.updated_at
  FROM (
    SELECT v.*, array_remove(ARRAY[
             CASE WHEN v.id IS NULL OR v.parent_id IS DISTINCT FROM v.local_parent_id THEN 'parent' END,
             CASE WHEN v."order" IS DISTINCT FROM v.local_order THEN 'order' END], NULL)
           || ${changedFields('DEPARTMENT', 'v')} AS changed
      FROM (
        SELECT d.*, (${mappedOver('DEPARTMENT', 'd')}) - '{parent,order}'::text[]
                 || jsonb_strip_nulls(jsonb_build_object('parent', d.parent_after, 'order', d."order"::text)) AS after
          FROM (
            SELECT d.*, ${keptFields('DEPARTMENT', 'd', `'{}'::text[]`)} AS kept
              FROM (
                SELECT p.*, here.id, here.parent_id AS local_parent_id, here."order" AS local_order, here.updated_at,
                       p.linked AND coalesce(p.hash = p.link_hash, false) AS same, up.path_after AS parent_after,
                       CASE WHEN here.id IS NOT NULL THEN ${departmentFields('here', 'up_before.path_before')} END AS before
                  FROM plan_department p
                  LEFT JOIN department here ON here.id = p.local_id
                  LEFT JOIN department_target up ON up.local_id = p.parent_id
                  LEFT JOIN department_target up_before ON up_before.local_id = here.parent_id
                OFFSET 0
              ) d
            OFFSET 0
          ) d
        OFFSET 0
      ) v
    OFFSET 0
  ) c
 WHERE cardinality(c.changed) > 0 OR (c.invalid IS NOT NULL AND NOT coalesce(c.same, false))`;

/** Departments that the snapshot proves gone or outside the scope, leaf first. */
export const RECORD_DEPARTMENT_REMOVALS = `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, reason_code, before,
                         changed, edges_before, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY t.depth_before DESC, l.external_key),
       'DEPARTMENT', l.external_key, l.external_id, l.local_id, d.name, 'REMOVE',
       CASE WHEN r.external_key IS NULL THEN 'LEFT_SOURCE' ELSE 'OUT_OF_SCOPE' END,
       ${departmentFields('d', '(SELECT up.path_before FROM department_target up WHERE up.local_id = d.parent_id)')},
       array_remove(ARRAY['name', CASE WHEN d.english_name IS NOT NULL THEN 'englishName' END], NULL),
       jsonb_build_object('parent', d.parent_id), coalesce(r.read_at, ${missingReadAt('DEPARTMENT')}), d.updated_at
  FROM link l
  JOIN department d ON d.id = l.local_id
  JOIN department_target t ON t.local_id = l.local_id AND NOT t.stays
  LEFT JOIN read_department r ON r.external_key = l.external_key
 WHERE l.identity_source_id = $2 AND l.kind = 'DEPARTMENT'
   -- Whoever is in a department that left the scope is judged by the full run that is then due, and so is the department.
   AND (r.external_key IS NULL OR (SELECT trigger <> 'EVENT' FROM sync_task WHERE id = $1))`;
