import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../database/embedded/embedded-postgres';
import { ApiClient } from '../demo/api-client';
import { type Sandbox, startSandbox } from '../sandbox/sandbox';
import { changeSomething, firstOrganization } from './changes';
import { freePort, type Program, ServerProcess } from './processes';
import { Random } from './random';
import { compareSources, leftovers } from './state';
import { Subscriber } from './subscriber';

/** What is done to a run in the middle of it. */
export const ACTIONS = ['worker', 'worker twice', 'server', 'postgres', 'pause'] as const;
export type Action = (typeof ACTIONS)[number];

/** One run and what became of it. */
export interface Outcome {
  readonly seed: number;
  readonly action: Action;
  /** Milliseconds after its start. */
  readonly at: number;
  /** What the task was doing then. */
  readonly during: string;
  readonly status: string;
  /** From the disturbance to the end. */
  readonly recoveryMs: number;
  /** What is not as it must be, in words. */
  readonly failures: readonly string[];
}

const LEASE_SECONDS = 1;
const RUN_LIMIT_MS = 60_000;
const SETTLE_LIMIT_MS = 10_000;

const CREATE = `mutation ($input: CreateIdentitySourceInput!) {
  createIdentitySource(input: $input) { identitySource { id } userErrors { message } } }`;
const START = `mutation ($id: ID!) { startSyncTask(input: { identitySourceId: $id }) { syncTask { id } userErrors { message } } }`;

/**
 * One company, two sources that read it, and servers that are killed while they synchronize the first. The second is
 * synchronized afterwards, undisturbed: both must end up the same.
 */
export class Laboratory {
  private readonly token = randomBytes(24).toString('hex');
  private readonly environment: NodeJS.ProcessEnv;
  private api!: ServerProcess;
  private worker!: ServerProcess;
  private client!: ApiClient;
  private disturbed!: Source;
  private undisturbed!: Source;
  private apiPort = 0;
  /** How long a run takes when nobody disturbs it. */
  private usualMs = 400;

  private constructor(
    private readonly program: Program,
    private readonly postgres: { readonly url: string; stop(): Promise<void> },
    private sql: Client,
    private readonly sandbox: Sandbox,
    private readonly dataDir: string,
  ) {
    this.environment = {
      DATABASE_URL: postgres.url,
      ROLLCALL_ENCRYPTION_KEY: '11'.repeat(32),
      ROLLCALL_ADMIN_TOKEN: this.token,
      ROLLCALL_LEASE_SECONDS: String(LEASE_SECONDS),
      WECOM_API_URL: sandbox.url,
      LOG_LEVEL: 'silent',
    };
  }

