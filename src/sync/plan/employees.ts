import { workingTable } from '../../database/working-tables';
import {
  ANY_RELEASED,
  changedFields,
  employeeFields,
  goneSince,
  inScope,
  keptFields,
  mappedOver,
  NEXT_ORDINAL,
  withheldFrom,
  withheldMark,
} from './fields';

/** The employee half of the plan. Parameters: $1 task, $2 identity source. */

/**
 * Whom to compare: everybody on a page that the local organisation does not reflect yet, and those whom a change around them
 * reaches: a reference that can be resolved now, a change made here, a department that goes or gets other leaders; all of them where
 * a field is no longer withheld; both ids where one was changed, and those that somebody here has no more.
 */
export const COLLECT_CANDIDATES = workingTable(
  'candidate',
  `
SELECT DISTINCT k.external_key
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id AND (NOT p.applied OR ${ANY_RELEASED}),
       unnest(p.keys) AS k (external_key)
 WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'
UNION
SELECT k FROM renamed, unnest(ARRAY[new_external_key, old_external_key]) k
UNION
SELECT external_key FROM displaced
UNION
SELECT l.external_key FROM displaced d JOIN employee e ON e.manager_id = d.local_id JOIN link l ON l.local_id = e.id
UNION
SELECT l.external_key FROM link l
 WHERE l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.unresolved IS NOT NULL
UNION
SELECT l.external_key FROM link l
 WHERE l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.hash IS NULL
UNION
SELECT l.external_key
  FROM department_target t
  JOIN membership m ON m.department_id = t.local_id
  JOIN link l ON l.local_id = m.employee_id
 WHERE NOT t.stays OR (t.leader_keys IS NOT NULL AND m.is_leader IS DISTINCT FROM (l.external_key = ANY (t.leader_keys)))`,
  ['external_key'],
);

/**
 * Each candidate as last read, with the local row they are or will be, and whose turn it is: who is new before who is here, each
 * by their key, so that a plan that is made again is made in the same order. Outside a partial scope nobody is a candidate. Who has an
 * id that another had until now is new.
 */
export const COLLECT_EMPLOYEES = workingTable(
  'plan_employee',
  `
WITH called AS MATERIALIZED (
  SELECT c.external_key, r.old_external_key, coalesce(former.told_at, lost.told_at) AS gave_up_at, lost.holder
    FROM candidate c
    LEFT JOIN renamed r ON r.new_external_key = c.external_key
    LEFT JOIN renamed former ON former.old_external_key = c.external_key
    LEFT JOIN displaced lost ON lost.external_key = c.external_key
), latest AS (
  SELECT DISTINCT ON (s.external_key) s.external_key, s.page_id, tp.read_at, c.old_external_key, c.gave_up_at, c.holder
    FROM called c
    JOIN staged_employee s ON s.external_key = c.external_key
    JOIN task_page tp ON tp.page_id = s.page_id AND tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'
   ORDER BY s.external_key, tp.read_at DESC, s.page_id DESC
)
SELECT s.external_key, s.page_id, s.external_id, s.status, s.manager_key, s.main_department_key, s.department_keys,
       s.leader_flags, s.orders, s.hash || ${withheldMark('EMPLOYEE')} AS hash, latest.read_at,
       l.local_id IS NOT NULL AS linked, coalesce(l.local_id, new_id()) AS local_id,
       row_number() OVER (ORDER BY l.local_id IS NOT NULL, s.external_key) AS turn, latest.old_external_key, latest.holder
  FROM latest
  JOIN staged_employee s ON s.page_id = latest.page_id AND s.external_key = latest.external_key
  LEFT JOIN link l ON l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.external_key = coalesce(latest.old_external_key, s.external_key)
                  AND (latest.gave_up_at IS NULL OR latest.old_external_key IS NOT NULL)
 WHERE ${inScope('s')}
   -- Under an id that was changed afterwards somebody was read who is not there any more.
   AND (latest.gave_up_at < latest.read_at) IS NOT FALSE
   AND NOT ${goneSince('EMPLOYEE', 's.external_key', 'latest.read_at')}`,
  ['turn', 'external_key', 'page_id', 'local_id', 'manager_key', 'linked', 'status'],
);

