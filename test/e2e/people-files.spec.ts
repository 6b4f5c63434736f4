import fc from 'fast-check';
import { ApiClient } from '../../src/demo/api-client';
import { csvCell, parseCsv } from '../../src/platform/csv';
import { connectSource, createSource, startRollcall, synchronize, type TestRollcall, TOKEN } from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

const IMPORT = `mutation ($input: ImportEmployeesInput!) { importEmployees(input: $input) {
  rows created updated unchanged applied errors { row column message } userErrors { code message field } } }`;

describe('people as files', () => {
  let rollcall: TestRollcall;
  let made = 0;

  beforeAll(async () => {
    rollcall = await startRollcall();
  });
  afterAll(() => rollcall.stop());

  const customSource = async () => {
    const input = { type: 'CUSTOM', name: `Kept${++made}`, status: 'CLOSED' };
    return String((await createSource(rollcall.api, input)).identitySource?.id);
  };
  const importCsv = async (identitySourceId: string, csv: string, dryRun = false): Promise<Answer> =>
    (await rollcall.api.request<Answer>(IMPORT, { input: { identitySourceId, csv, dryRun } })).importEmployees;
  const download = async (query: Record<string, unknown>, token = TOKEN) => {
    const parameters = Object.entries(query).map(([name, value]) => [name, JSON.stringify(value)]);
    const url = `${rollcall.url.replace('/graphql', '/exports/employees.csv')}?${new URLSearchParams(parameters)}`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, text: await response.text() };
  };
  const department = async (identitySourceId: string, name: string, parentId?: string): Promise<string> => {
    const query = `mutation ($input: CreateDepartmentInput!) { createDepartment(input: $input) { department { id } userErrors { message } } }`;
    const answer = await rollcall.api.request<Answer>(query, { input: { identitySourceId, name, parentId } });
    return answer.createDepartment.department.id;
  };
  const mutate = async (name: string, fields: string, input: Record<string, unknown>): Promise<Answer> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ${fields} userErrors { code message field } } }`;
    return (await rollcall.api.request<Answer>(query, { input }))[name];
  };

  it('come with commas, semicolons or tabs, quoted or not, with a byte order mark or without', async () => {
    const forms = {
      commas: 'username,displayName,address\nada,"艾达, ""A"" 女士","1号\n2楼"\n',
      semicolons: '\ufeffusername;displayName;address\r\nada;艾达, "A" 女士;"1号\n2楼"\r\n'.replace(
        '艾达, "A" 女士',
        '"艾达, ""A"" 女士"',
      ),
      tabs: 'username\tdisplayName\taddress\nada\t"艾达, ""A"" 女士"\t"1号\n2楼"\n\n',
      'a told separator': 'sep=;\nusername;displayName;address\nada;"艾达, ""A"" 女士";"1号\n2楼"\n',
    };
    for (const [form, csv] of Object.entries(forms)) {
      const id = await customSource();
      expect([form, await importCsv(id, csv)]).toEqual([form, expect.objectContaining({ applied: true, created: 1 })]);
      const { employees } = await rollcall.api.request<Answer>(
        'query ($f: EmployeeFilter) { employees(filter: $f) { nodes { displayName address } } }',
        { f: { identitySourceId: id } },
      );
      expect(employees.nodes).toEqual([{ displayName: '艾达, "A" 女士', address: '1号\n2楼' }]);
    }
  });

  it('are refused as a whole with what to do: another encoding, unknown, missing and doubled columns, broken quotes', async () => {
    const id = await customSource();
    const gbk = Buffer.from([0xc0, 0xee, 0xcb, 0xc4]).toString('utf8');
    const wrong: [string, string][] = [
      [`username,displayName\nlisi,${gbk}\n`, 'not encoded in UTF-8 (line 2'],
      ['user,name\n1,2\n', 'Unknown columns: user, name. There are username'],
      ['username\n1\n', 'must name the column displayName'],
      ['username,displayName,username\n1,2,3\n', 'names the column username twice'],
      ['username,displayName\n1,"2\n', 'no CSV'],
      ['username,displayName,extension.none\na,b,c\n', 'No extension field of employees is called extension.none'],
      ['', 'must name the column username'],
      [`username,displayName\n${'a,b\n'.repeat(20_001)}`, 'At most 20000 rows'],
    ];
    for (const [csv, message] of wrong) {
      const { userErrors, applied } = await importCsv(id, csv);
      expect({ applied, userErrors }).toEqual({
        applied: false,
        userErrors: [{ code: 'INVALID_INPUT', field: ['input', 'csv'], message: expect.stringContaining(message) }],
      });
    }
  });

  it('name every wrong cell of every row, and change nothing while one is wrong', async () => {
    const id = await customSource();
    await department(id, '总部');
    const twin = await department(id, '分部');
    await department(id, '分部');
    await mutate('createExtensionField', 'extensionField { id }', { key: 'card', displayName: '卡号', unique: true });
    expect(await importCsv(id, 'username,displayName,extension.card\nold,旧人,C-1\n')).toMatchObject({ applied: true });
    const csv = [
      'username,displayName,email,gender,departments,leaderOf,manager,extension.card',
      'ada,艾达,x,男,总部;无,,ada,C-1',
      ',,,,,,nobody,',
      'ADA,a,,,总部,总部,,',
      'bob,b,,,分部,总部,,c-2',
      `eve,e,e***@corp.example,,${twin},,,c-2,extra`,
      '',
      'zed,z,,male,\\x,,old,C-3',
    ].join('\n');
    const { errors, applied } = await importCsv(id, csv);
    expect(applied).toBe(false);
    expect(errors.map((e: Answer) => [e.row, e.column])).toEqual([
      [2, 'email'],
      [2, 'gender'],
      [2, 'manager'],
      [2, 'departments'],
      [3, 'username'],
      [3, 'displayName'],
      [3, 'manager'],
      [4, 'username'],
      [5, 'departments'],
      [5, 'leaderOf'],
      [6, null],
      [6, 'email'],
      [8, 'departments'],
    ]);
    const message = (row: number, column: string) =>
      errors.find((e: Answer) => e.row === row && e.column === column).message;
    expect(message(4, 'username')).toContain('row 2');
    expect(message(5, 'departments')).toContain('2 departments');
    expect(message(6, 'email')).toContain('masked');
    const unique = await importCsv(id, 'username,displayName,extension.card\na,a,C-1\nb,b,C-2\nc,c,C-2\n');
    expect(unique.errors).toEqual([
      { row: 2, column: 'extension.card', message: 'This value must be unique; old has it.' },
      { row: 4, column: 'extension.card', message: 'This value must be unique; row 3 has it too.' },
    ]);
    const { employees } = await rollcall.api.request<Answer>(
      'query ($f: EmployeeFilter) { employees(filter: $f) { totalCount } }',
      { f: { identitySourceId: id } },
    );
    expect(employees.totalCount).toBe(1);
    // Two may swap what is unique.
    expect(await importCsv(id, 'username,displayName,extension.card\nold,旧人,C-2\nnew,新人,C-1\n')).toMatchObject({
      applied: true,
    });
    expect(await importCsv(id, 'username,displayName,extension.card\nold,旧人,C-1\nnew,新人,C-2\n')).toMatchObject({
      applied: true,
      updated: 2,
    });
  });

  it('are told exactly by a dry run, and twice the same changes nothing', async () => {
    const id = await customSource();
    await department(id, '总部');
    const rows = (count: number) =>
      Array.from({ length: count }, (_, i) => `u${i},员工${i},职位${i % 7},总部,${i === 0 ? '' : 'u0'}`).join('\n');
    const csv = (count: number) => `username,displayName,position,departments,manager\n${rows(count)}\n`;
    expect(await importCsv(id, csv(2_500), true)).toMatchObject({
      rows: 2_500,
      created: 2_500,
      applied: false,
      errors: [],
    });
    expect((await download({ filter: { identitySourceId: id } })).text.trim().split('\r\n')).toHaveLength(1);
    expect(await importCsv(id, csv(2_500))).toMatchObject({
      created: 2_500,
      updated: 0,
      unchanged: 0,
      applied: true,
    });
    const state = () =>
      rollcall.sql.query(
        `SELECT md5(string_agg(e::text, '' ORDER BY id)) AS people, (SELECT count(*)::int FROM employee_change) AS entries FROM employee e`,
      );
    const before = (await state()).rows;
    expect(await importCsv(id, csv(2_500))).toMatchObject({
      created: 0,
      updated: 0,
      unchanged: 2_500,
      applied: true,
    });
    expect((await state()).rows).toEqual(before);
    const changed = csv(2_500).replace('员工42,职位0', '员工42,顾问');
    expect(await importCsv(id, changed, true)).toMatchObject({
      created: 0,
      updated: 1,
      unchanged: 2_499,
      applied: false,
    });
    expect((await state()).rows).toEqual(before);
  });

  it('go out by the list’s filter and order, come back unchanged, and never run as a formula', async () => {
    const id = await customSource();
    const top = await department(id, '总部');
    const slash = await department(id, 'R / D; \\ dept', top);
    const twins = [await department(id, '双子', top), await department(id, '双子', top)];
    await mutate('createExtensionField', 'extensionField { id }', { key: 'wage', displayName: '工资', type: 'NUMBER' });
    const person = (username: string, more: Record<string, unknown>) =>
      mutate('createEmployee', 'employee { id }', { identitySourceId: id, username, displayName: username, ...more });
    const boss = (
      await person('boss', {
        displayName: '=HYPERLINK("http://x","总裁")',
        position: '+1',
        mobile: '+86 139 1234 5678',
        address: "'=1+1",
        memberships: [
          { departmentId: top, isLeader: true },
          { departmentId: slash, isMain: true },
        ],
        extensionValues: [{ key: 'wage', value: '-0.0000001' }],
      })
    ).employee.id;
    await person('none', {
      displayName: '@无',
      managerId: boss,
      memberships: [{ departmentId: twins[1] }],
      gender: 'FEMALE',
    });
    await person('plain', { displayName: '安', email: 'an@corp.example', employmentStatus: 'INTERN' });
    const query = { filter: { identitySourceId: id }, orderBy: { field: 'DISPLAY_NAME' } };
    const { status, text } = await download(query);
    expect(status).toBe(200);
    const table = parseCsv(text);
    expect(table.rows.map(({ cells }) => cells[0])).toEqual(['boss', 'none', 'plain']);
    for (const cell of text.split(/[\r\n,]+/)) expect(cell).not.toMatch(/^"?[=+\-@]/);
    expect(await importCsv(id, text)).toMatchObject({
      updated: 0,
      unchanged: 3,
      created: 0,
      errors: [],
      applied: true,
    });
    // Out of one company and into another with the same departments, apart from the two that cannot be told apart.
    const other = await customSource();
    const there = await department(other, '总部');
    await department(other, 'R / D; \\ dept', there);
    const single = await department(other, '双子', there);
    const moved = text.replace(String(twins[1]), single);
    expect(await importCsv(other, moved)).toMatchObject({ created: 3, errors: [], applied: true });
    const again = (await download({ ...query, filter: { identitySourceId: other } })).text;
    const importable = (csv: string) => {
      const { columns, rows } = parseCsv(csv);
      return rows.map(({ cells }) => cells.slice(0, columns.indexOf('status')));
    };
    const asThere = importable(again).map((row) => row.map((cell) => cell.replace(';总部 / 双子', `;${twins[1]}`)));
    expect(asThere).toEqual(importable(text));
    const filtered = await download({ filter: { identitySourceId: id, text: '安' } });
    expect(parseCsv(filtered.text).rows).toHaveLength(1);
  });

  it('go out of a synchronized source as well, masked for viewers, and only to those who may read', async () => {
    const source = await connectSource(rollcall);
    await synchronize(rollcall, source);
    const create = `mutation { createApiToken(input: { name: "reader", role: VIEWER }) { token } }`;
    const { createApiToken } = await rollcall.api.request<Answer>(create);
    const filter = { identitySourceId: source };
    const whole = await download({ filter });
    expect(whole.text).toContain('lisi@example.com');
    expect(whole.text).toContain('示例企业 / 研发中心 / 后端组');
    const masked = await download({ filter }, createApiToken.token);
    expect(masked.status).toBe(200);
    expect(masked.text).not.toContain('lisi@example.com');
    expect(masked.text).not.toContain('13800000000');
    expect((await download({ filter }, 'nobody')).status).toBe(401);
    for (const [query, message] of [
      [{ filter: { nowhere: 1 } }, 'nowhere'],
      [{ filter: { status: ['GONE'] } }, 'GONE'],
      [{ orderBy: { field: 'EXTENSION_FIELD' } }, 'extensionKey'],
    ] as const) {
      const { status, text } = await download(query);
      expect([status, text]).toEqual([400, expect.stringContaining(message)]);
    }
    // What a viewer would find by a number is found here by nobody who may not see it.
    expect(parseCsv((await download({ filter: { text: '13800000000' } }, createApiToken.token)).text).rows).toEqual([]);
    const viewer = new ApiClient(rollcall.url, createApiToken.token);
    await expect(viewer.request(IMPORT, { input: { identitySourceId: source, csv: '' } })).rejects.toThrow();
    await viewer.close();
  });

  it('leave no personal values in the audit log', async () => {
    const id = await customSource();
    await importCsv(id, 'username,displayName,mobile\nsecretive,密,13955554444\n');
    const { rows } = await rollcall.sql.query(
      `SELECT count(*)::int AS n FROM audit_entry WHERE input::text LIKE '%13955554444%'`,
    );
    expect(rows).toEqual([{ n: 0 }]);
  });
});

describe('cells of a file', () => {
  it('are read back as they were written, whatever they hold', () => {
    const cell = fc
      .string({ unit: fc.constantFrom('=', '+', '-', '@', "'", '"', ',', ';', '\n', 'a', '张', ' ') })
      .map((s) => s.trim());
    fc.assert(
      fc.property(cell, cell, (first, second) => {
        const { rows } = parseCsv(`a,b\n${csvCell(`x${first}`)},${csvCell(second)}\n`);
        expect(rows[0]?.cells).toEqual([`x${first}`, second]);
      }),
    );
  });
});
