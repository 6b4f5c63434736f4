import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

/** A column's value in a COPY row; arrays become PostgreSQL arrays. */
export type CopyValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Writes lines of COPY's text format. `target` is a table with its columns and comes from code, never from input. */
export async function copyLines(client: PoolClient, target: string, lines: readonly Buffer[]): Promise<void> {
  await pipeline(Readable.from(lines), client.query(copyFrom(`COPY ${target} FROM STDIN`)));
}

/** One row in COPY's text format. Source: postgresql.org/docs/18/sql-copy.html, "Text Format" */
export function copyLine(row: readonly CopyValue[]): string {
  let line = copyText(row[0] ?? null);
  for (let i = 1; i < row.length; i++) line += `\t${copyText(row[i] ?? null)}`;
  return `${line}\n`;
}

function copyText(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value === 'string') return escapeText(value);
  if (typeof value === 'object') return escapeText(arrayLiteral(value));
  return String(value);
}

function escapeText(text: string): string {
  return /[\\\n\r\t]/.test(text) ? text.replace(/[\\\n\r\t]/g, (c) => ESCAPES[c] ?? c) : text;
}

function arrayLiteral(values: readonly (string | number | boolean | null)[]): string {
  return `{${values
    .map((v) => (v === null ? 'NULL' : typeof v === 'string' ? `"${v.replace(/["\\]/g, '\\$&')}"` : String(v)))
    .join(',')}}`;
}
