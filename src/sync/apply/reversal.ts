/** Statements that make a task out of another one's records. Parameters: $1 the new task, $2 the one it comes from. */

const COPIED = `object_type, external_key, external_id, local_id, name, action, result, reason_code, third_party, before, after, changed,
  kept, edges, edges_before, hash, read_at, local_version`;

/** A preview's plan, certificate and snapshot become the new task's own: it only has to be applied. */
export const COPY_PREVIEW = [
  `INSERT INTO sync_record (task_id, ordinal, ${COPIED}) SELECT $1, ordinal, ${COPIED} FROM sync_record WHERE task_id = $2`,
  `INSERT INTO task_page (task_id, object_type, page_key, page_id, read_at, problem)
   SELECT $1, object_type, page_key, page_id, read_at, problem FROM task_page WHERE task_id = $2`,
  `UPDATE sync_task t SET planned_at = now(), plan = 1, certificate = p.certificate, extent = p.extent, filled = p.filled, counters = p.counters,
          mappings = p.mappings, settings = p.settings, settings_version = p.settings_version
     FROM sync_task p WHERE t.id = $1 AND p.id = $2`,
];

/** Objects of a plan ($1) that are not here any more as they were when it was made. */
export const CHANGED_OBJECTS = `
SELECT r.name FROM sync_record r
  LEFT JOIN employee e ON r.object_type = 'EMPLOYEE' AND e.id = r.local_id
  LEFT JOIN department d ON r.object_type = 'DEPARTMENT' AND d.id = r.local_id
  LEFT JOIN directory_group g ON r.object_type = 'GROUP' AND g.id = r.local_id
 WHERE r.task_id = $1 AND r.result IS NULL AND r.action <> 'CREATE'
   AND coalesce(e.updated_at, d.updated_at, g.updated_at) IS DISTINCT FROM r.local_version
 ORDER BY r.ordinal LIMIT 100`;

/** Whether the object of record `r` is here, maybe as another one that came back: its link names what it is now. */
const isLinked = (source: string) => `EXISTS (
  SELECT FROM link l WHERE l.identity_source_id = ${source} AND l.kind = r.object_type AND l.external_key = r.external_key)`;

/**
 * The reverse of every applied record, last first. One whose object was changed since is kept as a skipped record, so that it
 * is named; what was changed and undone since is as it was. A restored person keeps their id; a department or group that was removed
 * comes back with its id. Who came back is suspended or removed again, as they were before. Which id the directory has for somebody is
 * not undone.
 */
const REVERSE_RECORDS = `
WITH RECURSIVE given_back AS MATERIALIZED (
  -- An undo leaves an object as it was before what it undid, but for an id, so that its version stands for the one before.
  SELECT given.local_id, undo.applied_at AS version, undone.local_version AS former
    FROM sync_task origin
    JOIN sync_task undo ON undo.identity_source_id = origin.identity_source_id AND undo.trigger = 'REVERT' AND undo.applied_at > origin.applied_at
    JOIN sync_record given ON given.task_id = undo.id AND given.result IS NULL
    JOIN sync_record undone ON undone.task_id = undo.origin_id AND undone.local_id = given.local_id AND undone.action <> 'RENAME_ID'
   WHERE origin.id = $2
), stands_for AS (
  SELECT local_id, version, former FROM given_back
  UNION
  SELECT later.local_id, later.version, earlier.former
    FROM stands_for later JOIN given_back earlier ON earlier.local_id = later.local_id AND earlier.version = later.former
)
INSERT INTO sync_record (task_id, ordinal, object_type, external_key, external_id, local_id, name, action, result, reason_code,
                         before, after, changed, edges, edges_before, read_at, local_version)
SELECT $1, row_number() OVER (ORDER BY (r.object_type = 'EMPLOYEE') = (r.action = 'CREATE') DESC, r.ordinal DESC),
       r.object_type, r.external_key, r.external_id, r.local_id, r.name,
       CASE WHEN r.action = 'CREATE' OR r.before ->> 'status' = 'REMOVED' THEN 'REMOVE'
            WHEN r.object_type IN ('DEPARTMENT', 'GROUP') AND r.action = 'REMOVE' THEN 'CREATE'
            WHEN r.action IN ('SUSPEND', 'REMOVE') THEN 'RESTORE'
            WHEN r.before ->> 'status' = 'SUSPENDED' THEN 'SUSPEND'
            WHEN r.action = 'RENAME_ID' THEN CASE WHEN r.changed && '{departments,mainDepartment}' THEN 'MOVE' ELSE 'UPDATE' END
            ELSE r.action END,
       CASE WHEN here.unchanged THEN NULL ELSE 'SKIPPED' END, CASE WHEN here.unchanged THEN NULL ELSE 'CHANGED_SINCE_PLAN' END,
       r.after,
       CASE WHEN r.action <> 'CREATE' THEN r.before WHEN r.object_type = 'EMPLOYEE' THEN r.after || '{"status": "REMOVED"}' END,
       CASE WHEN r.action = 'CREATE' AND r.object_type = 'EMPLOYEE' THEN '{status}' ELSE r.changed END,
       coalesce(r.edges_before, '{}') - 'reason', r.edges, now(), here.version
  FROM sync_record r
  JOIN sync_task t ON t.id = r.task_id
  LEFT JOIN employee e ON r.object_type = 'EMPLOYEE' AND e.id = r.local_id
  LEFT JOIN department d ON r.object_type = 'DEPARTMENT' AND d.id = r.local_id
  LEFT JOIN directory_group g ON r.object_type = 'GROUP' AND g.id = r.local_id,
  LATERAL (SELECT coalesce(e.updated_at, d.updated_at, g.updated_at) AS version, coalesce(r.applied_at, t.applied_at) AS left_with) at,
  LATERAL (SELECT at.version,
                  CASE WHEN r.object_type IN ('DEPARTMENT', 'GROUP') AND r.action = 'REMOVE'
                       THEN at.version IS NULL AND NOT ${isLinked('t.identity_source_id')}
                       ELSE coalesce(at.version = at.left_with, false)
                            OR (r.local_id, at.version, at.left_with) IN (SELECT local_id, version, former FROM stands_for) END AS unchanged) here
 WHERE r.task_id = $2 AND r.result IS NULL AND t.applied_at IS NOT NULL AND (r.action <> 'RENAME_ID' OR cardinality(r.changed) > 0)`;