  static async open(program: Program): Promise<Laboratory> {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'rollcall-crash-'));
    const postgres = await startEmbeddedPostgres({ dataDir });
    const sandbox = await startSandbox({ organization: firstOrganization() });
    const laboratory = new Laboratory(program, postgres, await connect(postgres.url), sandbox, dataDir);
    laboratory.apiPort = await freePort();
    laboratory.api = await laboratory.spawn('api');
    laboratory.client = new ApiClient(`${laboratory.api.url}/graphql`, laboratory.token);
    laboratory.disturbed = await laboratory.createSource('Disturbed');
    laboratory.undisturbed = await laboratory.createSource('Undisturbed');
    laboratory.worker = await laboratory.spawn('worker');
    for (const source of [laboratory.disturbed, laboratory.undisturbed]) await laboratory.synchronize(source);
    return laboratory;
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.worker.kill();
    await this.api.kill();
    await this.sandbox.close();
    await this.sql.end().catch(() => undefined);
    await this.postgres.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** One run: the company changes, a synchronization begins, something happens to it, and everything is looked at. */
  async run(seed: number, only?: Action): Promise<Outcome> {
    const random = new Random(seed);
    const { company } = this.sandbox;
    company.change(() => changeSomething(company.organization, random));
    const action = only ?? random.pick(ACTIONS);
    const at = random.below(Math.round(this.usualMs * 1.1));
    const taskId = await this.start(this.disturbed);
    const subscribers = (['task', 'records'] as const).map((what) => this.subscribe(what, taskId));
    await delay(at);
    const during = await this.where();
    const began = Date.now();
    await this.disturb(action, random);
    const ended = await within(RUN_LIMIT_MS, Promise.all(subscribers.map((s) => s.ended())));
    for (const subscriber of subscribers) subscriber.stop();
    const recoveryMs = Date.now() - began;
    await this.recover(action);
    const failures = ended ? [] : [`The task did not end within ${RUN_LIMIT_MS / 1000} seconds.`];
    if (ended) {
      await this.synchronize(this.undisturbed);
      failures.push(...(await this.compare()));
      for (const [i, what] of (['task', 'records'] as const).entries())
        failures.push(...(await this.compareEvents(what, taskId, subscribers[i] as Subscriber)));
    }
    failures.push(...(await this.settled()));
    const [task] = await this.ask('SELECT status, failure, certificate FROM sync_task WHERE id = $1', [
      this.uuids.get(taskId),
    ]);
    const status = task?.status ?? 'unknown';
    if (status !== 'SUCCEEDED') failures.push(`${status}: ${JSON.stringify([task?.failure, task?.certificate])}`);
    return { seed, action, at, during, status, recoveryMs, failures };
  }

  private readonly uuids = new Map<string, string>();
  private paused: ServerProcess | undefined;

  private async disturb(action: Action, random: Random): Promise<void> {
    switch (action) {
      case 'worker':
        await this.worker.kill();
        this.worker = await this.spawn('worker');
        return;
      case 'worker twice':
        await this.worker.kill();
        this.worker = await this.spawn('worker');
        await delay(random.below(2_000));
        await this.worker.kill();
        this.worker = await this.spawn('worker');
        return;
      case 'server':
        await Promise.all([this.worker.kill(), this.api.kill()]);
        [this.api, this.worker] = await Promise.all([this.spawn('api'), this.spawn('worker')]);
        return;
      case 'postgres': {
        const [{ file }] = (await this.sql.query(`SELECT pg_read_file('postmaster.pid') AS file`)).rows;
        process.kill(Number.parseInt(file, 10), 'SIGQUIT');
        return;
      }
      case 'pause':
        this.paused = this.worker;
        this.paused.signal('SIGSTOP');
        this.worker = await this.spawn('worker');
    }
  }

  /** A paused worker wakes after all is over, finds its lease gone, and must write nothing; then it goes. */
  private async recover(action: Action): Promise<void> {
    if (action !== 'pause') return;
    this.paused?.signal('SIGCONT');
    await delay(LEASE_SECONDS * 500);
    await this.paused?.kill();
    this.paused = undefined;
  }

  private async spawn(role: 'api' | 'worker'): Promise<ServerProcess> {
    const port = role === 'api' ? this.apiPort : await freePort();
    const server = ServerProcess.spawn(this.program, port, { ...this.environment, ROLLCALL_ROLE: role });
    await server.ready();
    return server;
  }

  private async createSource(name: string): Promise<Source> {
    const { corpId, agentId, secret } = this.sandbox.company.settings;
    const input = { type: 'WECOM', name, wecomSelfBuilt: { corpId, agentId, secret } };
    const { createIdentitySource } = await this.client.request<{
      createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
    }>(CREATE, { input });
    const id = createIdentitySource.identitySource?.id;
    if (!id) throw new Error(JSON.stringify(createIdentitySource.userErrors));
    const [row] = await this.ask('SELECT id FROM identity_source WHERE name = $1', [name]);
    return { id, uuid: row?.id ?? '' };
  }

  /** An undisturbed run, to its end. */
  private async synchronize(source: Source): Promise<void> {
    const taskId = await this.start(source);
    const subscriber = this.subscribe('task', taskId);
    if (!(await within(RUN_LIMIT_MS, subscriber.ended()))) throw new Error('An undisturbed run did not end.');
    const [row] = await this.ask(
      'SELECT extract(epoch FROM finished_at - queued_at)::float8 * 1000 AS ms FROM sync_task WHERE id = $1',
      [this.uuids.get(taskId)],
    );
    this.usualMs = 0.8 * this.usualMs + 0.2 * (row?.ms ?? this.usualMs);
  }

  private async start(source: Source): Promise<string> {
    for (;;) {
      // A database that is just coming back answers with an error; a client tries again.
      const started = await this.client
        .request<{ startSyncTask: { syncTask: { id: string } | null } }>(START, { id: source.id })
        .catch(() => undefined);
      const id = started?.startSyncTask.syncTask?.id;
      if (!id) await delay(100);
      else {
        const [row] = await this.ask(
          'SELECT id FROM sync_task WHERE identity_source_id = $1 ORDER BY id DESC LIMIT 1',
          [source.uuid],
        );
        this.uuids.set(id, row?.id ?? '');
        return id;
      }
    }
  }

  private subscribe(what: 'task' | 'records', taskId: string): Subscriber {
    return new Subscriber(`${this.api.url}/graphql`, this.token, what, taskId);
  }

  /** What the disturbed task is doing, as far as the database knows. */
  private async where(): Promise<string> {
    const [row] = await this.ask(
      `SELECT status, tidied_at IS NOT NULL AS tidied, planned_at IS NOT NULL AS planned, certificate IS NOT NULL AS certified,
              EXISTS (SELECT FROM sync_record r WHERE r.task_id = t.id) AS recorded,
              EXISTS (SELECT FROM task_page p WHERE p.task_id = t.id AND p.object_type = 'EMPLOYEE') AS reading
         FROM sync_task t WHERE identity_source_id = $1 ORDER BY id DESC LIMIT 1`,
      [this.disturbed.uuid],
    );
    if (row?.status === 'QUEUED') return 'queued';
    if (row?.status !== 'RUNNING') return row?.tidied ? 'ended' : 'tidying';
    if (row.planned) return 'applying';
    if (row.recorded) return 'planning, some of it told';
    if (row.certified) return 'planning';
    return row.reading ? 'reading people' : 'reading departments';
  }

  private async compare(): Promise<string[]> {
    return this.again(() => compareSources(this.sql, this.disturbed.uuid, this.undisturbed.uuid));
  }

  /** What a subscriber that lost its connection has, beside what one gets that asks for everything at the end. */
  private async compareEvents(what: 'task' | 'records', taskId: string, had: Subscriber): Promise<string[]> {
    const all = this.subscribe(what, taskId);
    if (!(await within(RUN_LIMIT_MS, all.ended()))) return [`The ${what} stream of an ended task does not end.`];
    const [first, second] = [had.lines(), all.lines()];
    const failures = had.outOfOrder().map((n) => `${what}: number ${n} came twice or late`);
    if (first.join('\n') !== second.join('\n')) {
      const lost = second.filter((line) => !first.includes(line)).slice(0, 3);
      const doubled = first.filter((line) => !second.includes(line)).slice(0, 3);
      failures.push(`${what}: ${first.length} events, later ${second.length}; lost ${lost}; only live ${doubled}`);
    }
    return failures;
  }

  private async settled(): Promise<string[]> {
    const until = Date.now() + SETTLE_LIMIT_MS;
    for (;;) {
      const left = await this.again(() => leftovers(this.sql));
      // What follows a commit is made up for minutes later where its worker was killed; that has a test of its own.
      const stuck = left.filter((what) => !what.includes('tidied'));
      if (stuck.length === 0 || Date.now() > until) return stuck;
      await delay(100);
    }
  }

  private ask(query: string, parameters: unknown[]): Promise<Row[]> {
    return this.again(async () => (await this.sql.query(query, parameters)).rows);
  }

  /** The laboratory's own connection is lost with the server, too. */
  private async again<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (tries === 100) throw error;
        await delay(100);
        await this.sql.end().catch(() => undefined);
        const sql = await connect(this.postgres.url).catch(() => undefined);
        if (sql) this.sql = sql;
      }
    }
  }
}

/** A row of the laboratory's own questions; what a question does not ask for is not there. */
interface Row {
  readonly id: string;
  readonly status: string;
  readonly failure: unknown;
  readonly certificate: unknown;
  readonly ms: number;
  readonly tidied: boolean;
  readonly planned: boolean;
  readonly recorded: boolean;
  readonly certified: boolean;
  readonly reading: boolean;
}

interface Source {
  readonly id: string;
  readonly uuid: string;
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000, application_name: 'laboratory' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** @returns whether it came in time */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const controller = new AbortController();
  const late = delay(ms, false, { signal: controller.signal }).catch(() => false);
  const inTime = await Promise.race([work.then(() => true), late]);
  controller.abort();
  return inTime;
}
