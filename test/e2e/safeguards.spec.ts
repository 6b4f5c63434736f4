import { toTypedId } from '../../src/platform/typed-id';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { mutate } from '../setup/organisation-view';
import {
  change,
  connectSource,
  decide,
  LOCKS_WAITED_FOR,
  recordsOf,
  startRollcall,
  startSynchronized,
  summaries,
  synchronize,
  type TestRollcall,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';

/** Sets this process's clock ahead, or behind. @returns what sets it right again */
function shiftClock(milliseconds: number): () => void {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    static override now = () => RealDate.now() + milliseconds;
    constructor(...given: [] | [number]) {
      super(...((given.length > 0 ? given : [RealDate.now() + milliseconds]) as [number]));
    }
  } as DateConstructor;
  return () => {
    globalThis.Date = RealDate;
  };
}

describe('a list of departments that comes empty', () => {
  it('is not taken for the whole directory, although somebody can be seen by themselves', async () => {
    const rollcall = await startRollcall();
    try {
      rollcall.sandbox.company.setRange({ departments: [1], users: ['lisi'], tags: [] });
      const source = await connectSource(rollcall);
      rollcall.sandbox.faults.add({ kind: 'empty', path: 'department/list' });
      const task = await synchronize(rollcall, source);
      expect([task.status, task.certificate]).toEqual([
        'PARTIALLY_SUCCEEDED',
        { complete: false, reasons: ['Departments of the visible range are not in the list of departments: 1.'] },
      ]);
      rollcall.sandbox.faults.clear();
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    } finally {
      await rollcall.stop();
    }
  });
});

describe('a list that lacks what is there', () => {
  let rollcall: TestRollcall;
  let source: string;
  beforeEach(async () => {
    ({ rollcall, source } = await startSynchronized());
    change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [4])));
  });
  afterEach(() => rollcall.stop());

  const outcome = async () => {
    const { status, certificate } = await synchronize(rollcall, source);
    const here = await rollcall.sql.query(`SELECT FROM employee WHERE username = 'neu'`);
    return [status, certificate?.reasons, here.rowCount];
  };

  it('of departments: their people are read all the same, and the task is not green', async () => {
    rollcall.sandbox.faults.add({ kind: 'shortened', path: 'department/list', times: 1 });
    const reasons = ['The list of departments lacked 4, although they are there.'];
    expect(await outcome()).toEqual(['PARTIALLY_SUCCEEDED', reasons, 1]);
    expect(await outcome()).toEqual(['SUCCEEDED', [], 1]);
  });

  it('of a department’s people, once: it is read again, so that newcomers come', async () => {
    const before = rollcall.sandbox.calls.get('user/list') ?? 0;
    rollcall.sandbox.faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '4' }, times: 1 });
    expect(await outcome()).toEqual(['SUCCEEDED', [], 1]);
    expect((rollcall.sandbox.calls.get('user/list') ?? 0) - before).toBe(5);
  });

  it('of a department’s people, each time: the task is not green, and nobody leaves', async () => {
    rollcall.sandbox.faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '4' } });
    const reasons = ['Lists of people lack somebody who is there: of departments 4.'];
    expect(await outcome()).toEqual(['PARTIALLY_SUCCEEDED', reasons, 0]);
    const { rows } = await rollcall.sql.query(`SELECT username FROM employee WHERE status = 'SUSPENDED'`);
    expect(rows).toEqual([]);
    rollcall.sandbox.faults.clear();
    expect(await outcome()).toEqual(['SUCCEEDED', [], 1]);
  });
});

