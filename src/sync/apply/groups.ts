import { type Step, step } from './statements';

/** The plan's records of directory groups become rows. Parameters as in `statements.ts`. */

/** Whether a task has answers about groups. */
export const READ_GROUPS = `
SELECT EXISTS (SELECT FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
                WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' AND p.keys <> '{}') AS any`;

const CREATE_GROUPS = step(
  'GROUP',
  ['CREATE'],
  (records) => `
INSERT INTO directory_group (id, identity_source_id, name)
SELECT r.local_id, $2, r.after ->> 'name' FROM sync_record r WHERE ${records} ORDER BY r.ordinal`,
);

const UPDATE_GROUPS = step(
  'GROUP',
  ['UPDATE'],
  (records) => `
UPDATE directory_group g SET name = r.after ->> 'name', updated_at = now() FROM sync_record r WHERE ${records} AND g.id = r.local_id`,
);

/** The members that records take away or bring, by table. Whoever is not here any more is brought to no group. */
const moveEdges = (member: 'employee' | 'department'): Step[] => {
  const list = (edges: string) =>
    `jsonb_array_elements_text(CASE jsonb_typeof(${edges} -> '${member}s') WHEN 'array' THEN ${edges} -> '${member}s' ELSE '[]' END)`;
  return [
    step(
      'GROUP',
      ['UPDATE'],
      (records) => `
DELETE FROM directory_group_${member} m USING sync_record r, ${list('r.edges_before')} AS lost (id)
 WHERE ${records} AND m.group_id = r.local_id AND m.${member}_id = lost.id::uuid`,
    ),
    step(
      'GROUP',
      ['CREATE', 'UPDATE'],
      (records) => `
INSERT INTO directory_group_${member} (group_id, ${member}_id)
SELECT r.local_id, x.id FROM sync_record r, ${list('r.edges')} AS brought (id)
  JOIN ${member} x ON x.id = brought.id::uuid ${member === 'employee' ? `AND x.status <> 'REMOVED'` : ''}
 WHERE ${records} ON CONFLICT DO NOTHING`,
    ),
  ];
};

/** What a decision about held records needs as well. */
export const REMOVE_GROUPS = [
  step(
    'GROUP',
    ['REMOVE'],
    (records) => `DELETE FROM directory_group g USING sync_record r WHERE ${records} AND g.id = r.local_id`,
  ),
  step(
    'GROUP',
    ['REMOVE'],
    (records) => `DELETE FROM link l USING sync_record r WHERE ${records} AND l.local_id = r.local_id`,
  ),
];

/** In their order, after people and departments have come and before departments go. */
export const APPLY_GROUPS: readonly Step[] = [
  CREATE_GROUPS,
  UPDATE_GROUPS,
  ...moveEdges('employee'),
  ...moveEdges('department'),
  ...REMOVE_GROUPS,
];

/**
 * Told members that are no members here: such groups are compared again until whoever is missing comes. Worked out from the
 * edges themselves, so that it holds whatever became of the records.
 */
export const REMEMBER_MISSING_MEMBERS = `
WITH latest AS (
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
), missing AS (
  SELECT local_id, array_agg(mark ORDER BY mark) AS marks
    FROM (SELECT * FROM told EXCEPT SELECT * FROM held) absent GROUP BY local_id
)
UPDATE link l SET unresolved = missing.marks
  FROM compared c LEFT JOIN missing ON missing.local_id = c.local_id
 WHERE l.local_id = c.local_id AND l.unresolved IS DISTINCT FROM missing.marks`;
