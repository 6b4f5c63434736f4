import { createClient } from '@redis/client';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/config';
import { freePort } from '../../src/crash/processes';
import { ApiClient } from '../../src/demo/api-client';
import { startServer } from '../../src/server';
import { testRedis } from '../setup/redis-server';
import { connectSource, serverEnvironment, startRollcall, startTask, TOKEN, watch } from '../setup/rollcall';

describe('subscriptions across processes with Redis', () => {
  it('are woken by Redis, by PostgreSQL while Redis is away, and lose nothing when it goes and comes back', async () => {
    const redis = testRedis(await freePort());
    await redis.start();
    let messages = 0;
    const listener = createClient({ url: redis.url, RESP: 2 }).on('error', () => undefined);
    await listener.connect();
    await listener.subscribe('rollcall:event', () => {
      messages += 1;
    });
    const lines: { msg: string }[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const said = async (what: string, times: number) => {
      const count = () => lines.filter(({ msg }) => msg.startsWith(what)).length;
      while (count() < times) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const environment = { REDIS_URL: redis.url, ROLLCALL_ROLE: 'worker' };
    const rollcall = await startRollcall({ environment });
    const api = await startServer(
      loadConfig({
        ...serverEnvironment(rollcall.database.url, rollcall.sandbox.url),
        REDIS_URL: redis.url,
        ROLLCALL_ROLE: 'api',
      }),
      log,
    );
    const client = new ApiClient(`http://127.0.0.1:${api.port}/graphql`, TOKEN);
    /** How many processes listen to PostgreSQL for news. */
    const listening = async () =>
      (
        await rollcall.sql.query(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'rollcall events' AND datname = current_database()`,
        )
      ).rows[0].n;
    const until = async (n: number) => {
      while ((await listening()) !== n) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    try {
      await said('events.redis-ready', 1);
      await until(0);
      const source = await connectSource({ ...rollcall, api: client });
      const sync = async () => {
        const { syncTask } = await startTask(client, source);
        return (await watch(client, syncTask?.id ?? '')).status;
      };
      expect(await sync()).toBe('SUCCEEDED');
      const published = messages;
      expect(published).toBeGreaterThan(0);
      await redis.stop();
      await said('events.redis-lost', 1);
      await until(2);
      expect(await sync()).toBe('SUCCEEDED');
      expect(messages).toBe(published);
      await redis.start();
      await said('events.redis-ready', 2);
      await until(0);
      // The publisher's connection may come back a little later than the subscriber's.
      do expect(await sync()).toBe('SUCCEEDED');
      while (messages === published);
    } finally {
      await client.close();
      await api.stop();
      await rollcall.stop();
      listener.destroy();
      await redis.stop();
    }
  });
});
