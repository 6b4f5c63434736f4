import type { PoolClient } from 'pg';
import type { Actor } from '../access/actor';
import { employeeFields } from '../sync/plan/fields';

/** People's fields as timelines and comparisons show them: managers by user name, departments by their paths. $1: the people. */
const SHOWN = `
WITH RECURSIVE up AS (
  SELECT d.id AS key, d.id, d.parent_id, d.name, 0 AS height FROM department d
   WHERE d.id IN (SELECT department_id FROM membership WHERE employee_id = ANY ($1)
                  UNION SELECT main_department_id FROM employee WHERE id = ANY ($1))
  UNION ALL SELECT up.key, d.id, d.parent_id, d.name, up.height + 1 FROM up JOIN department d ON d.id = up.parent_id
) CYCLE id SET again USING trail, tree AS (
  SELECT key AS id, string_agg(name, ' / ' ORDER BY height DESC) AS path FROM up WHERE NOT again GROUP BY key
), place AS (
  SELECT m.employee_id, string_agg(tree.path || CASE WHEN m.is_leader THEN ' (leader)' ELSE '' END, E'\\n' ORDER BY tree.path) AS shown
    FROM membership m JOIN tree ON tree.id = m.department_id WHERE m.employee_id = ANY ($1) GROUP BY m.employee_id
)
SELECT e.id, ${employeeFields('e', 'boss.username', 'place.shown', 'main.path')} AS fields
  FROM employee e LEFT JOIN employee boss ON boss.id = e.manager_id LEFT JOIN tree main ON main.id = e.main_department_id
  LEFT JOIN place ON place.employee_id = e.id
 WHERE e.id = ANY ($1)`;

/**
 * Changes people and puts every field that is then another one on their timelines, and only that; a person in whom nothing is
 * another keeps the time of their last change. A few statements, however many people.
 * @returns those who were changed
 */
export async function noteChanges(
  client: PoolClient,
  actor: Actor,
  ids: readonly string[],
  change: () => Promise<void>,
): Promise<string[]> {
  await client.query(`CREATE TEMP TABLE shown_before (id uuid, fields jsonb) ON COMMIT DROP`);
  await client.query(`INSERT INTO shown_before ${SHOWN}`, [ids]);
  await change();
  const { rows } = await client.query<{ id: string }>(
    `WITH changed AS (
       SELECT a.id, f.field, b.fields ->> f.field AS value_from, a.fields ->> f.field AS value_to
         FROM (${SHOWN}) a JOIN shown_before b ON b.id = a.id,
              LATERAL (SELECT jsonb_object_keys(a.fields || b.fields) AS field) f
        WHERE a.fields -> f.field IS DISTINCT FROM b.fields -> f.field
     ), noted AS (
       INSERT INTO employee_change (employee_id, actor, field, value_from, value_to)
       SELECT id, $2, field, value_from, value_to FROM changed
     )
     UPDATE employee e SET updated_at = now() FROM (SELECT DISTINCT id FROM changed) c WHERE e.id = c.id RETURNING e.id`,
    [ids, actor.name],
  );
  await client.query('DROP TABLE shown_before');
  return rows.map(({ id }) => id);
}

/** Puts one entry of one kind on each of these people's timelines. */
export async function noteEach(
  client: PoolClient,
  ids: readonly string[],
  actor: Actor,
  entry: { readonly field: string; readonly from: string | null; readonly to: string | null },
): Promise<void> {
  await client.query(
    `INSERT INTO employee_change (employee_id, actor, field, value_from, value_to) SELECT id, $2, $3, $4, $5 FROM unnest($1::uuid[]) id`,
    [ids, actor.name, entry.field, entry.from, entry.to],
  );
}
