import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { ApiClient } from '../../src/demo/api-client';
import { beginApplying } from '../../src/sync/apply/apply-records';
import { mapPeople } from '../setup/mappings';
import {
  change,
  connectSource,
  createSource,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

describe('editing people, departments and extension fields', () => {
  let rollcall: TestRollcall;
  let custom: string;
  let made = 0;

  beforeEach(async () => {
    rollcall = await startRollcall();
    const input = { type: 'CUSTOM', name: `Kept${++made}`, status: 'CLOSED' };
    custom = String((await createSource(rollcall.api, input)).identitySource?.id);
  });
  afterEach(() => rollcall.stop());

  const mutate = async (name: string, fields: string, input: Record<string, unknown>): Promise<Answer> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ${fields} userErrors { code message field } } }`;
    return (await rollcall.api.request<Answer>(query, { input }))[name];
  };
  const person = async (username: string, more: Record<string, unknown> = {}) =>
    (
      await mutate('createEmployee', 'employee { id updatedAt }', {
        identitySourceId: custom,
        username,
        displayName: username,
        ...more,
      })
    ).employee;
  const field = (input: Record<string, unknown>) => mutate('createExtensionField', 'extensionField { id }', input);
  const changeField = (input: Record<string, unknown>) =>
    mutate('updateExtensionField', 'extensionField { type options required unique }', input);
  const timeline = async (id: string, api = rollcall.api) => {
    const query =
      'query ($id: ID!) { employee(id: $id) { timeline { nodes { field from to actor syncTask { trigger } } } } }';
    return (await api.request<Answer>(query, { id })).employee.timeline.nodes as Answer[];
  };

  it('of two who edit the same person, the slower is told, or the last change wins, as each asks', async () => {
    const { id, updatedAt } = await person('ada');
    const edit = (more: Record<string, unknown>) =>
      mutate('updateEmployee', 'employee { position updatedAt }', { id, ...more });
    const both = await Promise.all([
      edit({ position: 'A', expectedUpdatedAt: updatedAt }),
      edit({ position: 'B', expectedUpdatedAt: updatedAt }),
    ]);
    expect(both.map((answer) => answer.userErrors.map((e: Answer) => e.code)).sort()).toEqual([
      [],
      ['VERSION_CONFLICT'],
    ]);
    const [won] = both.filter((answer) => answer.employee);
    expect(won.employee.updatedAt).not.toBe(updatedAt);
    const last = await Promise.all([edit({ position: 'C' }), edit({ position: 'D' })]);
    expect(last.flatMap((answer) => answer.userErrors)).toEqual([]);
    expect(await timeline(id)).toHaveLength(4);
    const { department } = await mutate('createDepartment', 'department { id updatedAt }', {
      identitySourceId: custom,
      name: 'x',
    });
    const rename = (name: string) =>
      mutate('updateDepartment', 'department { name }', {
        id: department.id,
        name,
        expectedUpdatedAt: department.updatedAt,
      });
    expect((await rename('y')).userErrors).toEqual([]);
    expect((await rename('z')).userErrors).toMatchObject([
      { code: 'VERSION_CONFLICT', field: ['input', 'expectedUpdatedAt'] },
    ]);
  });

  it('waits for nobody who applies to another source', async () => {
    const { id } = await person('ada');
    await rollcall.sql.query('BEGIN');
    await beginApplying(rollcall.sql as unknown as PoolClient, randomUUID());
    const edited = mutate('updateEmployee', 'employee { position }', { id, position: 'A' });
    const first = await Promise.race([edited, setTimeout(10_000, 'waits', { ref: false })]);
    await rollcall.sql.query('ROLLBACK');
    await edited;
    expect(first).toEqual({ employee: { position: 'A' }, userErrors: [] });
  });

  it('of two who make the same extension field, one does', async () => {
    const both = await Promise.all([1, 2, 3].map((n) => field({ key: 'grade', displayName: `Grade ${n}` })));
    expect(both.map((answer) => answer.userErrors.map((e: Answer) => e.code)).sort()).toEqual([
      [],
      ['NAME_TAKEN'],
      ['NAME_TAKEN'],
    ]);
  });

  it('puts every field that changes on the timeline, masked for viewers, and nothing that does not', async () => {
    const top = (await mutate('createDepartment', 'department { id }', { identitySourceId: custom, name: '总部' }))
      .department.id;
    const below = (
      await mutate('createDepartment', 'department { id }', { identitySourceId: custom, name: '研发', parentId: top })
    ).department.id;
    await field({ key: 'grade', displayName: 'Grade' });
    const boss = await person('boss');
    const { id, updatedAt } = await person('ada', {
      mobile: '13800001111',
      memberships: [{ departmentId: top, isMain: true }],
    });
    const edit = {
      id,
      mobile: '13900002222',
      managerId: boss.id,
      memberships: [{ departmentId: top }, { departmentId: below, isMain: true, isLeader: true }],
      extensionValues: [{ key: 'grade', value: 'P7' }],
    };
    await mutate('updateEmployee', 'employee { id }', edit);
    const entries = (await timeline(id)).map(({ field: name, from, to }) => [name, from, to]);
    expect(entries.slice(0, 5).sort()).toEqual([
      ['departments', '总部', '总部\n总部 / 研发 (leader)'],
      ['extension.grade', null, 'P7'],
      ['mainDepartment', '总部', '总部 / 研发'],
      ['manager', null, 'boss'],
      ['mobile', '13800001111', '13900002222'],
    ]);
    expect(entries.slice(5)).toEqual([['created', null, 'ada']]);
    const again = await mutate('updateEmployee', 'employee { updatedAt }', edit);
    expect(again.employee.updatedAt).not.toBe(updatedAt);
    expect((await mutate('updateEmployee', 'employee { updatedAt }', edit)).employee).toEqual(again.employee);
    expect(await timeline(id)).toHaveLength(6);
    const { createApiToken } = await rollcall.api.request<Answer>(
      'mutation { createApiToken(input: { name: "reader", role: VIEWER }) { token } }',
    );
    const viewer = new ApiClient(rollcall.url, createApiToken.token);
    const seen = JSON.stringify(await timeline(id, viewer));
    await viewer.close();
    expect(seen).toContain('139****22');
    expect(seen).not.toContain('13900002222');
  });

  it('takes back only what was edited, and not while it edits', async () => {
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    const query = 'query ($f: EmployeeFilter) { employees(filter: $f) { nodes { id } } }';
    const id = (await rollcall.api.request<Answer>(query, { f: { text: 'zhangsan' } })).employees.nodes[0].id;
    const edit = (more: Record<string, unknown>) =>
      mutate('updateEmployee', 'employee { editedFields }', { id, ...more });
    expect((await edit({ takeBack: ['position'] })).userErrors).toMatchObject([{ field: ['input', 'takeBack'] }]);
    await edit({ position: '顾问' });
    expect((await edit({ position: 'x', takeBack: ['position'] })).userErrors[0].message).toContain('Either');
    for (const foreign of [{ mobile: '1' }, { memberships: [] }, { managerId: null }, { extensionValues: [] }])
      expect((await edit(foreign)).userErrors).toMatchObject([{ code: 'FIELD_MANAGED_BY_SOURCE' }]);
  });

  it('changes a field only where nothing is in the way, and otherwise says what is', async () => {
    const { id } = (await field({ key: 'grade', displayName: '级别' })).extensionField;
    await person('ada', { extensionValues: [{ key: 'grade', value: 'P1' }] });
    await person('bob', { extensionValues: [{ key: 'grade', value: 'p1' }] });
    await person('cyd', { extensionValues: [{ key: 'grade', value: 'P2' }] });
    await person('dan');
    const refused = async (input: Record<string, unknown>) => (await changeField({ id, ...input })).userErrors[0];
    expect(await refused({ type: 'NUMBER' })).toMatchObject({
      code: 'INVALID_INPUT',
      field: ['input', 'type'],
      message: expect.stringContaining('P1 (ada), P2 (cyd), p1 (bob)'),
    });
    expect(await refused({ type: 'CHOICE', options: ['P1', 'p1'] })).toMatchObject({
      message: expect.stringContaining('P2 (cyd)'),
    });
    expect((await changeField({ id, type: 'CHOICE', options: ['P1', 'p1', 'P2'] })).userErrors).toEqual([]);
    expect(await refused({ options: ['p1', 'P2'] })).toMatchObject({
      field: ['input', 'options'],
      message: expect.stringContaining('P1 (ada)'),
    });
    expect(await refused({ required: true })).toMatchObject({
      field: ['input', 'required'],
      message: expect.stringContaining('Without a value: dan.'),
    });
    await person('eve', { extensionValues: [{ key: 'grade', value: 'P2' }] });
    expect(await refused({ unique: true })).toMatchObject({
      code: 'VALUE_TAKEN',
      field: ['input', 'unique'],
      message: expect.stringContaining('P2 (cyd, eve)'),
    });
    expect((await changeField({ id, type: 'TEXT' })).extensionField).toMatchObject({ type: 'TEXT', options: [] });
    const { id: free } = (await field({ key: 'salary', displayName: 'Salary' })).extensionField;
    await person('fay', { extensionValues: [{ key: 'salary', value: '10' }] });
    await person('gus', { extensionValues: [{ key: 'salary', value: '9' }] });
    expect((await changeField({ id: free, type: 'NUMBER', unique: true })).userErrors).toEqual([]);
    const sorted = `{ employees(orderBy: { field: EXTENSION_FIELD, extensionKey: "salary" }, first: 2) { nodes { username } } }`;
    expect((await rollcall.api.request<Answer>(sorted)).employees.nodes).toEqual([
      { username: 'gus' },
      { username: 'fay' },
    ]);
    const taken = await mutate('createEmployee', 'employee { id }', {
      identitySourceId: custom,
      username: 'hal',
      displayName: 'hal',
      extensionValues: [{ key: 'salary', value: '010.0' }],
    });
    expect(taken.userErrors).toMatchObject([{ code: 'VALUE_TAKEN' }]);
    expect((await mutate('deleteExtensionField', 'extensionField { key }', { id: free })).extensionField).toEqual({
      key: 'salary',
    });
    await expect(rollcall.api.request(sorted)).rejects.toThrow('no extension field');
  });

  it('brings with the next run what a wider field can hold, and changes none that a running task fills', async () => {
    const { id } = (await field({ key: 'level', displayName: '级别', type: 'CHOICE', options: ['P1'] })).extensionField;
    change(rollcall.sandbox, ({ users }) => {
      users.set('lisi', user('lisi', '李四', [3], { extattr: [{ name: '级别', value: 'P9' }] }));
    });
    const source = await connectSource(rollcall);
    const map = (localField: string, thirdPartyField: string, objectType = 'EMPLOYEE') => ({
      objectType,
      localField,
      thirdPartyField,
    });
    const fieldMappings = [
      map('name', 'name', 'DEPARTMENT'),
      map('username', 'userid'),
      map('displayName', 'name'),
      map('extension.level', 'extattr.级别'),
    ];
    await mutate('configureSynchronization', 'identitySource { id }', { id: source, fieldMappings });
    expect((await synchronize(rollcall, source)).status).toBe('PARTIALLY_SUCCEEDED');
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 700, path: 'user/list', times: 1 });
    const { syncTask } = await startTask(rollcall.api, source);
    expect((await changeField({ id, options: ['P1', 'P9'] })).userErrors).toMatchObject([{ code: 'TASK_RUNNING' }]);
    expect((await changeField({ id, displayName: '职级' })).userErrors).toEqual([]);
    await watch(rollcall.api, String(syncTask?.id));
    expect((await changeField({ id, options: ['P1', 'P9'] })).userErrors).toEqual([]);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    const found = '{ employees(filter: { extensionValues: [{ key: "level", equals: "P9" }] }) { nodes { username } } }';
    expect((await rollcall.api.request<Answer>(found)).employees.nodes).toEqual([{ username: 'lisi' }]);
  });

  it.each([
    ['TEXT', '007'],
    ['NUMBER', '7'],
  ])('fills a field that was deleted and made anew, as %s, once it is mapped as before', async (type, value) => {
    const badge = { key: 'badge', displayName: '工牌' };
    const { id } = (await field(badge)).extensionField;
    change(rollcall.sandbox, ({ users }) => {
      users.set('lisi', user('lisi', '李四', [3], { extattr: [{ name: '工牌', value: '007' }] }));
    });
    const source = await connectSource(rollcall);
    const mapped = () => mapPeople(rollcall, source, { 'extension.badge': 'extattr.工牌' });
    await mapped();
    await synchronize(rollcall, source);
    await mapPeople(rollcall, source, {});
    expect((await mutate('deleteExtensionField', 'extensionField { key }', { id })).userErrors).toEqual([]);
    await field({ ...badge, type });
    await mapped();
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    const { rows } = await rollcall.sql.query(
      `SELECT extension_values ->> 'badge' AS badge FROM employee WHERE username = 'lisi'`,
    );
    expect(rows).toEqual([{ badge: value }]);
  });

  it('deletes a field that only a deleted source fills, and that source comes back without it', async () => {
    const { id } = (await field({ key: 'level', displayName: '级别' })).extensionField;
    const source = await connectSource(rollcall);
    const map = (localField: string, thirdPartyField: string, objectType = 'EMPLOYEE') => ({
      objectType,
      localField,
      thirdPartyField,
    });
    const fieldMappings = [
      map('name', 'name', 'DEPARTMENT'),
      map('username', 'userid'),
      map('displayName', 'name'),
      map('extension.level', 'position'),
    ];
    await mutate('configureSynchronization', 'identitySource { id }', { id: source, fieldMappings });
    const remove = () => mutate('deleteExtensionField', 'extensionField { key }', { id });
    expect((await remove()).userErrors).toMatchObject([
      { code: 'EXTENSION_FIELD_IN_USE', message: expect.stringContaining('field mapping of WeCom') },
    ]);
    await mutate('disableIdentitySource', 'identitySource { id }', { id: source });
    await mutate('deleteIdentitySource', 'identitySource { id }', { id: source });
    expect((await remove()).userErrors).toEqual([]);
    expect((await mutate('restoreIdentitySource', 'identitySource { id }', { id: source })).userErrors).toEqual([]);
    await mutate('enableIdentitySource', 'identitySource { id }', { id: source });
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    const { rows } = await rollcall.sql.query(`SELECT count(*)::int AS n FROM employee WHERE extension_values <> '{}'`);
    expect(rows).toEqual([{ n: 0 }]);
  });

  it('takes an import while another source synchronizes, and both are whole afterwards', async () => {
    const source = await connectSource(rollcall);
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 300, path: 'user/list', times: 2 });
    const { syncTask } = await startTask(rollcall.api, source);
    const csv = `username,displayName\n${Array.from({ length: 500 }, (_, i) => `u${i},员工${i}`).join('\n')}\n`;
    const imports = await Promise.all(
      [csv, csv].map((text) =>
        mutate('importEmployees', 'created unchanged applied', { identitySourceId: custom, csv: text }),
      ),
    );
    expect(imports.map(({ created, unchanged }) => [created, unchanged]).sort()).toEqual([
      [0, 500],
      [500, 0],
    ]);
    expect((await watch(rollcall.api, String(syncTask?.id))).status).toBe('SUCCEEDED');
    const counts = `{ identitySources { nodes { name employeeCount } } }`;
    const { nodes } = (await rollcall.api.request<Answer>(counts)).identitySources;
    expect(nodes).toEqual(
      expect.arrayContaining([{ name: 'WeCom', employeeCount: 4 }, expect.objectContaining({ employeeCount: 500 })]),
    );
    const sorted = '{ employees(orderBy: { field: DISPLAY_NAME }) { totalCount } }';
    expect((await rollcall.api.request<Answer>(sorted)).employees.totalCount).toBe(504);
  });
});
