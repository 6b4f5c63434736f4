import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { freePort } from '../../src/crash/processes';
import { type TaskEvent, watchTasks } from '../clients/dashboard';
import { DirectoryClient, DirectoryRefusal } from '../clients/directory-client';
import { change, connectSource, startRollcall, synchronize, type TestRollcall, TOKEN, user } from '../setup/rollcall';

const run = promisify(execFile);
const SCRIPT = path.join(__dirname, '..', 'clients', 'synchronize.sh');

describe('the example clients', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterAll(() => rollcall.stop());

  const script = (id: string, environment: NodeJS.ProcessEnv = {}) =>
    run(SCRIPT, [id], {
      env: { ...process.env, ROLLCALL_URL: rollcall.url, TOKEN, POLL_SECONDS: '0.05', ...environment },
    }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code: code as number, stdout: String(stdout), stderr: String(stderr) }),
    );

  it('have the types that the schema says', async () => {
    const loader = path.join(__dirname, '..', 'setup', 'register-typescript.cjs');
    const generator = path.join(__dirname, '..', 'clients', 'generate.ts');
    await run(process.execPath, ['-r', loader, generator, '--check']);
  });

  it('a script starts a task with curl, waits for its end and says how it went', async () => {
    expect(await script(source)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^task_\w+ SUCCEEDED\n$/) });
    const again = { IDEMPOTENCY_KEY: 'nightly-1' };
    const first = await script(source, again);
    expect((await script(source, again)).stdout).toBe(first.stdout);
    expect(await script('source_nobody')).toMatchObject({ code: 2, stderr: expect.stringContaining('NOT_FOUND') });
    expect(await script(source, { TOKEN: 'x'.repeat(20) })).toMatchObject({ code: 2 });
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 60011, path: 'department/list' });
    const unlucky = await script(source);
    rollcall.sandbox.faults.clear();
    expect(unlucky).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^task_\w+ (FAILED|PARTIALLY_SUCCEEDED)\n$/),
    });
  });

  it('a typed client synchronizes, follows the task over a subscription and lists people', async () => {
    const client = new DirectoryClient(rollcall.url, TOKEN);
    try {
      const statuses: string[] = [];
      const task = await client.synchronize(source, ({ status }) => statuses.push(status));
      expect(task.status).toBe('SUCCEEDED');
      expect(statuses.at(-1)).toBe('SUCCEEDED');
      const names: string[] = [];
      for await (const person of client.people(
        { identitySourceId: source },
        { field: 'DISPLAY_NAME', direction: 'ASC' },
      ))
        names.push(person.displayName);
      expect(names).toEqual(['李四', '王五', '张三', '赵六']);
      const refused = client.synchronize('source_nobody', () => undefined);
      await expect(refused).rejects.toBeInstanceOf(DirectoryRefusal);
    } finally {
      await client.close();
    }
  });

  it('a dashboard in a browser sees every change of every task, also over a lost connection', async () => {
    // What browsers have.
    globalThis.WebSocket = WebSocket as never;
    const events: TaskEvent[] = [];
    let ended: string | undefined;
    let seen: () => void = () => undefined;
    const stop = watchTasks({
      url: rollcall.url.replace('http', 'ws'),
      token: TOKEN,
      onEvent: (event) => {
        events.push(event);
        seen();
      },
      onEnd: (reason) => {
        ended = reason;
        seen();
      },
    });
    const until = (condition: () => boolean) =>
      new Promise<void>((resolve) => {
        seen = () => condition() && resolve();
        seen();
      });
    try {
      change(rollcall.sandbox, ({ users }) => users.set('new', user('new', '新人', [2])));
      const task = await synchronize(rollcall, source);
      await until(() => events.some((e) => e.task.id === task.id && e.task.status === 'SUCCEEDED'));
      expect(events.map((e) => e.sequence)).toEqual([...new Set(events.map((e) => e.sequence))].sort((a, b) => a - b));
    } finally {
      stop();
    }
    await until(() => ended !== undefined);
    expect(ended).toBe('closed');
  });

  it('a dashboard that was away for longer than events are kept begins again with how things stand', async () => {
    const own = await startRollcall({ environment: { PORT: String(await freePort()) } });
    const ownSource = await connectSource(own);
    let isReachable = true;
    const sockets: WebSocket[] = [];
    globalThis.WebSocket = class extends WebSocket {
      constructor(address: string, protocol: string) {
        super(isReachable ? address : 'ws://127.0.0.1:1', protocol);
        this.on('error', () => undefined);
        sockets.push(this);
      }
    } as never;
    const events: TaskEvent[] = [];
    const ends: string[] = [];
    const stop = watchTasks({
      url: own.url.replace('http', 'ws'),
      token: TOKEN,
      onEvent: (event) => events.push(event),
      onEnd: (reason) => ends.push(reason),
    });
    const seeOneMore = async () => {
      const had = events.length;
      while (events.length === had && ends.length === 0) await synchronize(own, ownSource);
    };
    try {
      await seeOneMore();
      isReachable = false;
      sockets[0]?.terminate();
      await synchronize(own, ownSource);
      await own.sql.query('DELETE FROM event');
      await own.restart();
      isReachable = true;
      await seeOneMore();
      expect(ends).toEqual([]);
    } finally {
      stop();
      await own.stop();
    }
  });

  it('a dashboard whose credential is refused is told so, and does not try again', async () => {
    globalThis.WebSocket = WebSocket as never;
    const reason = await new Promise<string>((resolve) => {
      watchTasks({
        url: rollcall.url.replace('http', 'ws'),
        token: 'x'.repeat(20),
        onEvent: () => resolve('an event'),
        onEnd: resolve,
      });
    });
    expect(reason).not.toBe('an event');
  });
});
