import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import type { CsvRow } from '../platform/csv';
import { isStorable } from '../platform/storable-text';
import { type DepartmentPaths, namesNoMain, splitPaths } from './department-paths';
import { type ExtensionRules, mergeExtensionValues } from './extension-values';

/** What is wrong with one row. */
export interface RowError {
  /** Counted as in a spreadsheet: the header is row 1. */
  readonly row: number;
  readonly column: string | null;
  readonly message: string;
}

/** A row that can be written. */
export interface CheckedRow {
  readonly row: number;
  readonly username: string;
  /** By column; null clears. A column that the file does not have is left as it is. */
  readonly values: Readonly<Record<string, string | null>>;
  /** All extension values that the person will have. */
  readonly extension: Readonly<Record<string, string>>;
  readonly departmentIds: readonly string[] | null;
  readonly mainDepartmentId: string | null;
  readonly leaderOf: readonly string[] | null;
}

export interface KnownPerson {
  readonly extensionValues: Readonly<Record<string, string>>;
}

/** What rows are checked against. */
export interface RowContext {
  readonly columns: readonly string[];
  readonly fields: readonly ExtensionRules[];
  readonly paths: DepartmentPaths;
  /** People who are here, by user name in lower case. */
  readonly known: ReadonlyMap<string, KnownPerson>;
  /** User names of the whole file, in lower case. */
  readonly inFile: ReadonlySet<string>;
  /** Rows by the user names that were checked so far; added to. */
  readonly seen: Map<string, number>;
}

const MAX_TEXT = 256;
const ENUMERATIONS: Readonly<Record<string, readonly string[]>> = {
  gender: ['MALE', 'FEMALE', 'UNKNOWN'],
  employmentStatus: ['REGULAR', 'PROBATION', 'INTERN', 'CONTRACTOR', 'ON_LEAVE', 'LEFT', 'UNKNOWN'],
};
const PERSONAL = ['email', 'mobile', 'telephone', 'address'];
const TEXTS = ['username', 'displayName', 'englishName', 'position', ...PERSONAL];

/** Everything that is wrong with a row at once, and what it says where nothing is. */
export function checkRow(context: RowContext, { row, cells }: CsvRow): { value: CheckedRow; problems: RowError[] } {
  const problems: RowError[] = [];
  const at = (column: string | null, message: string) => problems.push({ row, column, message });
  const { columns } = context;
  const more = cells.slice(columns.length).filter((cell) => cell !== '').length;
  if (more > 0) {
    at(null, `There are ${more} cells more than the header names: a cell with a separator in it needs quotes.`);
  }
  const of = (column: string) => cells[columns.indexOf(column)] ?? '';
  const username = of('username');
  checkNames(context, row, username, of('displayName'), at);
  for (const [i, column] of columns.entries()) checkCell(column, cells[i] ?? '', at);
  checkManager(context, username, of('manager'), at);
  const departmentIds = placesOf(context, 'departments', of('departments'), at);
  const mainDepartmentId = namesNoMain(of('departments')) ? null : (departmentIds?.[0] ?? null);
  const leaderOf = placesOf(context, 'leaderOf', of('leaderOf'), at);
  if (departmentIds && leaderOf?.some((id) => !departmentIds.includes(id))) {
    at('leaderOf', 'Who leads a department is in it: name it in departments too.');
  }
  const given = columns.flatMap((column, i) =>
    column.startsWith(EXTENSION_PREFIX) ? [{ key: column.slice(EXTENSION_PREFIX.length), value: cells[i] ?? '' }] : [],
  );
  const former = context.known.get(username.toLowerCase())?.extensionValues ?? {};
  const extension = mergeExtensionValues(context.fields, former, given);
  for (const problem of extension.problems) at(`${EXTENSION_PREFIX}${problem.field.at(-1)}`, problem.message);
  const values = Object.fromEntries(columns.map((column, i) => [column, storedText(column, cells[i] ?? '')]));
  const places = { departmentIds, mainDepartmentId, leaderOf };
  return { value: { row, username, values, extension: extension.values, ...places }, problems };
}

type At = (column: string | null, message: string) => void;

function checkNames(context: RowContext, row: number, username: string, displayName: string, at: At): void {
  if (username === '') at('username', 'A user name is needed.');
  else {
    const former = context.seen.get(username.toLowerCase());
    if (former !== undefined) at('username', `${username} is there twice: row ${former} has it too.`);
    else context.seen.set(username.toLowerCase(), row);
  }
  if (displayName === '') at('displayName', 'A display name is needed.');
}

function checkCell(column: string, text: string, at: At): void {
  if (text === '') return;
  if (!isStorable(text)) at(column, 'This has a character that cannot be stored.');
  if (TEXTS.includes(column) && text.length > MAX_TEXT) at(column, `At most ${MAX_TEXT} characters.`);
  const allowed = ENUMERATIONS[column];
  if (allowed && !allowed.includes(text.toUpperCase())) at(column, `One of ${allowed.join(', ')}.`);
  if (PERSONAL.includes(column) && text.includes('***')) {
    at(column, 'This value is masked: take a file that was exported with a role that sees it whole.');
  } else if (column === 'email' && !/^[^\s@]+@[^\s@]+$/.test(text)) at(column, 'This is no e-mail address.');
}

function checkManager({ known, inFile }: RowContext, username: string, manager: string, at: At): void {
  if (manager === '') return;
  const name = manager.toLowerCase();
  if (name === username.toLowerCase()) at('manager', 'Nobody manages themselves.');
  else if (!known.has(name) && !inFile.has(name)) at('manager', `There is nobody with the user name ${manager}.`);
}

/** Null where the file has no such column. */
function placesOf({ columns, paths }: RowContext, column: string, cell: string, at: At): string[] | null {
  if (!columns.includes(column)) return null;
  const ids: string[] = [];
  for (const path of splitPaths(cell)) {
    const found = paths.find(path);
    if ('id' in found) ids.push(found.id);
    else at(column, found.problem);
  }
  return [...new Set(ids)];
}

function storedText(column: string, text: string): string | null {
  if (text === '') return null;
  return column in ENUMERATIONS ? text.toUpperCase() : text;
}
