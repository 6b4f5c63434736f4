import { CsvError, parse } from 'csv-parse/sync';

/** Spreadsheets read such a beginning as a formula. Source: owasp.org/www-community/attacks/CSV_Injection */
const FORMULA = /^'*[=+\-@\t\r]/;
const GUARDED = /^'+[=+\-@\t\r]/;
/** In the order in which they are tried. */
const DELIMITERS = [',', ';', '\t'] as const;

/** One cell: never a formula, quoted where it must be. `parseCsv` reads it back as it was. Source: RFC 4180 */
export function csvCell(value: string | null): string {
  if (value === null) return '';
  const harmless = FORMULA.test(value) ? `'${value}` : value;
  return /[",;\t\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** A CSV text that cannot be read; the message says what to do. */
export class CsvProblem extends Error {}

/** A file's lines, as a spreadsheet counts them. */
export interface CsvTable {
  readonly columns: readonly string[];
  readonly rows: readonly CsvRow[];
}

export interface CsvRow {
  /** The header is row 1. */
  readonly row: number;
  readonly cells: readonly string[];
}

/**
 * Reads a CSV text with a header: commas, semicolons or tabs between cells, with or without a byte order mark, cells in quotes
 * or not. Cells lose the spaces around them and the guard that `csvCell` put before formulas; empty lines are left out. Pure.
 * @throws CsvProblem
 */
export function parseCsv(text: string): CsvTable {
  requireText(text);
  const body = text.replace(/^\ufeff/, '');
  const [told, separator] = /^"?sep=([,;\t])"?\r?\n/i.exec(body) ?? [];
  const delimiter = separator ?? likelyDelimiter(body);
  const lines = readLines(told ? body.slice(told.length) : body, delimiter);
  const before = told ? 2 : 1;
  const [columns = [], ...rest] = lines.map((cells) => cells.map((cell) => unguarded(cell.trim())));
  const twice = columns.find((column, i) => column !== '' && columns.indexOf(column) !== i);
  if (twice !== undefined) throw new CsvProblem(`The first line names the column ${twice} twice.`);
  const rows = rest.map((cells, i) => ({ row: i + 1 + before, cells }));
  return { columns, rows: rows.filter(({ cells }) => cells.some((cell) => cell !== '')) };
}

function requireText(text: string): void {
  // What was not UTF-8 has been replaced by this mark on the way here.
  const broken = text.search(/[\ufffd\0]/);
  if (broken < 0) return;
  const line = text.slice(0, broken).split('\n').length;
  throw new CsvProblem(
    `The file is not encoded in UTF-8 (line ${line} has characters that cannot be read); a file of a Chinese Windows is often GBK. Save it as "CSV UTF-8" and send it again.`,
  );
}

/** The delimiter that is outside of quotes most often in the first line. */
function likelyDelimiter(text: string): string {
  const [first = ''] = text.split(/\r?\n/, 1);
  const bare = first.replace(/"(?:[^"]|"")*"/g, '');
  const count = (delimiter: string) => bare.split(delimiter).length;
  return DELIMITERS.reduce<string>((best, next) => (count(next) > count(best) ? next : best), ',');
}

function readLines(text: string, delimiter: string): string[][] {
  try {
    return parse(text, { delimiter, relax_column_count: true, trim: delimiter !== '\t', skip_empty_lines: false });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new CsvProblem(`The text is no CSV: ${error.message}`);
  }
}

function unguarded(cell: string): string {
  return GUARDED.test(cell) ? cell.slice(1) : cell;
}
