import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createClient } from 'graphql-ws';
import { Client } from 'pg';
import { WebSocket } from 'ws';
import { freePort } from '../../src/crash/processes';
import { ApiClient } from '../../src/demo/api-client';
import { differences } from '../../src/demo/compare';
import type { FaultInput } from '../../src/sandbox/faults';
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox';
import { DirectoryClient } from '../clients/directory-client';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { createTestDatabase } from '../setup/databases';
import {
  change,
  connectSource,
  createSource,
  serverEnvironment,
  smallCompany,
  startRollcall,
  startTask,
  synchronize,
  TOKEN,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';

const SETUP = path.join(__dirname, '..', 'setup');

describe('a server that is killed with SIGKILL', () => {
  let sandbox: Sandbox;
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  const processes: ChildProcess[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
    sandbox = await startSandbox({ organization: smallCompany() });
  });
  afterEach(async () => {
    for (const child of processes.splice(0)) child.kill('SIGKILL');
    await sandbox.close();
    await database.drop();
  });

  const spawnServer = async () => {
    const child = fork(path.join(SETUP, 'server-process.ts'), [], {
      execArgv: ['--require', path.join(SETUP, 'register-typescript.cjs')],
      env: {
        ...process.env,
        ...serverEnvironment(database.url, sandbox.url),
        ROLLCALL_LEASE_SECONDS: '2',
      },
    });
    processes.push(child);
    const [{ port }] = await once(child, 'message');
    return { child, api: new ApiClient(`http://127.0.0.1:${port}/graphql`, TOKEN) };
  };

  it.each<[string, FaultInput | undefined]>([
    ['reading', { kind: 'slow', milliseconds: 20_000, path: 'user/list', times: 1 }],
    ['planning or applying', undefined],
  ])('while %s leaves its task to another, which ends it within seconds as if undisturbed', async (_step, fault) => {
    const first = await spawnServer();
    const { corpId, agentId, secret } = sandbox.company.settings;
    const { identitySource } = await createSource(first.api, {
      type: 'WECOM',
      name: 'WeCom',
      wecomSelfBuilt: { corpId, agentId, secret },
    });
    if (fault) sandbox.faults.add(fault);
    const listed = () => sandbox.calls.get('user/list') ?? 0;
    const before = listed();
    const { syncTask } = await startTask(first.api, identitySource?.id ?? '');
    if (fault) while (listed() === before) await new Promise((resolve) => setTimeout(resolve, 10));
    else await new Promise((resolve) => setTimeout(resolve, 60));
    first.child.kill('SIGKILL');
    const second = await spawnServer();
    const begun = Date.now();
    const task = await watch(second.api, syncTask?.id ?? '');
    expect(task.status).toBe('SUCCEEDED');
    expect(Date.now() - begun).toBeLessThan(15_000);
    expect(await differences(second.api, identitySource?.id ?? '', sandbox.company.organization)).toEqual([]);
    await first.api.close();
    await second.api.close();
  });
});

describe('a task whose worker was killed right after its commit', () => {
  it('is tidied up by whoever looks next: its people can be found', async () => {
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall);
      const { syncTask } = await startTask(rollcall.api, source);
      await watch(rollcall.api, syncTask?.id ?? '');
      const tidied = async () =>
        (
          await rollcall.sql.query(
            `SELECT FROM sync_task WHERE tidied_at IS NULL AND applied_at IS NOT NULL
             UNION ALL SELECT FROM search_pending`,
          )
        ).rowCount === 0;
      const until = async () => {
        while (!(await tidied())) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await until();
      await rollcall.sql.query('DELETE FROM employee_search');
      await rollcall.sql.query(
        `INSERT INTO search_pending (identity_source_id, taken_until)
         SELECT id, now() - interval '1 second' FROM identity_source WHERE type = 'WECOM'`,
      );
      await rollcall.sql.query(`UPDATE sync_task SET tidied_at = NULL, applied_at = now() - interval '10 minutes'`);
      await until();
      const { rows } = await rollcall.sql.query('SELECT count(*)::int AS found FROM employee_search');
      expect(rows).toEqual([{ found: 4 }]);
    } finally {
      await rollcall.stop();
    }
  });
});

describe('a task that nobody works on', () => {
  it('is taken up also while it takes long to tidy up after others', async () => {
    const rollcall = await startRollcall();
    const other = new Client({ connectionString: rollcall.database.url });
    try {
      await other.connect();
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      await untilRow(rollcall, 'SELECT WHERE NOT EXISTS (SELECT FROM graphile_worker._private_jobs)');
      await other.query('BEGIN; SELECT FROM identity_source FOR NO KEY UPDATE');
      await rollcall.sql.query(`UPDATE sync_task SET tidied_at = NULL, applied_at = now() - interval '10 minutes'`);
      await untilRow(
        rollcall,
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%identity_source%FOR SHARE%'`,
      );
      await rollcall.sql.query(
        `UPDATE sync_task SET status = 'QUEUED', queued_at = now() - interval '1 minute', planned_at = NULL, applied_at = NULL`,
      );
      await untilRow(rollcall, `SELECT FROM sync_task WHERE status = 'SUCCEEDED'`);
    } finally {
      await other.end();
      await rollcall.stop();
    }
  });
});

