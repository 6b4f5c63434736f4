import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { type Logger, pino } from 'pino';
import { loadConfig } from '../../src/config/config';
import { ApiClient } from '../../src/demo/api-client';
import type { ShownTask } from '../../src/demo/terminal';
import { Organization, organizationState } from '../../src/sandbox/organization';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox';
import { startServer } from '../../src/server';
import { createTestDatabase } from './databases';
import { endServer, giveBack, noteStart, takeServer } from './kept-servers';

/** A company small enough to see through: two levels, a leader, somebody in two departments. */
export function smallCompany(): Organization {
  return new Organization(
    organizationState.parse({
      departments: [
        { id: 1, parentId: 0, name: '示例企业', order: 0 },
        { id: 2, parentId: 1, name: '研发中心', order: 20 },
        { id: 3, parentId: 2, name: '后端组', order: 10 },
        { id: 4, parentId: 1, name: '市场部', order: 10 },
      ],
      users: [
        user('zhangsan', '张三', [2], { isLeaderInDept: [1], position: '主任' }),
        user('lisi', '李四', [3], { email: 'lisi@example.com', mobile: '13800000000', direct_leader: ['zhangsan'] }),
        user('wangwu', '王五', [3, 4], { mainDepartment: 3 }),
        user('zhaoliu', '赵六', [4], { status: 2 }),
      ],
    }),
  );
}

export function user(userid: string, name: string, departments: number[], more: Record<string, unknown> = {}) {
  return {
    userid,
    name,
    departments,
    mainDepartment: departments[0],
    isLeaderInDept: departments.map(() => 0),
    position: '',
    status: 1,
    extattr: [],
    ...more,
  };
}

export const TOKEN = randomBytes(24).toString('hex');

export interface TestTask extends ShownTask {
  id: string;
  failure: { code: string; message: string } | null;
  certificate: { complete: boolean; reasons: string[] } | null;
}

