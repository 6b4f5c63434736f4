import {
  change,
  connectSource,
  recordsOf,
  startRollcall,
  synchronize,
  type TestRollcall,
  user,
} from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

describe('the Employee Center', () => {
  let rollcall: TestRollcall;

  beforeEach(async () => {
    rollcall = await startRollcall();
  });
  afterEach(() => rollcall.stop());

  const mutate = async (name: string, input: Record<string, unknown>): Promise<Answer> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const shown: Record<string, string> = {
      Department: 'department { id name englishName path }',
      Employee:
        'employee { id username displayName position editedFields employmentStatus mainDepartment { name } memberships { isLeader } extensionValues { field { key } value } }',
      Employees: 'employees { id blockedAt blockedReason blockedBy }',
      ExtensionField: 'extensionField { id key type usedBy }',
    };
    const kind = Object.keys(shown).find((k) => name.endsWith(k)) ?? '';
    const rest =
      name === 'importEmployees' ? 'rows created updated applied errors { row column message }' : shown[kind];
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ${rest} userErrors { code message field } } }`;
    return (await rollcall.api.request<Answer>(query, { input }))[name];
  };
  const custom = async () => {
    const query = '{ identitySources(filter: { type: CUSTOM }) { nodes { id name status } } }';
    return (await rollcall.api.request<Answer>(query)).identitySources.nodes as {
      id: string;
      name: string;
      status: string;
    }[];
  };
  const found = async (filter: Record<string, unknown>, orderBy?: Record<string, unknown>) => {
    const query = `query ($f: EmployeeFilter, $o: EmployeeOrder) { employees(filter: $f, orderBy: $o) { nodes { username } } }`;
    const { employees } = await rollcall.api.request<Answer>(query, { f: filter, o: orderBy });
    return employees.nodes.map((n: { username: string }) => n.username);
  };
  const idOf = async (username: string) => {
    const query = `query ($f: EmployeeFilter) { employees(filter: $f) { nodes { id username } } }`;
    const { nodes } = (await rollcall.api.request<Answer>(query, { f: { text: username } })).employees;
    return nodes.find((n: { username: string }) => n.username === username)?.id as string;
  };

  it('has a custom source from the first start on, closed, where people and departments are kept by hand', async () => {
    const sources = await custom();
    expect(sources).toMatchObject([{ name: 'Built-in', status: 'CLOSED' }]);
    await rollcall.restart();
    expect(await custom()).toEqual(sources);
    const identitySourceId = String(sources[0]?.id);
    const top = (await mutate('createDepartment', { identitySourceId, name: '总部' })).department;
    const below = (await mutate('createDepartment', { identitySourceId, name: '研发', parentId: top.id })).department;
    expect(below.path).toEqual(['总部', '研发']);
    const long = await mutate('updateDepartment', { id: top.id, englishName: 'a'.repeat(129) });
    expect(long.userErrors).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'englishName'] }]);
    expect((await mutate('updateDepartment', { id: top.id, englishName: ' ' })).department.englishName).toBeNull();
    const cycle = await mutate('updateDepartment', { id: top.id, parentId: below.id });
    expect(cycle.userErrors).toMatchObject([{ code: 'DEPARTMENT_CYCLE' }]);
    const { employee } = await mutate('createEmployee', {
      identitySourceId,
      username: 'ada',
      displayName: '艾达',
      memberships: [{ departmentId: below.id, isMain: true, isLeader: true }, { departmentId: top.id }],
    });
    expect(employee).toMatchObject({ mainDepartment: { name: '研发' }, memberships: [{}, {}] });
    const twice = await mutate('createEmployee', { identitySourceId, username: 'ADA', displayName: 'x' });
    expect(twice.userErrors).toMatchObject([{ code: 'VALUE_TAKEN', field: ['input', 'username'] }]);
    expect((await mutate('deleteDepartment', { id: top.id })).userErrors).toMatchObject([
      { code: 'DEPARTMENT_NOT_EMPTY' },
    ]);
    expect(
      (await mutate('createEmployee', { identitySourceId, username: ' ', displayName: 'x' })).userErrors,
    ).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'username'] }]);
    await mutate('deleteEmployee', { id: employee.id });
    expect(await found({ identitySourceId })).toEqual([]);
    await mutate('deleteDepartment', { id: below.id });
    expect((await mutate('deleteDepartment', { id: top.id })).userErrors).toEqual([]);
  });

  it('takes people from CSV, after a dry run that names every wrong row', async () => {
    const identitySourceId = String((await custom())[0]?.id);
    await mutate('createDepartment', { identitySourceId, name: '总部' });
    await mutate('createExtensionField', { key: 'cost_center', displayName: '成本中心', type: 'NUMBER' });
    const wrong =
      'username,displayName,email,departments,manager,extension.cost_center\nada,艾达,x,总部,,1\nada,,a@b,无,nobody,abc\n';
    const checked = await mutate('importEmployees', { identitySourceId, csv: wrong, dryRun: true });
    expect(checked).toMatchObject({ rows: 2, applied: false });
    expect(checked.errors.map((e: Answer) => [e.row, e.column])).toEqual([
      [2, 'email'],
      [3, 'username'],
      [3, 'displayName'],
      [3, 'manager'],
      [3, 'departments'],
      [3, 'extension.cost_center'],
    ]);
    expect((await mutate('importEmployees', { identitySourceId, csv: wrong })).applied).toBe(false);
    const right =
      '\ufeffusername,displayName,departments,manager,extension.cost_center\nada,"艾达, 女士",总部,,7\ngrace,格蕾丝,总部,ada,\n';
    expect(await mutate('importEmployees', { identitySourceId, csv: right })).toMatchObject({
      created: 2,
      updated: 0,
      applied: true,
    });
    expect(await mutate('importEmployees', { identitySourceId, csv: right.replace('格蕾丝', '格蕾') })).toMatchObject({
      created: 0,
      updated: 1,
    });
    expect(await found({ text: '格蕾', extensionValues: [{ key: 'cost_center', equals: null }] })).toEqual(['grace']);
    const unknown = await mutate('importEmployees', { identitySourceId, csv: 'user,name\n1,2' });
    expect(unknown.userErrors).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'csv'] }]);
  });

  it('finds people by Chinese name, pinyin, initials, Latin, user name, mobile and e-mail', async () => {
    change(rollcall.sandbox, ({ users }) => {
      users.set(
        'shan',
        user('shan', '单雄信', [2], { mobile: '13912345678', email: 'xx@corp.example.com', alias: 'Hero Shan' }),
      );
      users.set('ouyang', user('ouyang', '欧阳娜娜', [3]));
    });
    await synchronize(rollcall, await connectSource(rollcall));
    for (const text of [
      '单雄信',
      '雄',
      '雄信',
      'shanxiongxin',
      'shan xiong',
      'sxx',
      'SX',
      'hero',
      '13912345',
      'corp.example',
    ]) {
      expect([text, await found({ text })]).toEqual([text, ['shan']]);
    }
    expect(await found({ text: 'oynn' })).toEqual(['ouyang']);
    expect(await found({ text: '%_\\' })).toEqual([]);
    expect(await found({ text: '张' })).toEqual(['zhangsan']);
    expect(await found({ text: '   ' })).toHaveLength(6);
  });

  it('lets position and employment status of synchronized people be edited here, outlasting the source, until taken back', async () => {
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    const id = await idOf('zhangsan');
    const edited = await mutate('updateEmployee', { id, position: '顾问', employmentStatus: 'CONTRACTOR' });
    expect(edited.employee).toMatchObject({ position: '顾问', editedFields: ['employmentStatus', 'position'] });
    expect((await mutate('updateEmployee', { id, email: 'x@y' })).userErrors).toMatchObject([
      { code: 'FIELD_MANAGED_BY_SOURCE', field: ['input', 'email'] },
    ]);
    change(rollcall.sandbox, ({ users }) => {
      users.set('zhangsan', user('zhangsan', '张三丰', [2], { position: '掌门', isLeaderInDept: [1] }));
    });
    const task = await synchronize(rollcall, source);
    const [record] = await recordsOf(rollcall.api, task.id);
    expect(record?.comparison).toContainEqual(
      expect.objectContaining({
        field: 'position',
        thirdPartyValue: '掌门',
        saseValueAfter: '顾问',
        changed: false,
        kept: 'EDITED_HERE',
      }),
    );
    await mutate('updateEmployee', { id, takeBack: ['position'] });
    await synchronize(rollcall, source);
    const query =
      'query ($id: ID!) { employee(id: $id) { position displayName employmentStatus timeline { nodes { field from to actor syncTask { trigger } } } } }';
    const { employee } = await rollcall.api.request<Answer>(query, { id });
    expect(employee).toMatchObject({ position: '掌门', displayName: '张三丰', employmentStatus: 'CONTRACTOR' });
    expect(employee.timeline.nodes).toEqual(
      expect.arrayContaining([
        { field: 'position', from: '顾问', to: '掌门', actor: null, syncTask: { trigger: 'MANUAL' } },
        { field: 'position', from: '主任', to: '顾问', actor: expect.any(String), syncTask: null },
        { field: 'displayName', from: '张三', to: '张三丰', actor: null, syncTask: { trigger: 'MANUAL' } },
      ]),
    );
  });

  it('blocks people with a reason, whatever the source says, and unblocks them', async () => {
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    const ids = [await idOf('lisi'), await idOf('wangwu')];
    expect((await mutate('blockEmployees', { ids, reason: ' ' })).userErrors).toMatchObject([
      { field: ['input', 'reason'] },
    ]);
    const blocked = await mutate('blockEmployees', { ids, reason: '调查' });
    expect(blocked.employees).toMatchObject([{ blockedReason: '调查', blockedBy: expect.any(String) }, {}]);
    expect((await mutate('blockEmployees', { ids: [...ids, 'employee_x'], reason: 'x' })).userErrors).toMatchObject([
      { code: 'NOT_FOUND' },
    ]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
    expect((await found({ blocked: true })).sort()).toEqual(['lisi', 'wangwu']);
    await mutate('unblockEmployees', { ids });
    expect(await found({ blocked: true })).toEqual([]);
  });

  it('has extension fields that mappings fill, sorted and filtered, unique where they are to be, and kept while in use', async () => {
    const { extensionField: number } = await mutate('createExtensionField', {
      key: 'staff_no',
      displayName: '工号',
      unique: true,
    });
    const grade = (
      await mutate('createExtensionField', { key: 'grade', displayName: '级别', type: 'CHOICE', options: ['P1', 'P2'] })
    ).extensionField;
    for (const input of [
      { key: 'Bad', displayName: 'x' },
      { key: 'email', displayName: 'x' },
      { key: 'a', displayName: 'x', type: 'CHOICE' },
    ]) {
      expect((await mutate('createExtensionField', input)).userErrors[0].code).toBe('INVALID_INPUT');
    }
    expect((await mutate('createExtensionField', { key: 'grade', displayName: 'x' })).userErrors).toMatchObject([
      { code: 'NAME_TAKEN' },
    ]);
    const attributes = (no: string, level: string) => ({
      extattr: [
        { name: '工号', value: no },
        { name: '级别', value: level },
      ],
    });
    change(rollcall.sandbox, ({ users }) => {
      users.set('lisi', user('lisi', '李四', [3], attributes('A-2', 'P1')));
      users.set('wangwu', user('wangwu', '王五', [3], attributes('A-1', 'P9')));
      users.set('zhaoliu', user('zhaoliu', '赵六', [4], attributes('a-1', 'P2')));
    });
    const source = await connectSource(rollcall);
    const configure = `mutation ($input: ConfigureSynchronizationInput!) { configureSynchronization(input: $input) {
      identitySource { mappedExtensionFields { key } } userErrors { code message } } }`;
    const map = (localField: string, thirdPartyField: string) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField,
    });
    const fieldMappings = [
      { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
      map('username', 'userid'),
      map('displayName', 'name'),
      map('extension.staff_no', 'extattr.工号'),
      map('extension.grade', 'extattr.级别'),
    ];
    const configured = (await rollcall.api.request<Answer>(configure, { input: { id: source, fieldMappings } }))
      .configureSynchronization;
    expect(configured).toMatchObject({
      userErrors: [],
      identitySource: { mappedExtensionFields: [{ key: 'staff_no' }, { key: 'grade' }] },
    });
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('PARTIALLY_SUCCEEDED');
    const reasons = (await recordsOf(rollcall.api, task.id))
      .filter((r) => r.reasonCode)
      .map((r) => [r.externalId, r.reasonCode]);
    expect(reasons).toEqual([['wangwu', 'INVALID_VALUE']]);
    expect(await found({ extensionValues: [{ key: 'grade', equals: 'P1' }] })).toEqual(['lisi']);
    expect(
      (await found({}, { field: 'EXTENSION_FIELD', extensionKey: 'staff_no', direction: 'DESC' })).slice(0, 1),
    ).toEqual(['zhaoliu']);
    // Swapped between two people in one run; then one takes the other's.
    change(rollcall.sandbox, ({ users }) => {
      users.set('lisi', user('lisi', '李四', [3], attributes('A-1', 'P1')));
      users.set('wangwu', user('wangwu', '王五', [3], attributes('A-2', 'P1')));
    });
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    change(rollcall.sandbox, ({ users }) => {
      users.set('wangwu', user('wangwu', '王五', [3], { ...attributes('A-1', 'P1'), position: '组长' }));
    });
    const clash = await synchronize(rollcall, source);
    expect((await recordsOf(rollcall.api, clash.id)).map((r) => [r.externalId, r.result, r.reasonCode])).toEqual([
      ['wangwu', 'FAILED', 'VALUE_TAKEN'],
    ]);
    expect((await mutate('deleteExtensionField', { id: number.id })).userErrors).toMatchObject([
      { code: 'EXTENSION_FIELD_IN_USE', message: expect.stringContaining('field mapping of WeCom') },
    ]);
    const narrowed = await mutate('updateExtensionField', { id: grade.id, options: ['P2'] });
    expect(narrowed.userErrors[0].message).toContain('P1');
  });
});
