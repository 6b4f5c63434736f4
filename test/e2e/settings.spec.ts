import { pino } from 'pino';
import type { SandboxUser } from '../../src/sandbox/organization';
import { startServer } from '../../src/server';
import {
  change,
  connectSource,
  createSource,
  recordsOf,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  user,
} from '../setup/rollcall';

const CONFIGURE = `mutation ($input: ConfigureSynchronizationInput!) {
  configureSynchronization(input: $input) { identitySource { version fieldMappings { localField owner transforms { kind } }
    scope { mode departments { id name path visible } } safeguards { maxRemovals leaverGraceDays }
    automaticSynchronization { enabled cycleHours synchronizesUserInformation nextRunAt } }
    userErrors { code message field } }
}`;

const SOURCE = `query ($id: ID!, $parent: String, $text: String, $first: Int, $after: String) { identitySource(id: $id) {
  name status version
  automaticSynchronization { enabled synchronizeUserInformation synchronizesUserInformation cycleHours nextRunAt }
  thirdPartyFields { objectType name filled total samples }
  localFields { name }
  visibilityScope { departments { id path } outsideSyncScope { id } employeeIds }
  connectionChecks { name outcome message advice thirdPartyCode }
  disableImpact { employees liveSessions }
  thirdPartyDepartments(parentId: $parent, text: $text, first: $first, after: $after) {
    nodes { id name path hasChildren } pageInfo { hasNextPage endCursor } totalCount }
} }`;

/** Answers whose parts the tests name one by one. */
// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;
type Shown = Answer;

interface Configured {
  identitySource: Record<string, never> | null;
  userErrors: { code: string; message: string; field: string[] }[];
}

