import { Pool } from 'pg';
import { pino } from 'pino';
import { createDataSource } from '../../src/database/data-source';
import { EventLog } from '../../src/events/event-log';
import { PostgresWakeUps } from '../../src/events/wake-ups';
import { SyncRunner } from '../../src/sync/sync-runner';
import { createTestDatabase } from '../setup/databases';

it('a task that the database interrupts is tried for minutes, however often that is, and then says so', async () => {
  const database = await createTestDatabase();
  const dataSource = await createDataSource(database.url).initialize();
  const pool = new Pool({ connectionString: database.url });
  const clock = jest.spyOn(Date, 'now');
  try {
    const [source] = await dataSource.query(
      `INSERT INTO identity_source (type, name, status, wecom_mode, sealed_secret) VALUES ('WECOM', 'W', 'ENABLED', 'SELF_BUILT', 'x') RETURNING id`,
    );
    const [{ id }] = await dataSource.query(
      `INSERT INTO sync_task (identity_source_id, mode, trigger, mappings, settings_version, settings)
       VALUES ($1, 'APPLY', 'MANUAL', '[]', 'v', '{"scope": {"mode": "ALL", "departmentIds": []}}') RETURNING id`,
      [source.id],
    );
    const away = () => Promise.reject(Object.assign(new Error('terminated'), { code: '57P01' }));
    const log = pino({ level: 'silent' });
    const events = new EventLog(dataSource, new PostgresWakeUps(database.url, log), log);
    const runner = new SyncRunner(dataSource, events, away, 30, log);
    const run = () => runner.run(id, new AbortController().signal, pool);
    for (let time = 1; time <= 30; time++) expect(await run()).toBe('HANDED_ON');
    clock.mockReturnValue(Date.now() + 301_000);
    expect(await run()).toBe('FAILED');
    const [task] = await dataSource.query('SELECT status, failure FROM sync_task');
    expect(task).toMatchObject({ status: 'FAILED', failure: { code: 'DATABASE_INTERRUPTED' } });
  } finally {
    clock.mockRestore();
    await pool.end();
    await dataSource.destroy();
    await database.drop();
  }
});
