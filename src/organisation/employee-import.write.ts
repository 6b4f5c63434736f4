import type { PoolClient } from 'pg';
import type { Actor } from '../access/actor';
import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import type { CheckedRow, RowError } from './employee-import.row';
import { PRESENT } from './organisation.entity';
import { noteChanges, noteEach } from './timeline-note';

/** Columns of the table by columns of the file. */
const TEXT_COLUMNS: Readonly<Record<string, string>> = {
  username: 'username',
  displayName: 'display_name',
  englishName: 'english_name',
  position: 'position',
  email: 'email',
  mobile: 'mobile',
  telephone: 'telephone',
  address: 'address',
  gender: 'gender',
};

/** The file's people as a table of the transaction: who is here already under their id, who comes under a new one. */
async function stageImported(client: PoolClient, sourceId: string, rows: readonly CheckedRow[]): Promise<void> {
  await client.query(`CREATE TEMP TABLE imported (row integer, values jsonb, extension jsonb, department_ids jsonb, main_id uuid, leader_of jsonb,
    employee_id uuid, is_new boolean) ON COMMIT DROP`);
  await client.query(
    `INSERT INTO imported
     SELECT r.row, r.values, r.extension, r."departmentIds", r."mainDepartmentId", r."leaderOf", coalesce(e.id, new_id()), e.id IS NULL
       FROM jsonb_to_recordset($1) AS r (row integer, values jsonb, extension jsonb, "departmentIds" jsonb, "mainDepartmentId" uuid, "leaderOf" jsonb)
       LEFT JOIN employee e ON e.identity_source_id = $2 AND lower(e.username) = lower(r.values ->> 'username')
                           AND e.status IN ${PRESENT}
      ORDER BY r.row`,
    [JSON.stringify(rows), sourceId],
  );
  await client.query('ANALYZE imported');
}

/** Rows whose value of a unique extension field another row, or somebody who is not in the file, has; leaves the rows staged. */
export async function takenUniqueValues(
  client: PoolClient,
  sourceId: string,
  columns: readonly string[],
  rows: readonly CheckedRow[],
): Promise<RowError[]> {
  await stageImported(client, sourceId, rows);
  const keys = columns.filter((c) => c.startsWith(EXTENSION_PREFIX)).map((c) => c.slice(EXTENSION_PREFIX.length));
  const { rows: taken } = await client.query<{ row: number; key: string; other: number | null; holder: string | null }>(
    `WITH given AS (
       SELECT i.row, i.employee_id, f.key, canonical(f.key, i.extension ->> f.key) AS value
         FROM imported i JOIN extension_field f ON f.is_unique AND f.object_type = 'EMPLOYEE' AND f.key = ANY ($2)
     ), numbered AS (
       SELECT *, first_value(row) OVER (PARTITION BY key, value ORDER BY row) AS first FROM given WHERE value IS NOT NULL
     )
     SELECT n.row, n.key, NULLIF(n.first, n.row) AS other, e.username AS holder
       FROM numbered n
       LEFT JOIN extension_unique_value u ON u.identity_source_id = $1 AND u.field_key = n.key AND u.value_key = n.value
             AND NOT EXISTS (SELECT FROM imported i WHERE i.employee_id = u.object_id)
       LEFT JOIN employee e ON e.id = u.object_id
      WHERE n.first <> n.row OR e.id IS NOT NULL`,
    [sourceId, keys],
  );
  return taken.map(({ row, key, other, holder }) => ({
    row,
    column: `${EXTENSION_PREFIX}${key}`,
    message: `This value must be unique; ${other === null ? `${holder} has it` : `row ${other} has it too`}.`,
  }));
}

/** Writes the staged rows; a few statements, however many there are. @returns whom it made or changed */
export async function writeImported(
  client: PoolClient,
  actor: Actor,
  sourceId: string,
  columns: readonly string[],
): Promise<{ updated: number; touched: string[] }> {
  const { rows: people } = await client.query<{ id: string; isNew: boolean }>(
    'SELECT employee_id AS id, is_new AS "isNew" FROM imported',
  );
  const made = people.filter(({ isNew }) => isNew).map(({ id }) => id);
  const here = people.filter(({ isNew }) => !isNew).map(({ id }) => id);
  await client.query(
    `INSERT INTO employee (id, identity_source_id, status, username, display_name)
     SELECT employee_id, $1, 'ACTIVE', values ->> 'username', values ->> 'displayName' FROM imported WHERE is_new ORDER BY row`,
    [sourceId],
  );
  const updated = await noteChanges(client, actor, here, async () => {
    await writeFields(client, columns);
    if (columns.includes('departments')) await writeDepartments(client);
    if (columns.includes('leaderOf')) await writeLeaders(client);
    if (columns.includes('manager')) await writeManagers(client, sourceId);
  });
  await noteEach(client, made, actor, { field: 'created', from: null, to: null });
  await client.query(
    `UPDATE employee_change c SET value_to = e.display_name FROM employee e
      WHERE e.id = c.employee_id AND c.employee_id = ANY ($1) AND c.field = 'created'`,
    [made],
  );
  return { updated: updated.length, touched: [...made, ...updated] };
}

async function writeFields(client: PoolClient, columns: readonly string[]): Promise<void> {
  const given = columns.flatMap((column): [name: string, value: string][] => {
    const name = TEXT_COLUMNS[column];
    return name ? [[name, `i.values ->> '${column}'`]] : [];
  });
  if (columns.includes('employmentStatus'))
    given.push(['employment_status', `coalesce(i.values ->> 'employmentStatus', 'UNKNOWN')`]);
  if (columns.some((column) => column.startsWith(EXTENSION_PREFIX))) given.push(['extension_values', 'i.extension']);
  await client.query(
    `UPDATE employee e SET ${given.map(([name, value]) => `${name} = ${value}`).join(', ')} FROM imported i
      WHERE i.employee_id = e.id
        AND (${given.map(([name]) => `e.${name}`).join(', ')}) IS DISTINCT FROM (${given.map(([, value]) => value).join(', ')})`,
  );
}

async function writeDepartments(client: PoolClient): Promise<void> {
  await client.query(
    `DELETE FROM membership m USING imported i
      WHERE m.employee_id = i.employee_id AND NOT i.department_ids ? m.department_id::text`,
  );
  await client.query(
    `INSERT INTO membership (employee_id, department_id) SELECT i.employee_id, d::uuid FROM imported i, jsonb_array_elements_text(i.department_ids) d
     ON CONFLICT DO NOTHING`,
  );
  await client.query(
    `UPDATE employee e SET main_department_id = i.main_id FROM imported i
      WHERE i.employee_id = e.id AND e.main_department_id IS DISTINCT FROM i.main_id`,
  );
}

async function writeLeaders(client: PoolClient): Promise<void> {
  await client.query(
    `UPDATE membership m SET is_leader = i.leader_of ? m.department_id::text FROM imported i
      WHERE m.employee_id = i.employee_id AND m.is_leader <> (i.leader_of ? m.department_id::text)`,
  );
}

async function writeManagers(client: PoolClient, sourceId: string): Promise<void> {
  await client.query(
    `UPDATE employee e SET manager_id = boss.id FROM imported i
       LEFT JOIN employee boss ON boss.identity_source_id = $1 AND lower(boss.username) = lower(i.values ->> 'manager')
                              AND boss.status IN ${PRESENT}
      WHERE i.employee_id = e.id AND e.manager_id IS DISTINCT FROM boss.id`,
    [sourceId],
  );
}
