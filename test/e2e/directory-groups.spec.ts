import { differences } from '../../src/demo/compare';
import { mutate } from '../setup/organisation-view';
import {
  change,
  createSource,
  decide,
  recordsOf,
  smallCompany,
  startRollcall,
  summaries,
  synchronize,
  type TestRecord,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

const KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

interface Tag {
  readonly users?: string[];
  readonly departments?: number[];
  readonly name?: string;
}

describe('directory groups', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    const organization = smallCompany();
    organization.tags.set(7, { id: 7, name: '羽毛球协会', users: ['lisi', 'wangwu'], departments: [4] });
    rollcall = await startRollcall({
      organization,
      environment: { ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com' },
    });
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    const input = {
      type: 'WECOM',
      name: 'WeCom',
      wecomSelfBuilt: { corpId, agentId, secret },
      wecomCallback: KEYS,
    };
    source = (await createSource(rollcall.api, input)).identitySource?.id ?? '';
  });
  afterEach(() => rollcall.stop());

  const edit = (e: Parameters<typeof change>[1]) => change(rollcall.sandbox, e);
  const setTag = (id: number, { name = `标签${id}`, users = [], departments = [] }: Tag) =>
    edit(({ tags }) => tags.set(id, { id, name, users, departments }));
  const fault = (input: Parameters<typeof rollcall.sandbox.faults.add>[0]) => rollcall.sandbox.faults.add(input);
  const run = (more: Record<string, unknown> = {}) => synchronize(rollcall, source, more);
  const wrong = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);
  const groupRecords = (id: string) => recordsOf(rollcall.api, id, { objectType: 'GROUP' });
  const changes = (record: TestRecord | undefined) =>
    Object.fromEntries(
      (record?.comparison ?? [])
        .filter((c) => c.changed)
        .map((c) => [c.field, [c.thirdPartyValue, c.saseValueBefore, c.saseValueAfter]]),
    );

  /** The groups as the API shows them, in one line each. */
  const groups = async (): Promise<string[]> => {
    const query = `query ($id: ID!) { identitySource(id: $id) { directoryGroups(first: 100) { nodes {
      externalId name employeeCount employees(first: 100) { nodes { username } } departments { name } } } } }`;
    const { identitySource } = await rollcall.api.request<{
      identitySource: {
        directoryGroups: {
          nodes: {
            externalId: string;
            name: string;
            employeeCount: number;
            employees: { nodes: { username: string }[] };
            departments: { name: string }[];
          }[];
        };
      };
    }>(query, { id: source });
    return identitySource.directoryGroups.nodes
      .map((group) => {
        const people = group.employees.nodes.map((e) => e.username).sort();
        expect(group.employeeCount).toBe(people.length);
        return `${group.externalId} ${group.name}: ${[...people, ...group.departments.map((d) => d.name).sort()].join(', ')}`;
      })
      .sort();
  };
  const certificateOf = async (id: string) => {
    const query =
      'query ($id: ID!) { syncTask(id: $id) { certificate { complete groupsComplete groupsRead reasons } } }';
    const { syncTask } = await rollcall.api.request<{ syncTask: { certificate: Record<string, unknown> } }>(query, {
      id,
    });
    return syncTask.certificate;
  };

  describe('are synchronized like departments and people', () => {
    it('with the people and departments in them, a record and counters, and a second run writes nothing', async () => {
      setTag(8, { name: '空标签' });
      const task = await run();
      expect(task.status).toBe('SUCCEEDED');
      expect(await groups()).toEqual(['7 羽毛球协会: lisi, wangwu, 市场部', '8 空标签: ']);
      expect(await wrong()).toEqual([]);
      expect(task.counters.filter((c) => c.objectType === 'GROUP')).toMatchObject([
        { action: 'CREATE', planned: 2, applied: 2 },
        { action: 'NONE', planned: 0 },
      ]);
      const [record] = await groupRecords(task.id);
      expect(record).toMatchObject({ externalId: '7', action: 'CREATE', result: 'APPLIED' });
      expect(record?.comparison).toEqual([
        {
          field: 'name',
          thirdPartyField: null,
          thirdPartyValue: '羽毛球协会',
          saseValueBefore: null,
          saseValueAfter: '羽毛球协会',
          changed: true,
          kept: null,
        },
        expect.objectContaining({
          field: 'employees',
          thirdPartyValue: 'lisi\nwangwu',
          saseValueAfter: '李四 (lisi)\n王五 (wangwu)',
        }),
        expect.objectContaining({
          field: 'departments',
          thirdPartyValue: '4',
          saseValueAfter: '示例企业 / 市场部',
        }),
      ]);
      expect(await certificateOf(task.id)).toEqual({
        complete: true,
        groupsComplete: true,
        groupsRead: 2,
        reasons: [],
      });
      // A second run with nothing changed records nothing and writes no row.
      const rows = `SELECT 'g' AS t, id::text, xmin::text FROM directory_group UNION ALL SELECT 'l', local_id::text, xmin::text FROM link
        UNION ALL SELECT 'e', employee_id::text, xmin::text FROM directory_group_employee
        UNION ALL SELECT 'd', department_id::text, xmin::text FROM directory_group_department ORDER BY 1, 2`;
      const before = (await rollcall.sql.query(rows)).rows;
      const again = await run();
      expect(again.status).toBe('SUCCEEDED');
      expect(await recordsOf(rollcall.api, again.id)).toEqual([]);
      expect(again.counters).toContainEqual(
        expect.objectContaining({ objectType: 'GROUP', action: 'NONE', planned: 2 }),
      );
      expect((await rollcall.sql.query(rows)).rows).toEqual(before);
    });

    it('when they are renamed, get and lose members, and are deleted', async () => {
      setTag(8, { name: '值班组', users: ['zhaoliu'], departments: [2] });
      await run();
      setTag(7, { name: '乒乓球协会', users: ['wangwu', 'zhangsan'], departments: [4, 3] });
      edit(({ tags }) => tags.delete(8));
      const task = await run();
      expect(await summaries(rollcall.api, task.id)).toEqual([
        'UPDATE group 7: name, employees, departments',
        'REMOVE group 8: name, employees, departments',
      ]);
      const [renamed, removed] = await groupRecords(task.id);
      expect(changes(renamed)).toEqual({
        name: ['乒乓球协会', '羽毛球协会', '乒乓球协会'],
        employees: ['wangwu\nzhangsan', '李四 (lisi)\n王五 (wangwu)', '张三 (zhangsan)\n王五 (wangwu)'],
        departments: ['4\n3', '示例企业 / 市场部', '示例企业 / 市场部\n示例企业 / 研发中心 / 后端组'],
      });
      expect(removed).toMatchObject({ reasonCode: 'LEFT_SOURCE' });
      expect(changes(removed)).toEqual({
        name: [null, '值班组', null],
        employees: [null, '赵六 (zhaoliu)', null],
        departments: [null, '示例企业 / 研发中心', null],
      });
      expect(await groups()).toEqual(['7 乒乓球协会: wangwu, zhangsan, 后端组, 市场部']);
      expect(await wrong()).toEqual([]);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
    });

    it('with members who come in the same run, and with a department that moves or goes in it', async () => {
      setTag(7, { users: ['lisi'], departments: [3] });
      await run();
      edit(({ users, departments }) => {
        users.set('neu', user('neu', '新人', [5]));
        departments.set(5, { id: 5, parentId: 2, name: '前端组', order: 1 });
        departments.delete(3);
        users.set('lisi', user('lisi', '李思', [2]));
        users.set('wangwu', user('wangwu', '王五', [4]));
      });
      setTag(7, { users: ['lisi', 'neu'], departments: [5] });
      const task = await run();
      expect(task.status).toBe('SUCCEEDED');
      const [record] = await groupRecords(task.id);
      expect(changes(record)).toEqual({
        employees: ['lisi\nneu', '李四 (lisi)', '新人 (neu)\n李思 (lisi)'],
        departments: ['5', '示例企业 / 研发中心 / 后端组', '示例企业 / 研发中心 / 前端组'],
      });
      expect(await wrong()).toEqual([]);
    });

    it('also where the server is restarted in between', async () => {
      for (let id = 8; id < 12; id++) setTag(id, { users: ['lisi'] });
      fault({ kind: 'slow', milliseconds: 3_000, path: 'tag/get', query: { tagid: '11' }, times: 1 });
      const { startSyncTask } = await rollcall.api.request<{ startSyncTask: { syncTask: { id: string } } }>(
        'mutation ($id: ID!) { startSyncTask(input: { identitySourceId: $id }) { syncTask { id } } }',
        { id: source },
      );
      for (let i = 0; i < 200 && (rollcall.sandbox.calls.get('tag/get') ?? 0) < 5; i++)
        await new Promise((resolve) => setTimeout(resolve, 25));
      await rollcall.restart();
      expect((await watch(rollcall.api, startSyncTask.syncTask.id)).status).toBe('SUCCEEDED');
      expect(await wrong()).toEqual([]);
    });

    it('and one change of a large one costs one edge', async () => {
      const many = Array.from({ length: 200 }, (_, i) => `p${i}`);
      edit(({ users }) => {
        for (const id of many) users.set(id, user(id, `员工${id}`, [3]));
      });
      setTag(7, { users: many });
      await run();
      setTag(7, { users: [...many.slice(1), 'lisi'] });
      const { rows: before } = await rollcall.sql.query('SELECT employee_id, xmin::text FROM directory_group_employee');
      await run();
      const { rows: after } = await rollcall.sql.query('SELECT employee_id, xmin::text FROM directory_group_employee');
      const known = new Set(before.map((row) => `${row.employee_id} ${row.xmin}`));
      expect(after.filter((row) => !known.has(`${row.employee_id} ${row.xmin}`))).toHaveLength(1);
      expect(await wrong()).toEqual([]);
    });
  });

  describe('show whom they hold', () => {
    it('not those who have left, until they come back; those who were removed are no members', async () => {
      await run();
      edit(({ users }) => users.set('lisi', user('lisi', '李四', [3], { status: 5 })));
      const left = await run();
      // WeCom still names the person, and the edge stays as their departments do; only who is present is shown.
      expect(await groupRecords(left.id)).toEqual([]);
      expect(await groups()).toEqual(['7 羽毛球协会: wangwu, 市场部']);
      await rollcall.sql.query(
        `UPDATE employee SET removal_due_at = now() - interval '1 minute' WHERE username = 'lisi'`,
      );
      const removed = await run();
      expect((await summaries(rollcall.api, removed.id)).sort()).toEqual([
        'REMOVE employee lisi: manager, status, departments, mainDepartment',
        'UPDATE group 7: employees',
      ]);
      edit(({ users }) => users.set('lisi', user('lisi', '李四', [3])));
      const back = await run();
      expect((await summaries(rollcall.api, back.id)).filter((line) => line.includes('group'))).toEqual([
        'UPDATE group 7: employees',
      ]);
      expect(await groups()).toEqual(['7 羽毛球协会: lisi, wangwu, 市场部']);
      expect(await wrong()).toEqual([]);
    });

    it('and employees can be found by them, and they by employees, masked for viewers', async () => {
      await run();
      const list = `query ($id: ID!) { identitySource(id: $id) { directoryGroups(last: 1) { totalCount nodes { id } } } }`;
      const { identitySource } = await rollcall.api.request<{
        identitySource: { directoryGroups: { totalCount: number; nodes: { id: string }[] } };
      }>(list, { id: source });
      expect(identitySource.directoryGroups.totalCount).toBe(1);
      const id = String(identitySource.directoryGroups.nodes[0]?.id);
      expect(id).toMatch(/^group_/);
      const { createApiToken } = await rollcall.api.request<{ createApiToken: { token: string } }>(
        'mutation { createApiToken(input: { name: "viewer", role: VIEWER }) { token } }',
      );
      const query = `query ($id: ID!) {
        employees(filter: { directoryGroupId: $id }, orderBy: { field: USERNAME }) { totalCount nodes { username directoryGroups { name } } }
        node(id: $id) { id ... on DirectoryGroup { name identitySource { name } employees { nodes { mobile } } } } }`;
      const response = await fetch(rollcall.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${createApiToken.token}` },
        body: JSON.stringify({ query, variables: { id } }),
      });
      expect(((await response.json()) as { data: unknown }).data).toEqual({
        employees: {
          totalCount: 2,
          nodes: ['lisi', 'wangwu'].map((username) => ({ username, directoryGroups: [{ name: '羽毛球协会' }] })),
        },
        node: {
          id,
          name: '羽毛球协会',
          identitySource: { name: 'WeCom' },
          employees: {
            nodes: expect.arrayContaining([{ mobile: '138****00' }, { mobile: null }]),
          },
        },
      });
      const none = await rollcall.api.request<{ employees: { totalCount: number } }>(
        '{ employees(filter: { directoryGroupId: "group_x" }) { totalCount } }',
      );
      expect(none.employees.totalCount).toBe(0);
      // Their fields are not mapped, and extension fields are of people and departments.
      const fields = await rollcall.api.request<{ createExtensionField: { userErrors: unknown[] } }>(
        'mutation { createExtensionField(input: { objectType: GROUP, key: "x", displayName: "X", type: TEXT }) { userErrors { code field } } }',
      );
      expect(fields.createExtensionField.userErrors).toEqual([
        { code: 'INVALID_INPUT', field: ['input', 'objectType'] },
      ]);
      const mapping = { objectType: 'GROUP', localField: 'name', thirdPartyField: 'name' };
      const mapped = await rollcall.api.request<{ configureSynchronization: { userErrors: unknown[] } }>(
        'mutation ($input: ConfigureSynchronizationInput!) { configureSynchronization(input: $input) { userErrors { code message } } }',
        { input: { id: source, fieldMappings: [mapping] } },
      );
      expect(mapped.configureSynchronization.userErrors).toContainEqual({
        code: 'MAPPING_INVALID',
        message: 'Only fields of departments and employees are mapped.',
      });
    });
  });

  describe('are kept where they were not read', () => {
    it('for want of permission, which the certificate says', async () => {
      await run();
      edit(({ users }) => users.delete('zhaoliu'));
      for (const errcode of [48002, 60011, 81011]) {
        fault({ kind: 'errcode', errcode, path: 'tag/list' });
        fault({ kind: 'errcode', errcode, path: 'tag/get' });
        const task = await run();
        expect([errcode, task.status]).toEqual([errcode, 'SUCCEEDED']);
        // Everything else goes on.
        const leaver = errcode === 48002 ? ['SUSPEND employee zhaoliu: status'] : [];
        expect(await summaries(rollcall.api, task.id)).toEqual(leaver);
        const certificate = await certificateOf(task.id);
        expect(certificate).toMatchObject({ complete: true, groupsComplete: null, groupsRead: 0 });
        expect(certificate['reasons']).toEqual([expect.stringContaining('Directory groups are left alone')]);
        expect(await groups()).toEqual(['7 羽毛球协会: lisi, wangwu, 市场部']);
        rollcall.sandbox.faults.clear();
      }
      setTag(7, { name: '羽毛球协会', users: ['lisi'] });
      expect((await run()).status).toBe('SUCCEEDED');
      expect(await wrong()).toEqual([]);
    });

    it('when one of them cannot be read: nothing is removed of them, and nothing looks green', async () => {
      setTag(8, { users: ['lisi'] });
      await run();
      fault({ kind: 'errcode', errcode: 81011, path: 'tag/get', query: { tagid: '7' } });
      setTag(9, { users: ['zhangsan'] });
      edit(({ tags, users }) => {
        tags.delete(8);
        users.delete('zhaoliu');
      });
      const task = await run();
      expect(task.status).toBe('PARTIALLY_SUCCEEDED');
      // The others are synchronized, and so are leavers: that one tag cannot be read is no reason to keep them.
      expect((await summaries(rollcall.api, task.id)).sort()).toEqual([
        'CREATE group 9: name, employees',
        'SUSPEND employee zhaoliu: status',
      ]);
      expect(await certificateOf(task.id)).toMatchObject({
        complete: true,
        groupsComplete: false,
        reasons: [expect.stringContaining('group:7')],
      });
      rollcall.sandbox.faults.clear();
      const next = await run();
      expect(next.status).toBe('SUCCEEDED');
      expect(await summaries(rollcall.api, next.id)).toEqual(['REMOVE group 8: name, employees']);
      expect(await wrong()).toEqual([]);
      // Nor when their list cannot be.
      fault({ kind: 'errcode', errcode: 40058, path: 'tag/list' });
      edit(({ tags }) => tags.clear());
      const blind = await run();
      expect(blind.status).toBe('PARTIALLY_SUCCEEDED');
      expect(await recordsOf(rollcall.api, blind.id)).toEqual([]);
    });

    it('or came empty: each is read once more before it goes or loses everybody', async () => {
      await run();
      fault({ kind: 'empty', path: 'tag/list', times: 1 });
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
      rollcall.sandbox.faults.clear();
      fault({ kind: 'empty', path: 'tag/get', times: 1 });
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
      rollcall.sandbox.faults.clear();
      // Nor where it cannot be read once more.
      fault({ kind: 'empty', path: 'tag/get', times: 1 });
      fault({ kind: 'errcode', errcode: 99999, path: 'tag/get' });
      const unread = await run();
      expect(unread.status).toBe('PARTIALLY_SUCCEEDED');
      expect(await recordsOf(rollcall.api, unread.id)).toEqual([]);
      rollcall.sandbox.faults.clear();
      await run();
      expect(await groups()).toEqual(['7 羽毛球协会: lisi, wangwu, 市场部']);
      setTag(7, { name: '羽毛球协会' });
      expect(await summaries(rollcall.api, (await run()).id)).toEqual(['UPDATE group 7: employees, departments']);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
    });
  });

  it('bring everybody below their departments where the visible range names them alone', async () => {
    setTag(8, { departments: [2] });
    rollcall.sandbox.company.setRange({ departments: [], users: [], tags: [8] });
    const task = await run();
    expect(task.status).toBe('SUCCEEDED');
    const { rows } = await rollcall.sql.query('SELECT username FROM employee ORDER BY 1');
    expect(rows.map(({ username }) => username)).toEqual(['lisi', 'wangwu', 'zhangsan']);
    const again = await run();
    expect([again.status, await recordsOf(rollcall.api, again.id)]).toEqual(['SUCCEEDED', []]);
  });

  describe('whose departments are not told', () => {
    beforeEach(async () => {
      setTag(8, { users: ['zhaoliu'] });
      await run();
      fault({ kind: 'trimmed', path: 'tag/get' });
    });

    it('have none where they had none', async () => {
      setTag(8, { users: ['lisi'] });
      expect((await run()).status).toBe('SUCCEEDED');
      expect(await wrong()).toEqual([]);
    });

    it('keep what they have, and the task is not green', async () => {
      setTag(7, { name: '羽毛球协会', users: ['lisi'] });
      const task = await run();
      expect([task.status, await recordsOf(rollcall.api, task.id)]).toEqual(['PARTIALLY_SUCCEEDED', []]);
      expect((await certificateOf(task.id))?.['reasons']).toEqual([expect.stringContaining('group:7')]);
      rollcall.sandbox.faults.clear();
      expect((await run()).status).toBe('SUCCEEDED');
      expect(await wrong()).toEqual([]);
    });

    it('keep it also where they are read by themselves', async () => {
      setTag(7, { name: '羽毛球协会', users: ['lisi'] });
      fault({ kind: 'empty', path: 'tag/list' });
      const task = await run();
      expect([task.status, await recordsOf(rollcall.api, task.id)]).toEqual(['PARTIALLY_SUCCEEDED', []]);
    });
  });

  describe('have members', () => {
    const scope = (departmentIds: string[]) =>
      rollcall.api.request(
        'mutation ($input: ConfigureSynchronizationInput!) { configureSynchronization(input: $input) { userErrors { code message } } }',
        { input: { id: source, scope: { mode: 'PARTIAL', departmentIds } } },
      );

    it('only within the synchronization scope, whoever enters it is linked by that run', async () => {
      await scope(['2']);
      setTag(7, { name: '协会', users: ['lisi', 'zhaoliu'], departments: [3, 4] });
      expect((await run()).status).toBe('SUCCEEDED');
      expect(await groups()).toEqual(['7 协会: lisi, 后端组']);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
      edit(({ users }) => users.set('zhaoliu', user('zhaoliu', '赵六', [2])));
      const moved = await run();
      expect(await summaries(rollcall.api, moved.id)).toEqual([
        expect.stringContaining('CREATE employee zhaoliu'),
        'UPDATE group 7: employees',
      ]);
      expect(await groups()).toEqual(['7 协会: lisi, zhaoliu, 后端组']);
      await scope(['2', '4']);
      await run();
      expect(await groups()).toEqual(['7 协会: lisi, zhaoliu, 后端组, 市场部']);
      await scope(['4']);
      const narrowed = await run();
      expect(narrowed.status).toBe('SUCCEEDED');
      expect(await groups()).toEqual(['7 协会: 市场部']);
    });

    it('also departments whose removal waits for approval, or was rejected, until they go', async () => {
      setTag(7, { name: '协会', departments: [3, 4] });
      await run();
      const safeguards = { maxRemovals: 0, minimumObjects: 0, maxRemovalPercent: 0 };
      await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, '__typename');
      await scope(['2']);
      for (const approve of [false, true]) {
        let held = await run();
        expect([held.status, await groups()]).toEqual(['HELD', ['7 协会: 后端组, 市场部']]);
        held = await run();
        expect([held.status, await groupRecords(held.id)]).toEqual(['HELD', []]);
        await decide(rollcall.api, { taskId: held.id, approve });
        expect(await groups()).toEqual([`7 协会: ${approve ? '后端组' : '后端组, 市场部'}`]);
        await scope(approve ? ['2'] : ['1']);
        await run();
        await scope(['2']);
      }
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
      expect(await groups()).toEqual(['7 协会: 后端组']);
    });

    it('who could not come before, as soon as they do', async () => {
      edit(({ users }) => users.set('neu', user('neu', '新人', [2])));
      setTag(7, { users: ['neu'] });
      // The one department that is read fails: the person is known to the tag, and not yet here.
      fault({ kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '2' } });
      expect((await run()).status).toBe('PARTIALLY_SUCCEEDED');
      expect(await groups()).toEqual(['7 标签7: ']);
      rollcall.sandbox.faults.clear();
      await run();
      expect(await groups()).toEqual(['7 标签7: neu']);
      expect(await wrong()).toEqual([]);
    });
  });

  it('are left alone by runs that bring departments only, also where a department goes and comes back', async () => {
    setTag(7, { users: ['lisi'], departments: [5] });
    edit(({ departments }) => departments.set(5, { id: 5, parentId: 1, name: '空部门', order: 1 }));
    await run();
    await rollcall.sql.query('UPDATE identity_source SET automatic_user_information = false');
    const automatic = async () => {
      await rollcall.sql.query(`UPDATE identity_source SET next_run_at = now() WHERE type = 'WECOM'`);
      for (let i = 0; i < 100; i++) {
        const { rows } = await rollcall.sql.query(
          `SELECT id FROM sync_task WHERE trigger = 'SCHEDULED' AND status NOT IN ('QUEUED', 'RUNNING') AND NOT includes_employees
              AND id NOT IN (SELECT unnest($1::uuid[]))`,
          [seen],
        );
        if (rows[0]) return void seen.push(rows[0].id);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error('No automatic run.');
    };
    const seen: string[] = [];
    const calls = rollcall.sandbox.calls.get('tag/list');
    const former = rollcall.sandbox.company.organization.departments.get(5);
    edit(({ departments, tags }) => {
      departments.delete(5);
      tags.set(8, { id: 8, name: '新', users: [], departments: [] });
    });
    await automatic();
    expect(await groups()).toEqual(['7 标签7: lisi']);
    expect(rollcall.sandbox.calls.get('tag/list')).toBe(calls);
    edit(({ departments }) => former && departments.set(5, former));
    await automatic();
    await run();
    expect(await groups()).toEqual(['7 标签7: lisi, 空部门', '8 新: ']);
    expect(await wrong()).toEqual([]);
  });

  describe('that go, more than the limits allow', () => {
    const many = Array.from({ length: 8 }, (_, i) => 20 + i);
    beforeEach(async () => {
      for (const id of many) setTag(id, { users: ['lisi'], departments: [4] });
      await run();
    });
    const remove = (ids: readonly number[]) =>
      edit(({ tags }) => {
        for (const id of ids) tags.delete(id);
      });
    const removed = (status: string, held: number) =>
      expect.objectContaining({ objectType: 'GROUP', action: 'REMOVE', planned: 8, [status]: held });

    it('are held, and removed once approved', async () => {
      remove(many);
      setTag(7, { name: '新名', users: ['lisi'] });
      const task = await run();
      expect(task.status).toBe('HELD');
      expect(task.counters).toContainEqual(removed('held', 8));
      expect((await groups()).length).toBe(9);
      expect((await groups())[8]).toBe('7 新名: lisi');
      expect((await decide(rollcall.api, { taskId: task.id, approve: true })).syncTask?.status).toBe('SUCCEEDED');
      expect(await groups()).toEqual(['7 新名: lisi']);
      expect(await wrong()).toEqual([]);
      expect((await rollcall.sql.query(`SELECT 1 FROM link WHERE kind = 'GROUP'`)).rows).toHaveLength(1);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
    });

    it('are kept once rejected, until they are seen again', async () => {
      remove(many);
      const task = await run();
      expect((await decide(rollcall.api, { taskId: task.id, approve: false })).syncTask?.status).toBe('SUCCEEDED');
      expect(await groupRecords((await run()).id)).toEqual([]);
      expect((await groups()).length).toBe(9);
      setTag(20, { users: ['lisi'], departments: [4] });
      await run();
      remove([20]);
      expect(await summaries(rollcall.api, (await run()).id)).toEqual([
        'REMOVE group 20: name, employees, departments',
      ]);
    });

    it('lapse where they are seen again, and are taken over where they are not', async () => {
      remove(many);
      const held = await run();
      for (const id of many.slice(0, 2)) setTag(id, { users: ['lisi'], departments: [4] });
      const next = await run();
      const reasons = (await groupRecords(held.id)).map((r) => r.reasonCode);
      expect(reasons.filter((r) => r === 'LAPSED')).toHaveLength(2);
      expect(reasons.filter((r) => r === 'TAKEN_OVER')).toHaveLength(6);
      expect(next.status).toBe('HELD');
      await decide(rollcall.api, { taskId: next.id, approve: true });
      expect(await wrong()).toEqual([]);
    });
  });

  describe('in previews and undone', () => {
    const mutate = async (name: 'applyPreview' | 'revertSyncTask', taskId: string) => {
      const type = name === 'applyPreview' ? 'ApplyPreviewInput' : 'RevertSyncTaskInput';
      const query = `mutation ($input: ${type}!) { ${name}(input: $input) { syncTask { id } userErrors { code message } } }`;
      const payload = (
        await rollcall.api.request<
          Record<string, { syncTask: { id: string } | null; userErrors: { code: string; message: string }[] }>
        >(query, { input: { taskId } })
      )[name];
      return payload;
    };
    const rows = async () =>
      (
        await rollcall.sql.query(`SELECT 'g' AS t, id::text, name FROM directory_group
          UNION ALL SELECT 'e', group_id || ' ' || employee_id, '' FROM directory_group_employee
          UNION ALL SELECT 'd', group_id || ' ' || department_id, '' FROM directory_group_department ORDER BY 1, 2`)
      ).rows;
    const everything = () => {
      edit(({ users, departments, tags }) => {
        users.set('neu', user('neu', '新人', [5]));
        departments.set(5, { id: 5, parentId: 2, name: '前端组', order: 1 });
        tags.delete(8);
      });
      setTag(7, { name: '新名', users: ['neu', 'wangwu'], departments: [5] });
      setTag(9, { users: ['neu', 'lisi'], departments: [2] });
    };
    beforeEach(async () => {
      setTag(8, { users: ['zhangsan'], departments: [2] });
      await run();
    });

    it('a preview writes nothing, and is applied as it was shown, unless a group changed since', async () => {
      everything();
      const before = await rows();
      const preview = await run({ mode: 'PREVIEW' });
      expect(await rows()).toEqual(before);
      const planned = await summaries(rollcall.api, preview.id);
      expect(planned.filter((line) => line.includes('group'))).toHaveLength(3);
      await rollcall.sql.query(
        `UPDATE directory_group SET updated_at = updated_at + interval '1 second' WHERE name = '羽毛球协会'`,
      );
      expect((await mutate('applyPreview', preview.id))?.userErrors).toMatchObject([
        { code: 'PREVIEW_STALE', message: expect.stringContaining('新名') },
      ]);
      await rollcall.sql.query(
        `UPDATE directory_group SET updated_at = updated_at - interval '1 second' WHERE name = '羽毛球协会'`,
      );
      setTag(7, { name: '后来', users: [] });
      const applied = await mutate('applyPreview', preview.id);
      expect(applied?.userErrors).toEqual([]);
      const task = await watch(rollcall.api, String(applied?.syncTask?.id));
      expect(task.status).toBe('SUCCEEDED');
      expect(await summaries(rollcall.api, task.id)).toEqual(planned);
      expect(await groups()).toEqual(['7 新名: neu, wangwu, 前端组', '9 标签9: lisi, neu, 研发中心']);
      await run();
      expect(await wrong()).toEqual([]);
    });

    it('a preview of other settings finds them in the stored snapshot', async () => {
      const calls = [...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0);
      const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
      const preview = await run({ mode: 'PREVIEW', proposed: { id: source, scope } });
      expect(preview.status).toBe('SUCCEEDED');
      expect((await summaries(rollcall.api, preview.id)).filter((line) => line.includes('group'))).toEqual([
        'UPDATE group 7: departments',
      ]);
      expect([...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0)).toBe(calls);
      expect((await run()).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
    });

    it('undoing a task brings them back as they were, with the same ids, and the next run does it again', async () => {
      const before = await rows();
      everything();
      const task = await run();
      expect(await wrong()).toEqual([]);
      const undo = await mutate('revertSyncTask', task.id);
      const undone = await watch(rollcall.api, String(undo?.syncTask?.id));
      expect(undone.status).toBe('SUCCEEDED');
      expect(await rows()).toEqual(before);
      const again = await run();
      expect(again.status).toBe('SUCCEEDED');
      expect((await summaries(rollcall.api, again.id)).filter((line) => line.includes('group')).sort()).toEqual([
        'CREATE group 9: name, employees, departments',
        'REMOVE group 8: name, employees, departments',
        'UPDATE group 7: name, employees, departments',
      ]);
      expect(await wrong()).toEqual([]);
    });
  });

  describe('that callbacks name', () => {
    const settled = async () => {
      await rollcall.sandbox.company.deliveries.settled();
      for (let i = 0; i < 150; i++) {
        const { rows } = await rollcall.sql.query(
          `SELECT (SELECT count(*) FROM directory_event WHERE task_id IS NULL AND not_before IS NULL)
                + (SELECT count(*) FROM sync_task WHERE status IN ('QUEUED', 'RUNNING')) AS open`,
        );
        if (Number(rows[0].open) === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error('Events are still open.');
    };
    beforeEach(async () => {
      await run();
      const { company } = rollcall.sandbox;
      const url = rollcall.url.replace('/graphql', `/callbacks/wecom/${source}`);
      await company.deliveries.verify({ ...KEYS, url }, company.settings.corpId);
      company.callback = { address: { ...KEYS, url }, form: 'full' };
    });
    const groupActions = async () =>
      (
        await rollcall.sql.query(`SELECT r.action, r.result, t.status FROM sync_record r JOIN sync_task t ON t.id = r.task_id
          WHERE t.trigger = 'EVENT' AND r.object_type = 'GROUP' ORDER BY t.id, r.ordinal`)
      ).rows;

    it('are read again by the event task, and only they', async () => {
      const lists = rollcall.sandbox.calls.get('tag/list');
      setTag(7, { name: '羽毛球协会', users: ['zhangsan'], departments: [3] });
      await settled();
      expect(await groups()).toEqual(['7 羽毛球协会: zhangsan, 后端组']);
      expect(await groupActions()).toEqual([{ action: 'UPDATE', result: null, status: 'SUCCEEDED' }]);
      expect(rollcall.sandbox.calls.get('tag/list')).toBe(lists);
      // Back to what the last full run had read: what the event brought in between must not stay.
      rollcall.sandbox.company.callback = undefined;
      setTag(7, { name: '羽毛球协会', users: ['lisi', 'wangwu'], departments: [4] });
      await run();
      expect(await wrong()).toEqual([]);
    });

    it('come and go', async () => {
      setTag(8, { users: ['lisi'] });
      await settled();
      expect(await groups()).toContain('8 标签8: lisi');
      edit(({ tags }) => tags.delete(8));
      rollcall.sandbox.company.push([{ changeType: 'update_tag', fields: { TagId: 8, DelUserItems: 'lisi' } }]);
      await settled();
      expect((await groupActions()).map((row) => row.action)).toEqual(['CREATE', 'REMOVE']);
      expect(await wrong()).toEqual([]);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
    });

    it('before the people in them are linked once these come', async () => {
      edit(({ users }) => users.set('neu', user('neu', '新人', [2])));
      await settled();
      const { company } = rollcall.sandbox;
      // The tag's event arrives first, when the person is not here.
      company.organization.users.set('spaet', user('spaet', '后来', [2]));
      company.organization.tags.set(7, { id: 7, name: '协会', users: ['spaet'], departments: [] });
      company.changed();
      company.push([{ changeType: 'update_tag', fields: { TagId: 7, AddUserItems: 'spaet' } }]);
      await settled();
      expect(await groups()).toEqual(['7 协会: ']);
      company.push([{ changeType: 'create_user', fields: { UserID: 'spaet' } }]);
      await settled();
      expect(await groups()).toEqual(['7 协会: spaet']);
      expect(await recordsOf(rollcall.api, (await run()).id)).toEqual([]);
    });

    it('are not taken for gone where the app may not read them', async () => {
      fault({ kind: 'errcode', errcode: 81011, path: 'tag/get' });
      fault({ kind: 'errcode', errcode: 48002, path: 'tag/list' });
      rollcall.sandbox.company.push([{ changeType: 'update_tag', fields: { TagId: 7 } }]);
      await settled();
      expect(await groups()).toEqual(['7 羽毛球协会: lisi, wangwu, 市场部']);
      expect((await rollcall.sql.query(`SELECT status FROM sync_task WHERE trigger = 'EVENT'`)).rows).toEqual([
        { status: 'PARTIALLY_SUCCEEDED' },
      ]);
    });
  });
});
