import { hasAnyOf } from '../../database/sets';
import { COLLECT_SCOPE_HERE } from '../plan/departments';
import { READ_SINCE } from '../plan/fields';
import { OPEN } from './statements';

/**
 * What applying a snapshot settles beside its own records: whether they still fit, which pages the local organisation reflects, what
 * former tasks held or somebody rejected, and which events have been read. Parameters as in `statements.ts`.
 */

/** People of whom an event task has brought something newer than the page that they are on. */
const READ_LATER = `
SELECT l.external_key
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
  JOIN link l ON l.identity_source_id = $2 AND l.kind = 'EMPLOYEE' AND l.external_key = k
 WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND l.read_at > tp.read_at
   AND EXISTS (SELECT FROM sync_task t JOIN sync_task done ON done.identity_source_id = $2 AND done.trigger = 'EVENT'
                                                           AND done.applied_at >= t.started_at WHERE t.id = $1)`;

/** Ids that somebody had until after they were read: whoever is on a page under one may be somebody new, and left out. */
const RENAMED_LATER = `
SELECT e.external_key FROM directory_event e
 WHERE e.identity_source_id = $2 AND e.new_external_key IS NOT NULL AND e.received_at > (SELECT min(read_at) FROM task_page WHERE task_id = $1)`;

/**
 * People of whom two pages tell different things: they have changed between the two reads, and the later counts. A page that was
 * behind may tell tomorrow what it told today, and be right then. Where every page is one that was applied, there is nobody.
 */
const TOLD_DIFFERENTLY = `
SELECT s.external_key
  FROM (SELECT k, unnest(array_agg(p.id)) AS page_id
          FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
         WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'
           AND EXISTS (SELECT FROM task_page fresh JOIN snapshot_page f ON f.id = fresh.page_id AND NOT f.applied
                        WHERE fresh.task_id = $1 AND fresh.object_type = 'EMPLOYEE')
         GROUP BY k HAVING count(*) > 1 AND NOT bool_and(p.applied)) shared
  JOIN staged_employee s ON s.page_id = shared.page_id AND s.external_key = shared.k
 GROUP BY s.external_key
HAVING count(DISTINCT (s.hash, s.status, s.main_department_key, s.department_keys, s.leader_flags, s.orders)) > 1`;

/** Whether a page names any of some objects; where there are none, no page is looked at. */
function namesAnyOf(objects: string, page: string): string {
  return `(EXISTS (SELECT FROM ${objects}) AND ${hasAnyOf(`${page}.keys`, `SELECT external_key FROM ${objects}`)})`;
}

/**
 * The local organisation now reflects this snapshot's pages and no others. A page with a failed object, or one that is behind an
 * event or another page, is compared again.
 */
export const MARK_PAGES_APPLIED = `
WITH open AS MATERIALIZED (
  SELECT external_key FROM sync_record r WHERE r.task_id = $1 AND r.result IS NOT NULL
  UNION ALL ${READ_LATER}
  UNION ALL ${TOLD_DIFFERENTLY}
  UNION ALL ${RENAMED_LATER}
  UNION ALL SELECT external_key FROM (${READ_SINCE}) since
)
UPDATE snapshot_page p SET applied = now_applied.applied
  FROM (
    SELECT page.id, (page.id IN (SELECT page_id FROM task_page WHERE task_id = $1)) IS TRUE AND NOT ${namesAnyOf('open', 'page')} AS applied
      FROM snapshot_page page WHERE page.identity_source_id = $2
  ) now_applied
 WHERE now_applied.id = p.id AND now_applied.applied <> p.applied`;

