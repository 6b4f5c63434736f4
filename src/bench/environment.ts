import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { createDataSource, migrate } from '../database/data-source';
import { startEmbeddedPostgres } from '../database/embedded/embedded-postgres';
import { ApiClient } from '../demo/api-client';
import { DEFAULT_COMPANY } from '../sandbox/company';
import { freePort, startProgram } from './processes';

/** What a measurement has at hand: PostgreSQL, the sandbox and the server, each a process of its own. */
export interface Bench {
  readonly api: ApiClient;
  readonly wecomUrl: string;
  readonly databaseUrl: string;
  /** The same tables, empty, in another database of the same server: for limits. */
  readonly emptyUrl: string;
  /** The server's process. */
  readonly pid: number;
  readonly url: string;
  readonly token: string;
}

const TOKEN = 'benchmark-token-0123456789';

/** Callback keys as somebody would enter them in WeCom's console. */
export const CALLBACK_KEYS = { token: 'benchmark', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

/** Starts everything for a company of so many people, and stops it afterwards. */
export async function withServer<T>(people: number, measure: (bench: Bench) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-bench-'));
  const postgres = await startCountingPostgres(folder);
  const stops: (() => Promise<void>)[] = [() => postgres.stop()];
  try {
    const emptyUrl = await secondDatabase(postgres.url);
    await withClient(postgres.url, (client) => client.query('CREATE EXTENSION pg_stat_statements'));
    const [wecomPort, port] = [await freePort(), await freePort()];
    const wecomUrl = `http://127.0.0.1:${wecomPort}`;
    const company = ['--organization', `generated:${people}`, '--calls-per-minute', '100000000'];
    const sandbox = await startProgram(
      'sandbox/main.js',
      ['--port', String(wecomPort), ...company],
      { NODE_OPTIONS: '--max-old-space-size=12000' },
      `${wecomUrl}/sandbox/`,
    );
    stops.push(sandbox.stop);
    const environment = serverEnvironment(port, postgres.url, wecomUrl);
    const server = await startProgram('main.js', [], environment, `http://127.0.0.1:${port}/readyz`);
    stops.push(server.stop);
    const url = `http://127.0.0.1:${port}/graphql`;
    const api = new ApiClient(url, TOKEN);
    stops.push(() => api.close());
    return await measure({ api, wecomUrl, databaseUrl: postgres.url, emptyUrl, pid: server.pid, url, token: TOKEN });
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A PostgreSQL that counts its statements: the setting counts from the next start on. */
async function startCountingPostgres(dataDir: string) {
  const log = pino({ level: 'silent' });
  const first = await startEmbeddedPostgres({ dataDir, log });
  await withClient(first.url, (client) =>
    client.query(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`),
  );
  await first.stop();
  return startEmbeddedPostgres({ dataDir, log });
}

function serverEnvironment(port: number, databaseUrl: string, wecomUrl: string): NodeJS.ProcessEnv {
  return {
    PORT: String(port),
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
    ROLLCALL_ENCRYPTION_KEY: '11'.repeat(32),
    ROLLCALL_ADMIN_TOKEN: TOKEN,
    ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com',
    // Whether a caller asks too often is not what is measured.
    ROLLCALL_REQUESTS_PER_MINUTE: '10000000',
    WECOM_API_URL: wecomUrl,
    WECOM_CALLS_PER_MINUTE: '1000000',
    LOG_LEVEL: 'error',
  };
}

async function secondDatabase(url: string): Promise<string> {
  await withClient(url, (client) => client.query('CREATE DATABASE bench_limit'));
  const second = new URL(url);
  second.pathname = '/bench_limit';
  const dataSource = await createDataSource(second.toString()).initialize();
  await migrate(dataSource);
  await dataSource.destroy();
  return second.toString();
}

/** One connection of the benchmark's own. */
export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'rollcall bench' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const CREATE = `mutation ($input: CreateIdentitySourceInput!) {
  createIdentitySource(input: $input) { identitySource { id } userErrors { message } } }`;

/** A source that reads the sandbox, with callbacks. @returns its id */
export async function connect(api: ApiClient): Promise<string> {
  const { corpId, agentId, secret } = DEFAULT_COMPANY;
  const wecomSelfBuilt = { corpId, agentId, secret };
  const { createIdentitySource: made } = await api.request<{
    createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
  }>(CREATE, { input: { type: 'WECOM', name: 'Benchmark', wecomSelfBuilt, wecomCallback: CALLBACK_KEYS } });
  if (!made.identitySource) throw new Error(made.userErrors.map((e) => e.message).join('\n'));
  return made.identitySource.id;
}

/** People's search text is made after a large run has ended; until then the server is at work. */
export async function untilSearchable(databaseUrl: string, people: number): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    for (let made = 0; made < people; ) {
      await pause(1_000);
      made = (await client.query('SELECT count(*)::int AS made FROM employee_search')).rows[0].made;
    }
    await pause(3_000);
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
