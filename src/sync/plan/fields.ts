import { hasAnyOf } from '../../database/sets';
import { workingTable } from '../../database/working-tables';
import type { MappedObjectType } from '../../field-mapping/field-mapping';

/** Parts of the plan's statements that departments and employees share. Parameters: $1 task, $2 identity source. */

/**
 * The task's mappings of a type as rows: local field, owner, and whether the field is withheld: nobody in the last complete
 * snapshot, which may be this one, has it, or the directory stopped showing it meanwhile, so what is here stays. `released`: it is not,
 * and was so in the last complete snapshot that was applied, so that what was kept has to be looked at of everybody; one that was not
 * complete may have left out somebody of whom it was kept. `told_by`: third-party fields that an event task, which reads each object on a
 * page of its own, may find filled of one although nobody had them.
 */
export const COLLECT_MAPPED_FIELDS = workingTable(
  'mapped_field',
  `
SELECT m.object_type, m.field, m.owner, NOT (m.sources && coalesce(s.filled, '{}')) AS withheld,
       CASE WHEN m.trigger = 'EVENT' THEN m.sources END AS told_by,
       m.trigger <> 'EVENT' AND m.sources && coalesce(s.filled, '{}') AND NOT m.sources && coalesce(
         (SELECT ARRAY(SELECT jsonb_array_elements_text(former.filled -> m.object_type)) FROM sync_task former
           WHERE former.identity_source_id = $2 AND former.id <> $1 AND former.applied_at IS NOT NULL AND former.mode = 'APPLY'
             AND former.trigger <> 'EVENT' AND former.filled ? m.object_type
             AND ((former.certificate ->> 'complete')::boolean OR former.certificate -> 'fieldsWithdrawn' <> '[]')
           ORDER BY former.id DESC LIMIT 1), '{}') AS released
  FROM (SELECT m ->> 'objectType' AS object_type, m ->> 'localField' AS field, m ->> 'owner' AS owner, t.trigger,
               array_append(ARRAY(SELECT jsonb_array_elements_text(f.list) FROM jsonb_array_elements(m -> 'transforms') step,
                                         LATERAL (SELECT CASE jsonb_typeof(step -> 'fields') WHEN 'array' THEN step -> 'fields'
                                                         ELSE '[]' END AS list) f),
                            m ->> 'thirdPartyField')
               || ARRAY(SELECT (regexp_matches(step ->> 'template', '[{]([^{}]+)[}]', 'g'))[1]
                          FROM jsonb_array_elements(m -> 'transforms') step WHERE step ? 'template') AS sources
          FROM sync_task t, jsonb_array_elements(t.mappings) m WHERE t.id = $1) m
  LEFT JOIN (
    SELECT known.object_type, array_agg(DISTINCT name) AS filled
      FROM (SELECT own.key AS object_type, own.value AS fields FROM sync_task t, jsonb_each(t.filled) own WHERE t.id = $1
            UNION ALL
            -- Of each type the last that has looked at it: a run that brings departments only has not looked at people.
            SELECT type, last.fields
              FROM sync_task t, unnest(ARRAY['DEPARTMENT', 'EMPLOYEE']) type, LATERAL (
                SELECT former.filled -> type AS fields FROM sync_task former
                 WHERE former.identity_source_id = $2 AND former.id < t.id AND former.filled ? type
                   AND (former.certificate ->> 'complete')::boolean AND former.mode = 'APPLY' AND former.trigger <> 'EVENT'
                 ORDER BY former.id DESC LIMIT 1) last
             WHERE t.id = $1 AND (t.trigger = 'EVENT' OR NOT (t.certificate ->> 'complete')::boolean)) known,
           jsonb_array_elements_text(known.fields) name
     WHERE (known.object_type = 'EMPLOYEE' AND (SELECT certificate -> 'fieldsWithdrawn' FROM sync_task WHERE id = $1) ? name) IS NOT TRUE
     GROUP BY known.object_type) s ON s.object_type = m.object_type`,
);

/**
 * What was read before its object last had something applied: the newer read stands. Says of each whether other records may be built
 * on it: on somebody or something that comes or goes, or on a value that it gives up.
 * @param after the ordinal that the records to look at come after
 */
export const skipOlderReads = (after: number) => `
UPDATE sync_record r SET result = 'SKIPPED', reason_code = 'NEWER_READ'
  FROM link l
 WHERE r.task_id = $1 AND r.ordinal > ${after} AND r.result IS NULL AND l.identity_source_id = $2 AND l.kind = r.object_type AND l.external_key = r.external_key
   AND l.read_at > r.read_at
RETURNING r.action NOT IN ('UPDATE', 'MOVE') OR r.changed && '{username}'
       OR EXISTS (SELECT FROM unnest(r.changed) field WHERE field LIKE 'extension.%') AS "builtOn"`;

