import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { DataSource } from 'typeorm';
import { createDataSource } from '../../src/database/data-source';
import { EventLog, Listener } from '../../src/events/event-log';
import { follow } from '../../src/events/event-stream';
import { PostgresWakeUps } from '../../src/events/wake-ups';
import { createTestDatabase } from '../setup/databases';

describe('the event log', () => {
  const log = pino({ level: 'silent' });
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  let events: EventLog;

  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await createDataSource(database.url).initialize();
    events = new EventLog(dataSource, new PostgresWakeUps(database.url, log), log);
    await events.start();
  });
  afterEach(async () => {
    await events.stop();
    await dataSource.destroy();
    await database.drop();
  });

  const happen = async (identitySourceId: string, times = 1) => {
    await dataSource.query(
      `INSERT INTO event (kind, identity_source_id, task_id) SELECT 'TASK', $1, new_id() FROM generate_series(1, $2)`,
      [identitySourceId, times],
    );
    await events.publish();
  };

  /** Who follows a source: what they have been told, and how to wait for the next. */
  const follower = (identitySourceId: string, after: number) => {
    const listener = new Listener();
    const stream = follow({ events }, after, { identitySourceId }, listener);
    const told: number[] = [];
    const until = async (count: number) => {
      while (told.length < count) told.push((await stream.next()).value?.sequence ?? Number.NaN);
    };
    return { told, until, leave: () => listener.leave() };
  };

  it('asks the database next to nothing for followers of a quiet source, however much others do', async () => {
    const [quiet, busy] = [randomUUID(), randomUUID()];
    const query = jest.spyOn(dataSource, 'query');
    const asked = () => query.mock.calls.filter(([, parameters]) => parameters?.includes(quiet)).length;
    const [ofQuiet, ofBusy] = [follower(quiet, 0), follower(busy, 0)];
    const news = ofQuiet.until(1);
    for (let total = 40; total <= 800; total += 40) {
      await happen(busy, 40);
      await ofBusy.until(total);
    }
    expect(asked()).toBeLessThanOrEqual(3);
    await happen(quiet);
    await news;
    expect(ofQuiet.told).toEqual([801]);
    ofQuiet.leave();
    ofBusy.leave();
  });

  it('is read once by a follower for each news that comes while they wait', async () => {
    const source = randomUUID();
    const { until, told, leave } = follower(source, 0);
    await happen(source);
    await until(1);
    const read = jest.spyOn(events, 'read');
    for (let total = 2; total <= 11; total++) {
      const news = until(total);
      await happen(source);
      await news;
    }
    expect([told.length, read.mock.calls.length]).toEqual([11, 10]);
    leave();
  });

  it('tells each event once and in order, whichever process a follower goes on at', async () => {
    const other = new EventLog(dataSource, new PostgresWakeUps(database.url, log), log);
    await other.start();
    const sources = [randomUUID(), randomUUID(), randomUUID()];
    const [followed] = sources as [string];
    const writer = async (seed: number) => {
      for (let i = 0; i < 40; i++)
        await happen(sources[(seed + i) % sources.length] as string, 1 + ((seed * 7 + i * 5) % 30));
    };
    const told: number[] = [];
    const moving = (async () => {
      for (let turn = 0; ; turn++) {
        const listener = new Listener();
        const from = { events: turn % 2 ? other : events };
        const stream = follow(from, told.at(-1) ?? 0, { identitySourceId: followed }, listener);
        for (let left = 1 + (turn % 7); left > 0; left--) {
          const { value, done } = await stream.next();
          if (done) return;
          told.push(value.sequence);
          if (value.kind === 'SOURCE') return;
        }
        listener.leave();
      }
    })();
    await Promise.all([1, 2, 3].map(writer));
    // The last of them is told apart by its kind.
    await dataSource.query(`INSERT INTO event (kind, identity_source_id) VALUES ('SOURCE', $1)`, [followed]);
    await events.publish();
    await moving;
    const written = await dataSource.query(
      'SELECT sequence FROM event WHERE identity_source_id = $1 ORDER BY sequence',
      [followed],
    );
    expect(written.length).toBeGreaterThan(400);
    expect(told).toEqual(written.map((event: { sequence: number }) => event.sequence));
    await other.stop();
  });
});
