import { differences } from '../../src/demo/compare';
import type { FaultInput } from '../../src/sandbox/faults';
import {
  change,
  connectSource,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';

// Waits between tries are the same in kind, and shorter.
jest.mock('../../src/connector/token-bucket', () => {
  const real = jest.requireActual('../../src/connector/token-bucket');
  return { ...real, pause: (ms: number, signal: AbortSignal) => real.pause(ms / 1_000, signal) };
});

// An answer that does not end is given up sooner. Not where machines are busy: other answers would be, too.
jest.mock('../../src/connector/wecom/wecom.client', () => {
  const real = jest.requireActual('../../src/connector/wecom/wecom.client');
  if (!process.env['ROLLCALL_EVERY_FAULT']) return real;
  const { WecomClient } = real as typeof import('../../src/connector/wecom/wecom.client');
  class ImpatientClient extends WecomClient {
    constructor(...[caller, options]: ConstructorParameters<typeof WecomClient>) {
      super(caller, { ...options, callTimeoutMs: 700 });
    }
  }
  return { ...real, WecomClient: ImpatientClient };
});

/** Where a fault can hit. Reading again happens because department 3 answers empty, or department 4 is not listed. */
const POSITIONS: Readonly<Record<string, { hits: Partial<FaultInput>; because?: FaultInput }>> = {
  gettoken: { hits: { path: 'gettoken' } },
  'agent/get': { hits: { path: 'agent/get' } },
  'department/list': { hits: { path: 'department/list' } },
  'the first user/list': { hits: { path: 'user/list', query: { department_id: '1' } } },
  'a middle user/list': { hits: { path: 'user/list', query: { department_id: '3' } } },
  'the last user/list': { hits: { path: 'user/list', query: { department_id: '4' } } },
  'every user/list': { hits: { path: 'user/list' } },
  'user/get, reading again': {
    hits: { path: 'user/get' },
    because: { kind: 'empty', path: 'user/list', query: { department_id: '3' } },
  },
  'department/get, reading again': {
    hits: { path: 'department/get' },
    because: { kind: 'shortened', path: 'department/list' },
  },
  'tag/get': { hits: { path: 'tag/get' } },
  'user/simplelist of a large department': {
    hits: { path: 'user/simplelist' },
    because: { kind: 'errcode', errcode: 45029, path: 'user/list', query: { department_id: '3' } },
  },
};

const KINDS: readonly FaultInput[] = [
  { kind: 'slow', milliseconds: 20 },
  { kind: 'http500' },
  { kind: 'reset' },
  { kind: 'truncated' },
  { kind: 'malformed' },
  { kind: 'html' },
  { kind: 'redirect' },
  { kind: 'huge' },
  { kind: 'empty' },
  { kind: 'listless' },
  { kind: 'bare' },
  { kind: 'texts' },
  { kind: 'shortened' },
  { kind: 'nulls' },
  { kind: 'trimmed' },
  { kind: 'marked' },
  { kind: 'compressed' },
  { kind: 'errcode', errcode: -1 },
  { kind: 'errcode', errcode: 45009 },
  { kind: 'errcode', errcode: 45033 },
  { kind: 'errcode', errcode: 42001 },
  { kind: 'errcode', errcode: 48002 },
  { kind: 'errcode', errcode: 99999 },
  { kind: 'tokenRevoked' },
  { kind: 'scopeShrunk', departments: [2] },
  { kind: 'scopeShrunk', departments: [] },
];

/** Answers that say all there is to say, if late or in another form. */
const HARMLESS = new Set(['slow', 'texts', 'marked', 'compressed']);
/** Answers that look whole: reading again settles what they leave out. */
const PLAUSIBLE = new Set(['empty', 'shortened', 'nulls', 'trimmed', 'scopeShrunk', 'tokenRevoked']);
/** Answers that tell somebody's departments, or a tag's members, as if they were fewer: of one object nothing tells that they are not. */
const FEWER = new Set(['empty', 'shortened', 'nulls']);
/** Answers of these paths have no lists of their own. */
const WITHOUT_LISTS = ['gettoken', 'agent/get', 'department/get'];
/** Kinds that end in the same place: each position is tried with some of them, and with all where this is set. */
const ALIKE = ['http500', 'reset', 'truncated', 'malformed', 'html', 'redirect', 'huge', 'errcode'];
const TRIED = 4;
const EVERY_FAULT = process.env['ROLLCALL_EVERY_FAULT'] !== undefined;

/** A different few of those that are alike for each position. */
function kindsAt(place: number): readonly FaultInput[] {
  if (EVERY_FAULT) return [...KINDS, { kind: 'dripping', milliseconds: 100 }];
  const alike = KINDS.filter(({ kind }) => ALIKE.includes(kind));
  const tried = Array.from({ length: TRIED }, (_, i) => alike[(place * TRIED + i) % alike.length]);
  return KINDS.filter((kind) => !alike.includes(kind) || tried.includes(kind));
}

describe('whatever WeCom answers', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall();
    change(rollcall.sandbox, ({ users, tags }) => {
      users.set('extra', user('extra', '钱七', [4]));
      // Not the last department: one that a tag has is listed by itself where the list lacks it.
      tags.set(7, { id: 7, name: '协会', users: ['lisi', 'extra'], departments: [3] });
    });
    rollcall.sandbox.company.setRange(RANGE);
    source = await connectSource(rollcall);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
  });
  afterAll(() => rollcall.stop());
  afterEach(() => {
    rollcall.sandbox.faults.clear();
    rollcall.sandbox.company.setRange(RANGE);
  });

  const RANGE = { departments: [1], users: [], tags: [7] };

  const stateOf = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);
  const lastRecords = async () =>
    (
      await rollcall.sql.query(
        'SELECT object_type AS type, action, external_id AS id, result FROM sync_record WHERE task_id = (SELECT id FROM sync_task ORDER BY id DESC LIMIT 1)',
      )
    ).rows;
  /** Changes with every write to the organisation. */
  const written = async () =>
    (
      await rollcall.sql.query(
        `SELECT md5(string_agg(row, ',' ORDER BY row)) AS sum FROM (SELECT e.xmin || e::text AS row FROM employee e
           UNION ALL SELECT d.xmin || d::text FROM department d UNION ALL SELECT m.xmin || m::text FROM membership m) rows`,
      )
    ).rows[0].sum;
  const suspended = async () =>
    (await rollcall.sql.query(`SELECT username FROM employee WHERE status IN ('SUSPENDED', 'REMOVED')`)).rows;

  const cases = Object.entries(POSITIONS).flatMap(([position, { hits, because }], place) =>
    kindsAt(place).map((kind) => ({
      position,
      kind,
      name: [kind.kind, kind.errcode ?? kind.departments].flat().join(' '),
      hits,
      because,
    })),
  );

  it.each(cases)('$name at $position makes nobody leave, and is told', async ({ kind, hits, because }) => {
    const { faults, company } = rollcall.sandbox;
    if (because) faults.add(because);
    faults.add({ ...kind, ...hits });
    if (hits.path === 'gettoken') company.revokeToken();
    const [before, asked] = [await written(), calls(hits.path ?? '')];
    const task = await synchronize(rollcall, source);
    expect(calls(hits.path ?? '')).toBeGreaterThan(asked);
    const shrinks = kind.kind === 'scopeShrunk';
    expect(await suspended()).toEqual([]);
    // Who is seen in fewer departments is in fewer; only leaving takes more than that.
    const records = await lastRecords();
    const fewer = FEWER.has(kind.kind) && (hits.path === 'tag/get' || hits.path === 'user/get');
    const ofTag = fewer && hits.path === 'tag/get';
    const others = records.filter((r) => !fewer || (ofTag ? r.type !== 'GROUP' : r.action !== 'MOVE'));
    if (!shrinks) expect(others).toEqual([]);
    if (!shrinks && (!fewer || ofTag)) expect(await written()).toEqual(before);
    const told = [...(task.certificate?.reasons ?? []), task.failure?.message ?? ''].join(' ');
    if (records.some((r) => r.result === 'HELD')) expect(told).toContain('What can be seen shrank');
    if (task.status !== 'SUCCEEDED') expect(told).not.toBe('');
    const whole = HARMLESS.has(kind.kind) || (kind.kind === 'listless' && WITHOUT_LISTS.includes(hits.path ?? ''));
    // Whatever else a list lacks that lacks a department is not known.
    if (whole && because?.kind !== 'shortened') expect(task.status).toBe('SUCCEEDED');
    else if (!PLAUSIBLE.has(kind.kind)) expect(['PARTIALLY_SUCCEEDED', 'FAILED']).toContain(task.status);
    if (!shrinks && !fewer) return;
    faults.clear();
    company.setRange(RANGE);
    await synchronize(rollcall, source);
    expect(await stateOf()).toEqual([]);
  });

  const edit = (e: Parameters<typeof change>[1]) => change(rollcall.sandbox, e);
  const calls = (path: string) => rollcall.sandbox.calls.get(path) ?? 0;
  const until = async (what: () => boolean | Promise<boolean>) => {
    while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  /** A run whose answer about one department is not given before `meanwhile` has happened. */
  const during = async (department: string, meanwhile: () => Promise<void> | void) => {
    const { faults } = rollcall.sandbox;
    faults.add({ kind: 'slow', milliseconds: 300, path: 'user/list', query: { department_id: department } });
    const [listed, { syncTask }] = [calls('user/list'), await startTask(rollcall.api, source)];
    await until(() => calls('user/list') >= listed + 4);
    await meanwhile();
    return watch(rollcall.api, syncTask?.id ?? '');
  };
  const move = (userid: string, to: number) =>
    edit(({ users }) => {
      const former = users.get(userid);
      if (former) users.set(userid, { ...former, departments: [to], mainDepartment: to, isLeaderInDept: [0] });
    });

  it('somebody who moves between two reads, to a department that was read before, is moved and does not leave', async () => {
    // Department 4 is answered after the move, all others before it.
    const task = await during('4', () => move('extra', 2));
    expect([task.status, await stateOf(), await lastRecords()]).toEqual([
      'SUCCEEDED',
      [],
      [expect.objectContaining({ id: 'extra', action: 'MOVE' })],
    ]);
    move('extra', 4);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
  });

  const named = (userid: string) =>
    rollcall.sql.query(
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id)
       SELECT id, 'EMPLOYEE', $1, $1 FROM identity_source WHERE type = 'WECOM'`,
      [userid],
    );

  it('somebody who comes by an event during a full run stays, although the full run did not see them', async () => {
    const task = await during('4', async () => {
      edit(({ users }) => users.set('neu', user('neu', '新人', [2])));
      await named('neu');
      await until(
        async () => (await rollcall.sql.query(`SELECT FROM employee WHERE username = 'neu'`)).rows.length > 0,
      );
    });
    expect([task.status, await suspended(), await stateOf()]).toEqual(['SUCCEEDED', [], []]);
    edit(({ users }) => users.delete('neu'));
  });

  it('somebody who moves while the answer about their new department is waited for is moved', async () => {
    const { faults } = rollcall.sandbox;
    edit(({ departments, users }) => {
      for (const id of [10, 11, 12, 13, 14, 15]) departments.set(id, { id, parentId: 1, name: `d${id}`, order: 1 });
      users.set('movable', user('movable', '孙八', [4]));
    });
    // Department 10 is among the first eight that are asked for, 4 is not.
    const department10 = { path: 'user/list', query: { department_id: '10' } };
    faults.add({ kind: 'errcode', errcode: 45009, ...department10, times: 3 });
    faults.add({ kind: 'slow', milliseconds: 300, ...department10 });
    const [listed, { syncTask }] = [calls('user/list'), await startTask(rollcall.api, source)];
    await until(() => calls('user/list') > listed + 12);
    move('movable', 10);
    const task = await watch(rollcall.api, syncTask?.id ?? '');
    expect([task.status, await stateOf()]).toEqual(['SUCCEEDED', []]);
  });

  it('somebody who moves while they are read, and back, is where they came back to', async () => {
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    // Department 4 is answered after the move, 10 before it.
    expect((await during('4', () => move('movable', 4))).status).toBe('SUCCEEDED');
    move('movable', 10);
    for (let i = 0; i < 2; i++)
      expect([(await synchronize(rollcall, source)).status, await stateOf()]).toEqual(['SUCCEEDED', []]);
    expect(await lastRecords()).toEqual([]);
  });

  it.each([
    ['is proven', undefined],
    ['is not complete', { kind: 'http500', path: 'user/list', query: { department_id: '2' } }],
  ] as const)(
    'a field that is no longer shown while it is read stays with everybody, when the read %s',
    async (_when, other) => {
      const { faults, company } = rollcall.sandbox;
      const telephones = async () =>
        (await rollcall.sql.query('SELECT username, telephone FROM employee WHERE telephone IS NOT NULL ORDER BY 1'))
          .rows;
      edit(({ users }) => {
        for (const id of ['lisi', 'extra', 'zhaoliu']) {
          const person = users.get(id);
          if (person) users.set(id, { ...person, telephone: `020-${id.length}` });
        }
      });
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      const before = await telephones();
      expect(before).toHaveLength(3);
      // Department 4 is asked for again once the others have been read.
      faults.add({ kind: 'errcode', errcode: 45009, path: 'user/list', query: { department_id: '4' } });
      if (other) faults.add(other);
      const [listed, { syncTask }] = [calls('user/list'), await startTask(rollcall.api, source)];
      await until(() => calls('user/list') > listed + company.organization.departments.size);
      company.withhold({ fields: ['telephone'], style: 'absent' });
      faults.clear();
      if (other) faults.add(other);
      const task = await watch(rollcall.api, syncTask?.id ?? '');
      expect([task.status, await lastRecords(), await telephones()]).toEqual([
        other ? 'PARTIALLY_SUCCEEDED' : 'SUCCEEDED',
        [],
        before,
      ]);
      const stays = 'The directory stopped showing telephone while it was read: what is here of that stays.';
      expect(task.certificate?.reasons).toContain(stays);
      faults.clear();
      for (const more of [{ mode: 'PREVIEW', proposed: { id: source } }, {}]) {
        const next = await synchronize(rollcall, source, more);
        expect([next.status, next.certificate?.reasons, await lastRecords()]).toEqual(['SUCCEEDED', [], []]);
      }
      company.withhold({ fields: [], style: 'absent' });
      edit(({ users }) => users.set('lisi', { ...(users.get('lisi') ?? user('lisi', '李四', [3])), telephone: '' }));
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      expect([await stateOf(), await telephones()]).toEqual([[], before.filter(({ username }) => username !== 'lisi')]);
    },
  );

  it('a true leaver leaves, another whom nobody could be asked about stays, and the task is not green', async () => {
    edit(({ users }) => {
      users.delete('extra');
      users.delete('wangwu');
    });
    rollcall.sandbox.faults.add({ kind: 'http500', path: 'user/get', query: { userid: 'wangwu' } });
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('PARTIALLY_SUCCEEDED');
    expect(task.certificate).toMatchObject({
      complete: true,
      reasons: [expect.stringContaining('again:wangwu: WeCom gave no usable answer: HTTP status 500')],
    });
    expect((await suspended()).map((row) => row.username).sort()).toEqual(['extra', 'neu']);
    rollcall.sandbox.faults.clear();
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    expect((await suspended()).map((row) => row.username).sort()).toEqual(['extra', 'neu', 'wangwu']);
  });

  it('an event about somebody whom a smaller visible range hides holds the removal', async () => {
    rollcall.sandbox.company.setRange({ departments: [2], users: [], tags: [] });
    await named('zhaoliu');
    await until(async () => (await lastRecords())[0]?.result === 'HELD');
    expect([await lastRecords(), await suspended()]).toEqual([
      [{ type: 'EMPLOYEE', action: 'SUSPEND', id: 'zhaoliu', result: 'HELD' }],
      expect.not.arrayContaining([{ username: 'zhaoliu' }]),
    ]);
    rollcall.sandbox.company.setRange(RANGE);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
  });

  it('a visible range that shrinks between reading and reading again holds the removals', async () => {
    const { faults } = rollcall.sandbox;
    faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '4' } });
    faults.add({ kind: 'scopeShrunk', departments: [2], path: 'user/get', query: { userid: 'zhaoliu' } });
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('HELD');
    expect(task.certificate?.reasons.join()).toContain('What can be seen shrank: department 1, group 7 no longer can.');
    expect(await lastRecords()).toEqual([{ type: 'EMPLOYEE', action: 'SUSPEND', id: 'zhaoliu', result: 'HELD' }]);
  });

  /** How an event task ends that is about these people. */
  const eventTask = async (ids: readonly string[]): Promise<string> => {
    const [last] = (await rollcall.sql.query('SELECT id FROM sync_task ORDER BY id DESC LIMIT 1')).rows;
    await rollcall.sql.query(
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id)
       SELECT s.id, 'EMPLOYEE', e.id, e.id FROM identity_source s, unnest($1::text[]) AS e (id) WHERE s.type = 'WECOM'`,
      [ids],
    );
    const ended = `SELECT status FROM sync_task WHERE id > $1 AND trigger = 'EVENT' AND finished_at IS NOT NULL`;
    await untilRow(rollcall, ended, [last.id]);
    return (await rollcall.sql.query(ended, [last.id])).rows[0].status;
  };
  const people = (count: number) => Array.from({ length: count }, (_, i) => `a${i}`);

  it('many people about whom WeCom does not answer keep nobody else from being read', async () => {
    for (const userid of people(30))
      rollcall.sandbox.faults.add({ kind: 'http500', path: 'user/get', query: { userid } });
    edit(({ users }) => users.set('zoe', user('zoe', '新人', [2])));
    expect(await eventTask([...people(30), 'zoe'])).toBe('PARTIALLY_SUCCEEDED');
    expect((await rollcall.sql.query(`SELECT FROM employee WHERE username = 'zoe'`)).rows).toHaveLength(1);
  });

  it.each([
    [
      'is longer than any',
      Array.from({ length: 3_000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7_919) % 20_000))).join(''),
    ],
    ['has a character that cannot be stored', 'a\0b'],
  ])('an id that %s costs its person, and not the run', async (_how, userid) => {
    edit(({ users }) => {
      users.set(userid, user(userid, '某人', [2]));
      users.set('beside', user('beside', '新人', [2]));
    });
    const task = await synchronize(rollcall, source);
    expect([task.status, task.certificate?.reasons]).toEqual([
      'PARTIALLY_SUCCEEDED',
      ['employees-of:2: 1 elements of "userlist" that are not whole'],
    ]);
    edit(({ users }) => users.delete(userid));
    expect([(await synchronize(rollcall, source)).status, await stateOf()]).toEqual(['SUCCEEDED', []]);
  });

  describe('somebody whom WeCom lists, and does not tell of by themselves', () => {
    const unshown = (errcode: number) =>
      rollcall.sandbox.faults.add({ kind: 'errcode', errcode, path: 'user/get', query: { userid: 'listed' } });
    const isHere = async () => (await suspended()).every((row) => row.username !== 'listed');

    beforeAll(async () => {
      edit(({ users }) => users.set('listed', user('listed', '周九', [3])));
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    });

    it.each([40003, 60111])('stays, and the task is not green: %d', async (errcode) => {
      unshown(errcode);
      rollcall.sandbox.faults.add({
        kind: 'errcode',
        errcode: 45029,
        path: 'user/list',
        query: { department_id: '3' },
      });
      const task = await synchronize(rollcall, source);
      expect([task.status, await isHere()]).toEqual(['PARTIALLY_SUCCEEDED', true]);
      expect(task.certificate?.reasons.join()).toContain('employees-of:3: WeCom lists listed');
    });

    /** An event about them, and the full run that reads the lists since it left doubts. */
    const byEvent = async () => {
      expect([await eventTask(['listed']), await isHere()]).toEqual(['PARTIALLY_SUCCEEDED', true]);
      const [{ id }] = (
        await rollcall.sql.query(`SELECT id FROM sync_task WHERE trigger = 'EVENT' ORDER BY id DESC LIMIT 1`)
      ).rows;
      const run = `SELECT status FROM sync_task WHERE id > $1 AND trigger = 'SCHEDULED' AND finished_at IS NOT NULL`;
      await untilRow(rollcall, run, [id]);
      expect((await rollcall.sql.query(run, [id])).rows).toEqual([{ status: 'SUCCEEDED' }]);
      const waiting = `SELECT FROM directory_event WHERE task_id IS NULL AND external_id = 'listed'`;
      expect((await rollcall.sql.query(waiting)).rows).toEqual([]);
    };

    it('stays when an event names them', async () => {
      unshown(40003);
      await byEvent();
      expect(await isHere()).toBe(true);
    });

    it('leaves once no list has them either', async () => {
      unshown(40003);
      edit(({ users }) => users.delete('listed'));
      await byEvent();
      expect(await isHere()).toBe(false);
    });
  });

  it('nobody is asked about once WeCom answers nothing at all', async () => {
    await rollcall.sql.query('DELETE FROM directory_event WHERE task_id IS NULL');
    rollcall.sandbox.faults.add({ kind: 'http500' });
    const before = calls('user/get');
    expect(await eventTask(people(300))).toBe('FAILED');
    expect(calls('user/get') - before).toBeLessThan(100);
    // As if the pause were over.
    await rollcall.sql.query(
      `UPDATE sync_task SET finished_at = finished_at - interval '1 day' WHERE trigger = 'EVENT'`,
    );
  });

  it('a wrong secret is tried once, however many events wait, and fails their task', async () => {
    const { faults, company } = rollcall.sandbox;
    await rollcall.sql.query('DELETE FROM directory_event WHERE task_id IS NULL');
    company.revokeToken();
    faults.add({ kind: 'errcode', errcode: 40001, path: 'gettoken' });
    const before = calls('gettoken');
    expect([await eventTask(people(40)), calls('gettoken') - before]).toEqual(['FAILED', 1]);
  });
});

