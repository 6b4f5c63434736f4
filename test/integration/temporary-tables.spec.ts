import type { DataSource } from 'typeorm';
import { createDataSource } from '../../src/database/data-source';
import { poolOf } from '../../src/database/pool';
import { transaction, withTemporaryTables } from '../../src/database/transaction';
import { createTestDatabase } from '../setup/databases';

describe('temporary tables', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = await createDataSource(database.url).initialize();
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const left = () => dataSource.query(`SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'`);

  /** A session that was ended drops its tables a moment later. */
  const untilGone = async () => {
    while ((await left()).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it('outlast the transactions of one piece of work, and are gone after it', async () => {
    const seen = await withTemporaryTables(dataSource, async (client) => {
      await transaction(client, () => client.query('CREATE TEMP TABLE a AS SELECT 1'));
      return transaction(client, async () => (await client.query('SELECT * FROM a')).rowCount);
    });
    expect(seen).toBe(1);
    expect(await left()).toEqual([]);
  });

  it.each(['in a transaction', 'between two'])('are gone when the work fails %s', async (where) => {
    const failing = withTemporaryTables(dataSource, async (client) => {
      await transaction(client, () => client.query('CREATE TEMP TABLE a AS SELECT 1'));
      if (where === 'in a transaction')
        await transaction(client, () => client.query('CREATE TEMP TABLE b AS SELECT 1 / 0'));
      throw new Error('The work failed.');
    });
    await expect(failing).rejects.toThrow(where === 'in a transaction' ? 'division by zero' : 'The work failed.');
    expect(await left()).toEqual([]);
    expect(poolOf(dataSource).totalCount).toBeGreaterThan(0);
  });

  it('go with the connection where they cannot be dropped', async () => {
    await withTemporaryTables(dataSource, async (client) => {
      await client.query('CREATE TEMP TABLE a AS SELECT 1');
      await client.query('BEGIN');
      await expect(client.query('SELECT 1 / 0')).rejects.toThrow('division by zero');
    });
    expect(poolOf(dataSource).idleCount).toBe(0);
    await untilGone();
  });

  it('go with a connection that PostgreSQL ends between two transactions, and the work fails', async () => {
    const interrupted = withTemporaryTables(dataSource, async (client) => {
      await client.query('CREATE TEMP TABLE a AS SELECT 1');
      const [{ pid }] = (await client.query('SELECT pg_backend_pid() AS pid')).rows;
      const ended = new Promise((resolve) => client.once('end', resolve));
      await dataSource.query('SELECT pg_terminate_backend($1)', [pid]);
      await ended;
      await transaction(client, () => client.query('SELECT * FROM a'));
    });
    await expect(interrupted).rejects.toThrow(/connection/i);
    await untilGone();
  });
});
