import { randomBytes } from 'node:crypto';
import { encrypt, signature } from '../connector/wecom/wecom.callback-crypto';
import { DEFAULT_COMPANY } from '../sandbox/company';
import type { OrganizationState } from '../sandbox/organization';
import { type Bench, CALLBACK_KEYS, connect, pause, untilSearchable, withClient, withServer } from './environment';
import { type Figure, quantile } from './figure';
import { measureRun } from './synchronize';

/** From a callback's arrival to the changed employee's task delivered to a subscriber, in milliseconds. */
export interface CallbackFigures {
  readonly people: number;
  /** With nothing else to do. */
  readonly idle: readonly number[];
  /** While a full run that changes everybody reads and plans. */
  readonly busy: readonly number[];
  /** One row written and committed. */
  readonly commit: readonly number[];
}

const IDLE_CALLBACKS = 100;
const BUSY_CALLBACKS = 60;
const MAX_ROUNDS = 6;
/** A directory answers within a quarter of a second; the sandbox at once, which no full run would be long enough for. */
const ANSWER_MS = 250;
const COMMITS = 300;

export async function measureCallbacks(people: number): Promise<CallbackFigures> {
  return withServer(people, async (bench) => {
    const source = await connect(bench.api);
    await measureRun(bench, source);
    await untilSearchable(bench.databaseUrl, people);
    const watch = await Watch.open(bench, source);
    const idle: number[] = [];
    await moveEverybody(bench, 'idle');
    // The first ones warm up what every later one uses.
    for (let i = 0; i < IDLE_CALLBACKS + 10; i++) {
      const { ms } = await oneCallback(bench, source, `user${i}`, watch);
      if (i >= 10) idle.push(ms);
    }
    const busy: number[] = [];
    for (let round = 0; round < MAX_ROUNDS && busy.length < BUSY_CALLBACKS; round++) {
      await moveEverybody(bench, `round ${round}`);
      busy.push(...(await duringFullRun(bench, source, watch)));
    }
    return { people, idle, busy, commit: await commits(bench.emptyUrl) };
  });
}

export function callbackFigures({ people, idle, busy, commit }: CallbackFigures): Figure[] {
  const row = (name: string, values: readonly number[], share: number): Figure => ({
    what: `callback received to employee changed and delivered, ${people} people, ${name}, p${share * 100} of ${values.length}, beside a commit`,
    measured: quantile(values, share),
    limit: quantile(commit, share),
    unit: 'ms',
    goal: { of: 'figure', is: 'at most', value: 500 },
  });
  const runs = Object.entries({ idle, 'during a full run': busy }).filter(([, values]) => values.length > 0);
  return runs.flatMap(([name, values]) => [row(name, values, 0.5), row(name, values, 0.99)]);
}

interface Seen {
  readonly at: number;
  readonly trigger: string;
  readonly status: string;
  readonly phase: string;
}

const TASKS = `subscription ($source: ID!) { syncTasks(identitySourceId: $source) {
  task { trigger status progress { phase } } } }`;

/** One subscriber to a source's tasks, for as long as the connection lasts. */
class Watch {
  private waiting: ((seen: Seen) => void) | undefined;
  /** Where the full run stands; undefined: none is open. */
  fullRun: string | undefined;

  static async open({ api }: Bench, source: string): Promise<Watch> {
    const tasks = api.subscribe<{
      syncTasks: { task: { trigger: string; status: string; progress: { phase: string } } };
    }>(TASKS, { source });
    const watch = new Watch();
    void (async () => {
      for await (const { syncTasks } of tasks) {
        const { trigger, status, progress } = syncTasks.task;
        watch.see({ at: performance.now(), trigger, status, phase: progress.phase });
      }
    })().catch(() => undefined);
    await pause(500);
    return watch;
  }

  private see(seen: Seen): void {
    const open = seen.status === 'QUEUED' || seen.status === 'RUNNING';
    if (seen.trigger !== 'EVENT') this.fullRun = open ? seen.phase : undefined;
    else if (!open) this.waiting?.(seen);
  }

  /** The next event task that ends. */
  nextEnd(): Promise<Seen> {
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }
}

/** Sends what WeCom would send, and waits for the task that it causes. */
async function oneCallback(
  { url }: Bench,
  source: string,
  userid: string,
  watch: Watch,
): Promise<{ ms: number; fullRun: string | undefined }> {
  const end = watch.nextEnd();
  const xml = `<xml><MsgType>event</MsgType><Event>change_contact</Event><ChangeType>update_user</ChangeType><UserID>${userid}</UserID></xml>`;
  const encrypted = encrypt(CALLBACK_KEYS, xml, DEFAULT_COMPANY.corpId);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const nonce = randomBytes(8).toString('hex');
  const signed = signature(CALLBACK_KEYS.token, timestamp, nonce, encrypted);
  const query = new URLSearchParams({ msg_signature: signed, timestamp, nonce });
  const address = url.replace('/graphql', `/callbacks/wecom/${source}?${query}`);
  const begun = performance.now();
  const answer = await fetch(address, { method: 'POST', body: `<xml><Encrypt>${encrypted}</Encrypt></xml>` });
  if ((await answer.text()) !== 'success') throw new Error(`The callback was answered with ${answer.status}.`);
  const ended = await end;
  if (ended.status !== 'SUCCEEDED') throw new Error(`The event task ended as ${ended.status}.`);
  return { ms: ended.at - begun, fullRun: watch.fullRun };
}

/** Callbacks one after the other for as long as the full run reads or plans; what its apply delays is left out. */
async function duringFullRun(bench: Bench, source: string, watch: Watch): Promise<number[]> {
  const found: number[] = [];
  const faults = `${bench.wecomUrl}/sandbox/faults`;
  const slow = { kind: 'slow', milliseconds: ANSWER_MS, path: 'user/list' };
  await fetch(faults, { method: 'POST', body: JSON.stringify(slow) });
  let over = false;
  const run = measureRun(bench, source).finally(() => {
    over = true;
  });
  while (!over && watch.fullRun !== 'FETCHING') await pause(5);
  for (let i = 0; watch.fullRun === 'FETCHING' || watch.fullRun === 'PLANNING'; i++) {
    const { ms, fullRun } = await oneCallback(bench, source, `user${1_000 + i}`, watch);
    if (fullRun === 'FETCHING' || fullRun === 'PLANNING') found.push(ms);
  }
  await run;
  await fetch(faults, { method: 'DELETE' });
  // Its search text is made before the next round begins.
  await pause(2_000);
  return found;
}

/** Gives everybody another position, so that a callback finds a change, and a full run one of every page. */
async function moveEverybody({ wecomUrl }: Bench, position: string): Promise<void> {
  const state = (await (await fetch(`${wecomUrl}/sandbox/organization`)).json()) as OrganizationState;
  for (const user of state.users) user.position = position;
  const answer = await fetch(`${wecomUrl}/sandbox/organization`, { method: 'PUT', body: JSON.stringify(state) });
  if (!answer.ok) throw new Error(await answer.text());
  // The sandbox makes each answer once; the first call pays for all.
  await fetch(`${wecomUrl}/cgi-bin/user/get`);
}

/** What one committed write costs on this disk. */
async function commits(url: string): Promise<number[]> {
  return withClient(url, async (client) => {
    await client.query('CREATE TABLE IF NOT EXISTS bench_commit (at timestamptz)');
    const found: number[] = [];
    for (let i = 0; i < COMMITS; i++) {
      const begun = performance.now();
      await client.query('INSERT INTO bench_commit VALUES (now())');
      found.push(performance.now() - begun);
    }
    return found;
  });
}
