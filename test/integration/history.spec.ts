import { Client } from 'pg';
import { pino } from 'pino';
import type { DataSource } from 'typeorm';
import { createDataSource, migrate } from '../../src/database/data-source';
import { type Moment, momentOf, rowsOf, VERSIONED_COLUMNS, type VersionedTable } from '../../src/organisation/history';
import { Retention } from '../../src/sync/task/retention';
import { createTestDatabase } from '../setup/databases';

type Queryable = { query(text: string): Promise<unknown> };

describe('former versions', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  let source: string;
  let clients: Client[];

  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await createDataSource(database.url).initialize();
    [{ id: source }] = await dataSource.query(
      `INSERT INTO identity_source (type, name, status) VALUES ('CUSTOM', '自定义', 'CLOSED') RETURNING id`,
    );
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) await client.end();
    await dataSource.destroy();
    await database.drop();
  });

  const connect = async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    clients.push(client);
    return client;
  };
  const person = async (username: string, from: Queryable = dataSource): Promise<void> => {
    await from.query(
      `INSERT INTO employee (identity_source_id, username, display_name, status) VALUES ('${source}', '${username}', '', 'ACTIVE')`,
    );
  };
  const rename = (username: string, name: string, from: Queryable = dataSource) =>
    from.query(`UPDATE employee SET display_name = '${name}', updated_at = now() WHERE username = '${username}'`);
  /** The moment after everything that has been committed, however coarse a Date is. */
  const now = async (): Promise<Moment> => {
    await dataSource.query('SELECT pg_sleep(0.002)');
    return momentOf(dataSource, new Date());
  };
  const names = async (moment: Moment): Promise<Record<string, string>> => {
    const rows = await dataSource.query(`SELECT username, display_name AS name FROM ${rowsOf('employee', moment)} e`);
    return Object.fromEntries(rows.map((row: { username: string; name: string }) => [row.username, row.name]));
  };
  const versions = async (table: VersionedTable = 'employee'): Promise<number> => {
    const [row] = await dataSource.query(`SELECT count(*)::int AS n FROM ${table}_version`);
    return row.n;
  };

  it('are read by all columns that there are', async () => {
    for (const [table, columns] of Object.entries(VERSIONED_COLUMNS)) {
      const of = async (name: string): Promise<string[]> => {
        const rows = await dataSource.query(
          `SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`,
          [name],
        );
        return rows.map((row: { name: string }) => row.name);
      };
      const read = columns.split(',').map((column) => column.trim().replaceAll('"', ''));
      const kept = await of(`${table}_version`);
      expect([...read, 'since', 'until'].sort()).toEqual([...kept].sort());
      // Triggers copy whole rows, so the order has to be the same.
      if (table !== 'link') expect(kept).toEqual(['until', ...(await of(table))]);
    }
  });

  it('of many rows are not found by the plan that a session made for one', async () => {
    const client = await connect();
    await client.query(
      `INSERT INTO employee (identity_source_id, username, display_name, status)
       SELECT '${source}', 'user' || i, '', 'ACTIVE' FROM generate_series(1, 2000) i`,
    );
    await client.query('ANALYZE employee');
    await rename('user1', 'A', client);
    // The plans of statements within functions are seen by this module alone; it tells the client of them.
    await client.query(`LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
                        SET auto_explain.log_level = notice`);
    const plans: string[] = [];
    client.on('notice', ({ message }) => plans.push(message ?? ''));
    await client.query(`UPDATE employee SET display_name = 'B'`);
    const [plan, ...more] = plans.filter((text) => text.includes('INSERT INTO employee_version'));
    expect(more).toEqual([]);
    expect(plan).toContain('Named Tuplestore Scan');
    expect(plan).not.toContain('Nested Loop');
    expect(await versions()).toBe(2001);
  });

  it('are kept from the migration on in a database that has an organisation, and that database goes back as well', async () => {
    const exists = async (): Promise<boolean> =>
      (await dataSource.query(`SELECT to_regclass('organisation_change') IS NOT NULL AS here`))[0].here;
    await person('former');
    await rename('former', 'F');
    await dataSource.query('DELETE FROM employee');
    await person('ada');
    while (await exists()) await dataSource.undoLastMigration();
    await rename('ada', 'A');
    const before = new Date();
    await dataSource.query('SELECT pg_sleep(0.002)');
    await migrate(dataSource);
    expect([await names(await now()), await versions()]).toEqual([{ ada: 'A' }, 0]);
    const moment = await now();
    await rename('ada', 'B');
    expect([await names(moment), await names(await now())]).toEqual([{ ada: 'A' }, { ada: 'B' }]);
    await expect(momentOf(dataSource, before)).rejects.toThrow(/What was before .* is not kept/);
  });

  it('are written for what changes, once for each transaction, and not for what is only touched', async () => {
    await person('ada');
    const first = await now();
    await dataSource.query(`UPDATE employee SET updated_at = now() + interval '1 hour'`);
    await dataSource.query(`UPDATE employee SET display_name = display_name, status = status`);
    expect(await versions()).toBe(0);
    const client = await connect();
    await client.query('BEGIN');
    for (const name of ['a', 'b', 'c']) await rename('ada', name, client);
    await person('eve', client);
    await rename('eve', 'e', client);
    await client.query(`DELETE FROM employee WHERE username = 'eve'`);
    await client.query('COMMIT');
    expect(await versions()).toBe(1);
    const second = await now();
    await dataSource.query('DELETE FROM employee');
    expect([await names(first), await names(second), await names(await now())]).toEqual([
      { ada: '' },
      { ada: 'c' },
      {},
    ]);
    await person('ada');
    expect([await names(second), await names(await now())]).toEqual([{ ada: 'c' }, { ada: '' }]);
  });

  it('are not written by what was rolled back, in whole or to a savepoint', async () => {
    await person('ada');
    const client = await connect();
    await client.query('BEGIN');
    await rename('ada', 'a', client);
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    await client.query('SAVEPOINT s');
    await rename('ada', 'b', client);
    await client.query('ROLLBACK TO s');
    await rename('ada', 'c', client);
    await client.query('COMMIT');
    expect(await versions()).toBe(1);
    expect(await names(await now())).toEqual({ ada: 'c' });
  });

  it('end and begin at the commit: a transaction that began before and ended later counts later', async () => {
    await person('ada');
    await person('bob');
    const moments = [await now()];
    const [long, short] = [await connect(), await connect()];
    await long.query('BEGIN');
    await rename('ada', 'long', long);
    await rename('bob', 'short', short);
    moments.push(await now());
    // The same row, by the transaction that began to write first and commits last.
    await rename('bob', 'long', long);
    moments.push(await now());
    await long.query('COMMIT');
    moments.push(await now());
    await rename('ada', 'after');
    moments.push(await now());
    const seen = [
      { ada: '', bob: '' },
      { ada: '', bob: 'short' },
      { ada: '', bob: 'short' },
      { ada: 'long', bob: 'long' },
      { ada: 'after', bob: 'long' },
    ];
    // What was answered at the time is answered afterwards, asked by the time alone.
    expect(await Promise.all(moments.map(names))).toEqual(seen);
    const again = await Promise.all(moments.map(({ at }) => momentOf(dataSource, at)));
    expect(await Promise.all(again.map(names))).toEqual(seen);
  });

  it('have an order although many transactions commit within one microsecond, or the clock goes back', async () => {
    await person('ada');
    // As if the clock had been an hour ahead.
    await dataSource.query(`UPDATE organisation_change SET at = now() + interval '1 hour' WHERE number > 0`);
    const writers = await Promise.all([1, 2, 3, 4].map(connect));
    await Promise.all(
      writers.map(async (client, w) => {
        for (let i = 0; i < 25; i++) await rename('ada', `${w}-${i}`, client);
      }),
    );
    const [{ total, distinct, misplaced }] = await dataSource.query(
      `SELECT count(*)::int AS total, count(DISTINCT at)::int AS distinct,
              (SELECT count(*)::int FROM employee_version a JOIN employee_version b ON b.since = a.until
                 JOIN organisation_change s ON s.number = a.until JOIN organisation_change u ON u.number = b.until WHERE u.at <= s.at) AS misplaced
         FROM organisation_change WHERE number > 0`,
    );
    expect({ total, distinct, misplaced }).toEqual({ total: 101, distinct: 101, misplaced: 0 });
    expect(await versions()).toBe(100);
  });

  it('are written in one statement for a hundred thousand rows, cascades and upserts included', async () => {
    const [{ id: department }] = await dataSource.query(
      `INSERT INTO department (identity_source_id, name) VALUES ($1, '部门') RETURNING id`,
      [source],
    );
    await dataSource.query(
      `INSERT INTO employee (identity_source_id, username, display_name, status, main_department_id)
       SELECT $1, 'u' || n, 'u' || n, 'ACTIVE', $2 FROM generate_series(1, 300) n`,
      [source, department],
    );
    await dataSource.query(`INSERT INTO membership (employee_id, department_id) SELECT id, $1 FROM employee`, [
      department,
    ]);
    const before = await now();
    await dataSource.query(
      `INSERT INTO membership (employee_id, department_id, is_leader) SELECT id, $1, username = 'u1' FROM employee
       ON CONFLICT (employee_id, department_id) DO UPDATE SET is_leader = excluded.is_leader`,
      [department],
    );
    expect(await versions('membership')).toBe(1);
    await dataSource.query('DELETE FROM department WHERE id = $1', [department]);
    expect([await versions('department'), await versions('membership'), await versions()]).toEqual([1, 301, 300]);
    const leaders = async (moment: Moment): Promise<unknown> =>
      dataSource.query(
        `SELECT count(*)::int AS members, count(*) FILTER (WHERE m.is_leader)::int AS leaders, count(e.main_department_id)::int AS main
           FROM ${rowsOf('membership', moment)} m JOIN ${rowsOf('employee', moment)} e ON e.id = m.employee_id
           JOIN ${rowsOf('department', moment)} d ON d.id = m.department_id`,
      );
    expect(await leaders(before)).toEqual([{ members: 300, leaders: 0, main: 300 }]);
    expect(await leaders(await now())).toEqual([{ members: 0, leaders: 0, main: 0 }]);
  });

  it('keep what a directory called an object, through another id and through its removal', async () => {
    const local = '00000000-0000-7000-8000-000000000001';
    const externalId = async (moment: Moment) =>
      (
        await dataSource.query(`SELECT external_id AS id FROM ${rowsOf('link', moment)} l WHERE local_id = $1`, [local])
      )[0]?.id;
    await dataSource.query(
      `INSERT INTO link (identity_source_id, kind, external_key, external_id, local_id, read_at) VALUES ($1, 'EMPLOYEE', 'ada', 'Ada', $2, now())`,
      [source, local],
    );
    const moments = [await now()];
    await dataSource.query(`UPDATE link SET read_at = now(), hash = 'x'`);
    await dataSource.query(`UPDATE link SET external_key = 'ada2', external_id = 'Ada2'`);
    moments.push(await now());
    await dataSource.query('DELETE FROM link');
    moments.push(await now());
    expect(await Promise.all(moments.map(externalId))).toEqual(['Ada', 'Ada2', undefined]);
    expect(await versions('link')).toBe(2);
  });

  it('go once nobody can ask for them, and a quiet time is still answered', async () => {
    await person('ada');
    await rename('ada', 'a');
    const between = new Date(Date.now() - 50 * 86_400_000);
    await rename('ada', 'b');
    await person('bob');
    await rename('ada', 'c');
    // A hundred days of history: changes 100, 80, 60 (both), and one of today.
    await dataSource.query(
      `UPDATE organisation_change SET at = now() - interval '1 day' * (CASE number WHEN 5 THEN 0 WHEN 4 THEN 60 WHEN 3 THEN 60.1 ELSE 120 - 20 * number END)
        WHERE number > 0`,
    );
    const asked = async () => names(await momentOf(dataSource, between));
    expect(await asked()).toEqual({ ada: 'b', bob: '' });
    const days = { eventDays: 1, recordDays: 1, historyDays: 55 };
    const deleted = await new Retention(dataSource, days, pino({ level: 'silent' })).cleanUp();
    expect(deleted).toMatchObject({ employee_version: 2, organisation_change: 4 });
    expect(await asked()).toEqual({ ada: 'b', bob: '' });
    expect(await names(await now())).toEqual({ ada: 'c', bob: '' });
    const before = new Date(Date.now() - 56 * 86_400_000);
    await expect(momentOf(dataSource, before)).rejects.toThrow(/What was before .* is not kept/);
  });
});