/** Whether anything here changed since the plan was made: an edit, what another task brought or took, a decision about what one held. */
export const IS_OUTDATED = `
WITH since AS MATERIALIZED (${READ_SINCE})
SELECT EXISTS (
  SELECT FROM sync_record r LEFT JOIN employee e ON e.id = r.local_id
   WHERE ${OPEN} AND r.object_type = 'EMPLOYEE' AND r.action <> 'CREATE' AND e.updated_at IS DISTINCT FROM r.local_version
  UNION ALL
  SELECT FROM sync_record r LEFT JOIN department d ON d.id = r.local_id
   WHERE ${OPEN} AND r.object_type = 'DEPARTMENT' AND r.action <> 'CREATE' AND d.updated_at IS DISTINCT FROM r.local_version
  UNION ALL
  SELECT FROM sync_record r LEFT JOIN directory_group g ON g.id = r.local_id
   WHERE ${OPEN} AND r.object_type = 'GROUP' AND r.action <> 'CREATE' AND g.updated_at IS DISTINCT FROM r.local_version
  UNION ALL
  SELECT FROM sync_record r JOIN link l ON l.identity_source_id = $2 AND l.kind = r.object_type AND l.external_key = r.external_key
   WHERE ${OPEN} AND r.action = 'CREATE' AND l.local_id <> r.local_id
     AND (l.local_id IN (SELECT x.local_id FROM sync_record x WHERE x.task_id = $1 AND x.result IS NULL AND x.action = 'RENAME_ID')) IS NOT TRUE
     AND l.local_id IS DISTINCT FROM (r.edges #>> '{formerHolder,localId}')::uuid
  UNION ALL
  SELECT FROM sync_record r WHERE ${OPEN} AND r.action <> 'CREATE' AND r.local_version IS NULL
  UNION ALL
  SELECT FROM sync_task t JOIN sync_task held ON held.identity_source_id = $2 AND held.decided_at > t.planned_at WHERE t.id = $1
  UNION ALL
  SELECT FROM sync_record r
   WHERE ${OPEN} AND r.action = 'CREATE' AND ((r.object_type, r.external_key) IN (SELECT object_type, external_key FROM since)) IS TRUE
     AND EXISTS (SELECT FROM since WHERE since.object_type = r.object_type AND since.external_key = r.external_key AND since.received_at > r.read_at OFFSET 0)
) AS outdated`;

/**
 * People, departments and groups that were kept although their removal was asked for, and that are seen again within the scope: the
 * decision has served. A department outside the scope is seen too, and so is somebody who is told to have left.
 */
export const FORGET_REJECTIONS = `
WITH RECURSIVE rejected AS MATERIALIZED (
  SELECT kind, external_key FROM link WHERE identity_source_id = $2 AND rejected_at IS NOT NULL
), named AS MATERIALIZED (
  SELECT tp.object_type AS kind, k AS external_key, tp.page_id
    FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
   WHERE tp.task_id = $1 AND EXISTS (SELECT FROM rejected) AND ((tp.object_type, k) IN (SELECT kind, external_key FROM rejected)) IS TRUE
), present AS MATERIALIZED (
  SELECT s.external_key, s.department_keys FROM named JOIN staged_employee s ON s.page_id = named.page_id AND s.external_key = named.external_key
   WHERE named.kind = 'EMPLOYEE' AND s.status <> 'LEFT'
), scope AS MATERIALIZED (
  SELECT settings #>> '{scope,mode}' IS NOT DISTINCT FROM 'PARTIAL' AS partial, settings #> '{scope,departmentIds}' AS chosen FROM sync_task WHERE id = $1
), scope_here AS MATERIALIZED (${COLLECT_SCOPE_HERE.rows}
), up AS (
  SELECT s.external_key AS start, s.external_id, s.parent_key
    FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
   WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT'
     AND (s.external_key IN (SELECT external_key FROM named WHERE kind = 'DEPARTMENT' UNION SELECT unnest(department_keys) FROM present)) IS TRUE
  UNION
  SELECT up.start, s.external_id, s.parent_key
    FROM up JOIN staged_department s ON s.external_key = up.parent_key
    JOIN task_page tp ON tp.page_id = s.page_id AND tp.task_id = $1 AND tp.object_type = 'DEPARTMENT'
), within_scope AS MATERIALIZED (
  SELECT up.start AS external_key FROM up, scope
   WHERE NOT scope.partial OR scope.chosen ? up.external_id OR up.parent_key IN (SELECT external_key FROM scope_here)
  UNION
  SELECT external_key FROM scope_here
), seen AS (
  SELECT kind, external_key FROM named WHERE kind = 'DEPARTMENT' AND external_key IN (SELECT external_key FROM within_scope)
  UNION ALL
  SELECT 'EMPLOYEE', present.external_key FROM present, scope
   WHERE NOT scope.partial OR ${hasAnyOf('present.department_keys', 'SELECT external_key FROM within_scope')}
  UNION ALL
  SELECT kind, external_key FROM named WHERE kind = 'GROUP'
)
UPDATE link l SET rejected_at = NULL
 WHERE l.identity_source_id = $2 AND l.rejected_at IS NOT NULL AND ((l.kind, l.external_key) IN (SELECT kind, external_key FROM seen)) IS TRUE`;

/**
 * What former tasks held and this one settles: it plans the same removal itself, or the object is there after all. What an event
 * names outside a partial scope is there, and still to go. Returns the tasks it touched.
 */