describe('who and what is gone', () => {
  it.each([5_000, -5_000])('goes, also where the server’s clock is %s ms ahead of the database’s', async (ahead) => {
    const back = shiftClock(ahead);
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ departments, users }) => {
        users.delete('zhaoliu');
        users.set('wangwu', user('wangwu', '王五', [3]));
        departments.delete(4);
      });
      const { id, status } = await synchronize(rollcall, source);
      expect([status, await summaries(rollcall.api, id)]).toEqual([
        'SUCCEEDED',
        ['MOVE employee wangwu: departments', 'SUSPEND employee zhaoliu: status', 'REMOVE department 4: name'],
      ]);
    } finally {
      await rollcall.stop();
      back();
    }
  });

  it('is believed in whichever words WeCom says it', async () => {
    const rollcall = await startRollcall();
    try {
      const { company } = rollcall.sandbox;
      company.setRange({ departments: [2, 4], users: [], tags: [] });
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      Object.assign(company, { unknownDepartment: 60123, memberOutside: 60011 });
      change(rollcall.sandbox, ({ departments, users }) => {
        departments.delete(4);
        users.set('wangwu', user('wangwu', '王五', [3]));
        // Still there, and no longer to be seen.
        users.set('zhaoliu', user('zhaoliu', '赵六', [1]));
      });
      company.setRange({ departments: [2], users: [], tags: [] });
      const task = await synchronize(rollcall, source);
      expect([task.status, task.certificate?.complete]).toEqual(['HELD', true]);
      await decide(rollcall.api, { taskId: task.id, approve: true });
      const { rows } = await rollcall.sql.query(`SELECT username FROM employee WHERE status = 'SUSPENDED'`);
      expect(rows).toEqual([{ username: 'zhaoliu' }]);
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    } finally {
      await rollcall.stop();
    }
  });
});

describe('removals by events', () => {
  it('count together from one full run to the next, whatever is undone in between', async () => {
    const rollcall = await startRollcall({ environment: PUBLIC_URL });
    try {
      const source = await connectWithCallbacks(rollcall);
      const safeguards = { minimumObjects: 3, maxRemovals: 3, maxRemovalPercent: 1 };
      await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, '__typename');
      const ids = Array.from({ length: 6 }, (_, i) => `leaver${i}`);
      change(rollcall.sandbox, ({ users }) => {
        for (const id of ids) users.set(id, user(id, `员工${id}`, [3]));
      });
      await synchronize(rollcall, source);
      const leave = async (id: string) => {
        change(rollcall.sandbox, ({ users }) => users.delete(id));
        await eventsSettled(rollcall);
      };
      const suspended = async () =>
        (await rollcall.sql.query(`SELECT count(*)::int AS n FROM employee WHERE status = 'SUSPENDED'`)).rows[0].n;
      for (const id of ids.slice(0, 3)) await leave(id);
      expect(await suspended()).toBe(3);
      change(rollcall.sandbox, ({ users }) => users.set('lisi', user('lisi', '李四改', [3])));
      await eventsSettled(rollcall);
      const { rows } = await rollcall.sql.query('SELECT id FROM sync_task ORDER BY id DESC LIMIT 1');
      const input = { taskId: toTypedId('task', rows[0].id), keepAutomaticSynchronization: true };
      const { syncTask } = await mutate(rollcall, 'revertSyncTask', input, 'syncTask { id }');
      await watch(rollcall.api, syncTask.id);
      await leave('leaver3');
      expect(await suspended()).toBe(3);
    } finally {
      await rollcall.stop();
    }
  });
});