/** Who was removed was taken out of their departments too; who was suspended has lost those that are gone, and is in the others. */
const BRING_BACK_PLACES = `
UPDATE sync_record r
   SET changed = ARRAY(SELECT DISTINCT unnest(r.changed || '{departments,mainDepartment}'
                         || CASE r.before ->> 'status' WHEN 'REMOVED' THEN '{manager}'::text[] ELSE '{}' END)),
       edges_before = coalesce(r.edges_before, '{}') || jsonb_strip_nulls(jsonb_build_object('main', e.main_department_id, 'departments',
         (SELECT jsonb_agg(jsonb_build_array(m.department_id, m.is_leader, m."order")) FROM membership m WHERE m.employee_id = e.id)))
  FROM employee e
 WHERE r.task_id = $1 AND e.id = r.local_id AND r.object_type = 'EMPLOYEE' AND r.action = 'RESTORE'
   AND (r.before ->> 'status' = 'REMOVED' OR EXISTS (
     SELECT FROM jsonb_array_elements(CASE jsonb_typeof(r.edges -> 'departments') WHEN 'array' THEN r.edges -> 'departments' ELSE '[]' END) place
      WHERE NOT EXISTS (SELECT FROM membership m WHERE m.employee_id = r.local_id AND m.department_id = (place ->> 0)::uuid)))`;

/**
 * A department is not moved back below what hangs below it by now: the tree as it would be, and which moves back would close a circle.
 * Run until it finds nothing more, since what is not moved stays where it is.
 */
export const SKIP_CIRCLES = `
WITH RECURSIVE reversed AS MATERIALIZED (
  SELECT id, local_id, action, (edges ->> 'parent')::uuid AS parent_id FROM sync_record
   WHERE task_id = $1 AND object_type = 'DEPARTMENT' AND action IN ('CREATE', 'UPDATE', 'MOVE') AND result IS NULL
), tree AS MATERIALIZED (
  SELECT local_id AS id, parent_id FROM reversed
  UNION ALL
  SELECT d.id, d.parent_id FROM department d
   WHERE d.identity_source_id = (SELECT identity_source_id FROM sync_task WHERE id = $1) AND d.id NOT IN (SELECT local_id FROM reversed)
), up AS (
  SELECT id AS record_id, local_id, parent_id FROM reversed WHERE action = 'MOVE'
  UNION
  SELECT up.record_id, up.local_id, tree.parent_id FROM up JOIN tree ON tree.id = up.parent_id
)
UPDATE sync_record SET result = 'SKIPPED', reason_code = 'CHANGED_SINCE_PLAN' WHERE id IN (SELECT record_id FROM up WHERE parent_id = local_id)`;