/** Whether whoever is in a staged row is within the scope. */
export function inScope(row: string): string {
  return `(
  (SELECT settings #>> '{scope,mode}' IS DISTINCT FROM 'PARTIAL' FROM sync_task WHERE id = $1)
  OR ${hasAnyOf(`${row}.department_keys`, 'SELECT external_key FROM department_target WHERE stays AND in_scope')})`;
}

/** Whether a mapped field `f` keeps what is here of a row with a `page_id`, since the directory shows it of nobody. */
export function withheldFrom(f: string, row: string): string {
  return `(${f}.withheld AND (${f}.told_by IS NULL
    OR NOT ${f}.told_by && (SELECT told.filled FROM snapshot_page told WHERE told.id = ${row}.page_id)))`;
}

/**
 * What a row's hash ends with: the fields that are withheld. Where others were, or none, when an object was last applied, it is compared
 * although it is told as then, for what was kept of it may be shown by now.
 */
export function withheldMark(objectType: string): string {
  return `coalesce((SELECT substring(decode(md5(string_agg(field, ',' ORDER BY field)), 'hex') FROM 1 FOR 4)
    FROM mapped_field WHERE object_type = '${objectType}' AND withheld), '')`;
}

/** Whether what was kept of people has to be looked at again, whatever became of themselves; departments are looked at always. */
export const ANY_RELEASED = `EXISTS (SELECT FROM mapped_field WHERE object_type = 'EMPLOYEE' AND released)`;

/**
 * Whether a task read an object by itself and the directory said that it is gone. OFFSET 0: looked up one by one, since the planner
 * takes the empty pages for few, and would look among them for each of the task's.
 */
function isGone(task: string, objectType: string, key: string): string {
  return `EXISTS (SELECT FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
    WHERE tp.task_id = ${task} AND tp.object_type = ${objectType} AND tp.page_key = 'again:' || ${key} AND p.keys = '{}' OFFSET 0)`;
}

/** Whether this task read the object of link `l` by itself and the directory said that it is gone. */
export function confirmedGone(objectType: string): string {
  return isGone('$1', `'${objectType}'`, 'l.external_key');
}

/** When it was found that the object of link `l` is missing: by reading it alone, else by everything that was read. */
export function missingReadAt(objectType: string): string {
  return `coalesce((SELECT tp.read_at FROM task_page tp WHERE tp.task_id = $1 AND tp.object_type = '${objectType}'
      AND tp.page_key = 'again:' || l.external_key), (SELECT started_at FROM sync_task WHERE id = $1))`;
}

/** Whether reading the object of link `l` alone failed, so that nothing is known of it. */
export function unreadAgain(objectType: string): string {
  return `EXISTS (SELECT FROM task_page tp WHERE tp.task_id = $1 AND tp.object_type = '${objectType}'
      AND tp.page_key = 'again:' || l.external_key AND tp.problem IS NOT NULL OFFSET 0)`;
}

/**
 * Events about what an event task has found gone, since the task $1 began. What is named by one that came after it was read here, and
 * is not here, has gone since, or has another id.
 */
export const READ_SINCE = `
  SELECT e.object_type, named.external_key, e.received_at
    FROM sync_task t JOIN sync_task done ON done.identity_source_id = t.identity_source_id AND done.trigger = 'EVENT'
                                         AND done.id <> t.id AND done.applied_at >= t.started_at
    JOIN directory_event e ON e.task_id = done.id
   CROSS JOIN LATERAL (VALUES (e.external_key), (e.new_external_key)) named (external_key)
   WHERE t.id = $1 AND ${isGone('done.id', 'e.object_type', 'named.external_key')}`;

/**
 * Whether that is so of something of which there is no link. In this order: only who is not here is looked for, among all of them at
 * once; joined, everybody would be compared with everything that was found gone.
 */
export function goneSince(objectType: string, key: string, readAt: string): string {
  const of = (which: string) =>
    `SELECT since.external_key FROM (${READ_SINCE}) since WHERE since.object_type = '${objectType}'${which}`;
  return `(l.local_id IS NULL AND (${key} IN (${of('')})) IS TRUE
    AND EXISTS (${of(` AND since.external_key = ${key} AND since.received_at > ${readAt}`)}))`;
}

