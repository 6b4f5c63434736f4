import { pino } from 'pino';
import { createDataSource } from '../../src/database/data-source';
import { Retention } from '../../src/sync/task/retention';
import {
  change,
  connectSource,
  decide,
  startRollcall,
  synchronize,
  type TestRollcall,
  type TestTask,
  user,
} from '../setup/rollcall';

const EVENT_DAYS = 7;
const TASK = `subscription ($id: ID!, $after: SafeInt) { event: syncTask(id: $id, afterSequence: $after) {
  sequence task { status lastSequence } } }`;
const RECORDS = `subscription ($id: ID!, $after: SafeInt, $filter: SyncRecordFilter) {
  event: syncRecords(taskId: $id, afterSequence: $after, filter: $filter) { sequence record { externalId result } } }`;
const TASKS = `subscription ($id: ID, $after: SafeInt) { event: syncTasks(identitySourceId: $id, afterSequence: $after) {
  sequence task { id status } } }`;
const SOURCES = `subscription ($after: SafeInt) { event: identitySourceChanged(afterSequence: $after) { sequence } }`;

interface Told {
  sequence: number;
  task?: { id: string; status: string; lastSequence: number };
  record?: { externalId: string; result: string };
}

describe('where events are no longer kept', () => {
  const leavers = Array.from({ length: 12 }, (_, i) => `leaver${i}`);
  let rollcall: TestRollcall;
  let source: string;
  let ended: TestTask;
  let held: TestTask;

  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    change(rollcall.sandbox, ({ users }) => {
      for (const id of leavers) users.set(id, user(id, '员工', [3]));
    });
    ended = await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => {
      for (const id of leavers) users.delete(id);
      users.set('new', user('new', '新人', [2]));
    });
    held = await synchronize(rollcall, source);
    expect([ended.status, held.status]).toEqual(['SUCCEEDED', 'HELD']);
    await outlive();
  });
  afterAll(() => rollcall.stop());

  /** Days go by, and servers start that have never seen these events. */
  const outlive = async () => {
    await rollcall.sql.query(`UPDATE event SET created_at = created_at - make_interval(days => $1)`, [EVENT_DAYS + 1]);
    const dataSource = await createDataSource(rollcall.database.url).initialize();
    const settings = { eventDays: EVENT_DAYS, recordDays: 365, historyDays: 365 };
    await new Retention(dataSource, settings, pino({ level: 'silent' })).cleanUp();
    await dataSource.destroy();
    expect((await rollcall.sql.query('SELECT FROM event')).rowCount).toBe(0);
    await rollcall.restart();
  };
  const stream = (query: string, variables: Record<string, unknown> = {}) =>
    rollcall.api.subscribe<{ event: Told }>(query, variables);
  const all = async (query: string, variables: Record<string, unknown>): Promise<Told[]> => {
    const told: Told[] = [];
    for await (const { event } of stream(query, variables)) told.push(event);
    return told;
  };
  const refusalOf = async (query: string, variables: Record<string, unknown>) => {
    const [refusal] = await stream(query, variables)
      .next()
      .then(
        ({ value }) => [value],
        (errors) => errors,
      );
    return refusal;
  };
  const GONE = {
    message: expect.stringContaining('without afterSequence'),
    extensions: { code: 'EVENTS_GONE' },
  };

  it('a task that has ended is told as it ended, whatever number a client goes on from', async () => {
    for (const after of [undefined, 0, 5]) {
      const [only, ...more] = await all(TASK, { id: ended.id, after });
      expect(only?.task?.status).toBe('SUCCEEDED');
      expect(only?.sequence).toBe(only?.task?.lastSequence);
      expect(more).toEqual([]);
      expect(await all(TASK, { id: ended.id, after: only?.sequence })).toEqual([]);
    }
  });

  it('its records are told as they stand, and then the stream ends', async () => {
    const told = await all(RECORDS, { id: ended.id });
    expect(told).toHaveLength(20);
    expect(told.every(({ record }) => record?.result === 'APPLIED')).toBe(true);
    expect(told.map(({ sequence }) => sequence)).toEqual(
      [...new Set(told.map(({ sequence }) => sequence))].sort((a, b) => a - b),
    );
    expect(await all(RECORDS, { id: ended.id, filter: { text: 'lisi' } })).toHaveLength(1);
    expect(await all(RECORDS, { id: ended.id, after: told.at(-1)?.sequence })).toEqual([]);
  });

  it('whoever has had a part of its records only is told to begin again', async () => {
    const told = await all(RECORDS, { id: ended.id });
    for (const after of [0, 5, told[3]?.sequence]) {
      expect(await refusalOf(RECORDS, { id: ended.id, after })).toMatchObject(GONE);
    }
  });

  it('a task that waits for approval is told as it stands, and on from there', async () => {
    const task = stream(TASK, { id: held.id, after: 1 });
    const records = stream(RECORDS, { id: held.id });
    expect((await task.next()).value.event.task.status).toBe('HELD');
    const snapshot: Told[] = [];
    for (let i = 0; i < 13; i++) snapshot.push((await records.next()).value.event);
    const results = snapshot.map(({ record }) => record?.result);
    expect(results.filter((result) => result === 'HELD')).toHaveLength(12);
    expect(results).toContain('APPLIED');
    await decide(rollcall.api, { taskId: held.id, approve: true });
    const changed: Told[] = [];
    for await (const { event } of records) changed.push(event);
    expect(changed.map(({ record }) => record)).toEqual(
      leavers.map(() => ({ externalId: expect.stringMatching(/^leaver/), result: 'APPLIED' })),
    );
    expect(changed[0]?.sequence).toBeGreaterThan(snapshot.at(-1)?.sequence ?? 0);
    // Whoever had the whole snapshot goes on from it.
    expect(await all(RECORDS, { id: held.id, after: snapshot.at(-1)?.sequence })).toEqual(changed);
    const rest: Told[] = [];
    for await (const { event } of task) rest.push(event);
    expect(rest.map((event) => event.task?.status)).toEqual(['SUCCEEDED']);
  });

  it('a number before them is refused where many are followed, one after them is not', async () => {
    await synchronize(rollcall, source);
    await rollcall.restart();
    const [{ begin }] = (await rollcall.sql.query('SELECT min(sequence - size)::int AS begin FROM event')).rows;
    for (const [query, variables] of [
      [TASKS, {}],
      [TASKS, { id: source }],
      [SOURCES, {}],
    ] as const) {
      expect(await refusalOf(query, { ...variables, after: 0 })).toMatchObject(GONE);
      expect(await refusalOf(query, { ...variables, after: begin - 1 })).toMatchObject(GONE);
    }
    expect((await stream(TASKS, { after: begin }).next()).value.event.sequence).toBeGreaterThan(begin);
  });

  it('a number that was never given, as after a backup was restored, is refused too', async () => {
    const after = 1_000_000;
    for (const query of [TASKS, SOURCES]) expect(await refusalOf(query, { after })).toMatchObject(GONE);
    expect(await refusalOf(RECORDS, { id: ended.id, after })).toMatchObject(GONE);
    expect((await all(TASK, { id: ended.id, after })).map((event) => event.task?.status)).toEqual(['SUCCEEDED']);
  });

  it('what has all its events is resumed from any number, also from the first', async () => {
    await decide(rollcall.api, { taskId: held.id, approve: true });
    const task = await synchronize(rollcall, source);
    await rollcall.restart();
    const told = await all(TASK, { id: task.id, after: 0 });
    expect(told.map((event) => event.task?.status)).toEqual(expect.arrayContaining(['QUEUED', 'RUNNING', 'SUCCEEDED']));
    expect(await all(TASK, { id: task.id, after: told[0]?.sequence })).toEqual(told.slice(1));
  });
});