/** A department that is to come back under one that is gone for good comes back at the top. */
export const DROP_LOST_PARENTS = `
UPDATE sync_record r SET edges = r.edges - 'parent', reason_code = coalesce(reason_code, 'PARENT_UNKNOWN')
 WHERE task_id = $1 AND object_type = 'DEPARTMENT' AND action IN ('CREATE', 'UPDATE', 'MOVE') AND result IS NULL AND r.edges ->> 'parent' IS NOT NULL
   AND NOT EXISTS (SELECT FROM department d WHERE d.id = (r.edges ->> 'parent')::uuid)
   AND NOT EXISTS (SELECT FROM sync_record p WHERE p.task_id = $1 AND p.object_type = 'DEPARTMENT' AND p.action = 'CREATE'
                      AND p.result IS NULL AND p.local_id = (r.edges ->> 'parent')::uuid)`;

export const PLAN_REVERSAL = [REVERSE_RECORDS, BRING_BACK_PLACES, SKIP_CIRCLES, DROP_LOST_PARENTS];

/** How much of the task $2 its reversal can undo. */
export const COUNT_OPEN = `
SELECT (count(*) FILTER (WHERE result IS NULL))::int AS open, (count(*) FILTER (WHERE result IS NOT NULL))::int AS skipped,
       (array_agg(name ORDER BY ordinal) FILTER (WHERE result IS NOT NULL))[1:5] AS names,
       NOT EXISTS (SELECT FROM sync_record WHERE task_id = $2)
         AND (SELECT jsonb_path_exists(counters, '$[*] ? (@.applied > 0)') FROM sync_task WHERE id = $2) AS forgotten
  FROM sync_record WHERE task_id = $1`;

export const FINISH_REVERSAL_PLAN = `UPDATE sync_task SET planned_at = now(), plan = 1 WHERE id = $1`;

/** What changed here between a reversal's plan and its end is left alone. */
export const SKIP_CHANGED = `
UPDATE sync_record r SET result = 'SKIPPED', reason_code = 'CHANGED_SINCE_PLAN'
 WHERE r.task_id = $1 AND r.result IS NULL
   AND CASE WHEN r.action = 'CREATE' THEN ${isLinked('$2')} ELSE r.local_version IS DISTINCT FROM CASE r.object_type
         WHEN 'EMPLOYEE' THEN (SELECT updated_at FROM employee WHERE id = r.local_id)
         WHEN 'GROUP' THEN (SELECT updated_at FROM directory_group WHERE id = r.local_id)
         ELSE (SELECT updated_at FROM department WHERE id = r.local_id) END END`;

/** Edges to what is not here any more. */
export const DROP_LOST_EDGES = `
UPDATE sync_record r
   SET edges = jsonb_strip_nulls(r.edges || jsonb_build_object(
         'main', (SELECT d.id FROM department d WHERE d.id = (r.edges ->> 'main')::uuid),
         'manager', (SELECT e.id FROM employee e WHERE e.id = (r.edges ->> 'manager')::uuid),
         'departments', (SELECT jsonb_agg(place) FROM jsonb_array_elements(
                           CASE jsonb_typeof(r.edges -> 'departments') WHEN 'array' THEN r.edges -> 'departments' ELSE '[]' END) place
                          WHERE EXISTS (SELECT FROM department d WHERE d.id = (place ->> 0)::uuid))))
 WHERE r.task_id = $1 AND r.result IS NULL AND r.object_type = 'EMPLOYEE' AND r.action IN ('UPDATE', 'MOVE', 'SUSPEND', 'RESTORE')`;

/** The directory says something else now, so the next run has to look at each of them again. Who was removed, or is suspended, counts as missing. */
export const FORGET_HASHES = `
UPDATE link l SET hash = NULL, missing_since = CASE WHEN r.action IN ('REMOVE', 'SUSPEND') OR r.after ->> 'status' = 'SUSPENDED'
                                               THEN coalesce(l.missing_since, now()) END
  FROM sync_record r
 WHERE r.task_id = $1 AND r.result IS NULL AND l.local_id = r.local_id`;

/** The next automatic run would bring everything back. */
export const SWITCH_AUTOMATIC_OFF = `
UPDATE identity_source SET automatic_enabled = false, next_run_at = NULL, version = version + 1, updated_at = now()
 WHERE id = $2 AND automatic_enabled AND EXISTS (SELECT FROM sync_record r WHERE r.task_id = $1 AND r.result IS NULL)`;
