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
