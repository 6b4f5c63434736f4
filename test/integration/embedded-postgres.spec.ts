import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres';

const asRoot = process.getuid?.() === 0 ? it : it.skip;

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

  it('keeps them in the data folder, which may be all that outlives a container', async () => {
    const postgres = await startEmbeddedPostgres({ dataDir });
    await postgres.stop();
    expect(existsSync(path.join(dataDir, 'postgres', 'PG_VERSION'))).toBe(true);
    expect(statSync(path.join(dataDir, 'postgres')).mode & 0o777).toBe(0o700);
  });

  asRoot('keeps them where its user gets to, when the data folder is below one that is root’s alone', async () => {
    const below = path.join(dataDir, 'below');
    for (const start of [1, 2]) {
      const postgres = await startEmbeddedPostgres({ dataDir: below });
      await query(postgres.url, 'CREATE TABLE IF NOT EXISTS kept AS SELECT 1');
      expect((await query(postgres.url, 'SELECT FROM kept')).rowCount).toBe(1);
      await postgres.stop();
      expect({ start, inside: existsSync(path.join(below, 'postgres')) }).toEqual({ start, inside: false });
    }
    rmSync(readFileSync(path.join(below, 'postgres-is-in'), 'utf8').trim(), { recursive: true });
  });

  asRoot('refuses what another user has made, and says what to do', async () => {
    await startEmbeddedPostgres({ dataDir }).then((postgres) => postgres.stop());
    chownSync(path.join(dataDir, 'postgres'), 12_345, 12_345);
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(/belongs to the user with number 12345.*chown -R/);
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