export interface RollcallOptions extends Partial<SandboxOptions> {
  /** Beside what every test's server is told. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly log?: Logger;
}

/**
 * A whole server against a sandbox of its own, in a database of its own: one that is as it was when it had just been started. Whoever
 * has a log gets a new one.
 */
export async function startRollcall(options: RollcallOptions = {}) {
  const { environment = {}, log, ...sandboxOptions } = options;
  // A secret of its own, for which no server has a token.
  const directory = { organization: smallCompany(), secret: randomBytes(16).toString('hex'), ...sandboxOptions };
  const { kept, sandbox } =
    (!log && (await openKept(environment, directory))) || (await openNew(environment, log, directory));
  const { database, config, sql } = kept;
  const url = () => `http://127.0.0.1:${kept.server.port}/graphql`;
  let api = new ApiClient(url(), TOKEN);
  return {
    sandbox,
    sql,
    database,
    config,
    get api() {
      return api;
    },
    get url() {
      return url();
    },
    async restart() {
      await api.close();
      await kept.server.stop();
      kept.server = await startServer(config, log ?? SILENT);
      api = new ApiClient(url(), TOKEN);
    },
    async stop() {
      await api.close();
      if (!log) return giveBack(kept, sandbox.close);
      await sandbox.close();
      await endServer(kept);
    },
  };
}

/** What every test's server is told. */
export function serverEnvironment(databaseUrl: string, wecomApiUrl: string) {
  return {
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
    ROLLCALL_ENCRYPTION_KEY: '11'.repeat(32),
    ROLLCALL_ADMIN_TOKEN: TOKEN,
    WECOM_API_URL: wecomApiUrl,
  };
}

const SILENT = pino({ level: 'silent' });

async function openNew(environment: NodeJS.ProcessEnv, log: Logger | undefined, directory: SandboxOptions) {
  const database = await createTestDatabase();
  const sandbox = await startSandbox(directory);
  const config = loadConfig({ ...serverEnvironment(database.url, sandbox.url), ...environment });
  const server = await startServer(config, log ?? SILENT);
  if (!log) await noteStart(database.url);
  const sql = new Client({ connectionString: database.url });
  await sql.connect();
  const kept = { environment: JSON.stringify(environment), database, config, sandboxPort: sandbox.port, server, sql };
  return { kept, sandbox };
}

async function openKept(environment: NodeJS.ProcessEnv, directory: SandboxOptions) {
  const kept = takeServer(JSON.stringify(environment));
  if (!kept) return undefined;
  try {
    return { kept, sandbox: await startSandbox({ ...directory, port: kept.sandboxPort }) };
  } catch {
    // Somebody else has its port by now.
    await endServer(kept);
    return undefined;
  }
}

export type TestRollcall = Awaited<ReturnType<typeof startRollcall>>;

const CREATE = `mutation ($input: CreateIdentitySourceInput!) {
  createIdentitySource(input: $input) { identitySource { id name status version } userErrors { code message field } }
}`;

export interface SourcePayload {
  identitySource: { id: string; name: string; status: string; version: number } | null;
  userErrors: { code: string; message: string; field: string[] | null }[];
}

/** Asks for a source; the answer may be a refusal. */
export async function createSource(api: ApiClient, input: Record<string, unknown>): Promise<SourcePayload> {
  return (await api.request<{ createIdentitySource: SourcePayload }>(CREATE, { input })).createIdentitySource;
}

/** An enabled source that reads the sandbox. */
export async function connectSource(rollcall: TestRollcall, name = 'WeCom'): Promise<string> {
  const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
  const payload = await createSource(rollcall.api, {
    type: 'WECOM',
    name,
    wecomSelfBuilt: { corpId, agentId, secret },
  });
  if (!payload.identitySource) throw new Error(JSON.stringify(payload.userErrors));
  return payload.identitySource.id;
}

const START = `mutation ($input: StartSyncTaskInput!) {
  startSyncTask(input: $input) { syncTask { id mode status } userErrors { code message field } }
}`;

export interface StartPayload {
  syncTask: { id: string; mode: string; status: string } | null;
  userErrors: { code: string; message: string }[];
}

export async function startTask(api: ApiClient, identitySourceId: string, more: Record<string, unknown> = {}) {
  const input = { identitySourceId, ...more };
  return (await api.request<{ startSyncTask: StartPayload }>(START, { input })).startSyncTask;
}

export const WATCH = `subscription ($id: ID!, $after: SafeInt) {
  syncTask(id: $id, afterSequence: $after) { sequence task {
    id status failure { code message } certificate { complete reasons }
    progress { phase percent departmentsDone departmentsTotal employeesDone ratePerSecond }
    counters { objectType action planned applied held skipped failed }
  } }
}`;

/** Follows a task over the subscription, to its end or until it waits for approval. */
export async function watch(api: ApiClient, id: string): Promise<TestTask> {
  let last: TestTask | undefined;
  for await (const event of api.subscribe<{ syncTask: { task: TestTask } }>(WATCH, { id })) {
    last = event.syncTask.task;
    if (last.status === 'HELD') break;
  }
  if (!last) throw new Error('The subscription ended without an event.');
  return last;
}

export async function synchronize(
  rollcall: TestRollcall,
  sourceId: string,
  more: Record<string, unknown> = {},
): Promise<TestTask> {
  const payload = await startTask(rollcall.api, sourceId, more);
  if (!payload.syncTask) throw new Error(JSON.stringify(payload.userErrors));
  return watch(rollcall.api, payload.syncTask.id);
}

export interface TestRecord {
  id: string;
  objectType: string;
  externalId: string;
  action: string;
  result: string;
  reasonCode: string | null;
  comparison: {
    field: string;
    thirdPartyField: string | null;
    thirdPartyValue: string | null;
    saseValueBefore: string | null;
    saseValueAfter: string | null;
    changed: boolean;
    kept: string | null;
  }[];
}

const RECORDS = `query ($id: ID!, $after: String, $filter: SyncRecordFilter) {
  syncTask(id: $id) { records(first: 500, after: $after, filter: $filter) {
    nodes { id objectType externalId action result reasonCode
      comparison { field thirdPartyField thirdPartyValue saseValueBefore saseValueAfter changed kept } }
    pageInfo { hasNextPage endCursor } } }
}`;

export async function recordsOf(
  api: ApiClient,
  id: string,
  filter: Record<string, unknown> = {},
): Promise<TestRecord[]> {
  const { syncTask } = await api.request<{ syncTask: { records: { nodes: TestRecord[] } } }>(RECORDS, { id, filter });
  return syncTask.records.nodes;
}

const DECIDE = `mutation ($input: DecideHeldRecordsInput!) {
  decideHeldRecords(input: $input) { syncTask { status } userErrors { code message field } }
}`;

export interface DecisionPayload {
  syncTask: { status: string } | null;
  userErrors: { code: string; message: string; field: string[] | null }[];
}

/** Approves or rejects what a task holds. */
export async function decide(api: ApiClient, input: { taskId: string; approve: boolean; recordIds?: string[] }) {
  return (await api.request<{ decideHeldRecords: DecisionPayload }>(DECIDE, { input })).decideHeldRecords;
}

/** Records in one line each: `MOVE employee lisi: departments, mainDepartment`. */
export async function summaries(api: ApiClient, id: string): Promise<string[]> {
  const records = await recordsOf(api, id);
  return records.map((r) => {
    const changed = r.comparison.filter((c) => c.changed).map((c) => c.field);
    return `${r.action} ${r.objectType.toLowerCase()} ${r.externalId}: ${changed.join(', ')}`;
  });
}

/** Changes the sandbox's organisation in place. */
export function change(sandbox: Sandbox, edit: (organization: Organization) => void): void {
  sandbox.company.change(() => edit(sandbox.company.organization));
}

/** Somebody comes, somebody goes, somebody moves; a department comes, and one is moved and renamed. */
export function reorganise({ sandbox }: TestRollcall): void {
  change(sandbox, ({ users, departments }) => {
    users.set('neu', user('neu', '新人', [5], { direct_leader: ['zhangsan'] }));
    users.delete('zhaoliu');
    users.set('lisi', user('lisi', '李四', [4], { email: 'li@example.com', mobile: '13800000000' }));
    departments.set(5, { id: 5, parentId: 2, name: '前端组', order: 1 });
    departments.set(4, { id: 4, parentId: 2, name: '市场', order: 10 });
  });
}

/** A server with a small company that has been synchronized. */
export async function startSynchronized(): Promise<{ rollcall: TestRollcall; source: string }> {
  const rollcall = await startRollcall();
  const source = await connectSource(rollcall);
  await synchronize(rollcall, source);
  return { rollcall, source };
}

/** Locks that somebody waits for in this test's database: the server has those of other tests too. */
export const LOCKS_WAITED_FOR = `
  (SELECT * FROM pg_locks WHERE NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS waited_for`;

/** Waits until a query has a row; without one for twenty seconds it fails. */
export async function untilRow(
  { sql }: { sql: Pick<Client, 'query'> },
  query: string,
  values: unknown[] = [],
): Promise<void> {
  for (let i = 0; i < 800; i++) {
    if ((await sql.query(query, values)).rowCount) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`There never was a row: ${query}`);
}