describe('what callbacks tell', () => {
  it('does not wait behind full runs of other sources', async () => {
    const rollcall = await startRollcall({ environment: PUBLIC_URL });
    const other = new Client({ connectionString: rollcall.database.url });
    try {
      await other.connect();
      const source = await connectWithCallbacks(rollcall);
      await synchronize(rollcall, source);
      await untilRow(rollcall, 'SELECT WHERE NOT EXISTS (SELECT FROM graphile_worker._private_jobs)');
      // A task that nobody has taken up, and whose row every worker waits for that would.
      await rollcall.sql.query(`UPDATE sync_task SET status = 'RUNNING', lease_until = NULL`);
      await other.query('BEGIN');
      await other.query(`UPDATE sync_task SET status = 'SUCCEEDED'`);
      await rollcall.sql.query(
        `SELECT graphile_worker.add_job('sync-task', json_build_object('taskId', id)) FROM sync_task, generate_series(1, 10)`,
      );
      await untilRow(
        rollcall,
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' HAVING count(*) >= 4`,
      );
      change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [2])));
      await eventsSettled(rollcall);
      await untilRow(rollcall, `SELECT FROM employee WHERE username = 'neu'`);
      await other.query('COMMIT');
    } finally {
      await other.end();
      await rollcall.stop();
    }
  });
});

describe('a running task', () => {
  it('stays its worker’s while requests take up all connections of the API', async () => {
    const rollcall = await startRollcall({ environment: { ROLLCALL_LEASE_SECONDS: '2' } });
    const other = new Client({ connectionString: rollcall.database.url });
    try {
      await other.connect();
      const source = await connectSource(rollcall);
      rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 5_000, path: 'user/list', times: 1 });
      await startTask(rollcall.api, source);
      await untilRow(rollcall, `SELECT FROM sync_task WHERE status = 'RUNNING'`);
      await other.query('BEGIN; LOCK TABLE employee IN ACCESS EXCLUSIVE MODE');
      const requests = Array.from({ length: 40 }, () => rollcall.api.request('{ employees(first: 1) { totalCount } }'));
      await untilRow(rollcall, `SELECT FROM sync_task WHERE lease_until > started_at + interval '5 seconds'`);
      await other.query('COMMIT');
      await Promise.all(requests);
      expect((await rollcall.sql.query('SELECT fence FROM sync_task')).rows).toEqual([{ fence: 1 }]);
    } finally {
      await other.end();
      await rollcall.stop();
    }
  });
});

describe('a server that is stopped', () => {
  it('hands its running task on, and the next start ends it', async () => {
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall);
      rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 3_000, path: 'user/list', times: 1 });
      const { syncTask } = await startTask(rollcall.api, source);
      await new Promise((resolve) => setTimeout(resolve, 500));
      await rollcall.restart();
      expect((await watch(rollcall.api, syncTask?.id ?? '')).status).toBe('SUCCEEDED');
      expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
    } finally {
      await rollcall.stop();
    }
  });

  it('leaves its subscribers to connect again, who follow the task to its end with nothing lost or twice', async () => {
    const rollcall = await startRollcall({ environment: { PORT: String(await freePort()) } });
    const socket = createClient({
      url: rollcall.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${TOKEN}` },
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    const typed = new DirectoryClient(rollcall.url, TOKEN);
    const closes: number[] = [];
    socket.on('closed', (event) => closes.push((event as { code: number }).code));
    type Told = { sequence: number; task?: { status: string } };
    const follow = (field: string, selection: string, id: string) => {
      const told: Told[] = [];
      // Worked out whenever it is sent, so that it goes on from the last number.
      const variables = { id, toJSON: () => ({ id, after: told.at(-1)?.sequence ?? 0 }) };
      const query = `subscription ($id: ID!, $after: SafeInt) { event: ${field}: $id, afterSequence: $after) { sequence ${selection} } }`;
      const ended = (async () => {
        for await (const { data } of socket.iterate<{ event: Told }>({ query, variables }))
          if (data) told.push(data.event);
      })();
      return { told, ended };
    };
    const streams = (id: string) => [
      follow('syncTask(id', 'task { status progress { phase } }', id),
      follow('syncRecords(taskId', 'plan record { externalId result }', id),
    ];
    try {
      const source = await connectSource(rollcall);
      rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 2_000, path: 'user/list', times: 1 });
      const { syncTask } = await startTask(rollcall.api, source);
      const id = syncTask?.id ?? '';
      const live = streams(id);
      let reading: () => void = () => undefined;
      const isReading = new Promise<void>((resolve) => {
        reading = resolve;
      });
      const asItEnded = typed.synchronize(source, ({ progress }) => progress.phase === 'FETCHING' && reading());
      await isReading;
      await rollcall.restart();
      await Promise.all(live.map(({ ended }) => ended));
      expect(closes).toContain(1001);
      expect((await asItEnded).status).toBe('SUCCEEDED');
      expect(live[0]?.told.at(-1)?.task?.status).toBe('SUCCEEDED');
      const afterwards = streams(id);
      await Promise.all(afterwards.map(({ ended }) => ended));
      expect(live.map(({ told }) => told)).toEqual(afterwards.map(({ told }) => told));
    } finally {
      await socket.dispose();
      await typed.close();
      await rollcall.stop();
    }
  });

  it('does not wait for a subscriber that has gone without a word', async () => {
    const rollcall = await startRollcall();
    const socket = new WebSocket(rollcall.url.replace('http', 'ws'), 'graphql-transport-ws');
    try {
      await once(socket, 'open');
      socket.pause();
      const begun = Date.now();
      await rollcall.restart();
      expect(Date.now() - begun).toBeLessThan(10_000);
    } finally {
      socket.terminate();
      await rollcall.stop();
    }
  });
});
