import { ApiClient } from '../../src/demo/api-client';
import { type Answer, momentNow, mutate, organisationView } from '../setup/organisation-view';
import { change, connectSource, startRollcall, synchronize, type TestRollcall, user, watch } from '../setup/rollcall';

describe('the organisation as of a moment', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterEach(() => rollcall.stop());

  const employees = async (args: string): Promise<Answer> =>
    (await rollcall.api.request<Answer>(`{ employees(${args}) { totalCount nodes { id username } } }`)).employees;
  const usernames = async (args: string): Promise<string[]> =>
    (await employees(args)).nodes.map((n: { username: string }) => n.username).sort();
  const idOf = async (username: string): Promise<string> => {
    const status = '[ACTIVE, INACTIVE, DISABLED, SUSPENDED, REMOVED]';
    const { nodes } = await employees(`filter: { text: "${username}", status: ${status} }`);
    return nodes.find((n: Answer) => n.username === username).id;
  };
  const refusal = (query: string): Promise<string> =>
    rollcall.api.request(query).then(
      () => 'answered',
      (error: Error) => error.message,
    );
  const departmentId = async (name: string): Promise<string> => {
    const { departments } = await rollcall.api.request<Answer>(
      `{ departments(filter: { text: "${name}" }) { nodes { id name } } }`,
    );
    return departments.nodes.find((n: Answer) => n.name === name).id;
  };

  it('is what the API showed then: after moves, renames, leavers, returns, edits here, approvals and undo', async () => {
    const shown: { what: string; at: string; answer: Answer }[] = [];
    const note = async (what: string) => {
      const at = await momentNow(rollcall);
      shown.push({ what, at, answer: await organisationView(rollcall) });
    };
    const sync = async (what: string, edit: Parameters<typeof change>[1]) => {
      change(rollcall.sandbox, edit);
      const task = await synchronize(rollcall, source);
      if (task.status === 'HELD') {
        await note(`${what}, held`);
        await mutate(rollcall, 'decideHeldRecords', { taskId: task.id, approve: true }, 'syncTask { status }');
      }
      await note(what);
      return task.id;
    };
    await mutate(rollcall, 'createExtensionField', { key: 'grade', displayName: '级别' }, 'extensionField { id }');
    await note('before anything');
    await sync('the first synchronization', () => undefined);
    await sync('a move and a rename', ({ users, departments }) => {
      users.set('lisi', user('lisi', '李四', [4, 2], { mobile: '13911112222', direct_leader: ['wangwu'] }));
      departments.set(4, { id: 4, parentId: 2, name: '市场与品牌', order: 5 });
    });
    await mutate(rollcall, 'updateEmployee', { id: await idOf('lisi'), position: '顾问' }, 'employee { id }');
    await note('an edit here');
    await mutate(rollcall, 'blockEmployees', { ids: [await idOf('wangwu')], reason: '调查' }, 'employees { id }');
    await note('a block');
    const leave = await sync('a leaver and a department gone', ({ users, departments }) => {
      users.delete('wangwu');
      users.set('zhangsan', user('zhangsan', '张三', [1], { position: '总经理' }));
      departments.delete(3);
    });
    await sync('a return under a new department', ({ users, departments }) => {
      departments.set(9, { id: 9, parentId: 1, name: '新部门', order: 1 });
      users.set('wangwu', user('wangwu', '王五', [9]));
    });
    const { syncTask } = await mutate(rollcall, 'revertSyncTask', { taskId: leave }, 'syncTask { id }');
    await watch(rollcall.api, syncTask.id);
    await note('an undo');
    const custom = (
      await rollcall.api.request<Answer>('{ identitySources(filter: { type: CUSTOM }) { nodes { id } } }')
    ).identitySources.nodes[0].id;
    const made = await mutate(
      rollcall,
      'createDepartment',
      { identitySourceId: custom, name: '自建', extensionValues: [] },
      'department { id }',
    );
    const csv = 'username,displayName,departments,manager,extension.grade\nada,艾达,自建,,P1\ngrace,格蕾丝,自建,ada,\n';
    await mutate(rollcall, 'importEmployees', { identitySourceId: custom, csv }, 'applied');
    await note('an import');
    await mutate(
      rollcall,
      'importEmployees',
      { identitySourceId: custom, csv: csv.replace('P1', 'P2').replace(',自建,,', ',,grace,') },
      'applied',
    );
    await note('another import');
    await mutate(rollcall, 'deleteEmployee', { id: await idOf('grace') }, 'employee { id }');
    await mutate(rollcall, 'deleteDepartment', { id: made.department.id }, 'department { id }');
    await note('a deletion');
    expect(new Set(shown.map(({ answer }) => JSON.stringify(answer))).size).toBe(shown.length);
    for (const { what, at, answer } of shown)
      expect([what, await organisationView(rollcall, at)]).toEqual([what, answer]);
  });

  it('refuses moments that have no answer, and says which do', async () => {
    const id = await synchronize(rollcall, source).then(() => idOf('lisi'));
    expect(await refusal('{ employees(asOf: "2999-01-01T00:00:00Z") { totalCount } }')).toMatch(/in the future/);
    expect(await refusal(`{ employee(id: "${id}", asOf: "yesterday") { id } }`)).toMatch(/DateTime/);
    expect(await refusal('{ departments(asOf: "2026-02-31T00:00:00Z") { totalCount } }')).toMatch(/DateTime/);
    const asOf = `asOf: "${await momentNow(rollcall)}"`;
    await rollcall.sql.query(`UPDATE organisation_history SET kept_from = clock_timestamp()`);
    expect(await refusal(`{ employees(${asOf}) { totalCount } }`)).toMatch(/^What was before 2.*Z is not kept/);
    const [, from] = /before (\S+)/.exec(await refusal(`{ employees(${asOf}) { totalCount } }`)) ?? [];
    expect(await usernames(`asOf: "${from}"`)).toHaveLength(4);
  });

  it('knows what was not there yet, what is gone since, and what has never been', async () => {
    const before = `asOf: "${await momentNow(rollcall)}"`;
    await synchronize(rollcall, source);
    const then = `asOf: "${await momentNow(rollcall)}"`;
    const [person, gone] = [await idOf('wangwu'), await departmentId('后端组')];
    change(rollcall.sandbox, ({ users, departments }) => {
      departments.delete(3);
      users.set('lisi', user('lisi', '李四', [2]));
      users.set('wangwu', user('wangwu', '王五', [4]));
    });
    const task = await synchronize(rollcall, source);
    if (task.status === 'HELD')
      await mutate(rollcall, 'decideHeldRecords', { taskId: task.id, approve: true }, 'syncTask { status }');
    const ask = (moment: string) =>
      rollcall.api.request<Answer>(`{
        department(id: "${gone}"${moment && `, ${moment}`}) { name path employeeCount employees { nodes { username } } }
        employee(id: "${person}"${moment && `, ${moment}`}) { username memberships { department { name } } }
        first: department(id: "${gone}", asOf: "0001-01-01T00:00:00Z") { name }
        nobody: employee(id: "employee_x"${moment && `, ${moment}`}) { username } }`);
    expect(await ask(before)).toEqual({ department: null, employee: null, first: null, nobody: null });
    expect(await ask(then)).toEqual({
      department: {
        name: '后端组',
        path: ['示例企业', '研发中心', '后端组'],
        employeeCount: 2,
        employees: { nodes: expect.arrayContaining([{ username: 'lisi' }, { username: 'wangwu' }]) },
      },
      employee: {
        username: 'wangwu',
        memberships: expect.arrayContaining([{ department: { name: '后端组' } }, { department: { name: '市场部' } }]),
      },
      first: null,
      nobody: null,
    });
    expect(await ask('')).toMatchObject({
      department: null,
      employee: { memberships: [{ department: { name: '市场部' } }] },
    });
    const node = await rollcall.api.request<Answer>(`{ node(id: "${person}") { id } }`);
    expect(node).toEqual({ node: { id: person } });
  });

  it('leaves deleted sources in the lists of when they were there, and out of those of when they were not', async () => {
    await synchronize(rollcall, source);
    const there = `asOf: "${await momentNow(rollcall)}"`;
    const answer = await employees(there);
    const mutateSource = (name: string) =>
      rollcall.api.request<Answer>(`mutation { ${name}(input: { id: "${source}" }) { userErrors { code } } }`);
    await mutateSource('disableIdentitySource');
    await mutateSource('deleteIdentitySource');
    const deleted = `asOf: "${await momentNow(rollcall)}"`;
    expect(await usernames('first: 50')).toEqual([]);
    expect(await employees(there)).toEqual(answer);
    expect(answer.totalCount).toBe(4);
    await mutateSource('restoreIdentitySource');
    expect(await usernames('first: 50')).toHaveLength(4);
    expect(await usernames(deleted)).toEqual([]);
    expect(await employees(there)).toEqual(answer);
  });

  it('answers filters, orders and pages of then, whatever happens between two pages', async () => {
    change(rollcall.sandbox, ({ users }) => {
      for (let i = 1; i <= 9; i++) users.set(`u${i}`, user(`u${i}`, `员工${i}`, [3], { mobile: `1380000000${i}` }));
    });
    await synchronize(rollcall, source);
    const then = `asOf: "${await momentNow(rollcall)}"`;
    const [whole, part] = [await departmentId('研发中心'), await departmentId('后端组')];
    const pages: string[] = [];
    for (let after = ''; pages.length < 13; ) {
      const { nodes, pageInfo, totalCount } = (
        await rollcall.api.request<Answer>(
          `{ employees(${then}, first: 4, orderBy: { field: USERNAME, direction: DESC }${after}) { totalCount nodes { username } pageInfo { hasNextPage endCursor } } }`,
        )
      ).employees;
      expect(totalCount).toBe(13);
      pages.push(...nodes.map((n: Answer) => n.username));
      // Everybody changes between two pages: some leave, others take names that would move them within the order.
      change(rollcall.sandbox, ({ users }) => {
        users.set('u3', user('u3', `另名${pages.length}`, [4]));
        users.set(`new${pages.length}`, user(`new${pages.length}`, '新人', [2]));
      });
      await synchronize(rollcall, source);
      if (!pageInfo.hasNextPage) break;
      after = `, after: "${pageInfo.endCursor}"`;
    }
    expect(pages).toEqual([
      ...['zhaoliu', 'zhangsan', 'wangwu', 'u9', 'u8', 'u7', 'u6', 'u5', 'u4', 'u3', 'u2', 'u1', 'lisi'],
    ]);
    const some = (filter: string) => usernames(`${then}, first: 100, filter: ${filter}`);
    expect(await some(`{ departmentId: "${part}" }`)).toHaveLength(11);
    expect(await some(`{ departmentId: "${whole}" }`)).toEqual(['zhangsan']);
    expect(await some(`{ departmentId: "${whole}", includeSubtree: true }`)).toHaveLength(12);
    expect(await some(`{ identitySourceId: "${source}", status: [DISABLED] }`)).toEqual(['zhaoliu']);
    expect(await some('{ text: "员工3" }')).toEqual(['u3']);
    expect(await some('{ text: "新人" }')).toEqual([]);
    expect(await some('{ text: "13800000007" }')).toEqual(['u7']);
    expect(await some('{ text: "%_" }')).toEqual([]);
    expect(await some('{ blocked: true }')).toEqual([]);
    const departments = await rollcall.api.request<Answer>(
      `{ departments(${then}, filter: { parentId: "${whole}" }) { totalCount nodes { name } } }`,
    );
    expect(departments.departments).toEqual({ totalCount: 1, nodes: [{ name: '后端组' }] });
  });

  it('hides from viewers then what it hides from them now', async () => {
    await synchronize(rollcall, source);
    const then = await momentNow(rollcall);
    const { token } = await mutate(rollcall, 'createApiToken', { name: 'v', role: 'VIEWER' }, 'token');
    const viewer = new ApiClient(rollcall.url, token);
    const query = `{ employees(asOf: "${then}", filter: { text: "lisi" }) { nodes { mobile email } }
      byNumber: employees(asOf: "${then}", filter: { text: "13800000000" }) { totalCount } }`;
    const { employees: found, byNumber } = await viewer.request<Answer>(query).finally(() => viewer.close());
    expect(found.nodes).toEqual([{ mobile: '138****00', email: 'l***@example.com' }]);
    expect(byNumber.totalCount).toBe(0);
  });
});
