import { hash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { poolOf } from './pool';

/** Reads the rows of one SELECT. */
export type SelectRows = <Row>(dataSource: DataSource, text: string, values?: readonly unknown[]) => Promise<Row[]>;

/**
 * Rows of one SELECT, straight from the pool: without the query runner that TypeORM makes for each statement, which costs a page
 * of the API more than its rows do.
 */
export const selectRows: SelectRows = async (dataSource, text, values = []) =>
  (await poolOf(dataSource).query(text, [...values])).rows;

/**
 * The same by a prepared statement of the connection, which PostgreSQL parses and plans once instead of each time. For texts
 * that are written in the code: each stays prepared for as long as its connection lives.
 */
export const selectPrepared: SelectRows = async (dataSource, text, values = []) =>
  (await poolOf(dataSource).query({ name: nameOf(text), text, values: [...values] })).rows;

const names = new Map<string, string>();

/** PostgreSQL tells statements apart by the first 63 bytes of their names. */
function nameOf(text: string): string {
  const name = names.get(text) ?? hash('sha1', text);
  names.set(text, name);
  return name;
}
