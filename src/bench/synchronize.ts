import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { createDataSource, migrate } from '../database/data-source';
import { startEmbeddedPostgres } from '../database/embedded/embedded-postgres';
import { ApiClient } from '../demo/api-client';
import { DEFAULT_COMPANY } from '../sandbox/company';
import { copySameRows, fetchAndParse } from './limits';
import { MemorySampler, startProgram } from './processes';

/** One synchronization, measured. */
export interface RunFigures {
  readonly milliseconds: number;
  readonly phases: Readonly<Record<string, number>>;
  /** Node's resident memory, MiB. */
  readonly memoryPeak: number;
  readonly memory: readonly number[];
  readonly statements: number;
  readonly rowsWritten: number;
}

/** A company's first synchronization and one with nothing changed, each beside its limit. Times in milliseconds. */
export interface SynchronizationFigures {
  readonly people: number;
  readonly departments: number;
  readonly fetch: number;
  readonly copy: number;
  readonly first: RunFigures;
  readonly unchanged: RunFigures;
}

const TOKEN = 'benchmark-token-0123456789';
const WECOM_PORT = 4191;
const PORT = 4192;

/** Everything that a measurement needs running: PostgreSQL, the sandbox and the server, each a process of its own. */
export async function withServer<T>(
  people: number,
  measure: (bench: {
    api: ApiClient;
    wecomUrl: string;
    databaseUrl: string;
    emptyUrl: string;
    pid: number;
    url: string;
    token: string;
  }) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'rollcall-bench-'));
  const postgres = await startEmbeddedPostgres({ dataDir: folder, log: pino({ level: 'silent' }) });
  const emptyUrl = await secondDatabase(postgres.url);
  const wecomUrl = `http://127.0.0.1:${WECOM_PORT}`;
  const stops: (() => Promise<void>)[] = [() => postgres.stop()];
  try {
    const pace = ['--calls-per-minute', '100000000'];
    const sandbox = await startProgram(
      'sandbox/main.js',
      ['--port', String(WECOM_PORT), '--organization', `generated:${people}`, ...pace],
      { NODE_OPTIONS: '--max-old-space-size=12000' },
      `${wecomUrl}/sandbox/`,
    );
    stops.push(sandbox.stop);
    const environment = {
      PORT: String(PORT),
      HOST: '127.0.0.1',
      DATABASE_URL: postgres.url,
      ROLLCALL_ENCRYPTION_KEY: '11'.repeat(32),
      ROLLCALL_ADMIN_TOKEN: TOKEN,
      WECOM_API_URL: wecomUrl,
      WECOM_CALLS_PER_MINUTE: '1000000',
      LOG_LEVEL: 'error',
    };
    const server = await startProgram('main.js', [], environment, `http://127.0.0.1:${PORT}/readyz`);
    stops.push(server.stop);
    const url = `http://127.0.0.1:${PORT}/graphql`;
    const api = new ApiClient(url, TOKEN);
    stops.push(() => api.close());
    return await measure({ api, wecomUrl, databaseUrl: postgres.url, emptyUrl, pid: server.pid, url, token: TOKEN });
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same tables, empty, for the limit that rows are copied into. */
async function secondDatabase(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('CREATE DATABASE bench_limit');
  await client.end();
  const second = new URL(url);
  second.pathname = '/bench_limit';
  const dataSource = await createDataSource(second.toString()).initialize();
  await migrate(dataSource);
  await dataSource.destroy();
  return second.toString();
}

export async function measureSynchronization(people: number): Promise<SynchronizationFigures> {
  return withServer(people, async ({ api, wecomUrl, databaseUrl, emptyUrl, pid }) => {
    // The sandbox makes each answer once; that must not count for either side.
    await fetchAndParse(wecomUrl);
    const fetchBefore = await fetchAndParse(wecomUrl);
    const source = await connect(api);
    const first = await measureRun(api, source, databaseUrl, pid);
    // People's search text is made after a large run has ended; it must not count for the next one.
    await untilSearchable(databaseUrl, people);
    const unchanged = await measureRun(api, source, databaseUrl, pid);
    const fetchAfter = await fetchAndParse(wecomUrl);
    const copy = await copySameRows(databaseUrl, emptyUrl);
    const departments = Math.max(2, Math.ceil(people / 50));
    return { people, departments, fetch: (fetchBefore + fetchAfter) / 2, copy, first, unchanged };
  });
}

async function untilSearchable(databaseUrl: string, people: number): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  for (let made = 0; made < people; ) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    made = (await client.query('SELECT count(*)::int AS made FROM employee_search')).rows[0].made;
  }
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await client.end();
}

export async function connect(api: ApiClient): Promise<string> {
  const { corpId, agentId, secret } = DEFAULT_COMPANY;
  const input = { type: 'WECOM', name: 'Benchmark', wecomSelfBuilt: { corpId, agentId, secret } };
  const { createIdentitySource: made } = await api.request<{
    createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
  }>(
    `mutation ($input: CreateIdentitySourceInput!) { createIdentitySource(input: $input) { identitySource { id } userErrors { message } } }`,
    { input },
  );
  if (!made.identitySource) throw new Error(made.userErrors.map((e) => e.message).join('\n'));
  return made.identitySource.id;
}

interface TaskEvent {
  syncTask: { task: { status: string; progress: { phase: string }; failure: { message: string } | null } };
}

/** Runs one task to its end and says what it cost. */
export async function measureRun(
  api: ApiClient,
  sourceId: string,
  databaseUrl: string,
  pid: number,
): Promise<RunFigures> {
  const before = await databaseCounts(databaseUrl);
  const memory = new MemorySampler(pid);
  const begun = performance.now();
  const started = await api.request<{ startSyncTask: { syncTask: { id: string } } }>(
    `mutation ($id: ID!) { startSyncTask(input: { identitySourceId: $id }) { syncTask { id } userErrors { message } } }`,
    { id: sourceId },
  );
  const marks: [string, number][] = [];
  const watched = api.subscribe<TaskEvent>(
    `subscription ($id: ID!) { syncTask(id: $id) { task { status progress { phase } failure { message } } } }`,
    { id: started.startSyncTask.syncTask.id },
  );
  for await (const { syncTask } of watched) {
    const { status, progress, failure } = syncTask.task;
    if (failure) throw new Error(failure.message);
    if (marks.at(-1)?.[0] !== progress.phase) marks.push([progress.phase, performance.now()]);
    if (status === 'HELD') break;
  }
  const ended = performance.now();
  const { peak, samples } = memory.stop();
  const after = await databaseCounts(databaseUrl);
  const phases = Object.fromEntries(
    marks.slice(0, -1).map(([phase, at], i) => [phase, Math.round((marks[i + 1]?.[1] ?? ended) - at)]),
  );
  return {
    milliseconds: ended - begun,
    phases,
    memoryPeak: peak,
    memory: samples,
    statements: after.statements - before.statements,
    rowsWritten: after.rows - before.rows,
  };
}

async function databaseCounts(url: string): Promise<{ statements: number; rows: number }> {
  const client = new Client({ connectionString: url, application_name: 'rollcall bench' });
  await client.connect();
  // Sessions report their counts once idle for a moment.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  const { rows } = await client.query(
    `SELECT xact_commit::int AS statements, (tup_inserted + tup_updated + tup_deleted)::int AS rows
       FROM pg_stat_database WHERE datname = current_database()`,
  );
  await client.end();
  return rows[0];
}
