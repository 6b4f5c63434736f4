import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Client } from 'pg';
import { projectRoot } from '../platform/project-root';
import { toTypedId } from '../platform/typed-id';
import { NO_PROGRESS } from '../sync/task/sync-task.entity';
import { type Bench, connect, withClient, withServer } from './environment';
import type { Figure } from './figure';
import { freePort, startProgram } from './processes';
import { measureRun } from './synchronize';

/** One progress update told to many subscribers, each with a connection of its own. Milliseconds until the last one has it. */
export interface BroadcastFigures {
  readonly subscribers: number;
  readonly rollcall: readonly number[];
  readonly bare: readonly number[];
  /** Of one message. */
  readonly bytes: number;
}

const UPDATES = 30;
const WARM_UP = 10;

const WATCH = `subscription ($id: ID!) { syncTask(id: $id) { sequence task { id status
  progress { phase percent departmentsDone departmentsTotal employeesDone employeesTotal ratePerSecond estimatedSecondsLeft sourceCalls
    throttledMs currentDepartment }
  counters { objectType action planned applied held skipped failed } } } }`;

export async function measureBroadcast(subscribers: number): Promise<BroadcastFigures> {
  return withServer(100, async (bench) => {
    await measureRun(bench, await connect(bench.api));
    return withClient(bench.databaseUrl, async (client) => {
      const task = await openTask(client);
      const rollcall = await toRollcall(bench, client, task, subscribers);
      const bare = await toBare(rollcall.sample, subscribers);
      return { subscribers, rollcall: rollcall.times, bare, bytes: Buffer.byteLength(rollcall.sample) };
    });
  });
}

export function broadcastFigures({ subscribers, rollcall, bare }: BroadcastFigures): Figure[] {
  return [
    {
      what: `one progress update to ${subscribers} subscribers, beside the same bytes over bare ws`,
      measured: (subscribers * 1_000) / Math.min(...rollcall),
      limit: (subscribers * 1_000) / Math.min(...bare),
      unit: 'messages/s',
      goal: { of: 'ratio', is: 'at least', value: 0.3 },
    },
  ];
}

/** A task that is running for as long as the measurement takes, and that no worker takes up. */
async function openTask(client: Client): Promise<string> {
  const { rows } = await client.query(
    `INSERT INTO sync_task (identity_source_id, mode, trigger, status, started_at, lease_until, mappings, settings, settings_version)
     SELECT identity_source_id, 'PREVIEW', 'MANUAL', 'RUNNING', now(), now() + interval '1 day', mappings, settings, settings_version
       FROM sync_task LIMIT 1 RETURNING id`,
  );
  return rows[0].id;
}

/** As the worker writes progress: a row and an event; it is told once it is numbered. */
async function writeProgress(client: Client, task: string, done: number): Promise<void> {
  const progress = { ...NO_PROGRESS, phase: 'FETCHING', percent: 40, departmentsTotal: 2_000, departmentsDone: done };
  await client.query('BEGIN');
  await client.query(`UPDATE sync_task SET progress = $2 WHERE id = $1`, [task, JSON.stringify(progress)]);
  await client.query(
    `INSERT INTO event (kind, identity_source_id, task_id, payload)
     SELECT 'TASK', identity_source_id, id, jsonb_build_object('status', status, 'startedAt', started_at, 'finishedAt', finished_at,
            'progress', progress, 'counters', counters, 'certificate', certificate, 'failure', failure) FROM sync_task WHERE id = $1`,
    [task],
  );
  await client.query('COMMIT');
}

async function toRollcall(bench: Bench, client: Client, task: string, subscribers: number) {
  const init = { type: 'connection_init', payload: { Authorization: `Bearer ${bench.token}` } };
  const payload = { query: WATCH, variables: { id: toTypedId('task', task) } };
  const messages = [init, { id: '1', type: 'subscribe', payload }].map((message) => JSON.stringify(message));
  const url = bench.url.replace(/^http/, 'ws');
  return withSubscribers(
    { url, count: subscribers, protocol: 'graphql-transport-ws', messages },
    async () => void (await client.query('SELECT number_events()')),
    (update) => writeProgress(client, task, update),
  );
}

async function toBare(message: string, subscribers: number): Promise<number[]> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await startProgram('bench/peers/bare-broadcast.js', [String(port)], {}, url);
  try {
    const connection = { url: url.replace(/^http/, 'ws'), count: subscribers, protocol: null, messages: [] };
    const post = async () => {
      await (await fetch(url, { method: 'POST', body: message })).text();
    };
    return (await withSubscribers(connection, post)).times;
  } finally {
    await server.stop();
  }
}

/** Prepares and sends one update after the other, each when the former has reached everybody; only sending is timed. */
async function withSubscribers(
  connection: { url: string; count: number; protocol: string | null; messages: readonly string[] },
  send: () => Promise<void>,
  prepare: (update: number) => Promise<void> = async () => undefined,
): Promise<{ times: number[]; sample: string }> {
  const script = path.join(projectRoot(), 'dist', 'src', 'bench', 'peers', 'subscribers.js');
  const child = fork(script, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  try {
    await ask(child, { connect: connection });
    const times: number[] = [];
    let sample = '';
    for (let update = 0; update < WARM_UP + UPDATES; update++) {
      await ask(child, { await: connection.count });
      const received = new Promise<{ sample: string }>((resolve) => child.once('message', resolve as () => void));
      await prepare(update);
      const begun = performance.now();
      const sending = send();
      sample = (await received).sample;
      if (update >= WARM_UP) times.push(performance.now() - begun);
      await sending;
    }
    return { times, sample };
  } finally {
    child.send({ close: true });
    await exited;
  }
}

async function ask(child: ChildProcess, message: object): Promise<void> {
  const waiting = new AbortController();
  const { signal } = waiting;
  child.send(message);
  await Promise.race([
    once(child, 'message', { signal }),
    once(child, 'exit', { signal }).then(() => Promise.reject(new Error('The subscribers’ process ended.'))),
  ]).finally(() => waiting.abort());
}
