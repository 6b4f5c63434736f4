import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import {
  change,
  connectSource,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  TOKEN,
  watch,
} from '../setup/rollcall';

describe('subscriptions', () => {
  let rollcall: TestRollcall;
  let source: string;
  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterAll(() => rollcall.stop());

  interface TaskEvent {
    sequence: number;
    task: { id: string; status: string; lastSequence: number };
  }
  interface RecordEvent {
    sequence: number;
    record: { externalId: string; result: string };
  }
  const TASK = `subscription ($id: ID!, $after: SafeInt) { syncTask(id: $id, afterSequence: $after) { sequence task { id status lastSequence } } }`;
  const RECORDS = `subscription ($id: ID!, $after: SafeInt, $filter: SyncRecordFilter) {
    syncRecords(taskId: $id, afterSequence: $after, filter: $filter) { sequence record { externalId result } }
  }`;
  const taskEvents = (id: string, after?: number) =>
    collect<{ syncTask: TaskEvent }, TaskEvent>(TASK, { id, after }, (d) => d.syncTask);
  const recordEvents = (id: string, after?: number, filter?: unknown) =>
    collect<{ syncRecords: RecordEvent }, RecordEvent>(RECORDS, { id, after, filter }, (d) => d.syncRecords);

  async function collect<D, E>(query: string, variables: Record<string, unknown>, pick: (data: D) => E): Promise<E[]> {
    const events: E[] = [];
    for await (const data of rollcall.api.subscribe<D>(query, variables)) events.push(pick(data));
    return events;
  }

  it('begin with the task as it is and end with it', async () => {
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 100, path: 'user/list' });
    const { syncTask } = await startTask(rollcall.api, source);
    const live = await taskEvents(syncTask?.id ?? '');
    rollcall.sandbox.faults.clear();
    expect(['QUEUED', 'RUNNING']).toContain(live[0]?.task.status);
    expect(live.at(-1)?.task.status).toBe('SUCCEEDED');
    const sequences = live.map((event) => event.sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
    const ended = await taskEvents(syncTask?.id ?? '');
    expect(ended).toHaveLength(1);
    expect(ended[0]).toMatchObject({ sequence: live.at(-1)?.sequence, task: { status: 'SUCCEEDED' } });
  });

  it('to all tasks tell each change once, whenever they begin', async () => {
    const query = `subscription { syncTasks { sequence task { id status lastSequence } } }`;
    const client = createClient({
      url: rollcall.url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${TOKEN}` },
    });
    const told: number[][] = [];
    const failed: unknown[] = [];
    const begin = () => {
      const sequences: number[] = [];
      told.push(sequences);
      client.subscribe<{ syncTasks: TaskEvent }>(
        { query },
        {
          next: ({ data }) => data && sequences.push(data.syncTasks.sequence),
          error: (error) => failed.push(error),
          complete: () => undefined,
        },
      );
    };
    const beginning = setInterval(begin, 2);
    try {
      await synchronize(rollcall, source);
    } finally {
      clearInterval(beginning);
      await client.dispose();
    }
    expect(failed).toEqual([]);
    expect(told.length).toBeGreaterThan(20);
    for (const sequences of told) expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
  });

  it('count people, not answers: never more than there are, and all of them at the end', async () => {
    interface Progress {
      employeesDone: number;
      employeesTotal: number | null;
      phase: string;
    }
    const query = `subscription ($id: ID!, $after: SafeInt) { syncTask(id: $id, afterSequence: $after) { task {
      progress { employeesDone employeesTotal phase } } } }`;
    const progressOf = async () => {
      rollcall.sandbox.faults.add({
        kind: 'slow',
        milliseconds: 300,
        path: 'user/list',
        query: { department_id: '4' },
      });
      const { syncTask } = await startTask(rollcall.api, source);
      const variables = { id: syncTask?.id ?? '', after: 0 };
      const told = await collect<{ syncTask: { task: { progress: Progress } } }, Progress>(
        query,
        variables,
        (d) => d.syncTask.task.progress,
      );
      rollcall.sandbox.faults.clear();
      return told;
    };
    // Wang Wu is in two departments; the answers of the second run are known, those of the third are new.
    for (const rename of [false, false, true]) {
      if (rename) {
        change(rollcall.sandbox, ({ users }) => {
          for (const person of users.values()) users.set(person.userid, { ...person, position: '新职位' });
        });
      }
      const told = await progressOf();
      for (const { employeesDone } of told) expect(employeesDone).toBeLessThanOrEqual(4);
      expect(told.at(-1)).toEqual({ employeesDone: 4, employeesTotal: 4, phase: 'FINISHED' });
    }
  });

  it('go on after a number with nothing lost and nothing twice', async () => {
    const task = await synchronize(rollcall, source);
    const all = await taskEvents(task.id, 0);
    expect(all.length).toBeGreaterThan(1);
    for (const [i, event] of all.entries()) {
      expect((await taskEvents(task.id, event.sequence)).map((e) => e.sequence)).toEqual(
        all.slice(i + 1).map((e) => e.sequence),
      );
    }
  });

  it('tell every record planned, then applied, and can be taken up between any two', async () => {
    const other = await startRollcall();
    try {
      const task = await synchronize(other, await connectSource(other));
      const collectFrom = async (after?: number, filter?: unknown) => {
        const events: RecordEvent[] = [];
        const variables = { id: task.id, after, filter };
        for await (const data of other.api.subscribe<{ syncRecords: RecordEvent }>(RECORDS, variables))
          events.push(data.syncRecords);
        return events;
      };
      const all = await collectFrom(0);
      expect(all.map((event) => event.record.result)).toEqual([
        ...Array(8).fill('PLANNED'),
        ...Array(8).fill('APPLIED'),
      ]);
      expect(new Set(all.map((event) => event.sequence)).size).toBe(16);
      for (const cut of [3, 8, 11]) {
        expect(await collectFrom(all[cut]?.sequence)).toEqual(all.slice(cut + 1));
      }
      expect((await collectFrom()).map((event) => event.record.result)).toEqual(Array(8).fill('APPLIED'));
      expect(await collectFrom(0, { text: 'lisi', result: ['APPLIED'] })).toHaveLength(1);
      expect(await collectFrom(all.at(-1)?.sequence)).toEqual([]);
    } finally {
      await other.stop();
    }
  });

  it('of an unknown task end at once', async () => {
    expect(await taskEvents('task_01h455vb4pex5vsknk084sn02q')).toEqual([]);
    expect(await recordEvents('employee_01h455vb4pex5vsknk084sn02q')).toEqual([]);
  });

  it('of an unknown source end at once', async () => {
    for (const query of [
      'subscription ($id: ID!) { syncTasks(identitySourceId: $id) { sequence } }',
      'subscription ($id: ID!) { identitySourceChanged(id: $id) { sequence } }',
    ]) {
      const stream = rollcall.api.subscribe(query, { id: 'source_01h455vb4pex5vsknk084sn02q' });
      expect(await stream.next()).toEqual({ done: true, value: undefined });
    }
  });

  it('of all tasks show one that begins later', async () => {
    const query = `subscription { syncTasks { task { id status } } }`;
    const stream = rollcall.api.subscribe<{ syncTasks: { task: { id: string; status: string } } }>(query, {});
    const first = stream.next();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { syncTask } = await startTask(rollcall.api, source);
    expect((await first).value.syncTasks.task.id).toBe(syncTask?.id);
    await stream.return(undefined);
    await watch(rollcall.api, syncTask?.id ?? '');
  });

  it('to all tasks can be taken up between any two that they begin with', async () => {
    const other = await startRollcall();
    try {
      const otherSource = await connectSource(other);
      const first = await synchronize(other, otherSource);
      const second = await synchronize(other, otherSource);
      // Two that wait, of which the first has changed last.
      await other.sql.query(`UPDATE sync_task SET status = 'HELD'`);
      await other.sql.query(
        `INSERT INTO event (kind, identity_source_id, task_id, payload)
         SELECT kind, identity_source_id, task_id, payload || '{"status": "HELD"}' FROM event
          WHERE task_id = (SELECT id FROM sync_task ORDER BY id LIMIT 1) AND kind = 'TASK' ORDER BY sequence DESC LIMIT 1`,
      );
      await other.sql.query('SELECT number_events()');
      const query = 'subscription ($after: SafeInt) { syncTasks(afterSequence: $after) { sequence task { id } } }';
      const beginning = other.api.subscribe<{ syncTasks: TaskEvent }>(query, {});
      const { syncTasks: had } = (await beginning.next()).value;
      const rest = other.api.subscribe<{ syncTasks: TaskEvent }>(query, { after: had.sequence });
      const { syncTasks: next } = (await rest.next()).value;
      expect([had.task.id, next.task.id]).toEqual([second.id, first.id]);
      await Promise.all([beginning.return(undefined), rest.return(undefined)]);
    } finally {
      await other.stop();
    }
  });

  it('are refused without a valid token', async () => {
    for (const connectionParams of [{}, { Authorization: 'Bearer wrong' }, { Authorization: 7 }]) {
      const client = createClient({
        url: rollcall.url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        connectionParams,
        retryAttempts: 0,
      });
      const stream = client.iterate({ query: 'subscription { syncTasks { sequence } }' });
      await expect(stream.next()).rejects.toMatchObject({ code: 4403 });
      await client.dispose();
    }
    expect(TOKEN).not.toBe('');
  });
});
