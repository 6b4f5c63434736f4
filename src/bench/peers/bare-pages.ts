import http from 'node:http';
import { Pool } from 'pg';

/**
 * The limit of a page of employees: the statements that a page needs, through `pg`, and JSON.stringify, in a bare HTTP server.
 * Arguments: port, database. `GET /?after=<uuid>` answers the 100 people after it.
 */

const PEOPLE = `
SELECT e.id, e.username, e.display_name, e.position, e.email, e.mobile, e.status, e.created_at, e.main_department_id, e.extension_values
  FROM employee e
 WHERE e.status = ANY ($1) AND e.identity_source_id NOT IN (SELECT id FROM identity_source WHERE deleted_at IS NOT NULL) AND e.id > $2
 ORDER BY e.id LIMIT 101`;
const MEMBERSHIPS = `
SELECT m.employee_id, m.department_id, m.is_leader FROM membership m WHERE m.employee_id = ANY ($1) ORDER BY m.department_id`;
const DEPARTMENTS = `SELECT d.id, d.name FROM department d WHERE d.id = ANY ($1)`;
const FIELDS = `SELECT id, key, display_name FROM extension_field WHERE object_type = 'EMPLOYEE' ORDER BY id`;

const PRESENT = ['ACTIVE', 'INACTIVE', 'DISABLED'];

async function page(pool: Pool, after: string) {
  const [people, fields] = await Promise.all([pool.query(PEOPLE, [PRESENT, after]), pool.query(FIELDS)]);
  const more = people.rows.length > 100;
  const rows = people.rows.slice(0, 100);
  const { rows: memberships } = await pool.query(MEMBERSHIPS, [rows.map((row) => row.id)]);
  const wanted = new Set<string>(memberships.map((m) => m.department_id));
  for (const row of rows) if (row.main_department_id) wanted.add(row.main_department_id);
  const found = (await pool.query(DEPARTMENTS, [[...wanted]])).rows;
  const departments = new Map(found.map((row) => [row.id, row]));
  const places = new Map<string, unknown[]>(rows.map((row) => [row.id, []]));
  for (const m of memberships) {
    places.get(m.employee_id)?.push({ isLeader: m.is_leader, department: departments.get(m.department_id) });
  }
  const nodes = rows.map((row) => ({
    id: row.id,
    username: row.username,
    displayName: row.display_name,
    position: row.position,
    email: row.email,
    mobile: row.mobile,
    status: row.status,
    createdAt: row.created_at,
    mainDepartment: departments.get(row.main_department_id),
    memberships: places.get(row.id),
    extensionValues: fields.rows.map((field) => ({
      value: row.extension_values[field.key] ?? null,
      field: { key: field.key, displayName: field.display_name },
    })),
  }));
  return { data: { employees: { nodes, pageInfo: { hasNextPage: more, endCursor: rows.at(-1)?.id ?? null } } } };
}

const [port, connectionString] = process.argv.slice(2);
const pool = new Pool({ connectionString, max: 20 });
const server = http.createServer(async (request, response) => {
  const after = new URL(request.url ?? '/', 'http://localhost').searchParams.get('after');
  const body = after ? JSON.stringify(await page(pool, after)) : '{}';
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(body);
});
server.listen(Number(port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
