import { CsvError, parse } from 'csv-parse/sync';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../access/actor';
import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import { type Changed, changeOrganisation, refuse } from './change';
import { requireCustom } from './department.service';
import { mergeExtensionValues } from './extension-values';
import { refreshSearch } from './search-index';

/** Columns that a file can have beside `extension.<key>`; the first two are required. */
export const IMPORT_COLUMNS = [
  'username',
  'displayName',
  'englishName',
  'position',
  'email',
  'mobile',
  'telephone',
  'address',
  'gender',
  'employmentStatus',
  'departments',
  'manager',
] as const;

/** What is wrong with one row. */
export interface RowError {
  /** Counted as in a spreadsheet: the header is row 1. */
  readonly row: number;
  readonly column: string | null;
  readonly message: string;
}

/** What an import did, or would do. */
export interface ImportResult {
  readonly rows: number;
  readonly created: number;
  readonly updated: number;
  readonly errors: readonly RowError[];
}

const MAX_ROWS = 20_000;
const MAX_TEXT = 256;
const GENDERS = new Set(['MALE', 'FEMALE', 'UNKNOWN']);
const EMPLOYMENT = new Set(['REGULAR', 'PROBATION', 'INTERN', 'CONTRACTOR', 'ON_LEAVE', 'LEFT', 'UNKNOWN']);
/** Between several departments of one person, and between the names of a path. */
const BETWEEN_PATHS = ';';
const BETWEEN_NAMES = ' / ';

type Row = Readonly<Record<string, string>>;

interface CheckedRow {
  readonly row: number;
  readonly values: Readonly<Record<string, string | null>>;
  readonly extension: Readonly<Record<string, string>>;
  readonly departmentIds: readonly string[] | null;
}

/**
 * Adds and changes people of a custom source from a CSV text: matched by user name, departments named by their paths. Nothing is
 * written in a dry run, nor while a row is wrong.
 */
export async function importEmployees(
  dataSource: DataSource,
  actor: Actor,
  identitySourceId: string,
  csv: string,
  dryRun: boolean,
): Promise<Changed<ImportResult>> {
  const outcome = await changeOrganisation(dataSource, identitySourceId, async (client) => {
    await requireCustom(client, identitySourceId);
    const { columns, rows } = readCsv(csv);
    const { checked, errors } = await checkRows(client, identitySourceId, columns, rows);
    const known = await knownUsernames(client, identitySourceId);
    const updated = checked.filter((row) => known.has(String(row.values['username']).toLowerCase())).length;
    const result = { rows: rows.length, created: checked.length - updated, updated, errors };
    if (!dryRun && errors.length === 0) await write(client, actor, identitySourceId, columns, checked);
    return result;
  });
  if ('value' in outcome && !dryRun) await refreshSearch((sql, p) => dataSource.query(sql, p), { identitySourceId });
  return outcome;
}

function readCsv(csv: string): { columns: string[]; rows: Row[] } {
  let lines: string[][];
  try {
    lines = parse(csv, { bom: true, relax_column_count: true, skip_empty_lines: true, trim: true });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return refuse('INVALID_INPUT', `The text is no CSV: ${error.message}`, 'csv');
  }
  const [columns = [], ...rest] = lines;
  const unknown = columns.filter(
    (c) => !(IMPORT_COLUMNS as readonly string[]).includes(c) && !c.startsWith(EXTENSION_PREFIX),
  );
  if (unknown.length > 0) {
    refuse(
      'INVALID_INPUT',
      `Unknown columns: ${unknown.join(', ')}. There are ${IMPORT_COLUMNS.join(', ')} and ${EXTENSION_PREFIX}<key>.`,
      'csv',
    );
  }
  for (const required of IMPORT_COLUMNS.slice(0, 2)) {
    if (!columns.includes(required)) refuse('INVALID_INPUT', `The first line must name the column ${required}.`, 'csv');
  }
  if (rest.length > MAX_ROWS)
    refuse('INVALID_INPUT', `At most ${MAX_ROWS} rows at once; there are ${rest.length}.`, 'csv');
  return {
    columns,
    rows: rest.map((cells) => Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? '']))),
  };
}