/** Candidates who can be somebody's manager: here already, or about to come; under the id that they will have. */
export const COLLECT_MANAGERS = workingTable(
  'manager_target',
  `
SELECT m.manager_key AS external_key, coalesce(p.local_id, l.local_id) AS local_id
  FROM (SELECT DISTINCT manager_key FROM plan_employee WHERE manager_key IS NOT NULL) m
  LEFT JOIN plan_employee p ON p.external_key = m.manager_key AND p.status <> 'LEFT'
  LEFT JOIN link l ON l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.external_key = m.manager_key
                  AND NOT EXISTS (SELECT FROM plan_employee e WHERE e.old_external_key = l.external_key AND e.status <> 'LEFT')
 WHERE coalesce(p.local_id, l.local_id) IS NOT NULL`,
  ['external_key'],
);

/** How many candidates are new, and how many there are: the new ones' turns come first. */
export const COUNT_CANDIDATES = `
SELECT (count(*) FILTER (WHERE NOT linked))::int AS new, count(*)::int AS all FROM plan_employee`;

/** Candidates whose records are written by one statement: those of whom it is the turn, the first and the last included. */
export interface Turns {
  readonly first: number;
  readonly last: number;
}

/** Every subquery that has a row for each candidate is asked for the same turns, or each statement would go through all of them. */
const within = ({ first, last }: Turns) => `e.turn BETWEEN ${first} AND ${last}`;

/** A candidate's departments as one row, from `m` with one of them each, in a form that compares and a form that people read. */
const summary = (path: string) => `
           array_agg(m.department_id ORDER BY m.department_id) AS departments,
           array_agg(m.department_id || CASE WHEN m.is_leader THEN ' leader ' ELSE ' ' END || coalesce(m."order", 0)
                     ORDER BY m.department_id) AS places,
           string_agg(m.${path} || CASE WHEN m.is_leader THEN ' (leader)' ELSE '' END
                      || CASE WHEN coalesce(m."order", 0) <> 0 THEN ' [' || m."order" || ']' ELSE '' END, E'\\n'
                      ORDER BY m.${path}, m.department_id) AS shown,
           jsonb_agg(jsonb_build_array(m.department_id, m.is_leader, m."order")) AS edges`;

/** The memberships that the candidates will have; what does not resolve is left for the run that brings its target. */
const placesTold = (turns: Turns) => `
    SELECT m.turn, ${summary('path_after')},
           (array_agg(m.department_id) FILTER (WHERE m.is_main))[1] AS main_id,
           (array_agg(m.path_after) FILTER (WHERE m.is_main))[1] AS main_path
      FROM (
        SELECT e.turn, t.local_id AS department_id, t.path_after, u."order",
               coalesce(u.is_leader, e.external_key = ANY (t.leader_keys),
                        -- Told by neither, as where an event named the person alone: what is here stays.
                        (SELECT h.is_leader FROM membership h WHERE h.employee_id = e.local_id AND h.department_id = t.local_id),
                        false) AS is_leader,
               u.department_key = e.main_department_key AS is_main
          FROM plan_employee e,
               unnest(e.department_keys, e.leader_flags, e.orders) AS u (department_key, is_leader, "order")
          JOIN department_target t ON t.external_key = u.department_key AND t.stays AND t.in_scope
         WHERE ${within(turns)}
      ) m
     GROUP BY m.turn`;

/** Those that candidates who are here have. */
const placesHere = (turns: Turns) => `
    SELECT m.turn, ${summary('path_before')}
      FROM (
        SELECT e.turn, m.department_id, m.is_leader, m."order", t.path_before
          FROM plan_employee e
          JOIN membership m ON m.employee_id = e.local_id
          JOIN department_target t ON t.local_id = m.department_id
         WHERE ${within(turns)} AND e.linked
      ) m
     GROUP BY m.turn`;

/**
 * What a candidate will have, beside what the mappings make of it. `unresolved`: not every reference resolves; which ones is worked
 * out when everything has been applied (`apply/references.ts`).
 */
const PLACED = `
       place.edges, place.shown, place.main_path, place.main_id, place.departments AS departments_after,
       place.places AS places_after, boss.local_id AS manager_told,
       CASE WHEN cardinality(e.department_keys) > coalesce(cardinality(place.departments), 0)
              OR (e.manager_key <> e.external_key AND boss.local_id IS NULL) THEN true END AS unresolved`;