describe('removals over the limits', () => {
  let rollcall: TestRollcall;
  let source: string;
  const many = Array.from({ length: 12 }, (_, i) => `leaver${i}`);

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    change(rollcall.sandbox, ({ users }) => {
      for (const id of many) users.set(id, user(id, `员工${id}`, [3]));
    });
    await synchronize(rollcall, source);
  });
  afterEach(() => rollcall.stop());

  const leave = (ids: readonly string[]) =>
    change(rollcall.sandbox, ({ users }) => {
      for (const id of ids) users.delete(id);
    });
  const suspended = async () =>
    (await rollcall.sql.query(`SELECT username FROM employee WHERE status = 'SUSPENDED' ORDER BY 1`)).rows.map(
      (row) => row.username,
    );

  it('are held while everything else is applied, and removed once approved', async () => {
    leave(many);
    change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [2])));
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('HELD');
    expect(task.counters).toContainEqual(
      expect.objectContaining({ action: 'SUSPEND', planned: 12, applied: 0, held: 12 }),
    );
    expect(task.counters).toContainEqual(expect.objectContaining({ action: 'CREATE', applied: 1 }));
    expect(await suspended()).toEqual([]);
    const records = await recordsOf(rollcall.api, task.id, { result: ['HELD'] });
    expect(new Set(records.map((r) => r.reasonCode))).toEqual(new Set(['OVER_REMOVAL_LIMIT']));
    const decision = await decide(rollcall.api, { taskId: task.id, approve: true });
    expect(decision).toEqual({ syncTask: { status: 'SUCCEEDED' }, userErrors: [] });
    expect(await suspended()).toEqual([...many].sort());
    const after = await recordsOf(rollcall.api, task.id, { action: ['SUSPEND'] });
    expect(after.every((r) => r.result === 'APPLIED' && r.reasonCode === 'LEFT_SOURCE')).toBe(true);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
  });

  it('are decided by item, and a rejected one is not asked about again before it is seen again', async () => {
    leave(many);
    const task = await synchronize(rollcall, source);
    const [first, ...rest] = await recordsOf(rollcall.api, task.id, { result: ['HELD'] });
    const partly = await decide(rollcall.api, { taskId: task.id, approve: true, recordIds: [String(first?.id)] });
    expect(partly.syncTask?.status).toBe('HELD');
    const twice = await decide(rollcall.api, { taskId: task.id, approve: true, recordIds: [String(first?.id)] });
    expect(twice.userErrors).toMatchObject([{ code: 'NOTHING_HELD', field: ['input', 'recordIds'] }]);
    const kept = await decide(rollcall.api, { taskId: task.id, approve: false });
    expect(kept.syncTask?.status).toBe('SUCCEEDED');
    expect(await suspended()).toEqual([first?.externalId]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action === 'SUSPEND')).toEqual([]);
    const again = String(rest[0]?.externalId);
    change(rollcall.sandbox, ({ users }) => users.set(again, user(again, '回来', [3])));
    await synchronize(rollcall, source);
    leave([again]);
    await synchronize(rollcall, source);
    expect(await suspended()).toEqual([first?.externalId, again].sort());
  });

  it('are decided neither by nobody’s name, nor past the safeguards that are saved', async () => {
    const preview = async (input: Record<string, unknown>) => {
      const { id } = await synchronize(rollcall, source, { mode: 'PREVIEW', ...input });
      return async () => (await mutate(rollcall, 'applyPreview', { taskId: id }, 'syncTask { id }')).userErrors;
    };
    leave(many.slice(0, 4));
    const few = await preview({});
    leave(many);
    const generous = { minimumObjects: 1_000, maxRemovals: 1_000, maxRemovalPercent: 100, leaverGraceDays: 0 };
    const all = await preview({ proposed: { id: source, safeguards: generous } });
    const refused = [
      { code: 'PREVIEW_STALE', message: expect.stringContaining('safeguards'), field: ['input', 'taskId'] },
    ];
    expect(await all()).toEqual(refused);
    await mutate(
      rollcall,
      'configureSynchronization',
      { id: source, safeguards: { minimumObjects: 1, maxRemovals: 1 } },
      '__typename',
    );
    expect(await few()).toEqual(refused);
    const task = await synchronize(rollcall, source);
    expect([task.status, await suspended()]).toEqual(['HELD', []]);
    const nobody = await decide(rollcall.api, { taskId: task.id, approve: true, recordIds: [] });
    expect(nobody.userErrors).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'recordIds'] }]);
  });

  it('lapse when the next run sees the people again, and are taken over when it does not', async () => {
    leave(many);
    const held = await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => {
      for (const id of many.slice(0, 3)) users.set(id, user(id, `员工${id}`, [3]));
    });
    const next = await synchronize(rollcall, source);
    expect(next.status).toBe('HELD');
    const former = await recordsOf(rollcall.api, held.id, { action: ['SUSPEND'] });
    expect(former.filter((r) => r.reasonCode === 'LAPSED')).toHaveLength(3);
    expect(former.filter((r) => r.reasonCode === 'TAKEN_OVER')).toHaveLength(9);
    const stale = await decide(rollcall.api, { taskId: held.id, approve: true });
    expect(stale.userErrors).toMatchObject([{ code: 'NOTHING_HELD' }]);
    expect(await suspended()).toEqual([]);
  });

  it('wait however few they are when less of the directory can be seen, until the new extent is approved', async () => {
    rollcall.sandbox.company.setRange({ departments: [2], users: [], tags: [] });
    const task = await synchronize(rollcall, source);
    expect(task).toMatchObject({ status: 'HELD', certificate: { complete: true } });
    const held = await recordsOf(rollcall.api, task.id, { result: ['HELD'] });
    expect(held.map((r) => [r.externalId, r.reasonCode])).toEqual(
      expect.arrayContaining([
        ['zhaoliu', 'EXTENT_SHRANK'],
        ['4', 'EXTENT_SHRANK'],
      ]),
    );
    expect((await synchronize(rollcall, source)).status).toBe('HELD');
    const [last] = (await rollcall.sql.query(`SELECT id FROM sync_task WHERE status = 'HELD'`)).rows;
    expect(last).toBeDefined();
  });

  it('wait until the last of them is decided, where less of the directory can be seen', async () => {
    rollcall.sandbox.company.setRange({ departments: [2], users: [], tags: [] });
    const task = await synchronize(rollcall, source);
    const held = await recordsOf(rollcall.api, task.id, { result: ['HELD'] });
    const department = held.find((record) => record.objectType === 'DEPARTMENT');
    await decide(rollcall.api, { taskId: task.id, approve: true, recordIds: [String(department?.id)] });
    const next = await synchronize(rollcall, source);
    expect(next.status).toBe('HELD');
    expect(await suspended()).toEqual([]);
    await decide(rollcall.api, { taskId: next.id, approve: true });
    expect(await suspended()).toEqual(['zhaoliu']);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
  });

  it('that are rejected stay so for as long as they are outside the scope, or told to have left', async () => {
    const configure = (input: Record<string, unknown>) =>
      mutate(rollcall, 'configureSynchronization', { id: source, ...input }, 'identitySource { id }');
    const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 10, leaverGraceDays: 7 };
    await configure({ safeguards, scope: { mode: 'PARTIAL', departmentIds: ['2'] } });
    change(rollcall.sandbox, ({ users }) => users.set('lisi', user('lisi', '李四', [3], { status: 5 })));
    const held = await synchronize(rollcall, source);
    expect((await recordsOf(rollcall.api, held.id, { result: ['HELD'] })).map((r) => r.externalId).sort()).toEqual([
      '1',
      '4',
      'lisi',
      'zhaoliu',
    ]);
    await decide(rollcall.api, { taskId: held.id, approve: false });
    await synchronize(rollcall, source);
    await configure({ safeguards: { ...safeguards, minimumObjects: 100, maxRemovals: 100 } });
    change(rollcall.sandbox, ({ users }) =>
      users.set('lisi', user('lisi', '李四', [3], { status: 5, position: '主任' })),
    );
    const last = await synchronize(rollcall, source);
    expect((await recordsOf(rollcall.api, last.id)).filter((r) => ['SUSPEND', 'REMOVE'].includes(r.action))).toEqual(
      [],
    );
  });

  it('that are rejected keep the departments that the people are in, which nobody is asked about any more', async () => {
    const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 10, leaverGraceDays: 7 };
    await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, '__typename');
    const silent = async () => {
      const task = await synchronize(rollcall, source);
      expect([task.status, await summaries(rollcall.api, task.id)]).toEqual(['SUCCEEDED', []]);
    };
    change(rollcall.sandbox, ({ users, departments }) => {
      departments.set(7, { id: 7, parentId: 4, name: '销售组', order: 0 });
      users.set('zhaoliu', user('zhaoliu', '赵六', [7]));
      users.set('wangwu', user('wangwu', '王五', [3]));
    });
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users, departments }) => {
      users.delete('zhaoliu');
      departments.delete(7);
      departments.delete(4);
    });
    const { id: taskId } = await synchronize(rollcall, source);
    const held = await recordsOf(rollcall.api, taskId, { result: ['HELD'] });
    const person = held.filter((r) => r.objectType === 'EMPLOYEE').map((r) => r.id);
    expect(person).toHaveLength(1);
    await decide(rollcall.api, { taskId, approve: false, recordIds: person });
    await decide(rollcall.api, { taskId, approve: true });
    await silent();
    await silent();
    // Once they are seen elsewhere, the departments are as gone as any.
    change(rollcall.sandbox, ({ users }) => users.set('zhaoliu', user('zhaoliu', '赵六', [2])));
    const again = await synchronize(rollcall, source);
    await decide(rollcall.api, { taskId: again.id, approve: true });
    await silent();
    const { rows } = await rollcall.sql.query(`SELECT name FROM department WHERE name IN ('市场部', '销售组')`);
    expect(rows).toEqual([]);
  });

  it('that are rejected of a department outside the scope bring nobody and nothing back to it', async () => {
    const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 1, leaverGraceDays: 7 };
    change(rollcall.sandbox, ({ users }) => users.set('both', user('both', '两', [3, 1])));
    await synchronize(rollcall, source);
    const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
    await mutate(rollcall, 'configureSynchronization', { id: source, scope, safeguards }, '__typename');
    const { id: taskId } = await synchronize(rollcall, source);
    const held = await recordsOf(rollcall.api, taskId, { result: ['HELD'] });
    const kept = held.filter((r) => r.objectType === 'DEPARTMENT' && r.externalId === '1').map((r) => r.id);
    const others = held.map((r) => r.id).filter((id) => !kept.includes(id));
    await decide(rollcall.api, { taskId, approve: true, recordIds: others });
    await decide(rollcall.api, { taskId, approve: false, recordIds: kept });
    const next = await synchronize(rollcall, source);
    expect([next.status, await summaries(rollcall.api, next.id)]).toEqual(['SUCCEEDED', []]);
  });

  describe('of whom some are rejected, where the scope was made smaller', () => {
    /** Only department 2 is chosen; 赵六 and departments 1 and 4 are outside. */
    const rejectOutside = async (isRejected: (externalId: string) => boolean) => {
      const configure = (input: Record<string, unknown>) =>
        mutate(rollcall, 'configureSynchronization', { id: source, ...input }, '__typename');
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 1, leaverGraceDays: 7 };
      await configure({ safeguards, scope: { mode: 'PARTIAL', departmentIds: ['2'] } });
      const { id: taskId } = await synchronize(rollcall, source);
      const held = await recordsOf(rollcall.api, taskId, { result: ['HELD'] });
      const ids = (rejected: boolean) => held.filter((r) => isRejected(r.externalId) === rejected).map((r) => r.id);
      await decide(rollcall.api, { taskId, approve: false, recordIds: ids(true) });
      if (ids(false).length > 0) await decide(rollcall.api, { taskId, approve: true, recordIds: ids(false) });
      await configure({ safeguards: { ...safeguards, minimumObjects: 100, maxRemovals: 100 } });
    };

    it('takes whoever moves to a department that is kept outside it for a leaver', async () => {
      await rejectOutside(() => true);
      change(rollcall.sandbox, ({ users }) => users.set('zhangsan', user('zhangsan', '张三', [4])));
      const task = await synchronize(rollcall, source);
      expect(await recordsOf(rollcall.api, task.id)).toMatchObject([
        { externalId: 'zhangsan', action: 'SUSPEND', reasonCode: 'OUT_OF_SCOPE', result: 'APPLIED' },
      ]);
    });

    it('keeps the rejected ones, also in a department that was approved to go', async () => {
      await rejectOutside((externalId) => externalId === 'zhaoliu');
      for (let i = 0; i < 2; i++) {
        const task = await synchronize(rollcall, source);
        expect([task.status, await summaries(rollcall.api, task.id)]).toEqual(['SUCCEEDED', []]);
      }
      expect(await suspended()).toEqual([]);
    });
  });

  const comeBack = () =>
    change(rollcall.sandbox, ({ users }) => {
      for (const id of many) users.set(id, user(id, `员工${id}`, [3]));
    });

  it('that are approved after a preview has seen the people again make it stale, and the next run restores them', async () => {
    leave(many);
    const held = await synchronize(rollcall, source);
    comeBack();
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    await decide(rollcall.api, { taskId: held.id, approve: true });
    expect(await suspended()).toHaveLength(12);
    const applied = await mutate(rollcall, 'applyPreview', { taskId: preview.id }, 'syncTask { id }');
    expect(applied.userErrors).toMatchObject([{ code: 'PREVIEW_STALE' }]);
    await synchronize(rollcall, source);
    expect(await suspended()).toEqual([]);
  });

  it('that are approved between the plan of a run that has seen the people again and its end make it plan again', async () => {
    leave(many);
    const held = await synchronize(rollcall, source);
    comeBack();
    // Groups are planned last, when everybody has been compared.
    change(rollcall.sandbox, ({ tags }) => tags.set(7, { id: 7, name: '协会', users: [], departments: [4] }));
    await rollcall.sql.query(`
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;
      CREATE TRIGGER wait BEFORE INSERT ON sync_record FOR EACH ROW WHEN (NEW.object_type = 'GROUP') EXECUTE FUNCTION wait();
      SELECT pg_advisory_lock(7)`);
    const next = synchronize(rollcall, source);
    await untilRow(rollcall, `SELECT FROM ${LOCKS_WAITED_FOR} WHERE locktype = 'advisory'`);
    expect((await decide(rollcall.api, { taskId: held.id, approve: true })).userErrors).toEqual([]);
    await rollcall.sql.query('SELECT pg_advisory_unlock_all()');
    expect((await next).failure).toBeNull();
    expect(await suspended()).toEqual([]);
  });

  it('are not decided twice by two people at once', async () => {
    leave(many);
    const task = await synchronize(rollcall, source);
    const answers = await Promise.all([
      decide(rollcall.api, { taskId: task.id, approve: true }),
      decide(rollcall.api, { taskId: task.id, approve: false }),
    ]);
    expect(answers.filter((answer) => answer.userErrors.length === 0)).toHaveLength(1);
    expect(answers.flatMap((answer) => answer.userErrors)).toMatchObject([{ code: 'NOTHING_HELD' }]);
  });
});