/** A department's fields as a comparison shows them. */
export function departmentFields(row: string, parentPath: string): string {
  return `jsonb_strip_nulls(jsonb_build_object('name', ${row}.name, 'englishName', ${row}.english_name,
    'parent', ${parentPath}, 'order', ${row}."order"::text)) || extension_fields(${row}.extension_values)`;
}

/** An employee's fields as a comparison shows them. */
export function employeeFields(row: string, manager: string, departments: string, mainDepartment: string): string {
  return `jsonb_strip_nulls(jsonb_build_object(
    'username', ${row}.username, 'displayName', ${row}.display_name, 'englishName', ${row}.english_name,
    'position', ${row}.position, 'email', ${row}.email, 'mobile', ${row}.mobile, 'telephone', ${row}.telephone,
    'address', ${row}.address, 'gender', ${row}.gender, 'employmentStatus', NULLIF(${row}.employment_status, 'UNKNOWN'),
    'status', ${row}.status, 'manager', ${manager}, 'departments', ${departments}, 'mainDepartment', ${mainDepartment}))
    || CASE WHEN ${row}.extension_values = '{}' THEN '{}' ELSE extension_fields(${row}.extension_values) END`;
}

/**
 * Mapped fields that keep what is here, with the reason. Of a row with `page_id`, `linked`, `same` (nothing told changed), `before`
 * and `invalid`.
 */
export function keptFields(objectType: string, row: string, editedFields: string): string {
  return `CASE
    WHEN NOT ${row}.linked THEN (SELECT jsonb_object_agg(f, 'INVALID') FROM unnest(${row}.invalid) f)
    WHEN NOT coalesce(${row}.same, false) THEN (
      SELECT jsonb_object_agg(k.field, k.reason) FROM (
        SELECT f.field, CASE
                 WHEN f.field = ANY (${row}.invalid) THEN 'INVALID'
                 WHEN ${withheldFrom('f', row)} THEN 'WITHHELD'
                 WHEN f.owner = 'SET_ONCE' AND ${row}.before ? f.field THEN 'SET_ONCE'
                 WHEN f.owner = 'SOURCE_UNTIL_EDITED' AND f.field = ANY (${editedFields}) THEN 'EDITED_HERE' END AS reason
          FROM mapped_field f WHERE f.object_type = '${objectType}') k
       WHERE k.reason IS NOT NULL) END`;
}

/** What a row's mapped fields will be: what was told, what is kept, and what no mapping names as it is. */
export function mappedOver(objectType: MappedObjectType, row: string): string {
  return `CASE
    WHEN NOT ${row}.linked THEN ${row}.mapped
    WHEN ${row}.same THEN ${row}.before
    WHEN ${row}.kept IS NULL
      THEN (${row}.before - ARRAY(SELECT f.field FROM mapped_field f WHERE f.object_type = '${objectType}')) || ${row}.mapped
    ELSE (${row}.before - ARRAY(SELECT f.field FROM mapped_field f WHERE f.object_type = '${objectType}' AND NOT ${row}.kept ? f.field))
         || (${row}.mapped - ARRAY(SELECT jsonb_object_keys(${row}.kept))) END`;
}

/** The mapped fields whose values differ; the manager is compared as an edge. */
export function changedFields(objectType: string, row: string): string {
  return `CASE
    WHEN NOT ${row}.linked THEN ARRAY(SELECT f FROM jsonb_object_keys(${row}.mapped) f WHERE f <> 'manager')
    WHEN ${row}.same THEN '{}'::text[]
    ELSE ARRAY(SELECT f.field FROM mapped_field f
                WHERE f.object_type = '${objectType}' AND f.field <> 'manager'
                  AND canonical(f.field, ${row}.after ->> f.field) IS DISTINCT FROM canonical(f.field, ${row}.before ->> f.field)) END`;
}

/**
 * The page on which each of some people was read last. By the pages' own lists, and IS TRUE, which keeps the people hashed: the
 * planner takes a task's pages for two, since it has no figures of a new task, and would look for each of the people on each page.
 * @param people a table of external keys
 */
export function latestOf(people: string): string {
  return `
  SELECT DISTINCT ON (k.external_key) k.external_key, tp.page_id, tp.read_at
    FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) AS k (external_key)
   WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND EXISTS (SELECT FROM ${people})
     AND (k.external_key IN (SELECT external_key FROM ${people})) IS TRUE
   ORDER BY k.external_key, tp.read_at DESC, tp.page_id DESC`;
}

/** What the ordinals of a statement's records come after. */
export const NEXT_ORDINAL = `(SELECT coalesce(max(ordinal), 0) FROM sync_record WHERE task_id = $1)`;
