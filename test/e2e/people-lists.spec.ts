import { ApiClient } from '../../src/demo/api-client';
import { generateOrganization } from '../../src/sandbox/generate';
import {
  connectSource,
  createSource,
  startRollcall,
  synchronize,
  type TestRollcall,
  untilRow,
} from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

describe('lists of people', () => {
  let rollcall: TestRollcall;

  beforeAll(async () => {
    rollcall = await startRollcall();
  });
  afterAll(() => rollcall.stop());

  const LIST = `query ($filter: EmployeeFilter, $orderBy: EmployeeOrder, $first: Int, $after: String, $last: Int, $before: String) {
    employees(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      totalCount nodes { username displayName } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
  const page = async (variables: Record<string, unknown>) =>
    (await rollcall.api.request<Answer>(LIST, variables)).employees;
  const namesOf = (employees: Answer): string[] => employees.nodes.map((n: Answer) => n.displayName);
  /** Every display name, read in pages of three, from the front or from the back. */
  const walk = async (variables: Record<string, unknown>, backward = false): Promise<string[]> => {
    const found: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const read: Answer = await page({
        ...variables,
        ...(backward ? { last: 3, before: cursor } : { first: 3, after: cursor }),
      });
      if (backward) found.unshift(...namesOf(read));
      else found.push(...namesOf(read));
      if (!(backward ? read.pageInfo.hasPreviousPage : read.pageInfo.hasNextPage)) return found;
      cursor = backward ? read.pageInfo.startCursor : read.pageInfo.endCursor;
    }
  };
  /** A closed custom source with people of these names, in this order. */
  const people = async (name: string, ...rows: readonly Record<string, string>[]) => {
    const { identitySource } = await createSource(rollcall.api, { type: 'CUSTOM', name, status: 'CLOSED' });
    const id = String(identitySource?.id);
    const columns = Object.keys(Object.assign({}, ...rows));
    const csv = [columns, ...rows.map((row) => columns.map((column) => row[column] ?? ''))].map((c) => c.join(','));
    const query = `mutation ($input: ImportEmployeesInput!) { importEmployees(input: $input) { applied errors { row column message } userErrors { message } } }`;
    const { importEmployees } = await rollcall.api.request<Answer>(query, {
      input: { identitySourceId: id, csv: csv.join('\n') },
    });
    expect(importEmployees).toEqual({ applied: true, errors: [], userErrors: [] });
    return id;
  };
  const field = async (input: Record<string, unknown>) => {
    const query = `mutation ($input: CreateExtensionFieldInput!) { createExtensionField(input: $input) { extensionField { id } userErrors { code message field } } }`;
    return (await rollcall.api.request<Answer>(query, { input })).createExtensionField;
  };

  it('are sorted by display name as Chinese users expect: by pinyin and tone, one surname together, Latin among them', async () => {
    const names = [
      '张伟',
      '安琪',
      'Bob',
      '李想',
      '里奥',
      '李伟',
      '欧阳娜娜',
      '单雄信',
      '曾国藩',
      '吕布',
      '陆逊',
      '阿里',
      'zoe',
      '3号',
    ];
    const rows = names.map((displayName, i) => ({ username: `p${i}`, displayName }));
    const identitySourceId = await people('Pinyin', ...rows);
    const expected = [
      '3号',
      '阿里',
      '安琪',
      'Bob',
      '李伟',
      '李想',
      '里奥',
      '陆逊',
      '吕布',
      '欧阳娜娜',
      '单雄信',
      '曾国藩',
      '张伟',
      'zoe',
    ];
    const ascending = { filter: { identitySourceId }, orderBy: { field: 'DISPLAY_NAME' } };
    const descending = { filter: { identitySourceId }, orderBy: { field: 'DISPLAY_NAME', direction: 'DESC' } };
    expect(await walk(ascending)).toEqual(expected);
    expect(await walk(ascending, true)).toEqual(expected);
    expect(await walk(descending)).toEqual([...expected].reverse());
    expect((await page(ascending)).totalCount).toBe(names.length);
  });

  it('put those without a position last in both directions', async () => {
    const identitySourceId = await people(
      'Positions',
      ...['乙', '', '甲', '', 'A', '甲', ''].map((position, i) => ({
        username: `q${i}`,
        displayName: `${position}${i}`,
        position,
      })),
    );
    const filter = { identitySourceId };
    expect(await walk({ filter, orderBy: { field: 'POSITION' } })).toEqual(['A4', '乙0', '甲2', '甲5', '1', '3', '6']);
    const descending = { filter, orderBy: { field: 'POSITION', direction: 'DESC' } };
    expect(await walk(descending)).toEqual(['甲5', '甲2', '乙0', 'A4', '6', '3', '1']);
    expect(await walk(descending, true)).toEqual(['甲5', '甲2', '乙0', 'A4', '6', '3', '1']);
  });

  it('refuse the cursor of another order, and what no list has made', async () => {
    const identitySourceId = await people(
      'Cursors',
      { username: 'c1', displayName: 'c' },
      { username: 'c2', displayName: 'd' },
    );
    const { pageInfo } = await page({ filter: { identitySourceId }, orderBy: { field: 'USERNAME' }, first: 1 });
    const status = { filter: { identitySourceId }, orderBy: { field: 'STATUS' }, after: pageInfo.endCursor };
    await expect(page(status)).rejects.toThrow('not one of this list');
    for (const values of [
      ['UPDATED_AT', 'yesterday', 'x'],
      ['UPDATED_AT', null, null],
      [],
      null,
      ['UPDATED_AT', 'x'],
      ...[
        '2024-19-39 29:59:59+00',
        '2024-02-30 00:00:00+00',
        '0000-01-01 00:00:00+00',
        '2024-01-01 00:00:00+99:59',
      ].map((moment) => ['UPDATED_AT', moment, '00000000-0000-0000-0000-000000000000']),
    ]) {
      const after = Buffer.from(JSON.stringify(values)).toString('base64url');
      await expect(page({ orderBy: { field: 'UPDATED_AT' }, after })).rejects.toThrow('not one of this list');
    }
  });

  it('sort and filter extension fields by what they hold, those without a value last', async () => {
    for (const [key, type, options] of [
      ['salary', 'NUMBER'],
      ['hired', 'DATE'],
      ['remote', 'BOOLEAN'],
      ['level', 'CHOICE', ['P1', 'P2']],
      ['badge', 'TEXT'],
    ] as const) {
      expect((await field({ key, displayName: key, type, options })).userErrors).toEqual([]);
    }
    const row = (displayName: string, salary: string, hired = '', remote = '', level = '', badge = '') => ({
      username: displayName,
      displayName,
      'extension.salary': salary,
      'extension.hired': hired,
      'extension.remote': remote,
      'extension.level': level,
      'extension.badge': badge,
    });
    const identitySourceId = await people(
      'Typed',
      row('ten', '10.50', '2020/1/2', '是', 'P2', 'Alpha-1'),
      row('nine', '9', '2019年12月31日', '否', 'P1', '甲-2'),
      row('none', ''),
      row('minus', '-3', '2020-01-01', 'true', 'P1', 'beta 100%'),
      row('same', '9.0', '', '', '', 'alpha-3'),
    );
    const by = (extensionKey: string, direction: string) => ({
      filter: { identitySourceId },
      orderBy: { field: 'EXTENSION_FIELD', extensionKey, direction },
    });
    expect(await walk(by('salary', 'ASC'))).toEqual(['minus', 'nine', 'same', 'ten', 'none']);
    expect(await walk(by('salary', 'DESC'))).toEqual(['ten', 'same', 'nine', 'minus', 'none']);
    expect(await walk(by('salary', 'DESC'), true)).toEqual(['ten', 'same', 'nine', 'minus', 'none']);
    expect(await walk(by('hired', 'ASC'))).toEqual(['nine', 'minus', 'ten', 'none', 'same']);
    const found = async (filter: Record<string, unknown>) =>
      (await walk({ filter: { identitySourceId, extensionValues: [filter] } })).join(' ');
    expect(await found({ key: 'salary', equals: '10.5' })).toBe('ten');
    expect(await found({ key: 'salary', oneOf: ['009', '-3.0'] })).toBe('nine minus same');
    expect(await found({ key: 'salary', atLeast: '9', atMost: '10' })).toBe('nine same');
    expect(await found({ key: 'hired', atLeast: '2020.1.1' })).toBe('ten minus');
    expect(await found({ key: 'remote', equals: 'yes' })).toBe('ten minus');
    expect(await found({ key: 'level', isEmpty: true })).toBe('none same');
    expect(await found({ key: 'level', isEmpty: false })).toBe('ten nine minus');
    expect(await found({ key: 'badge', contains: 'ALPHA' })).toBe('ten same');
    expect(await found({ key: 'badge', contains: '0%' })).toBe('minus');
    expect(await found({ key: 'badge', startsWith: '甲' })).toBe('nine');
    expect(await found({ key: 'badge', equals: null })).toBe('none');
    await expect(found({ key: 'remote', atLeast: 'true' })).rejects.toThrow('Its operators: equals, oneOf, isEmpty.');
    await expect(found({ key: 'salary', contains: '1' })).rejects.toThrow('atLeast, atMost');
    await expect(found({ key: 'salary', equals: 'many' })).rejects.toThrow('a decimal number');
    await expect(found({ key: 'nowhere', equals: '1' })).rejects.toThrow('There are: salary, hired');
    const wrong = { orderBy: { field: 'EXTENSION_FIELD', extensionKey: `x'; DROP` } };
    await expect(page(wrong)).rejects.toThrow('no extension field');
  });

  it('filter and sort departments by extension fields as well', async () => {
    await field({ objectType: 'DEPARTMENT', key: 'floor', displayName: '楼层', type: 'NUMBER' });
    const { identitySource } = await createSource(rollcall.api, { type: 'CUSTOM', name: 'Floors', status: 'CLOSED' });
    const create = `mutation ($input: CreateDepartmentInput!) { createDepartment(input: $input) { userErrors { message } } }`;
    for (const [name, floor] of [
      ['a', '10'],
      ['b', '9'],
      ['c', null],
    ]) {
      const extensionValues = [{ key: 'floor', value: floor }];
      await rollcall.api.request(create, { input: { identitySourceId: identitySource?.id, name, extensionValues } });
    }
    const query = `query ($f: DepartmentFilter, $o: DepartmentOrder) { departments(filter: $f, orderBy: $o) { nodes { name } } }`;
    const list = async (o: unknown, more = {}) => {
      const f = { identitySourceId: identitySource?.id, ...more };
      return (await rollcall.api.request<Answer>(query, { f, o })).departments.nodes
        .map((n: Answer) => n.name)
        .join('');
    };
    expect(await list({ field: 'EXTENSION_FIELD', extensionKey: 'floor' })).toBe('bac');
    expect(await list({ field: 'EXTENSION_FIELD', extensionKey: 'floor', direction: 'DESC' })).toBe('abc');
    expect(await list(null, { extensionValues: [{ key: 'floor', atLeast: '9.5' }] })).toBe('a');
  });

  it('hide nobody whose key is not there yet, and go on in the order that they began in', async () => {
    const large = await startRollcall({ organization: generateOrganization(2_500) });
    try {
      // Search text cannot be made as long as this lock is held, as if the process were slow.
      await large.sql.query('BEGIN');
      await large.sql.query('LOCK employee_search IN SHARE MODE');
      await synchronize(large, await connectSource(large));
      const ask = async (variables: Record<string, unknown>) =>
        (await large.api.request<Answer>(LIST, { orderBy: { field: 'DISPLAY_NAME' }, first: 500, ...variables }))
          .employees;
      const seen: string[] = [];
      let last = await ask({});
      expect(last.totalCount).toBe(2_500);
      const asTheyCame = namesOf(last);
      expect(asTheyCame).toEqual(namesOf(await ask({ orderBy: { field: 'CREATED_AT' } })));
      seen.push(...last.nodes.map((n: Answer) => n.username));
      // Another process would leave it to this one.
      await untilRow(large, 'SELECT FROM search_pending WHERE taken_until > now()');
      await large.sql.query('COMMIT');
      for (let left = 1; left > 0; ) {
        const { rows } = await large.sql.query('SELECT count(*)::int AS n FROM search_pending');
        left = rows[0].n;
      }
      while (last.pageInfo.hasNextPage) {
        last = await ask({ after: last.pageInfo.endCursor });
        seen.push(...last.nodes.map((n: Answer) => n.username));
      }
      expect(new Set(seen).size).toBe(2_500);
      expect(seen).toHaveLength(2_500);
      const byPinyin = await ask({});
      expect(byPinyin.totalCount).toBe(2_500);
      expect(namesOf(byPinyin)).not.toEqual(asTheyCame);
    } finally {
      await large.stop();
    }
  });

  it('tell of each field by itself what they tell of all together, to everybody who may see them', async () => {
    await field({ key: 'lists_office', displayName: '办公地点' });
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    await rollcall.sql.query(
      `UPDATE employee SET manager_id = id, extension_values = '{"lists_office": "北京"}' WHERE username = 'zhangsan'`,
    );
    const { __type: type } = await rollcall.api.request<Answer>(
      `{ __type(name: "Employee") { fields { name type { kind ofType { kind ofType { kind ofType { kind } } } } } } }`,
    );
    const isObject = (t: Answer): boolean => t && (t.kind === 'OBJECT' || isObject(t.ofType));
    const below: Record<string, string> = {
      memberships: '{ isMain isLeader order department { id name } }',
      extensionValues: '{ value field { key } }',
      timeline: '{ nodes { actor } }',
    };
    const fields: string[] = type.fields.map(
      (f: Answer) => `${f.name} ${isObject(f.type) ? (below[f.name] ?? '{ id }') : ''}`,
    );
    expect(fields.length).toBeGreaterThan(25);
    const filter = { identitySourceId: source, text: '张三' };
    const { createApiToken } = await rollcall.api.request<Answer>(
      'mutation { createApiToken(input: { name: "viewer", role: VIEWER }) { token } }',
    );
    const viewer = new ApiClient(rollcall.url, createApiToken.token);
    for (const api of [rollcall.api, viewer]) {
      const ask = async (asked: string, form: (asked: string) => string = (each) => `nodes { ${each} }`) =>
        (
          await api.request<Answer>(
            `query ($filter: EmployeeFilter) { employees(filter: $filter) { ${form(asked)} } }`,
            {
              filter,
            },
          )
        ).employees;
      const [all] = (await ask(fields.join(' '))).nodes;
      expect([all.mainDepartment, all.manager, all.memberships[0]?.department, all.extensionValues.length > 0]).toEqual(
        [{ id: expect.anything() }, { id: all.id }, { id: expect.anything(), name: expect.anything() }, true],
      );
      for (const asked of fields) {
        const [node] = (await ask(asked)).nodes;
        const [edge] = (await ask(asked, (each) => `edges { node { ${each} } }`)).edges;
        expect([node, edge.node]).toEqual([expect.anything(), node]);
        expect(all).toMatchObject(node);
      }
    }
    await viewer.close();
  });
});