describe('a field that the directory shows of nobody', () => {
  it.each(['absent', 'empty', 'null'])('keeps what is here, withheld as %s', async (style) => {
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      const former = rollcall.sandbox.company.organization.users.get('lisi');
      const value = { absent: undefined, empty: '', null: null }[style];
      change(rollcall.sandbox, ({ users }) => {
        users.set('lisi', Object.assign({ ...former }, { mobile: value, position: '组长' }) as never);
      });
      const task = await synchronize(rollcall, source);
      const [lisi] = await recordsOf(rollcall.api, task.id, { text: 'lisi' });
      expect(lisi?.comparison.filter((c) => c.changed).map((c) => c.field)).toEqual(['position']);
      expect(lisi?.comparison).toContainEqual(
        expect.objectContaining({ field: 'mobile', saseValueAfter: '13800000000', changed: false, kept: 'WITHHELD' }),
      );
    } finally {
      await rollcall.stop();
    }
  });
});

describe('the end of a grace period', () => {
  it('removes nobody whom the directory names, whatever has suspended them', async () => {
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      await rollcall.sql.query(
        `WITH lost AS (UPDATE employee SET status = 'SUSPENDED', suspended_at = now(), removal_due_at = now() WHERE username = 'lisi' RETURNING id)
         UPDATE link SET missing_since = now() WHERE local_id IN (SELECT id FROM lost)`,
      );
      expect(await summaries(rollcall.api, (await synchronize(rollcall, source)).id)).toEqual([]);
    } finally {
      await rollcall.stop();
    }
  });

  it.each([
    ['beside others', '4'],
    ['alone', '5'],
  ])('removes nobody who is back %s in a department whose answer comes empty', async (_how, department) => {
    const rollcall = await startRollcall();
    try {
      const { sandbox, sql } = rollcall;
      const back = user('back', '回来', [Number(department)]);
      change(sandbox, ({ users, departments }) => {
        departments.set(5, { id: 5, parentId: 1, name: '新部门', order: 1 });
        users.set('back', back);
      });
      const source = await connectSource(rollcall);
      await synchronize(rollcall, source);
      change(sandbox, ({ users }) => users.delete('back'));
      await synchronize(rollcall, source);
      await sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'back' AND status = 'SUSPENDED'`);
      change(sandbox, ({ users }) => users.set('back', back));
      sandbox.faults.add({ kind: 'empty', path: 'user/list', query: { department_id: department }, times: 1 });
      const task = await synchronize(rollcall, source);
      expect([task.status, (await recordsOf(rollcall.api, task.id, { text: 'back' })).map((r) => r.action)]).toEqual([
        'SUCCEEDED',
        ['RESTORE'],
      ]);
      sandbox.faults.clear();
      // Whoever was asked for and is gone is removed.
      change(sandbox, ({ users }) => users.delete('back'));
      await synchronize(rollcall, source);
      await sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'back' AND status = 'SUSPENDED'`);
      const asked = sandbox.calls.get('user/get') ?? 0;
      const removed = await synchronize(rollcall, source);
      expect((await recordsOf(rollcall.api, removed.id)).map((r) => r.reasonCode)).toEqual(['GRACE_ENDED']);
      expect(sandbox.calls.get('user/get')).toBe(asked + 1);
      // And asked for no more.
      await synchronize(rollcall, source);
      expect(sandbox.calls.get('user/get')).toBe(asked + 1);
    } finally {
      await rollcall.stop();
    }
  });
});
