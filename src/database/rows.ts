import type { Pool } from 'pg';
import type { DataSource } from 'typeorm';

/**
 * Rows of one SELECT, straight from the pool: without the query runner that TypeORM makes for each statement, which costs a page
 * of the API more than its rows do.
 */
export async function selectRows<Row>(
  dataSource: DataSource,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const pool: Pool = (dataSource.driver as unknown as { master: Pool }).master;
  return (await pool.query(text, [...values])).rows as Row[];
}
