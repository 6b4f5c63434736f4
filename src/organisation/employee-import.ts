import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../access/actor';
import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import { CsvProblem, type CsvTable, parseCsv } from '../platform/csv';
import { type Changed, changeOrganisation, makeFindable, refuse } from './change';
import { requireCustom } from './department.service';
import { DepartmentPaths } from './department-paths';
import { IMPORT_COLUMNS, MAX_ROWS, READ_ONLY_COLUMNS } from './employee-file';
import { type CheckedRow, checkRow, type KnownPerson, type RowContext, type RowError } from './employee-import.row';
import { takenUniqueValues, writeImported } from './employee-import.write';
import { PRESENT } from './organisation.entity';

/** What an import did, or would do. */
export interface ImportResult {
  readonly rows: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly errors: readonly RowError[];
}

/** Ends a dry run's transaction without a change, with what it would have been. */
class DryRunEnded extends Error {
  constructor(readonly result: ImportResult) {
    super('dry run');
  }
}

/**
 * Adds and changes people of a custom source from a CSV text: matched by user name, departments named by their paths. All rows
 * or none: nothing is written while a row is wrong. A dry run does the same and takes it back, so that it tells exactly what
 * would happen. The same file twice changes nothing the second time.
 */
export async function importEmployees(
  dataSource: DataSource,
  actor: Actor,
  identitySourceId: string,
  csv: string,
  dryRun: boolean,
): Promise<Changed<ImportResult>> {
  try {
    return await changeOrganisation(dataSource, identitySourceId, async (client) => {
      await requireCustom(client, identitySourceId);
      const result = await importTable(client, actor, identitySourceId, readTable(csv));
      if (dryRun) throw new DryRunEnded(result);
      return result;
    });
  } catch (error) {
    if (error instanceof DryRunEnded) return { value: error.result };
    throw error;
  }
}

function readTable(csv: string): CsvTable {
  try {
    const table = parseCsv(csv);
    requireKnownColumns(table);
    return table;
  } catch (error) {
    if (error instanceof CsvProblem) return refuse('INVALID_INPUT', error.message, 'csv');
    throw error;
  }
}

function requireKnownColumns({ columns, rows }: CsvTable): void {
  const known: readonly string[] = [...IMPORT_COLUMNS, ...READ_ONLY_COLUMNS];
  const unknown = columns.filter((column) => !known.includes(column) && !column.startsWith(EXTENSION_PREFIX));
  const there = `There are ${IMPORT_COLUMNS.join(', ')} and ${EXTENSION_PREFIX}<key>`;
  if (unknown.length > 0) {
    const names = unknown.slice(0, 10).map((column) => (column === '' ? '(empty)' : column.slice(0, 40)));
    throw new CsvProblem(`Unknown columns: ${names.join(', ')}. ${there}, separated by commas, semicolons or tabs.`);
  }
  for (const required of IMPORT_COLUMNS.slice(0, 2)) {
    if (!columns.includes(required)) throw new CsvProblem(`The first line must name the column ${required}. ${there}.`);
  }
  if (rows.length > MAX_ROWS) {
    throw new CsvProblem(`At most ${MAX_ROWS} rows at once; there are ${rows.length}. Send them in several files.`);
  }
}

async function importTable(
  client: PoolClient,
  actor: Actor,
  sourceId: string,
  { columns, rows }: CsvTable,
): Promise<ImportResult> {
  const context = await readContext(client, sourceId, columns, rows);
  requireKnownFields(context);
  const errors: RowError[] = [];
  const checked: CheckedRow[] = [];
  for (const row of rows) {
    const { value, problems } = checkRow(context, row);
    errors.push(...problems);
    if (problems.length === 0) checked.push(value);
  }
  errors.push(...(await takenUniqueValues(client, sourceId, columns, checked)));
  errors.sort((a, b) => a.row - b.row);
  const known = checked.filter(({ username }) => context.known.has(username.toLowerCase())).length;
  const counts = { rows: rows.length, created: checked.length - known, errors };
  if (errors.length > 0) return { ...counts, updated: known, unchanged: 0 };
  const written = await writeImported(client, actor, sourceId, columns);
  await makeFindable(client, written.touched);
  return { ...counts, updated: written.updated, unchanged: known - written.updated };
}

function requireKnownFields({ columns, fields }: RowContext): void {
  const known = fields.map(({ key }) => EXTENSION_PREFIX + key);
  const unknown = columns.filter((column) => column.startsWith(EXTENSION_PREFIX) && !known.includes(column));
  if (unknown.length === 0) return;
  const message = `No extension field of employees is called ${unknown.join(', ')}: make it first, or leave the column out.`;
  refuse('INVALID_INPUT', message, 'csv');
}

async function readContext(
  client: PoolClient,
  sourceId: string,
  columns: readonly string[],
  rows: CsvTable['rows'],
): Promise<RowContext> {
  const { rows: fields } = await client.query(
    `SELECT key, display_name AS "displayName", type, options, required FROM extension_field WHERE object_type = 'EMPLOYEE'`,
  );
  const { rows: people } = await client.query<KnownPerson & { name: string }>(
    `SELECT lower(username) AS name, extension_values AS "extensionValues" FROM employee
      WHERE identity_source_id = $1 AND status IN ${PRESENT}`,
    [sourceId],
  );
  const at = columns.indexOf('username');
  return {
    columns,
    fields,
    paths: await DepartmentPaths.of(client, sourceId),
    known: new Map(people.map(({ name, extensionValues }) => [name, { extensionValues }])),
    inFile: new Set(rows.map(({ cells }) => (cells[at] ?? '').toLowerCase())),
    seen: new Map(),
  };
}