/** OFFSET 0: looked up one by one, since for each chunk the planner would rather read all that is staged. */
const places = (turns: Turns) => `
  CROSS JOIN LATERAL (
    SELECT s.third_party, s.mapped, s.invalid FROM staged_employee s
     WHERE s.page_id = e.page_id AND s.external_key = e.external_key OFFSET 0) told
  LEFT JOIN (${placesTold(turns)}) place ON place.turn = e.turn
  LEFT JOIN manager_target boss ON boss.external_key = e.manager_key AND boss.local_id <> e.local_id`;

/** One record for each candidate who is not here yet, numbered by their turns. OFFSET 0 keeps an expression from being worked out for each use of it. */
export const recordNewEmployees = (turns: Turns) => `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, reason_code,
                         third_party, after, changed, kept, edges, hash, read_at)
SELECT $1, ${NEXT_ORDINAL} + c.turn - ${turns.first - 1}, 'EMPLOYEE', c.external_key, c.external_id, c.local_id, c.mapped ->> 'displayName', 'CREATE', CASE WHEN c.invalid IS NOT NULL THEN 'INVALID_VALUE' END, c.third_party, c.after,
       ARRAY(SELECT jsonb_object_keys(c.after)),
       (SELECT jsonb_object_agg(f, 'INVALID') FROM unnest(c.invalid) f), c.edges, c.hash, c.read_at
  FROM (
    SELECT v.*,
           CASE WHEN v.manager_told IS NULL THEN v.mapped - 'manager' ELSE v.mapped END
             || jsonb_strip_nulls(jsonb_build_object('status', v.status, 'departments', v.shown, 'mainDepartment', v.main_path)) AS after,
           jsonb_strip_nulls(jsonb_build_object('departments', v.edges_told, 'main', v.main_id, 'manager', v.manager_told,
             'unresolved', v.unresolved, 'formerHolder', v.holder)) AS edges
      FROM (SELECT e.*, told.third_party, told.mapped, told.invalid, ${PLACED.replace('place.edges,', 'place.edges AS edges_told,')}
              FROM plan_employee e ${places(turns)}
             WHERE ${within(turns)} AND NOT e.linked AND e.status <> 'LEFT' OFFSET 0) v
    OFFSET 0
  ) c`;

/**
 * Each candidate who is here, with all that they were told to be and all that they are. The link is read together with the
 * person: an edit, which clears its hash, or an event may have come since the candidates were collected.
 */
const resolvedEmployees = (turns: Turns) => `
SELECT e.*, told.third_party, told.mapped, told.invalid, known.missing_since,
       coalesce(e.hash = known.hash, false) AS same,
       known.external_key = e.external_key AND known.read_at > e.read_at AS older, ${PLACED},
       here.departments AS departments_before, here.places AS places_before, here.edges AS edges_before,
       w.main_department_id AS main_before, w.manager_id AS manager_before, w.edited_fields, w.updated_at AS local_version,
       mf.field IS NULL OR ${withheldFrom('mf', 'e')} OR (mf.owner = 'SET_ONCE' AND w.manager_id IS NOT NULL)
         OR coalesce('manager' = ANY (told.invalid), false) AS manager_kept,
       ${employeeFields('w', 'old_boss.external_id', 'here.shown', 'old_main.path_before')} AS before
  FROM plan_employee e ${places(turns)}
  JOIN employee w ON w.id = e.local_id
  JOIN link known ON known.local_id = e.local_id
  LEFT JOIN (${placesHere(turns)}) here ON here.turn = e.turn
  LEFT JOIN link old_boss ON old_boss.local_id = w.manager_id
  LEFT JOIN department_target old_main ON old_main.local_id = w.main_department_id
  LEFT JOIN mapped_field mf ON mf.object_type = 'EMPLOYEE' AND mf.field = 'manager'
 WHERE ${within(turns)} AND e.linked AND e.status <> 'LEFT' OFFSET 0`;