export const SETTLE_FORMER_HOLDS = `
WITH scope_here AS MATERIALIZED (${COLLECT_SCOPE_HERE.rows}), waiting AS MATERIALIZED (
  SELECT h.id, h.object_type, h.external_key, h.local_id,
         ((h.object_type, h.local_id) IN (SELECT object_type, local_id FROM sync_record
                                           WHERE task_id = $1 AND action IN ('SUSPEND', 'REMOVE'))) IS TRUE AS again
    FROM sync_task t JOIN sync_record h ON h.task_id = t.id AND h.result = 'HELD'
   WHERE t.identity_source_id = $2 AND t.status = 'HELD' AND t.id <> $1
), settled AS (
  UPDATE sync_record held SET result = 'SKIPPED', reason_code = CASE WHEN h.again THEN 'TAKEN_OVER' ELSE 'LAPSED' END
    FROM waiting h
   WHERE h.id = held.id
     AND (h.again
          OR ((h.object_type, h.external_key) IN (SELECT tp.object_type, k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
                                                   WHERE tp.task_id = $1)
              AND CASE WHEN h.object_type = 'GROUP' OR (SELECT trigger <> 'EVENT' OR settings #>> '{scope,mode}' = 'ALL' FROM sync_task WHERE id = $1)
                         THEN true
                       WHEN h.object_type = 'DEPARTMENT' THEN h.external_key IN (SELECT external_key FROM scope_here)
                       ELSE EXISTS (SELECT FROM membership m JOIN link d ON d.local_id = m.department_id
                                     WHERE m.employee_id = h.local_id AND d.external_key IN (SELECT external_key FROM scope_here)) END))
  RETURNING held.task_id, held.ordinal
)
SELECT task_id AS "taskId", array_agg(ordinal ORDER BY ordinal) AS ordinals FROM settled GROUP BY task_id`;

/**
 * What an event task found as it is here, or missing still, has been read all the same: a full run that is under way has something
 * older of it. What waits for approval still is to go as it was read then.
 */
export const NOTE_READS = `
UPDATE link l SET read_at = tp.read_at
  FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
 WHERE tp.task_id = $1 AND tp.page_key LIKE 'again:%' AND l.identity_source_id = $2 AND l.kind = tp.object_type
   AND l.external_key = substr(tp.page_key, 7) AND l.read_at < tp.read_at AND (p.keys = '{}') = (l.missing_since IS NOT NULL)
   AND ((l.kind, l.external_key) IN (SELECT h.object_type, h.external_key FROM sync_task held JOIN sync_record h ON h.task_id = held.id
                                      WHERE held.identity_source_id = $2 AND held.status = 'HELD' AND h.result = 'HELD')) IS NOT TRUE`;

/** What an event task read by itself is newer than the pages that it was on: the next full run compares these again. */
export const REOPEN_PAGES = `
WITH read AS MATERIALIZED (
  SELECT substr(tp.page_key, 7) AS external_key FROM task_page tp WHERE tp.task_id = $1 AND tp.page_key LIKE 'again:%'
)
UPDATE snapshot_page p SET applied = false
 WHERE p.identity_source_id = $2 AND p.applied AND ${namesAnyOf('read', 'p')}`;

/**
 * A department that enters a partial scope or leaves it takes along whoever and whatever is below it, of which no event tells: the
 * source's next run is due at once.
 */
export const ASK_FOR_FULL_RUN = `
UPDATE identity_source source SET next_run_at = now()
  FROM sync_task t
 WHERE t.id = $1 AND source.id = $2 AND source.automatic_enabled AND t.settings #>> '{scope,mode}' = 'PARTIAL'
   AND EXISTS (
     SELECT FROM sync_record r WHERE ${OPEN} AND r.object_type = 'DEPARTMENT' AND r.action = 'CREATE'
     UNION ALL
     SELECT FROM task_page tp JOIN staged_department d ON d.page_id = tp.page_id
       JOIN link l ON l.identity_source_id = $2 AND l.kind = 'DEPARTMENT' AND l.external_key = d.external_key
      WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' AND NOT t.settings #> '{scope,departmentIds}' ? d.external_id
        AND NOT EXISTS (SELECT FROM link up WHERE up.identity_source_id = $2 AND up.kind = 'DEPARTMENT' AND up.external_key = d.parent_key))`;

/** A complete run has read everything that callbacks named before it began, or, where it applies a preview, before that did. */
export const CLOSE_EVENTS = `
UPDATE directory_event e SET task_id = $1 FROM sync_task t
 WHERE t.id = $1 AND e.identity_source_id = $2 AND e.task_id IS NULL
   AND e.received_at < least(t.started_at, (SELECT min(read_at) FROM task_page WHERE task_id = $1))
   AND (t.certificate ->> 'complete')::boolean AND t.includes_employees
   AND (e.object_type <> 'GROUP' OR (t.certificate ->> 'groupsComplete')::boolean)`;
