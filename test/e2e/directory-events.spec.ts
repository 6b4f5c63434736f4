import { encrypt, signature } from '../../src/connector/wecom/wecom.callback-crypto';
import { differences } from '../../src/demo/compare';
import { tellNewId } from '../setup/callbacks';
import { badge, mapBadges, mapPeople } from '../setup/mappings';
import { mutate } from '../setup/organisation-view';
import {
  change,
  createSource,
  decide,
  LOCKS_WAITED_FOR,
  recordsOf,
  startRollcall,
  synchronize,
  type TestRollcall,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';

const KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

describe('changes that WeCom tells by callback', () => {
  let rollcall: TestRollcall;
  let source: string;
  let address: string;

  beforeEach(async () => {
    rollcall = await startRollcall({ environment: { ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com' } });
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    const wecomSelfBuilt = { corpId, agentId, secret };
    const made = await createSource(rollcall.api, {
      type: 'WECOM',
      name: 'WeCom',
      wecomSelfBuilt,
      wecomCallback: KEYS,
    });
    source = made.identitySource?.id ?? '';
    address = rollcall.url.replace('/graphql', `/callbacks/wecom/${source}`);
    await synchronize(rollcall, source);
  });
  afterEach(() => rollcall.stop());

  const listen = async (form: 'full' | 'ids' = 'full') => {
    const { company } = rollcall.sandbox;
    await company.deliveries.verify({ ...KEYS, url: address }, company.settings.corpId);
    company.callback = { address: { ...KEYS, url: address }, form };
  };
  /** Waits until every event was read and every event task has ended. */
  const settled = async () => {
    await rollcall.sandbox.company.deliveries.settled();
    for (let i = 0; i < 150; i++) {
      const { rows } = await rollcall.sql.query(
        `SELECT (SELECT count(*) FROM directory_event WHERE task_id IS NULL)
              + (SELECT count(*) FROM sync_task WHERE status IN ('QUEUED', 'RUNNING')) AS open`,
      );
      if (rows[0].open === '0' || rows[0].open === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('Events are still open.');
  };
  const eventTasks = async () =>
    (await rollcall.sql.query(`SELECT status FROM sync_task WHERE trigger = 'EVENT' ORDER BY id`)).rows;
  const wrong = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);
  const edit = (e: Parameters<typeof change>[1]) => change(rollcall.sandbox, e);

  const until = async (what: () => boolean | Promise<boolean>) => {
    while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  /** A full run that waits for its last answer, about department 4. */
  const readSlowly = async () => {
    const { faults, calls } = rollcall.sandbox;
    const listed = calls.get('user/list') ?? 0;
    faults.add({ kind: 'slow', milliseconds: 1_000, path: 'user/list', query: { department_id: '4' }, times: 1 });
    const end = synchronize(rollcall, source);
    await until(() => (calls.get('user/list') ?? 0) >= listed + 4);
    return { end };
  };

  it('says where they are to be sent, and passes the check of the address', async () => {
    const query = `query ($id: ID!) { identitySource(id: $id) { wecom { callbackUrl } } }`;
    const { identitySource } = await rollcall.api.request<{ identitySource: { wecom: unknown } }>(query, {
      id: source,
    });
    expect(identitySource.wecom).toEqual({ callbackUrl: `https://rollcall.example.com/callbacks/wecom/${source}` });
    await listen();
  });

  it.each(['full', 'ids'] as const)(
    'arrive within seconds, in the form "%s", with records as of any other task',
    async (form) => {
      await listen(form);
      edit(({ users, departments }) => {
        departments.set(5, { id: 5, parentId: 3, name: '前端组', order: 1 });
        users.set('neu', user('neu', '新人', [5], { direct_leader: ['zhangsan'] }));
        users.set(
          'lisi',
          user('lisi', '李四', [4], { email: 'lisi@example.com', mobile: '13800000000', direct_leader: ['zhangsan'] }),
        );
        users.delete('zhaoliu');
      });
      await settled();
      expect(await wrong()).toEqual([]);
      expect((await eventTasks()).every((task) => task.status === 'SUCCEEDED')).toBe(true);
      const { rows } = await rollcall.sql.query(`SELECT status FROM employee WHERE username = 'zhaoliu'`);
      expect(rows).toEqual([{ status: 'SUSPENDED' }]);
      const path = `query ($id: ID!) { departments(filter: { identitySourceId: $id, text: "前端" }) { nodes { path } } }`;
      expect(await rollcall.api.request(path, { id: source })).toEqual({
        departments: { nodes: [{ path: ['示例企业', '研发中心', '后端组', '前端组'] }] },
      });
      const full = await synchronize(rollcall, source);
      expect(await recordsOf(rollcall.api, full.id)).toEqual([]);
    },
  );

  it('leave the last full snapshot as it is: fields are counted over everybody, and unchanged answers are known', async () => {
    await listen();
    edit(({ users }) => users.set('neu', user('neu', '新人', [4])));
    await settled();
    const query = `query ($id: ID!) { identitySource(id: $id) { thirdPartyFields { objectType name total } } }`;
    const { identitySource } = await rollcall.api.request<{
      identitySource: { thirdPartyFields: { objectType: string; name: string; total: number }[] };
    }>(query, { id: source });
    expect(identitySource.thirdPartyFields).toContainEqual({ objectType: 'EMPLOYEE', name: 'userid', total: 4 });
    const { rows: pages } = await rollcall.sql.query(
      `SELECT id FROM snapshot_page WHERE page_key IN ('departments', 'employees-of:2', 'employees-of:3') ORDER BY 1`,
    );
    expect(pages).toHaveLength(3);
    await synchronize(rollcall, source);
    const { rows: after } = await rollcall.sql.query('SELECT id FROM snapshot_page');
    expect(after).toEqual(expect.arrayContaining(pages));
    expect(await wrong()).toEqual([]);
  });

  it('keep a person whose id WeCom changed', async () => {
    await listen();
    const { rows: before } = await rollcall.sql.query(`SELECT id FROM employee WHERE username = 'lisi'`);
    const { company } = rollcall.sandbox;
    company.change(() => company.organization.renameUser('lisi', 'lisi2'));
    await settled();
    const { rows: after } = await rollcall.sql.query(
      `SELECT id, username, status FROM employee WHERE username LIKE 'lisi%'`,
    );
    expect(after).toEqual([{ id: before[0].id, username: 'lisi2', status: 'ACTIVE' }]);
    const { rows: records } = await rollcall.sql.query(
      `SELECT action FROM sync_record r JOIN sync_task t ON t.id = r.task_id WHERE t.trigger = 'EVENT'`,
    );
    expect(records).toEqual([{ action: 'RENAME_ID' }]);
    expect(await recordsOf(rollcall.api, (await synchronize(rollcall, source)).id)).toEqual([]);
  });

  it('do no harm twice, in any order, with some of them lost, and during a full run', async () => {
    await listen();
    const { company, faults } = rollcall.sandbox;
    company.deliveries.switches = { duplicate: true, delay: 0, reorder: true, dropEvery: 4 };
    faults.add({ kind: 'slow', milliseconds: 150, path: 'user/list' });
    const full = synchronize(rollcall, source);
    for (let i = 0; i < 12; i++) {
      edit(({ users }) => {
        users.set(`neu${i}`, user(`neu${i}`, `新人${i}`, [2 + (i % 3)]));
        users.set(
          'lisi',
          user('lisi', '李四', [2 + (i % 3)], { position: `第${i}`, email: 'l@example.com', mobile: '13800000000' }),
        );
        users.delete(`neu${i - 3}`);
      });
    }
    await full;
    faults.clear();
    await settled();
    const last = await synchronize(rollcall, source);
    expect(['SUCCEEDED', 'HELD']).toContain(last.status);
    expect(await wrong()).toEqual([]);
  });

  it('bring somebody between the plan of a full run and its end, and everybody whom they lead stays theirs', async () => {
    await listen();
    const { company, faults } = rollcall.sandbox;
    const planned = async (trigger: string) => {
      for (let i = 0; i < 200; i++) {
        const { rows } = await rollcall.sql.query(
          `SELECT (array_agg(planned_at IS NOT NULL ORDER BY id DESC))[1] AS done FROM sync_task WHERE trigger = $1`,
          [trigger],
        );
        if (rows[0].done) return;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      throw new Error(`No ${trigger} task was planned.`);
    };
    // Whoever applies waits: first the event task, then the full run, which has read the same person before it.
    await rollcall.sql.query(
      `SELECT pg_advisory_lock(hashtextextended(id::text, 0)) FROM identity_source WHERE type = 'WECOM'`,
    );
    company.organization.users.set('boss', user('boss', '老板', [4]));
    company.organization.users.set('lisi', user('lisi', '李四', [3], { direct_leader: ['boss'] }));
    company.changed();
    faults.add({ kind: 'slow', milliseconds: 1_500, path: 'tag/list' });
    const full = synchronize(rollcall, source);
    for (let i = 0; i < 100 && (rollcall.sandbox.calls.get('tag/list') ?? 0) < 2; i++)
      await new Promise((resolve) => setTimeout(resolve, 25));
    company.push([{ changeType: 'create_user', fields: { UserID: 'boss' } }]);
    await planned('EVENT');
    await planned('MANUAL');
    await rollcall.sql.query('SELECT pg_advisory_unlock_all()');
    expect((await full).failure).toBeNull();
    await settled();
    const { rows } = await rollcall.sql.query(
      `SELECT boss.username FROM employee e JOIN employee boss ON boss.id = e.manager_id WHERE e.username = 'lisi'`,
    );
    expect(rows).toEqual([{ username: 'boss' }]);
    expect(await wrong()).toEqual([]);
  });

  it('about somebody who goes unnoticed during a full run: they stay, since it is older, and leave with the next', async () => {
    await listen();
    const { company } = rollcall.sandbox;
    const full = await readSlowly();
    edit(({ users }) => users.set('zhaoliu', user('zhaoliu', '赵六', [4], { status: 2, position: '组长' })));
    await until(
      async () => (await rollcall.sql.query(`SELECT FROM employee WHERE position = '组长'`)).rows.length === 1,
    );
    company.callback = undefined;
    edit(({ users }) => users.delete('zhaoliu'));
    const { id, status } = await full.end;
    expect([status, await recordsOf(rollcall.api, id)]).toEqual(['SUCCEEDED', []]);
    expect(await recordsOf(rollcall.api, (await synchronize(rollcall, source)).id)).toMatchObject([
      { externalId: 'zhaoliu', action: 'SUSPEND' },
    ]);
  });

  it('cost a full run none of the answers that it counts on as stored, such as those of a preview', async () => {
    await listen();
    const fieldMappings = ['username', 'displayName', 'position'].map((localField) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField: localField === 'username' ? 'userid' : 'name',
    }));
    const proposed = {
      id: source,
      fieldMappings: [{ objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' }, ...fieldMappings],
    };
    await synchronize(rollcall, source, { mode: 'PREVIEW', proposed });
    await mutate(rollcall, 'configureSynchronization', proposed, 'identitySource { id }');
    const full = await readSlowly();
    edit(({ users }) => users.set('lisi', user('lisi', '李思', [3])));
    const tidied = `SELECT FROM sync_task WHERE trigger = 'EVENT' AND tidied_at IS NOT NULL`;
    await until(async () => (await rollcall.sql.query(tidied)).rows.length > 0);
    expect(await full.end).toMatchObject({ status: 'SUCCEEDED', failure: null });
    // Its own tidying lets go of what nothing needs any more.
    const unneeded = `SELECT FROM sync_task WHERE trigger = 'EVENT' AND id IN (SELECT task_id FROM task_page)`;
    await until(async () => (await rollcall.sql.query(unneeded)).rows.length === 0);
  });

  it('make one task of a storm about the same people', async () => {
    await listen();
    edit(({ users }) => users.set('lisi', user('lisi', '李四', [2], { position: '主任' })));
    const calls = rollcall.sandbox.calls.get('user/get') ?? 0;
    rollcall.sandbox.company.push(
      Array.from({ length: 300 }, (_, i) => ({
        changeType: 'update_user',
        fields: { UserID: i % 2 ? 'lisi' : 'wangwu' },
      })),
    );
    await settled();
    expect((await eventTasks()).length).toBeLessThan(60);
    expect((rollcall.sandbox.calls.get('user/get') ?? 0) - calls).toBeLessThan(150);
    expect(rollcall.sandbox.company.deliveries.log.every((d) => d.answer === 'success')).toBe(true);
  });

  it('are noted while an undo is planned, and read then', async () => {
    await listen();
    // It changed nothing, so that in the end there is nothing to undo.
    const { id } = await synchronize(rollcall, source);
    edit(({ users }) => users.set('neu', user('neu', '新人', [4])));
    await settled();
    const { rows } = await rollcall.sql.query('SELECT count(*)::int AS total FROM directory_event');
    await rollcall.sql.query('BEGIN; LOCK TABLE sync_record IN ACCESS EXCLUSIVE MODE');
    const undone = mutate(rollcall, 'revertSyncTask', { taskId: id }, 'syncTask { id }');
    await untilRow(rollcall, `SELECT FROM ${LOCKS_WAITED_FOR} WHERE relation = 'sync_record'::regclass`);
    edit(({ users }) => users.delete('zhaoliu'));
    await untilRow(rollcall, 'SELECT FROM directory_event OFFSET $1', [rows[0].total]);
    await rollcall.sql.query('COMMIT');
    await undone;
    await settled();
    expect(await wrong()).toEqual([]);
  });

  it('wait while automatic synchronization is off, and are applied once it is on again', async () => {
    await listen();
    const set = (enabled: boolean) =>
      rollcall.api.request(
        'mutation ($input: SetAutomaticSynchronizationInput!) { setAutomaticSynchronization(input: $input) { userErrors { code } } }',
        { input: { id: source, enabled } },
      );
    await set(false);
    edit(({ users }) => users.delete('zhaoliu'));
    await rollcall.sandbox.company.deliveries.settled();
    expect(await eventTasks()).toEqual([]);
    await set(true);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await settled();
    expect(await wrong()).toEqual([]);
  });

  it('that wait are not taken for read by a preview that was made before them', async () => {
    await listen();
    const set = (enabled: boolean) =>
      mutate(rollcall, 'setAutomaticSynchronization', { id: source, enabled }, 'identitySource { id }');
    await set(false);
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    edit(({ users }) => users.delete('zhaoliu'));
    await rollcall.sandbox.company.deliveries.settled();
    const applied = await mutate(rollcall, 'applyPreview', { taskId: preview.id }, 'syncTask { id }');
    await watch(rollcall.api, applied.syncTask.id);
    expect((await rollcall.sql.query('SELECT task_id FROM directory_event')).rows).toEqual([{ task_id: null }]);
  });

  it('about people and groups wait while automatic runs bring departments only, and open no task for nothing', async () => {
    await listen();
    const set = (on: boolean) => rollcall.sql.query('UPDATE identity_source SET automatic_user_information = $1', [on]);
    await set(false);
    edit(({ users, tags }) => {
      users.delete('zhaoliu');
      tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [] });
    });
    await rollcall.sandbox.company.deliveries.settled();
    edit(({ departments }) => departments.set(5, { id: 5, parentId: 3, name: '前端组', order: 1 }));
    await rollcall.sandbox.company.deliveries.settled();
    const ended = async () => (await eventTasks()).filter((task) => task.status === 'SUCCEEDED').length;
    for (let i = 0; i < 100 && (await ended()) === 0; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    await set(true);
    await settled();
    expect(await wrong()).toEqual([]);
    expect(await eventTasks()).toEqual([{ status: 'SUCCEEDED' }, { status: 'SUCCEEDED' }]);
  });

  it('bring fields that the last full run looked at, whatever runs have brought departments only since', async () => {
    const { id } = (
      await rollcall.sql.query(
        `UPDATE identity_source SET automatic_user_information = false, next_run_at = now() WHERE type = 'WECOM' RETURNING id`,
      )
    ).rows[0];
    const ran = `SELECT FROM sync_task WHERE identity_source_id = $1 AND trigger = 'SCHEDULED' AND status = 'SUCCEEDED'`;
    await untilRow(rollcall, ran, [id]);
    await rollcall.sql.query('UPDATE identity_source SET automatic_user_information = true');
    await listen();
    edit(({ users }) => users.set('lisi', user('lisi', '李思', [3], { position: '组长' })));
    await settled();
    expect(await wrong()).toEqual([]);
  });

  it('bring a field that nobody had, to whom it is told of', async () => {
    edit(({ users }) => users.set('lisi', user('lisi', '李四', [3])));
    await synchronize(rollcall, source);
    await listen();
    edit(({ users }) =>
      users.set('lisi', user('lisi', '李四', [3], { telephone: '020-123456', direct_leader: ['wangwu'] })),
    );
    await settled();
    const { rows } = await rollcall.sql.query(
      `SELECT e.telephone, boss.username AS boss FROM employee e LEFT JOIN employee boss ON boss.id = e.manager_id WHERE e.username = 'lisi'`,
    );
    expect(rows).toEqual([{ telephone: '020-123456', boss: 'wangwu' }]);
    expect(await wrong()).toEqual([]);
  });

  describe('of which some are lost', () => {
    /** Changes the company without an event of it, then sends these. */
    const lose = async (
      e: Parameters<typeof change>[1],
      events: Parameters<TestRollcall['sandbox']['company']['push']>[0] = [],
    ) => {
      const { company } = rollcall.sandbox;
      e(company.organization);
      company.changed();
      company.push(events);
      await settled();
    };
    const department = (id: number, parentId: number, name = `部门${id}`) => ({ id, parentId, name, order: 0 });
    const updated = (UserID: string) => ({ changeType: 'update_user', fields: { UserID } });

    it('leave nobody here who came by an event and was gone before the next run', async () => {
      await listen();
      edit(({ users }) => users.set('neu', user('neu', '新人', [4])));
      await settled();
      await lose(({ users }) => users.delete('neu'));
      await synchronize(rollcall, source);
      expect(await wrong()).toEqual([]);
    });

    it.each([
      ['take along where it hangs now', ['示例企业']],
      ['make no circle with one that cannot be read', ['研发中心', '示例企业']],
    ])('of a department that was moved below its former child, %s', async (what, tops) => {
      await listen();
      if (what.includes('cannot'))
        rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 99999, path: 'department/get', query: { id: '3' } });
      await lose(
        ({ departments }) => {
          departments.set(3, department(3, 1, '后端组'));
          departments.set(2, { ...department(2, 3, '研发中心'), order: 20 });
        },
        [{ changeType: 'update_party', fields: { Id: '2', ParentId: '3' } }],
      );
      const { rows } = await rollcall.sql.query(`SELECT name FROM department WHERE parent_id IS NULL ORDER BY 1`);
      expect(rows.map((row) => row.name)).toEqual(tops);
      if (!what.includes('cannot')) expect(await wrong()).toEqual([]);
      rollcall.sandbox.faults.clear();
      await synchronize(rollcall, source);
      expect(await wrong()).toEqual([]);
    });

    it('bring a value that goes on from one to another, told of who gets it before who gives it up', async () => {
      const have = (lisi: string, wangwu: string) => {
        rollcall.sandbox.company.organization.users.set('lisi', user('lisi', '李四', [3], badge(lisi)));
        rollcall.sandbox.company.organization.users.set('wangwu', user('wangwu', '王五', [3], badge(wangwu)));
        rollcall.sandbox.company.changed();
      };
      await mapBadges(rollcall, source);
      have('X', 'Y');
      await synchronize(rollcall, source);
      await listen();
      rollcall.sandbox.company.callback = undefined;
      have('Y', 'Z');
      await listen();
      await lose(() => undefined, [updated('lisi')]);
      const { rows } = await rollcall.sql.query(
        `SELECT username || ' ' || (extension_values ->> 'badge') AS is FROM employee WHERE username IN ('lisi', 'wangwu') ORDER BY 1`,
      );
      expect(rows.map((row) => row.is)).toEqual(['lisi Y', 'wangwu Z']);
    });

    it('take a department away, told of before whatever was in it', async () => {
      await lose(({ departments }) => departments.set(7, department(7, 4)), []);
      await synchronize(rollcall, source);
      await listen();
      await lose(
        ({ departments, users }) => {
          departments.delete(4);
          departments.set(7, department(7, 3));
          users.set('zhaoliu', user('zhaoliu', '赵六', [3], { status: 2 }));
          users.delete('wangwu');
        },
        [{ changeType: 'delete_party', fields: { Id: '4' } }],
      );
      expect(await wrong()).toEqual([]);
    });

    it('link whoever waits for who comes', async () => {
      await mapPeople(rollcall, source, { manager: 'extattr.上级' });
      edit(({ users }) => users.set('lisi', user('lisi', '李四', [3], { extattr: [{ name: '上级', value: 'boss' }] })));
      await synchronize(rollcall, source);
      await listen();
      edit(({ users }) => users.set('boss', user('boss', '老板', [4])));
      await settled();
      const { rows } = await rollcall.sql.query(
        `SELECT boss.username FROM employee e JOIN employee boss ON boss.id = e.manager_id WHERE e.username = 'lisi'`,
      );
      expect(rows).toEqual([{ username: 'boss' }]);
    });

    const chooseDepartment2 = async () => {
      const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
      await mutate(rollcall, 'configureSynchronization', { id: source, scope }, 'identitySource { id }');
      const { id } = await synchronize(rollcall, source);
      await decide(rollcall.api, { taskId: id, approve: true });
      await listen();
    };

    it('ask for a full run where a department enters a partial scope, or leaves it', async () => {
      await chooseDepartment2();
      const move = (id: number, parentId: number) =>
        lose(
          ({ departments }) => departments.set(id, department(id, parentId)),
          [{ changeType: 'update_party', fields: { Id: String(id), ParentId: String(parentId) } }],
        );
      const present = async (names: string[]) => {
        const query = `SELECT username FROM employee WHERE status IN ('ACTIVE', 'DISABLED') ORDER BY 1`;
        for (let i = 0; i < 100; i++) {
          const { rows } = await rollcall.sql.query(query);
          if (rows.map((row) => row.username).join() === names.join()) return;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        throw new Error(`Those present are not ${names}.`);
      };
      await move(4, 2);
      await present(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
      await move(3, 1);
      await present(['wangwu', 'zhangsan', 'zhaoliu']);
    });

    it('let no removal lapse of whom or what they name outside the scope', async () => {
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 10, leaverGraceDays: 7 };
      const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
      edit(({ users }) => users.set('wangwu', user('wangwu', '王五', [3])));
      await mutate(rollcall, 'configureSynchronization', { id: source, scope, safeguards }, 'identitySource { id }');
      const { id } = await synchronize(rollcall, source);
      await listen();
      const { company } = rollcall.sandbox;
      edit(({ users }) => users.set('wangwu', user('wangwu', '王五', [3, 4])));
      company.push([updated('zhaoliu'), updated('wangwu'), { changeType: 'update_party', fields: { Id: '4' } }]);
      await settled();
      // Nor does it bring anybody there.
      const places = await rollcall.sql.query(
        `SELECT d.name FROM membership m JOIN department d ON d.id = m.department_id JOIN employee e ON e.id = m.employee_id
          WHERE e.username = 'wangwu'`,
      );
      expect(places.rows).toHaveLength(1);
      const held = await recordsOf(rollcall.api, id, { result: ['HELD'] });
      expect(held.map((r) => r.externalId).sort()).toEqual(['1', '4', 'zhaoliu']);
      expect((await decide(rollcall.api, { taskId: id, approve: true })).syncTask?.status).toBe('SUCCEEDED');
      const { rows } = await rollcall.sql.query(
        `SELECT (SELECT status FROM employee WHERE username = 'zhaoliu'), (SELECT count(*)::int FROM department) AS departments`,
      );
      expect(rows).toEqual([{ status: 'SUSPENDED', departments: 2 }]);
    });

    it('leave alone whom somebody has decided to keep outside the scope', async () => {
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 0, leaverGraceDays: 7 };
      const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
      await mutate(rollcall, 'configureSynchronization', { id: source, scope, safeguards }, 'identitySource { id }');
      const task = await synchronize(rollcall, source);
      const kept = await recordsOf(rollcall.api, task.id, { result: ['HELD'], objectType: 'EMPLOYEE' });
      await decide(rollcall.api, { taskId: task.id, approve: false, recordIds: kept.map((r) => r.id) });
      await listen();
      edit(({ users }) => users.set('zhaoliu', user('zhaoliu', '赵六六', [4])));
      await settled();
      const next = await synchronize(rollcall, source);
      expect(await recordsOf(rollcall.api, next.id, { objectType: 'EMPLOYEE' })).toEqual([]);
    });

    it('suspend nobody who was moved within the scope before the department left it that they were in', async () => {
      await lose(({ departments }) => departments.set(5, department(5, 2)));
      await chooseDepartment2();
      await lose(
        ({ users, departments }) => {
          users.set('lisi', user('lisi', '李四', [5]));
          departments.set(3, department(3, 1));
        },
        [{ changeType: 'update_party', fields: { Id: '3', ParentId: '1' } }],
      );
      await synchronize(rollcall, source);
      const { rows } = await rollcall.sql.query(
        `SELECT DISTINCT r.action FROM sync_record r JOIN employee e ON e.id = r.local_id
          WHERE e.username = 'lisi' AND r.action IN ('SUSPEND', 'RESTORE')`,
      );
      expect(rows).toEqual([]);
    });

    it('take nobody the lead that only their department tells of', async () => {
      rollcall.sandbox.company.withhold({ fields: ['is_leader_in_dept'], style: 'absent' });
      await synchronize(rollcall, source);
      await listen();
      const leads = async () =>
        (
          await rollcall.sql.query(
            `SELECT e.username, e.position FROM membership m JOIN employee e ON e.id = m.employee_id WHERE m.is_leader`,
          )
        ).rows;
      expect(await leads()).toEqual([{ username: 'zhangsan', position: '主任' }]);
      edit(({ users }) =>
        users.set('zhangsan', user('zhangsan', '张三', [2], { isLeaderInDept: [1], position: '总监' })),
      );
      await settled();
      expect(await leads()).toEqual([{ username: 'zhangsan', position: '总监' }]);
    });

    it('suspend nobody who was moved into a department of the scope that is not known yet', async () => {
      await chooseDepartment2();
      await lose(
        ({ users, departments }) => {
          departments.set(5, department(5, 2));
          users.set('lisi', user('lisi', '李四', [5]));
        },
        [updated('lisi')],
      );
      const { rows } = await rollcall.sql.query(
        `SELECT e.status, d.external_id AS department FROM employee e JOIN membership m ON m.employee_id = e.id
           JOIN link d ON d.local_id = m.department_id WHERE e.username = 'lisi'`,
      );
      expect(rows).toEqual([{ status: 'ACTIVE', department: '5' }]);
    });

    it('bring nobody whom a changed scope leaves out, also before the run that follows it', async () => {
      await listen();
      const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
      await mutate(rollcall, 'configureSynchronization', { id: source, scope }, 'identitySource { id }');
      edit(({ users }) => {
        users.set('inside', user('inside', '里', [3]));
        users.set('outside', user('outside', '外', [4]));
      });
      await settled();
      const { rows } = await rollcall.sql.query(`SELECT username FROM employee WHERE username LIKE '%side'`);
      expect(rows).toEqual([{ username: 'inside' }]);
    });

    it('suspend who has another id, and has left', async () => {
      const { company } = rollcall.sandbox;
      await listen();
      company.callback = undefined;
      await tellNewId(rollcall, 'lisi', 'lisi2');
      await rollcall.sql.query('UPDATE identity_source SET automatic_enabled = false');
      edit(({ users }) => {
        users.delete('lisi');
        users.set('lisi2', user('lisi2', '李四', [3], { status: 5 }));
      });
      await synchronize(rollcall, source);
      const { rows } = await rollcall.sql.query(`SELECT status FROM employee WHERE username LIKE 'lisi%'`);
      expect(rows).toEqual([{ status: 'SUSPENDED' }]);
    });
  });

  describe('that a task did not read', () => {
    const suspended = async () =>
      (await rollcall.sql.query(`SELECT username FROM employee WHERE status = 'SUSPENDED'`)).rows;
    const ended = (status: string) =>
      untilRow(rollcall, `SELECT FROM sync_task WHERE trigger = 'EVENT' AND status = $1`, [status]);
    /** As if the pause were over. */
    const later = () =>
      rollcall.sql.query(
        `WITH task AS (UPDATE sync_task SET finished_at = finished_at - interval '2 minutes' WHERE trigger = 'EVENT')
         UPDATE directory_event SET not_before = not_before - interval '2 minutes' WHERE task_id IS NULL`,
      );
    const leave = () => edit(({ users }) => users.delete('zhaoliu'));
    const waiting = `SELECT FROM directory_event WHERE task_id IS NULL`;

    it('since it failed are read by another, after a pause', async () => {
      await listen();
      // Whether somebody is gone cannot be told without the visible range.
      rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 48002, path: 'agent/get' });
      leave();
      await ended('FAILED');
      rollcall.sandbox.faults.clear();
      await untilRow(rollcall, waiting);
      await later();
      await settled();
      expect(await suspended()).toEqual([{ username: 'zhaoliu' }]);
    });

    it('since it was canceled are read by another, after a pause', async () => {
      await listen();
      rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 1_000, path: 'user/get', times: 1 });
      leave();
      await untilRow(rollcall, `SELECT FROM sync_task WHERE trigger = 'EVENT' AND status = 'RUNNING'`);
      const { syncTasks } = await rollcall.api.request<{ syncTasks: { nodes: { id: string; status: string }[] } }>(
        '{ syncTasks(first: 5) { nodes { id status } } }',
      );
      const task = syncTasks.nodes.find(({ status }) => status === 'RUNNING');
      await mutate(rollcall, 'cancelSyncTask', { id: task?.id }, 'syncTask { id }');
      await ended('CANCELED');
      await untilRow(rollcall, waiting);
      await later();
      await settled();
      expect(await suspended()).toEqual([{ username: 'zhaoliu' }]);
    });

    it('since WeCom did not answer about some of them are read again, after a pause', async () => {
      await listen();
      rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 99999, path: 'user/get', query: { userid: 'zhaoliu' } });
      edit(({ users }) => {
        users.delete('zhaoliu');
        users.delete('wangwu');
      });
      await ended('PARTIALLY_SUCCEEDED');
      rollcall.sandbox.faults.clear();
      await untilRow(rollcall, `${waiting} AND external_id = 'zhaoliu' AND not_before > now()`);
      await later();
      await settled();
      expect(await suspended()).toEqual(expect.arrayContaining([{ username: 'wangwu' }, { username: 'zhaoliu' }]));
      expect(await wrong()).toEqual([]);
    });

    it('are tried a few times an hour, and at once when the source is changed', async () => {
      await listen();
      const broken = await rollcall.sql.query(
        `UPDATE identity_source s SET sealed_secret = 'broken' FROM identity_source former
          WHERE former.id = s.id AND s.type = 'WECOM' RETURNING former.sealed_secret`,
      );
      leave();
      await ended('FAILED');
      // The scheduler looks meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      expect(await eventTasks()).toEqual([{ status: 'FAILED' }]);
      await rollcall.sql.query(`UPDATE identity_source SET sealed_secret = $1 WHERE type = 'WECOM'`, [
        broken.rows[0].sealed_secret,
      ]);
      const change = { id: source, automaticSynchronization: { cycleHours: 12 } };
      await mutate(rollcall, 'configureSynchronization', change, 'identitySource { id }');
      await settled();
      expect(await suspended()).toEqual([{ username: 'zhaoliu' }]);
    });
  });

  describe('are refused', () => {
    const timestamp = (age = 0) => String(Math.floor(Date.now() / 1000) - age);
    const post = async (
      message: string,
      change: {
        token?: string;
        receiveId?: string;
        timestamp?: string;
        age?: number;
        body?: (encrypted: string) => string;
      } = {},
    ) => {
      const encrypted = encrypt(KEYS, message, change.receiveId ?? rollcall.sandbox.company.settings.corpId);
      const at = change.timestamp ?? timestamp(change.age);
      const query = new URLSearchParams({
        msg_signature: signature(change.token ?? KEYS.token, at, 'nonce', encrypted),
        timestamp: at,
        nonce: 'nonce',
      });
      const body = change.body?.(encrypted) ?? `<xml><Encrypt><![CDATA[${encrypted}]]></Encrypt></xml>`;
      const answer = await fetch(`${address}?${query}`, { method: 'POST', body });
      return [answer.status, await answer.text()];
    };
    const event =
      '<xml><MsgType>event</MsgType><Event>change_contact</Event><ChangeType>delete_user</ChangeType><UserID>lisi</UserID></xml>';

    it.each<[string, Parameters<typeof post>[1]]>([
      ['signed with another token', { token: 'other' }],
      ['for another company', { receiveId: 'ww9999999999999999' }],
      ['older than ten minutes', { age: 700 }],
      ['of the future', { age: -700 }],
      ['without a number for a time', { timestamp: 'now' }],
      ['not XML', { body: () => '{"Encrypt": 1}' }],
      ['with a document type', { body: (e) => `<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>${e}</Encrypt></xml>` }],
      ['huge', { body: (e) => `<xml><Encrypt>${e}${'A'.repeat(5_000_000)}</Encrypt></xml>` }],
    ])('%s', async (_what, change) => {
      const [status] = await post(event, change);
      expect([403, 413]).toContain(status);
      expect((await rollcall.sql.query('SELECT 1 FROM directory_event')).rows).toEqual([]);
    });

    it('entities inside the message', async () => {
      const bomb =
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><xml><MsgType>event</MsgType><UserID>&b;</UserID></xml>';
      expect((await post(bomb))[0]).toBe(403);
    });

    it('but not a real one, whose repetition has the same answer', async () => {
      expect(await post(event)).toEqual([200, 'success']);
      expect(await post(event)).toEqual([200, 'success']);
      expect(await post('<xml><MsgType>text</MsgType><Content>hi</Content></xml>')).toEqual([200, 'success']);
      await settled();
      // WeCom still has the person: the event is a hint, and what counts is what WeCom answers.
      expect((await rollcall.sql.query(`SELECT status FROM employee WHERE username = 'lisi'`)).rows).toEqual([
        { status: 'ACTIVE' },
      ]);
      const unknown = await fetch(address.replace(/source_\w+/, 'source_01aaaaaaaaaaaaaaaaaaaaaaaa'), {
        method: 'POST',
        body: 'x',
      });
      expect(unknown.status).toBe(403);
    });
  });
});