it('a field that is no longer shown while people are read who are seen by themselves stays with them', async () => {
  const rollcall = await startRollcall();
  try {
    const { company, faults, calls } = rollcall.sandbox;
    change(rollcall.sandbox, ({ users }) => {
      for (const [id, person] of users) users.set(id, { ...person, telephone: `020-${id}` });
    });
    company.setRange({ departments: [2], users: ['zhaoliu'], tags: [] });
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    faults.add({ kind: 'errcode', errcode: 45009, path: 'user/get', query: { userid: 'zhaoliu' } });
    const asked = () => (calls.get('user/list') ?? 0) + (calls.get('user/get') ?? 0);
    const [before, { syncTask }] = [asked(), await startTask(rollcall.api, source)];
    // The lists of departments 2 and 3, and once in vain.
    while (asked() < before + 3) await new Promise((resolve) => setTimeout(resolve, 5));
    company.withhold({ fields: ['telephone'], style: 'absent' });
    faults.clear();
    const task = await watch(rollcall.api, syncTask?.id ?? '');
    expect([task.status, task.certificate?.reasons]).toEqual([
      'SUCCEEDED',
      [expect.stringContaining('stopped showing telephone')],
    ]);
    const { rows } = await rollcall.sql.query('SELECT FROM employee WHERE telephone IS NOT NULL');
    expect(rows).toHaveLength(4);
  } finally {
    await rollcall.stop();
  }
});