async function checkRows(client: PoolClient, sourceId: string, columns: readonly string[], rows: readonly Row[]) {
  const paths = await departmentPaths(client, sourceId);
  const { rows: fields } = await client.query(
    `SELECT key, display_name AS "displayName", type, options, required FROM extension_field WHERE object_type = 'EMPLOYEE'`,
  );
  const usernames = new Set(rows.map((row) => row['username']?.toLowerCase() ?? ''));
  const known = await knownUsernames(client, sourceId);
  const errors: RowError[] = [];
  const seen = new Set<string>();
  const checked: CheckedRow[] = [];
  for (const [i, cells] of rows.entries()) {
    const found: RowError[] = [];
    const at = (column: string | null, message: string) => found.push({ row: i + 2, column, message });
    const username = cells['username'] ?? '';
    if (username === '') at('username', 'A user name is needed.');
    if (seen.has(username.toLowerCase())) at('username', `${username} is there twice.`);
    seen.add(username.toLowerCase());
    if (!cells['displayName']) at('displayName', 'A display name is needed.');
    for (const [column, text] of Object.entries(cells)) {
      if (text.length > MAX_TEXT && column !== 'departments') at(column, `At most ${MAX_TEXT} characters.`);
    }
    if (cells['gender'] && !GENDERS.has(cells['gender'].toUpperCase()))
      at('gender', `One of ${[...GENDERS].join(', ')}.`);
    if (cells['employmentStatus'] && !EMPLOYMENT.has(cells['employmentStatus'].toUpperCase())) {
      at('employmentStatus', `One of ${[...EMPLOYMENT].join(', ')}.`);
    }
    if (cells['email'] && !/^[^\s@]+@[^\s@]+$/.test(cells['email'])) at('email', 'This is no e-mail address.');
    const manager = cells['manager']?.toLowerCase();
    if (manager && !usernames.has(manager) && !known.has(manager))
      at('manager', `There is nobody with the user name ${cells['manager']}.`);
    const departmentIds = columns.includes('departments') ? placesOf(cells['departments'] ?? '', paths, at) : null;
    const given = Object.entries(cells)
      .filter(([column]) => column.startsWith(EXTENSION_PREFIX))
      .map(([column, value]) => ({ key: column.slice(EXTENSION_PREFIX.length), value }));
    const { values: extension, problems } = mergeExtensionValues(fields, {}, given);
    for (const problem of problems) at(`${EXTENSION_PREFIX}${problem.field.at(-1)}`, problem.message);
    errors.push(...found);
    if (found.length === 0) checked.push({ row: i + 2, values: valuesOf(cells), extension, departmentIds });
  }
  return { checked, errors };
}

function valuesOf(cells: Row): Record<string, string | null> {
  const values = Object.fromEntries(Object.entries(cells).map(([column, text]) => [column, text === '' ? null : text]));
  for (const column of ['gender', 'employmentStatus']) values[column] = values[column]?.toUpperCase() ?? null;
  return values;
}

function placesOf(
  text: string,
  paths: ReadonlyMap<string, string>,
  at: (column: string, message: string) => void,
): string[] {
  const ids: string[] = [];
  for (const path of text
    .split(BETWEEN_PATHS)
    .map((part) => part.trim())
    .filter((part) => part !== '')) {
    const id = paths.get(path);
    if (id) ids.push(id);
    else at('departments', `There is no department ${path}: write names from the top, joined by "${BETWEEN_NAMES}".`);
  }
  return [...new Set(ids)];
}

async function departmentPaths(client: PoolClient, sourceId: string): Promise<Map<string, string>> {
  const { rows } = await client.query(
    `WITH RECURSIVE tree AS (
       SELECT id, name AS path FROM department WHERE identity_source_id = $1 AND parent_id IS NULL
       UNION ALL SELECT d.id, t.path || '${BETWEEN_NAMES}' || d.name FROM department d JOIN tree t ON d.parent_id = t.id
     ) SELECT id, path FROM tree`,
    [sourceId],
  );
  return new Map(rows.map((row) => [row.path, row.id]));
}

