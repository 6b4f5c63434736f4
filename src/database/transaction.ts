import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';

/** One transaction on a connection of its own; rolled back when `work` throws. For bulk SQL and COPY. */
export async function inTransaction<T>(dataSource: DataSource, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const runner = dataSource.createQueryRunner();
  const client: PoolClient = await runner.connect();
  try {
    return await transaction(client, () => work(client));
  } finally {
    await runner.release();
  }
}

/** One transaction on a connection that the caller has; rolled back when `work` throws. */
export async function transaction<T>(client: PoolClient, work: () => Promise<T>): Promise<T> {
  try {
    await client.query('BEGIN');
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A broken connection cannot roll back; PostgreSQL has done so by itself.
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
