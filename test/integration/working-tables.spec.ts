import type { DataSource } from 'typeorm';
import { createDataSource } from '../../src/database/data-source';
import { poolOf } from '../../src/database/pool';
import { transaction } from '../../src/database/transaction';
import { type WorkingTables, withWorkingTables, workingTable } from '../../src/database/working-tables';
import { createTestDatabase } from '../setup/databases';

describe('working tables', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    // With one connection, so that each piece of work meets what the former one has left.
    dataSource = await createDataSource(database.url)
      .setOptions({ extra: { max: 1 } })
      .initialize();
  });
  afterEach(() => dataSource.destroy());

  const numbers = (count: number) => workingTable('number', `SELECT n FROM generate_series(1, ${count}) n`, ['n']);
  const broken = workingTable('broken', 'SELECT 1 / 0 AS n');

  /** Temporary tables of all sessions. One that was ended drops its own a moment later. */
  const left = async () => {
    const other = await createDataSource(database.url)
      .setOptions({ extra: { max: 1 } })
      .initialize();
    const rows = await other.query(`SELECT oid::int FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'`);
    await other.destroy();
    return rows.map((row: { oid: number }) => row.oid);
  };
  const untilGone = async () => {
    while ((await left()).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  const countNumbers = async ({ client }: WorkingTables) =>
    (await client.query('SELECT count(*)::int AS total FROM number')).rows[0].total;

  it('outlast the transactions of one piece of work', async () => {
    const seen = await withWorkingTables(dataSource, async (tables) => {
      expect(await transaction(tables.client, () => tables.fill(numbers(3)))).toBe(3);
      return transaction(tables.client, () => countNumbers(tables));
    });
    expect(seen).toBe(3);
  });

  it('are the same for the next piece of work, which meets no row of the former one', async () => {
    await withWorkingTables(dataSource, (tables) => tables.fill(numbers(3)));
    const made = await left();
    const seen = await withWorkingTables(dataSource, async (tables) => {
      await tables.leaveEmpty(numbers(1));
      const before = await countNumbers(tables);
      await tables.fill(numbers(2));
      return [before, await countNumbers(tables)];
    });
    expect(seen).toEqual([0, 2]);
    expect(made).toHaveLength(1);
    expect(await left()).toEqual(made);
  });

  it('are made anew once they have held many rows', async () => {
    await withWorkingTables(dataSource, (tables) => tables.fill(numbers(100_000)));
    expect(await left()).toEqual([]);
    expect(await withWorkingTables(dataSource, (tables) => tables.fill(numbers(1)))).toBe(1);
  });

  it('are there, without rows, for statements that look into what nothing was collected for', async () => {
    const seen = await withWorkingTables(dataSource, async (tables) => {
      await tables.leaveEmpty(numbers(5));
      return countNumbers(tables);
    });
    expect(seen).toBe(0);
  });

  it.each(['in a transaction', 'between two'])('are dropped when the work fails %s', async (where) => {
    const failing = withWorkingTables(dataSource, async (tables) => {
      await transaction(tables.client, () => tables.fill(numbers(3)));
      if (where === 'in a transaction') await transaction(tables.client, () => tables.fill(broken));
      throw new Error('The work failed.');
    });
    await expect(failing).rejects.toThrow(where === 'in a transaction' ? 'division by zero' : 'The work failed.');
    expect(await left()).toEqual([]);
    expect(await withWorkingTables(dataSource, (tables) => tables.fill(numbers(4)))).toBe(4);
  });

  it('go with the connection where they cannot be emptied', async () => {
    const unfinished = withWorkingTables(dataSource, async ({ client }) => {
      await client.query('CREATE TEMP TABLE a AS SELECT 1');
      await client.query('BEGIN');
      await client.query('SELECT 1 / 0');
    });
    await expect(unfinished).rejects.toThrow('division by zero');
    expect(poolOf(dataSource).idleCount).toBe(0);
    await untilGone();
  });

  it('go with a connection that PostgreSQL ends between two transactions, and the work fails', async () => {
    const interrupted = withWorkingTables(dataSource, async (tables) => {
      const { client } = tables;
      await tables.fill(numbers(3));
      const [{ pid }] = (await client.query('SELECT pg_backend_pid() AS pid')).rows;
      const ended = new Promise((resolve) => client.once('end', resolve));
      const other = await createDataSource(database.url).initialize();
      await other.query('SELECT pg_terminate_backend($1)', [pid]);
      await other.destroy();
      await ended;
      await transaction(client, () => countNumbers(tables));
    });
    await expect(interrupted).rejects.toThrow(/connection/i);
    await untilGone();
  });
});