async function knownUsernames(client: PoolClient, sourceId: string): Promise<Set<string>> {
  const { rows } = await client.query(
    `SELECT lower(username) AS name FROM employee WHERE identity_source_id = $1 AND status IN ('ACTIVE', 'INACTIVE', 'DISABLED')`,
    [sourceId],
  );
  return new Set(rows.map((row) => row.name));
}

/** Columns of the table by columns of the file. */
const TEXT_COLUMNS: Readonly<Record<string, string>> = {
  displayName: 'display_name',
  englishName: 'english_name',
  position: 'position',
  email: 'email',
  mobile: 'mobile',
  telephone: 'telephone',
  address: 'address',
  gender: 'gender',
};

/** A few statements, however many rows. A column that the file does not have is left as it is. */
async function write(
  client: PoolClient,
  actor: Actor,
  sourceId: string,
  columns: readonly string[],
  rows: readonly CheckedRow[],
): Promise<void> {
  await client.query(`CREATE TEMP TABLE imported (values jsonb, extension jsonb, department_ids jsonb, employee_id uuid, is_new boolean)
    ON COMMIT DROP`);
  await client.query(
    `INSERT INTO imported
     SELECT r.values, r.extension, r."departmentIds", coalesce(e.id, new_id()), e.id IS NULL
       FROM jsonb_to_recordset($1) AS r (values jsonb, extension jsonb, "departmentIds" jsonb)
       LEFT JOIN employee e ON e.identity_source_id = $2 AND lower(e.username) = lower(r.values ->> 'username')
                           AND e.status IN ('ACTIVE', 'INACTIVE', 'DISABLED')`,
    [JSON.stringify(rows), sourceId],
  );
  await client.query(
    `INSERT INTO employee (id, identity_source_id, status, username, display_name)
     SELECT employee_id, $1, 'ACTIVE', values ->> 'username', values ->> 'displayName' FROM imported WHERE is_new`,
    [sourceId],
  );
  const given = columns
    .filter((column) => TEXT_COLUMNS[column])
    .map((column) => `${TEXT_COLUMNS[column]} = i.values ->> '${column}'`);
  if (columns.includes('employmentStatus'))
    given.push(`employment_status = coalesce(i.values ->> 'employmentStatus', 'UNKNOWN')`);
  if (columns.some((column) => column.startsWith(EXTENSION_PREFIX)))
    given.push(`extension_values = e.extension_values || i.extension`);
  await client.query(
    `UPDATE employee e SET ${[...given, 'updated_at = now()'].join(', ')} FROM imported i WHERE i.employee_id = e.id`,
  );
  if (columns.includes('departments')) await writeDepartments(client);
  if (columns.includes('manager')) await writeManagers(client, sourceId);
  await client.query(
    `INSERT INTO employee_change (employee_id, actor, field, value_to)
     SELECT employee_id, $1, CASE WHEN is_new THEN 'created' ELSE 'imported' END, values ->> 'displayName' FROM imported`,
    [actor.name],
  );
}

/** The first department named is the main one. */
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
    `UPDATE employee e SET main_department_id = (i.department_ids ->> 0)::uuid FROM imported i WHERE i.employee_id = e.id`,
  );
}

async function writeManagers(client: PoolClient, sourceId: string): Promise<void> {
  await client.query(
    `UPDATE employee e SET manager_id = boss.id FROM imported i
       LEFT JOIN employee boss ON boss.identity_source_id = $1 AND lower(boss.username) = lower(i.values ->> 'manager')
                              AND boss.status IN ('ACTIVE', 'INACTIVE', 'DISABLED')
      WHERE i.employee_id = e.id AND boss.id IS DISTINCT FROM e.id`,
    [sourceId],
  );
}