describe('the settings of a source', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterEach(() => rollcall.stop());

  const configure = async (input: Record<string, unknown>) =>
    (
      await rollcall.api.request<{ configureSynchronization: Configured }>(CONFIGURE, {
        input: { id: source, ...input },
      })
    ).configureSynchronization;
  const read = async (variables: Record<string, unknown> = {}) =>
    (await rollcall.api.request<{ identitySource: Record<string, never> }>(SOURCE, { id: source, ...variables }))
      .identitySource as unknown as Shown;
  const mapping = (localField: string, thirdPartyField: string, more: Record<string, unknown> = {}) => ({
    objectType: 'EMPLOYEE',
    localField,
    thirdPartyField,
    ...more,
  });
  const needed = [
    { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
    mapping('username', 'userid'),
    mapping('displayName', 'name'),
  ];

  it('map fields through transforms, in order, and keep what is no longer mapped', async () => {
    await synchronize(rollcall, source);
    const { userErrors } = await configure({
      fieldMappings: [
        ...needed,
        mapping('email', 'email', { transforms: [{ kind: 'EMAIL' }] }),
        mapping('telephone', 'mobile', { transforms: [{ kind: 'PHONE' }] }),
        mapping('position', 'position', {
          transforms: [{ kind: 'TEMPLATE', template: '{value} ({name})' }],
          owner: 'SOURCE',
        }),
        mapping('englishName', 'email', {
          transforms: [{ kind: 'REGEX_EXTRACT', pattern: '^([^@]+)@' }, { kind: 'UPPERCASE' }],
        }),
        mapping('employmentStatus', 'position', {
          transforms: [{ kind: 'LOOKUP', table: { 主任: 'REGULAR', '*': 'INTERN' } }],
        }),
      ],
    });
    expect(userErrors).toEqual([]);
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('SUCCEEDED');
    const [lisi] = await recordsOf(rollcall.api, task.id, { text: 'lisi' });
    const after = Object.fromEntries((lisi?.comparison ?? []).map((c) => [c.field, c.saseValueAfter]));
    expect(after).toMatchObject({ englishName: 'LISI', telephone: '+8613800000000' });
    const rows = await rollcall.sql.query(
      `SELECT username, position, employment_status, mobile FROM employee WHERE username IN ('lisi', 'zhangsan') ORDER BY 1`,
    );
    expect(rows.rows).toEqual([
      { username: 'lisi', position: ' (李四)', employment_status: 'UNKNOWN', mobile: '13800000000' },
      { username: 'zhangsan', position: '主任 (张三)', employment_status: 'REGULAR', mobile: null },
    ]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
  });

  it('refuse mappings that cannot work, each with its place', async () => {
    const { userErrors } = await configure({
      fieldMappings: [
        ...needed,
        mapping('nickname', 'name'),
        mapping('email', 'shoe_size'),
        mapping('position', 'position', { transforms: [{ kind: 'REGEX_EXTRACT', pattern: '(' }] }),
        mapping('position', 'position'),
        mapping('gender', 'gender', { transforms: [{ kind: 'LOOKUP', table: { a: 1 } }] }),
      ],
    });
    expect(userErrors.map((e) => [e.code, e.field.at(-1)])).toEqual([
      ['MAPPING_INVALID', '3'],
      ['MAPPING_INVALID', '4'],
      ['MAPPING_INVALID', '5'],
      ['MAPPING_INVALID', '6'],
      ['MAPPING_INVALID', '7'],
    ]);
    expect((await configure({ fieldMappings: [] })).userErrors).toHaveLength(3);
    const endless = Array.from({ length: 21 }, () => ({ kind: 'TRIM' }));
    const tooMany = await configure({ fieldMappings: [...needed, mapping('email', 'email', { transforms: endless })] });
    expect(tooMany.userErrors).toMatchObject([{ code: 'MAPPING_INVALID', message: expect.stringContaining('20') }]);
    const unstorable = [{ kind: 'LOOKUP', table: { 'a\0': 'b' } }];
    await expect(
      configure({ fieldMappings: [...needed, mapping('email', 'email', { transforms: unstorable })] }),
    ).rejects.toThrow('input.fieldMappings.3.transforms.0.table has a character that cannot be stored');
  });

  it('cost a bad value its field and not the person', async () => {
    change(rollcall.sandbox, ({ users }) =>
      users.set('neu', user('neu', '新人', [2], { mobile: 'none', position: '组长' })),
    );
    await configure({
      fieldMappings: [
        ...needed,
        mapping('mobile', 'mobile', { transforms: [{ kind: 'PHONE' }] }),
        mapping('position', 'position'),
      ],
    });
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('PARTIALLY_SUCCEEDED');
    const [neu] = await recordsOf(rollcall.api, task.id, { text: 'neu' });
    expect(neu).toMatchObject({ action: 'CREATE', result: 'APPLIED', reasonCode: 'INVALID_VALUE' });
    expect(neu?.comparison).toContainEqual(
      expect.objectContaining({ field: 'mobile', saseValueAfter: null, kept: 'INVALID' }),
    );
    expect(await recordsOf(rollcall.api, (await synchronize(rollcall, source)).id)).toMatchObject([
      { externalId: 'neu', action: 'UPDATE', result: 'FAILED', reasonCode: 'INVALID_VALUE' },
    ]);
  });

  it('keep what is here where a value of another type is told, and say so', async () => {
    const fields = ['mobile', 'email', 'position'].map((field) => mapping(field, field));
    await configure({ fieldMappings: [...needed, ...fields, mapping('manager', 'extattr.上级')] });
    const leader = (value: unknown) => ({ extattr: [{ name: '上级', value }] });
    const usual = { mobile: '13800000001', email: 'w@example.com', position: '组员', ...leader('lisi') };
    const odd = { name: { zh: '王五' }, mobile: ['13800000001'], email: true, position: {}, ...leader(['lisi']) };
    const tell = (more: Record<string, unknown>, name: unknown) =>
      change(rollcall.sandbox, ({ users, departments }) => {
        users.set('wangwu', user('wangwu', '王五', [3], more) as SandboxUser);
        departments.set(4, { id: 4, parentId: 1, name, order: 10 } as never);
      });
    tell(usual, '市场部');
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    tell(odd, { zh: '市场部' });
    const read = async (more: Record<string, unknown> = {}) => {
      const task = await synchronize(rollcall, source, more);
      const records = await recordsOf(rollcall.api, task.id);
      expect(records.map((r) => [r.externalId, r.result, r.reasonCode])).toEqual([
        ['4', 'FAILED', 'INVALID_VALUE'],
        ['wangwu', 'FAILED', 'INVALID_VALUE'],
      ]);
      const kept = records.map((r) => r.comparison.filter((c) => c.kept === 'INVALID' && !c.changed));
      return kept.map((of) => of.map((c) => [c.field, c.thirdPartyValue, c.saseValueBefore, c.saseValueAfter]));
    };
    const expected = [
      [['name', '{"zh":"市场部"}', '市场部', '市场部']],
      [
        ['displayName', '{"zh":"王五"}', '王五', '王五'],
        ['mobile', '["13800000001"]', '13800000001', '13800000001'],
        ['email', 'true', 'w@example.com', 'w@example.com'],
        ['position', '{}', '组员', '组员'],
        ['manager', '["lisi"]', 'lisi', 'lisi'],
      ],
    ];
    expect(await read()).toEqual(expected);
    expect(await read()).toEqual(expected);
    // So it is read from the stored snapshot, too.
    const scope = { mode: 'PARTIAL', departmentIds: ['1'] };
    expect(await read({ mode: 'PREVIEW', proposed: { id: source, scope } })).toEqual(expected);
  });

  it('tell of a bad value also where there was none before, of people and departments, as often as it is read', async () => {
    await configure({
      fieldMappings: [
        ...needed,
        { objectType: 'DEPARTMENT', localField: 'englishName', thirdPartyField: 'name_en' },
        mapping('englishName', 'alias'),
      ],
    });
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    const tell = (text: string | undefined) =>
      change(rollcall.sandbox, ({ users, departments }) => {
        users.set('lisi', { ...(users.get('lisi') as SandboxUser), alias: text } as SandboxUser);
        departments.set(4, { id: 4, parentId: 1, name: '市场部', order: 10, name_en: text } as never);
      });
    tell('x'.repeat(600));
    for (let i = 0; i < 2; i++) {
      const task = await synchronize(rollcall, source);
      expect(task.status).toBe('PARTIALLY_SUCCEEDED');
      const records = await recordsOf(rollcall.api, task.id);
      expect(records).toMatchObject(
        ['4', 'lisi'].map((externalId) => ({
          externalId,
          action: 'UPDATE',
          result: 'FAILED',
          reasonCode: 'INVALID_VALUE',
        })),
      );
      for (const { comparison } of records)
        expect(comparison).toContainEqual(
          expect.objectContaining({ field: 'englishName', saseValueAfter: null, changed: false, kept: 'INVALID' }),
        );
    }
    tell(undefined);
    const task = await synchronize(rollcall, source);
    expect([task.status, await recordsOf(rollcall.api, task.id)]).toEqual(['SUCCEEDED', []]);
  });

  it('narrow the scope to chosen departments; who is outside goes as OUT_OF_SCOPE, under the same limits', async () => {
    await synchronize(rollcall, source);
    const narrowed = await configure({ scope: { mode: 'PARTIAL', departmentIds: ['2'] } });
    expect(narrowed.identitySource).toMatchObject({
      scope: {
        mode: 'PARTIAL',
        departments: [{ id: '2', name: '研发中心', path: ['示例企业', '研发中心'], visible: true }],
      },
    });
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('SUCCEEDED');
    const records = await recordsOf(rollcall.api, task.id);
    const gone = records.filter((r) => ['SUSPEND', 'REMOVE'].includes(r.action));
    expect(gone.map((r) => [r.objectType, r.externalId, r.reasonCode]).sort()).toEqual([
      ['DEPARTMENT', '1', 'OUT_OF_SCOPE'],
      ['DEPARTMENT', '4', 'OUT_OF_SCOPE'],
      ['EMPLOYEE', 'zhaoliu', 'OUT_OF_SCOPE'],
    ]);
    expect(records).toContainEqual(expect.objectContaining({ externalId: 'wangwu', action: 'MOVE' }));
    const tops = await rollcall.sql.query('SELECT name FROM department WHERE parent_id IS NULL');
    expect(tops.rows).toEqual([{ name: '研发中心' }]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
    await configure({ scope: { mode: 'ALL' } });
    const wide = await synchronize(rollcall, source);
    expect(wide.counters).toContainEqual(expect.objectContaining({ action: 'RESTORE', applied: 1 }));
    expect((await configure({ scope: { mode: 'PARTIAL', departmentIds: [] } })).userErrors).toMatchObject([
      { code: 'INVALID_INPUT', field: ['input', 'scope', 'departmentIds'] },
    ]);
  });

  it('show what the directory tells and what the app may see', async () => {
    await synchronize(rollcall, source);
    const shown = await read();
    expect(shown['thirdPartyFields']).toContainEqual({
      objectType: 'EMPLOYEE',
      name: 'mobile',
      filled: 1,
      total: 4,
      samples: ['13800000000'],
    });
    expect(shown['thirdPartyFields']).toContainEqual({
      objectType: 'EMPLOYEE',
      name: 'telephone',
      filled: 0,
      total: 4,
      samples: [],
    });
    expect(shown['visibilityScope']).toMatchObject({
      departments: [{ id: '1', path: ['示例企业'] }],
      outsideSyncScope: [],
    });
    expect(shown['disableImpact']).toEqual({ employees: 4, liveSessions: 0 });
    expect(shown['thirdPartyDepartments']).toMatchObject({ nodes: [{ id: '1', hasChildren: true }], totalCount: 1 });
    const below = await read({ parent: '1', first: 1 });
    expect(below['thirdPartyDepartments']).toMatchObject({
      nodes: [{ id: '2' }],
      totalCount: 2,
      pageInfo: { hasNextPage: true },
    });
    const next = await read({ parent: '1', first: 1, after: below['thirdPartyDepartments'].pageInfo.endCursor });
    expect(next['thirdPartyDepartments'].nodes).toMatchObject([{ id: '4', path: ['示例企业', '市场部'] }]);
    expect((await read({ text: '后端' }))['thirdPartyDepartments'].nodes).toMatchObject([{ id: '3' }]);
  });

  it('are checked live, with what to do in the WeCom console', async () => {
    const run = `mutation ($id: ID!) { runConnectionChecks(input: { id: $id }) {
      identitySource { connectionChecks { name outcome advice thirdPartyCode } } userErrors { code } } }`;
    const checks = async () =>
      (await rollcall.api.request<Answer>(run, { id: source })).runConnectionChecks.identitySource.connectionChecks as {
        name: string;
        outcome: string;
        thirdPartyCode: string | null;
        advice: string | null;
      }[];
    expect(Object.fromEntries((await checks()).map((c) => [c.name, c.outcome]))).toMatchObject({
      CREDENTIAL: 'PASSED',
      TRUSTED_IP: 'PASSED',
      CONTACT_PERMISSION: 'PASSED',
      VISIBILITY_SCOPE: 'PASSED',
      FIELD_COVERAGE: 'WARNING',
    });
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 60020, path: 'agent/get' });
    const refused = await checks();
    expect(refused).toContainEqual(
      expect.objectContaining({ name: 'TRUSTED_IP', outcome: 'FAILED', thirdPartyCode: '60020' }),
    );
    expect(refused.find((c) => c.name === 'TRUSTED_IP')?.advice).toContain('可信IP');
    rollcall.sandbox.faults.clear();
    expect((await read())['connectionChecks']).toHaveLength(refused.length);
  });

  it('are changed by one of two people at once', async () => {
    const answers = await Promise.all([1, 2].map((n) => configure({ version: 2, safeguards: { maxRemovals: n } })));
    const codes = answers.flatMap((answer) => answer.userErrors.map((error) => error.code));
    expect(codes).toEqual(['VERSION_CONFLICT']);
  });

  it('keep removals within limits that can be set', async () => {
    expect(
      (await configure({ safeguards: { minimumObjects: 0, maxRemovals: 0, leaverGraceDays: 400 } })).userErrors,
    ).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'safeguards', 'leaverGraceDays'] }]);
    await configure({ safeguards: { minimumObjects: 0, maxRemovals: 0 } });
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
    expect((await synchronize(rollcall, source)).status).toBe('HELD');
  });
});

