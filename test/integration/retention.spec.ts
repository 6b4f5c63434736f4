import { pino } from 'pino';
import { createDataSource } from '../../src/database/data-source';
import { Retention } from '../../src/sync/task/retention';
import { createTestDatabase } from '../setup/databases';
import { change, connectSource, recordsOf, startRollcall, synchronize, user } from '../setup/rollcall';

it('what has outlived its use goes; the last snapshot and recent records stay', async () => {
  const rollcall = await startRollcall();
  const dataSource = await createDataSource(rollcall.database.url).initialize();
  try {
    const source = await connectSource(rollcall);
    const old = await synchronize(rollcall, source);
    await synchronize(rollcall, source, { mode: 'PREVIEW' });
    change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [2])));
    const recent = await synchronize(rollcall, source);
    await rollcall.sql.query(
      `UPDATE sync_task SET finished_at = now() - interval '400 days' WHERE id = (SELECT min(id::text)::uuid FROM sync_task)`,
    );
    await rollcall.sql.query(
      `UPDATE event SET created_at = now() - interval '30 days' WHERE id <= (SELECT max(id) / 2 FROM event)`,
    );
    await rollcall.sql.query(
      `INSERT INTO identity_source (type, name, status, wecom_mode, sealed_secret, deleted_at) VALUES ('WECOM', 'Old', 'CLOSED', 'SELF_BUILT', 'x', now() - interval '31 days')`,
    );
    const retention = new Retention(
      dataSource,
      { eventDays: 7, recordDays: 365, historyDays: 365 },
      pino({ level: 'silent' }),
    );
    const deleted = await retention.cleanUp();
    expect(deleted['event']).toBeGreaterThan(0);
    expect(deleted['sync_record']).toBe(8);
    expect(await rollcall.api.request(`{ syncTask(id: "${old.id}") { id } }`)).toEqual({ syncTask: null });
    expect(await recordsOf(rollcall.api, recent.id)).toHaveLength(1);
    const secrets = await rollcall.sql.query(`SELECT sealed_secret FROM identity_source WHERE name = 'Old'`);
    expect(secrets.rows).toEqual([{ sealed_secret: null }]);
    // Still known page by page: a run with nothing new reads no more than it must and records nothing.
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
    expect(Object.values(await retention.cleanUp()).every((count) => count === 0)).toBe(true);
  } finally {
    await dataSource.destroy();
    await rollcall.stop();
  }
});

it('the last task that looked at people stays, however long there have been runs that bring departments only', async () => {
  const rollcall = await startRollcall();
  const dataSource = await createDataSource(rollcall.database.url).initialize();
  try {
    const source = await connectSource(rollcall);
    const people = await synchronize(rollcall, source);
    await synchronize(rollcall, source);
    await synchronize(rollcall, source);
    await rollcall.sql.query(
      `UPDATE sync_task SET includes_employees = false, filled = filled - 'EMPLOYEE'
        WHERE id > (SELECT min(id::text)::uuid FROM sync_task)`,
    );
    await rollcall.sql.query(`UPDATE sync_task SET finished_at = now() - interval '400 days'`);
    const settings = { eventDays: 7, recordDays: 365, historyDays: 365 };
    await new Retention(dataSource, settings, pino({ level: 'silent' })).cleanUp();
    const kept = await rollcall.sql.query('SELECT includes_employees AS people FROM sync_task ORDER BY id');
    expect(kept.rows).toEqual([{ people: true }, { people: false }]);
    expect(await rollcall.api.request(`{ syncTask(id: "${people.id}") { id } }`)).toEqual({
      syncTask: { id: people.id },
    });
  } finally {
    await dataSource.destroy();
    await rollcall.stop();
  }
});

it('events go in the order of their numbers, so that none is missing among those that stay', async () => {
  const database = await createTestDatabase();
  const dataSource = await createDataSource(database.url).initialize();
  try {
    // A long transaction's events are older than those that were numbered before them.
    for (const days of [9, 8, 2, 9, 1])
      await dataSource.query(
        `INSERT INTO event (kind, identity_source_id, created_at) VALUES ('SOURCE', new_id(), now() - make_interval(days => $1))`,
        [days],
      );
    await dataSource.query('SELECT number_events()');
    const kept = async () =>
      (await dataSource.query('SELECT sequence FROM event ORDER BY 1')).map(
        (row: { sequence: number }) => row.sequence,
      );
    const cleanUp = (eventDays: number) =>
      new Retention(dataSource, { eventDays, recordDays: 9, historyDays: 9 }, pino({ level: 'silent' })).cleanUp();
    await cleanUp(7);
    expect(await kept()).toEqual([3, 4, 5]);
    await cleanUp(1);
    expect(await kept()).toEqual([]);
  } finally {
    await dataSource.destroy();
    await database.drop();
  }
});
