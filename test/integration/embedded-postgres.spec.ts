import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres';

describe('the embedded PostgreSQL', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'rollcall-embedded-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  const query = async (url: string, sql: string) => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    await client.connect();
    return client.query(sql).finally(() => client.end().catch(() => undefined));
  };
  const postmasterOf = (url: string) => {
    const port = new URL(url).port;
    const lines = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).split('\n');
    return Number.parseInt(lines.find((line) => line.includes(`port=${port}`)) ?? '', 10);
  };

  it('keeps its data from start to start, and compares Chinese and accented text', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await query(first.url, `CREATE TABLE kept AS SELECT '张三' AS name, lower('ÄÖ') AS low`);
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir });
    expect((await query(second.url, 'SELECT * FROM kept')).rows).toEqual([{ name: '张三', low: 'äö' }]);
    await second.stop();
  });

  it('recovers after PostgreSQL was killed', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await query(first.url, `CREATE TABLE kept AS SELECT 1 AS one`);
    process.kill(postmasterOf(first.url), 'SIGKILL');
    await first.stop();
    const second = await startEmbeddedPostgres({ dataDir });
    expect((await query(second.url, 'SELECT one FROM kept')).rows).toEqual([{ one: 1 }]);
    await second.stop();
  });

  it('comes back at the same address when it ends by itself', async () => {
    const said: string[] = [];
    const log = pino({}, { write: (line: string) => said.push(line) });
    const postgres = await startEmbeddedPostgres({ dataDir, log });
    await query(postgres.url, `CREATE TABLE kept AS SELECT 1 AS one`);
    for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
      const former = postmasterOf(postgres.url);
      const limit = Date.now() + 12_000;
      process.kill(former, signal);
      const again = async (): Promise<unknown[]> =>
        query(postgres.url, 'SELECT one FROM kept').then(
          ({ rows }) => (postmasterOf(postgres.url) === former ? later() : rows),
          () => later(),
        );
      const later = async () => {
        if (Date.now() > limit) throw new Error(`It did not come back after ${signal}:\n${said.join('')}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
        return again();
      };
      expect(await again()).toMatchObject([{ one: 1 }]);
    }
    await postgres.stop();
    expect(postmasterOf(postgres.url)).toBeNaN();
  });

  it('refuses a data folder that is in use, and says what to do', async () => {
    const first = await startEmbeddedPostgres({ dataDir });
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await first.stop();
  });
});