describe('automatic synchronization', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterEach(() => rollcall.stop());

  const SET = `mutation ($input: SetAutomaticSynchronizationInput!) { setAutomaticSynchronization(input: $input) {
    identitySource { automaticSynchronization { enabled nextRunAt } } userErrors { code } } }`;
  const set = async (enabled: boolean) =>
    (await rollcall.api.request<Answer>(SET, { input: { id: source, enabled } })).setAutomaticSynchronization
      .identitySource.automaticSynchronization as { enabled: boolean; nextRunAt: string | null };
  const due = () =>
    rollcall.sql.query(`UPDATE identity_source SET next_run_at = now() - interval '3 days' WHERE type = 'WECOM'`);
  const tasks = async () =>
    (await rollcall.sql.query(`SELECT trigger, status, includes_employees FROM sync_task ORDER BY id`)).rows;
  const settled = async (count: number) => {
    for (let i = 0; i < 100; i++) {
      const rows = await tasks();
      if (rows.length >= count && rows.every((row) => !['QUEUED', 'RUNNING'].includes(row.status))) return rows;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return tasks();
  };

  it('runs once when it is due, however long that was missed, and then a cycle later', async () => {
    await due();
    expect(await settled(1)).toEqual([{ trigger: 'SCHEDULED', status: 'SUCCEEDED', includes_employees: true }]);
    const { rows } = await rollcall.sql.query(
      `SELECT extract(epoch FROM next_run_at - now()) / 3600 AS hours FROM identity_source WHERE type = 'WECOM'`,
    );
    expect(Number(rows[0].hours)).toBeGreaterThan(23.9);
    expect(Number(rows[0].hours)).toBeLessThan(24.1);
    await rollcall.restart();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await tasks()).toHaveLength(1);
  });

  it.each(['PREVIEW', 'APPLY'])(
    'stays due while a task in mode %s is open, and runs once that has ended',
    async (mode) => {
      rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 2_000, path: 'user/list', times: 1 });
      await startTask(rollcall.api, source, { mode });
      await due();
      const [first, second] = await settled(2);
      expect(first).toMatchObject({ trigger: 'MANUAL', status: 'SUCCEEDED' });
      expect(second).toMatchObject({ trigger: 'SCHEDULED', status: 'SUCCEEDED' });
    },
  );

  it('runs once also when several processes look at the same moment', async () => {
    const second = await startServer(rollcall.config, pino({ level: 'silent' }));
    try {
      await due();
      expect(await settled(1)).toHaveLength(1);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(await tasks()).toHaveLength(1);
    } finally {
      await second.stop();
    }
  });

  it('does nothing while it is off, and says so', async () => {
    expect(await set(false)).toEqual({ enabled: false, nextRunAt: null });
    await due();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await tasks()).toEqual([]);
    expect((await set(true)).nextRunAt).not.toBeNull();
  });

  it('brings departments only without user information, and removes none that somebody is in', async () => {
    await synchronize(rollcall, source);
    const configure = `mutation ($id: ID!) { configureSynchronization(input: { id: $id,
      automaticSynchronization: { synchronizeUserInformation: false } }) { userErrors { code } } }`;
    await rollcall.api.request(configure, { id: source });
    change(rollcall.sandbox, ({ departments, users }) => {
      departments.set(5, { id: 5, parentId: 1, name: '新部门', order: 1 });
      departments.delete(4);
      users.set('neu', user('neu', '新人', [5]));
      for (const id of ['wangwu', 'zhaoliu'])
        users.set(id, { ...(users.get(id) as SandboxUser), departments: [5], mainDepartment: 5 });
    });
    await due();
    expect((await settled(2))[1]).toEqual({ trigger: 'SCHEDULED', status: 'SUCCEEDED', includes_employees: false });
    const names = await rollcall.sql.query('SELECT name FROM department ORDER BY name');
    expect(names.rows.map((row) => row.name)).toEqual(expect.arrayContaining(['新部门', '市场部']));
    expect((await rollcall.sql.query(`SELECT 1 FROM employee WHERE username = 'neu'`)).rows).toEqual([]);
  });
});