/** One record for each who differs, skipped where something newer was applied to them. MOVE: the set of departments, or the main one, changed, whatever else did. */
export const recordChangedEmployees = (turns: Turns) => `
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, result, reason_code,
                         third_party, before, after, changed, kept, edges, edges_before, hash, read_at, local_version)
SELECT $1, ${NEXT_ORDINAL} + row_number() OVER (ORDER BY c.external_key),
       'EMPLOYEE', c.external_key, c.external_id, c.local_id, c.after ->> 'displayName',
       CASE WHEN c.old_external_key IS NOT NULL THEN 'RENAME_ID' WHEN c.missing_since IS NOT NULL THEN 'RESTORE'
            WHEN c.departments_after IS DISTINCT FROM c.departments_before OR c.main_id IS DISTINCT FROM c.main_before THEN 'MOVE'
            ELSE 'UPDATE' END,
       CASE WHEN cardinality(c.changed) = 0 AND c.old_external_key IS NULL THEN 'FAILED' WHEN c.older THEN 'SKIPPED' END,
       CASE WHEN c.older AND (cardinality(c.changed) > 0 OR c.old_external_key IS NOT NULL) THEN 'NEWER_READ'
            WHEN c.invalid IS NOT NULL THEN 'INVALID_VALUE' END,
       c.third_party, c.before, c.after, c.changed, c.kept,
       jsonb_strip_nulls(jsonb_build_object('departments', c.edges, 'main', c.main_id, 'manager', c.manager_after,
         'unresolved', c.unresolved, 'formerHolder', c.holder)),
       jsonb_strip_nulls(jsonb_build_object('departments', c.edges_before, 'main', c.main_before, 'manager', c.manager_before)),
       c.hash, c.read_at, c.local_version
  FROM (
    SELECT v.*, array_remove(ARRAY[
             CASE WHEN v.status IS DISTINCT FROM v.before ->> 'status' THEN 'status' END,
             CASE WHEN v.places_after IS DISTINCT FROM v.places_before THEN 'departments' END,
             CASE WHEN v.main_id IS DISTINCT FROM v.main_before THEN 'mainDepartment' END,
             CASE WHEN v.manager_after IS DISTINCT FROM v.manager_before THEN 'manager' END], NULL)
           || ${changedFields('EMPLOYEE', 'v')} AS changed
      FROM (
        SELECT e.*, (${mappedOver('EMPLOYEE', 'e')}) - '{manager,departments,mainDepartment}'::text[]
                 || jsonb_strip_nulls(jsonb_build_object('status', e.status, 'departments', e.shown, 'mainDepartment', e.main_path,
                      'manager', CASE WHEN e.manager_after IS NULL THEN NULL WHEN e.manager_kept THEN e.before ->> 'manager'
                                      ELSE e.mapped ->> 'manager' END)) AS after
          FROM (
            SELECT e.*, ${keptFields('EMPLOYEE', 'e', 'e.edited_fields')} AS kept,
                   CASE WHEN e.manager_kept THEN e.manager_before ELSE e.manager_told END AS manager_after
              FROM (${resolvedEmployees(turns)}) e
            OFFSET 0
          ) e
        OFFSET 0
      ) v
    OFFSET 0
  ) c
 WHERE cardinality(c.changed) > 0 OR c.old_external_key IS NOT NULL OR (c.invalid IS NOT NULL AND NOT c.same)`;

const LED_BY_REFUSED = `r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.result IS NULL
  AND (r.edges ->> 'manager' IN (SELECT refused.local_id::text FROM sync_record refused
    WHERE refused.task_id = $1 AND refused.object_type = 'EMPLOYEE' AND refused.action = 'CREATE' AND refused.result = 'FAILED')) IS TRUE`;

/** Nothing else changes of them: they had no manager. */
const ONLY_LED = `r.action = 'UPDATE' AND r.changed = '{manager}' AND NOT r.edges_before ? 'manager'`;

/** A newcomer who was refused is nobody's manager yet. */
export const LEAVE_OUT_REFUSED_MANAGERS = `
UPDATE sync_record r
   SET after = r.after - 'manager', edges = (r.edges - 'manager') || '{"unresolved": true}',
       changed = CASE WHEN r.edges_before ? 'manager' THEN r.changed ELSE array_remove(r.changed, 'manager') END,
       result = CASE WHEN ${ONLY_LED} THEN 'SKIPPED' END,
       reason_code = CASE WHEN ${ONLY_LED} THEN 'MANAGER_REFUSED' ELSE r.reason_code END
 WHERE ${LED_BY_REFUSED}`;