describe('deleting a source', () => {
  it('is refused while it is enabled, takes everything out of the lists, and can be taken back', async () => {
    const rollcall = await startRollcall();
    try {
      const source = await connectSource(rollcall, '公司');
      await synchronize(rollcall, source);
      const mutate = async (name: string) =>
        (
          await rollcall.api.request<Answer>(
            `mutation ($id: ID!) { ${name}(input: { id: $id }) { identitySource { name status } userErrors { code } } }`,
            { id: source },
          )
        )[name];
      expect((await mutate('deleteIdentitySource')).userErrors).toEqual([{ code: 'SOURCE_ENABLED' }]);
      await mutate('disableIdentitySource');
      expect((await mutate('deleteIdentitySource')).userErrors).toEqual([]);
      const lists = `{ identitySources { nodes { id type } } employees { nodes { id } } departments { nodes { id } } }`;
      const gone = await rollcall.api.request<Answer>(lists);
      expect(gone.identitySources.nodes.filter((s: { type: string }) => s.type === 'WECOM')).toEqual([]);
      expect(gone.employees.nodes).toEqual([]);
      expect(gone.departments.nodes).toEqual([]);
      await createSource(rollcall.api, { type: 'CUSTOM', name: '公司', status: 'CLOSED' });
      expect(await mutate('restoreIdentitySource')).toEqual({
        identitySource: { name: '公司-2', status: 'CLOSED' },
        userErrors: [],
      });
      expect((await rollcall.api.request<Answer>(lists)).employees.nodes).toHaveLength(4);
      expect((await mutate('restoreIdentitySource')).userErrors).toEqual([{ code: 'NOT_FOUND' }]);
    } finally {
      await rollcall.stop();
    }
  });
});
