import {
  type DirectoryPage,
  GoneUnlessListed,
  hasGroups,
  NotPermitted,
  type ReadOptions,
  type ThirdPartyGroup,
} from '../../../src/connector/directory-connector';
import { openWecomConnector } from '../../../src/connector/wecom/wecom.connector';
import type { FaultInput } from '../../../src/sandbox/faults';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../src/sandbox/sandbox';
import { change, smallCompany, user } from '../../setup/rollcall';

describe('the WeCom connector', () => {
  let sandbox: Sandbox;
  const waits: number[] = [];
  const signal = new AbortController().signal;
  const reading: ReadOptions = { signal, knownDigest: () => undefined, alreadyRead: () => false };

  afterEach(() => sandbox.close());
  const open = async (options: Partial<SandboxOptions> = {}, secret?: string, callTimeoutMs?: number) => {
    sandbox = await startSandbox({ organization: smallCompany(), ...options });
    waits.length = 0;
    let token: Promise<string> | undefined;
    const { settings } = sandbox.company;
    return openWecomConnector(
      { corpId: settings.corpId, agentId: settings.agentId, secret: secret ?? settings.secret },
      {
        apiUrl: `${sandbox.url}/`,
        ...(callTimeoutMs ? { callTimeoutMs } : {}),
        callsPerMinute: 1_000_000,
        tokens: {
          token: (_key, fetch, rejected) => {
            if (!token || rejected) token = fetch().then((t) => t.token);
            return token;
          },
        },
        pause: async (ms) => {
          waits.push(ms);
        },
      },
    );
  };
  const fault = (input: FaultInput) => sandbox.faults.add(input);
  const departments = async (connector: Awaited<ReturnType<typeof open>>) => {
    const ids: string[] = [];
    for await (const { content } of connector.departments(await connector.extent(signal), reading))
      if (content.kind === 'read') ids.push(...content.objects.map((d) => d.externalId));
    return ids.sort();
  };
  const readAll = async (connector: Awaited<ReturnType<typeof open>>, options: ReadOptions = reading) => {
    const extent = await connector.extent(signal);
    const departments: string[] = [];
    for await (const page of connector.departments(extent, options)) {
      if (page.content.kind === 'read') departments.push(...page.content.objects.map((d) => d.externalId));
    }
    const pages: DirectoryPage<{ externalId: string }>[] = [];
    for await (const page of connector.employees(extent, departments, options)) pages.push(page);
    return pages.sort((a, b) => (a.key < b.key ? -1 : 1));
  };
  const people = (pages: readonly DirectoryPage<{ externalId: string }>[]) =>
    [
      ...new Set(pages.flatMap((p) => (p.content.kind === 'read' ? p.content.objects.map((e) => e.externalId) : []))),
    ].sort();

  it('reads everybody, department by department', async () => {
    expect(people(await readAll(await open()))).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
  });

  it('reads once whoever and whatever the visible range names twice, also in another case', async () => {
    const connector = await open();
    change(sandbox, ({ tags }) => {
      tags.set(7, { id: 7, name: '协会', users: ['wangwu', 'WangWu', 'ZhaoLiu'], departments: [4, 4, 2] });
      tags.set(8, { id: 8, name: '社团', users: ['wangwu'], departments: [4] });
    });
    sandbox.company.setRange({ departments: [2, 2], users: ['zhaoliu', 'ZhaoLiu', 'zhaoliu'], tags: [7, 8, 7] });
    const extent = await connector.extent(signal);
    expect(extent).toEqual({ departmentIds: ['2'], employeeIds: ['ZhaoLiu'], groupIds: ['7', '8'] });
    const pages: string[] = [];
    for await (const page of connector.employees(extent, ['2'], reading)) pages.push(page.key);
    expect(pages.sort()).toEqual(['employee:ZhaoLiu', 'employee:wangwu', 'employees-of:2', 'employees-of:4']);
  });

  it('does not parse an answer whose digest is known', async () => {
    const connector = await open();
    const known = new Map(
      (await readAll(connector)).map((p) => [p.key, p.content.kind === 'read' ? p.content.digest : '']),
    );
    const again = await readAll(connector, { ...reading, knownDigest: (key) => known.get(key) });
    expect(new Set(again.map((p) => p.content.kind))).toEqual(new Set(['unchanged']));
  });

  it('fetches a new token once when the old one is refused', async () => {
    const connector = await open();
    await connector.extent(signal);
    sandbox.company.revokeToken();
    await connector.extent(signal);
    expect(sandbox.calls.get('gettoken')).toBe(2);
  });

  it('stops where the new token is refused as well', async () => {
    const connector = await open();
    change(sandbox, ({ departments }) => {
      for (let id = 10; id < 60; id++) departments.set(id, { id, parentId: 1, name: `d${id}`, order: 1 });
    });
    fault({ kind: 'errcode', errcode: 40014, path: 'user/list' });
    await expect(readAll(connector)).rejects.toMatchObject({ thirdPartyCode: '40014', stopsReading: true });
    expect(sandbox.calls.get('user/list')).toBeLessThan(20);
  });

  it('tries again on busy, HTTP errors, resets and cut answers, at most three times', async () => {
    const connector = await open();
    for (const kind of ['http500', 'reset', 'truncated', 'malformed'] as const)
      fault({ kind, path: 'agent/get', times: 1 });
    fault({ kind: 'errcode', errcode: -1, path: 'department/list', times: 3 });
    await expect(connector.extent(signal)).rejects.toMatchObject({ code: 'UPSTREAM_UNREACHABLE' });
    sandbox.faults.clear();
    fault({ kind: 'errcode', errcode: -1, path: 'agent/get', times: 3 });
    await expect(connector.extent(signal)).resolves.toMatchObject({ departmentIds: ['1'] });
  });

  it.each(['marked', 'compressed'] as const)('reads what stands in between makes of an answer: %s', async (kind) => {
    const connector = await open();
    fault({ kind });
    expect(people(await readAll(connector))).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
    expect(waits.filter((ms) => ms > 0)).toEqual([]);
  });

  it('takes an answer that does not end for none', async () => {
    const connector = await open({}, undefined, 50);
    fault({ kind: 'dripping', milliseconds: 5, path: 'agent/get' });
    await expect(connector.extent(signal)).rejects.toMatchObject({
      code: 'UPSTREAM_UNREACHABLE',
      message: expect.stringContaining('no whole answer in time'),
    });
    expect(sandbox.calls.get('agent/get')).toBe(4);
  });

  it('waits a minute where the frequency limit is reached, and counts it', async () => {
    const connector = await open();
    fault({ kind: 'errcode', errcode: 45009, path: 'agent/get', times: 1 });
    await connector.extent(signal);
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(60_000);
    expect(connector.statistics().throttledMs).toBeGreaterThanOrEqual(60_000);
  });

  it.each([1, 2])('reads everybody where no more than %d calls may run at the same time', async (concurrency) => {
    const connector = await open({ concurrency });
    change(sandbox, ({ departments, users }) => {
      for (let id = 10; id < 30; id++) {
        departments.set(id, { id, parentId: 1, name: `d${id}`, order: 1 });
        users.set(`u${id}`, user(`u${id}`, '新人', [id]));
      }
    });
    fault({ kind: 'slow', milliseconds: 10, path: 'user/list' });
    const pages = await readAll(connector);
    expect(pages.filter((p) => p.content.kind === 'unreadable')).toEqual([]);
    expect(people(pages)).toHaveLength(24);
    // What was learned is kept: hardly anything is refused.
    expect(sandbox.calls.get('user/list')).toBeLessThan(24 + 8 + 8 + 4 + 2);
  });

  it('does not wait for ever where a single call is too many', async () => {
    const connector = await open();
    fault({ kind: 'errcode', errcode: 45033, path: 'agent/get' });
    await expect(connector.extent(signal)).rejects.toMatchObject({ thirdPartyCode: '45033' });
    expect(sandbox.calls.get('agent/get')).toBeLessThan(12);
  });

  it('reads a department that is too large for one answer person by person', async () => {
    const connector = await open({ maxMembersPerAnswer: 1 });
    expect(people(await readAll(connector))).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
  });

  describe('of a department that is too large, and of a member whom WeCom does not tell of by themselves', () => {
    const openWithLargeDepartment = async () => {
      const connector = await open({ maxMembersPerAnswer: 1 });
      change(sandbox, ({ users }) => users.set('neu', user('neu', '新人', [3])));
      sandbox.company.setRange({ departments: [3], users: [], tags: [] });
      return connector;
    };
    const onlyPage = async (reading: ReturnType<typeof readAll>) => {
      const [page, ...others] = await reading;
      expect(others).toEqual([]);
      return page?.content;
    };

    it.each([60111, 40003])('tells that WeCom still lists them: %d', async (errcode) => {
      const connector = await openWithLargeDepartment();
      fault({ kind: 'errcode', errcode, path: 'user/get', query: { userid: 'lisi' } });
      expect(await onlyPage(readAll(connector))).toMatchObject({
        objects: [{ externalId: 'neu' }, { externalId: 'wangwu' }],
        problems: ['WeCom lists lisi, and does not tell of them by themselves.'],
      });
    });

    it('tells nothing where they have gone since', async () => {
      const connector = await openWithLargeDepartment();
      fault({ kind: 'slow', milliseconds: 50, path: 'user/get', query: { userid: 'lisi' } });
      const page = onlyPage(readAll(connector));
      while (!sandbox.calls.get('user/get')) await new Promise(setImmediate);
      change(sandbox, ({ users }) => users.delete('lisi'));
      expect(await page).toMatchObject({ objects: [{ externalId: 'neu' }, { externalId: 'wangwu' }], problems: [] });
    });
  });

  it('names the page that could not be read and goes on', async () => {
    const connector = await open();
    fault({ kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '3' } });
    const pages = await readAll(connector);
    expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['employees-of:3']);
    expect(people(pages)).toEqual(['wangwu', 'zhangsan', 'zhaoliu']);
  });

  describe('where many departments in a row cannot be read', () => {
    const MANY = Array.from({ length: 30 }, (_, i) => i + 10);
    const openWithMany = async () => {
      const connector = await open();
      change(sandbox, ({ departments }) => {
        for (const id of MANY) departments.set(id, { id, parentId: 3, name: `d${id}`, order: 1 });
      });
      return connector;
    };

    it('reads all others as long as WeCom answers anything', async () => {
      const connector = await openWithMany();
      for (const id of MANY) fault({ kind: 'http500', path: 'user/list', query: { department_id: String(id) } });
      const pages = await readAll(connector);
      expect(pages.filter((p) => p.content.kind === 'unreadable')).toHaveLength(MANY.length);
      expect(people(pages)).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
    });

    it.each([
      ['does not', { kind: 'http500' }],
      ['sets a limit', { kind: 'errcode', errcode: 45009, path: 'user/list' }],
    ] as const)('gives up where it %s', async (_what, answer) => {
      const connector = await openWithMany();
      fault({ ...answer, skip: answer.kind === 'http500' ? 3 : 0 });
      await expect(readAll(connector)).rejects.toMatchObject({ code: expect.stringMatching('UPSTREAM_') });
      expect(sandbox.calls.get('user/list')).toBeLessThan(100);
    });
  });

  it('says what to do about a wrong secret, without showing it', async () => {
    const connector = await open({}, 'planted-secret');
    const error = await connector.extent(signal).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'UPSTREAM_REFUSED', thirdPartyCode: '40001' });
    expect(JSON.stringify(error) + String(error)).not.toContain('planted-secret');
  });

  it('sees people by themselves and by a tag where no department is visible', async () => {
    const connector = await open();
    change(sandbox, ({ tags }) => tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [4] }));
    sandbox.company.setRange({ departments: [], users: ['zhangsan'], tags: [7] });
    expect(people(await readAll(connector))).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
  });

  describe('sees a tag’s departments with all below them', () => {
    const everybody = ['lisi', 'wangwu', 'zhangsan'];
    const openWithTag = async () => {
      const connector = await open();
      change(sandbox, ({ departments, tags }) => {
        departments.set(5, { id: 5, parentId: 3, name: '前端组', order: 1 });
        tags.set(7, { id: 7, name: '协会', users: [], departments: [2] });
      });
      sandbox.company.setRange({ departments: [], users: [], tags: [7] });
      return connector;
    };

    it.each([
      ['no department', { refusesWithoutDepartments: false, listsTaggedDepartments: false }],
      ['an error', { refusesWithoutDepartments: true, listsTaggedDepartments: false }],
      ['them', { refusesWithoutDepartments: false, listsTaggedDepartments: true }],
    ])('where the list of departments has %s', async (_what, switches) => {
      const connector = await openWithTag();
      Object.assign(sandbox.company, switches);
      const pages = await readAll(connector);
      expect(pages.map((p) => [p.key, p.content.kind])).toEqual([
        ['employees-of:2', 'read'],
        ['employees-of:3', 'read'],
        ['employees-of:5', 'read'],
      ]);
      expect(people(pages)).toEqual(everybody);
      expect(await departments(connector)).toEqual(['2', '3', '5']);
    });

    it('though no department is told to whoever asks for them', async () => {
      const connector = await openWithTag();
      fault({ kind: 'errcode', errcode: 60011, path: 'department/list', query: { id: '2' } });
      expect(await departments(connector)).toEqual([]);
      expect(people(await readAll(connector))).toEqual(everybody);
    });

    it.each([{ kind: 'errcode', errcode: -1 }, { kind: 'empty' }, { kind: 'listless' }] as const)(
      'and says so where they are not listed to whoever asks for them: %j',
      async (answer) => {
        const connector = await openWithTag();
        fault({ ...answer, path: 'department/list', query: { id: '2' } });
        const pages: DirectoryPage<{ externalId: string }>[] = [];
        for await (const page of connector.departments(await connector.extent(signal), reading)) pages.push(page);
        expect(pages.map((p) => [p.key, p.content.kind])).toEqual([
          ['departments', 'read'],
          ['departments:2', 'unreadable'],
        ]);
      },
    );

    it.each([true, false])(
      'and takes none for empty that is refused, whether they are listed or not: %s',
      async (listed) => {
        const connector = await openWithTag();
        sandbox.company.listsTaggedDepartments = listed;
        fault({ kind: 'errcode', errcode: 60011, path: 'user/list', query: { department_id: '3' } });
        const pages = await readAll(connector);
        expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['employees-of:3']);
      },
    );

    it.each([{ kind: 'errcode', errcode: 60011 }, { kind: 'empty' }, { kind: 'listless' }] as const)(
      'and says so where those below cannot be told: %j',
      async (answer) => {
        const connector = await openWithTag();
        fault({ kind: 'errcode', errcode: 60011, path: 'department/list', query: { id: '2' } });
        fault({ ...answer, path: 'department/simplelist' });
        const pages = await readAll(connector);
        expect(pages.map((p) => [p.key, p.content.kind])).toEqual([
          ['departments-below:2', 'unreadable'],
          ['employees-of:2', 'read'],
        ]);
      },
    );

    it('unless they were deleted since', async () => {
      const connector = await openWithTag();
      for (const path of ['department/list', 'department/simplelist'])
        fault({ kind: 'errcode', errcode: 60003, path, query: { id: '2' } });
      expect(await readAll(connector)).toEqual([]);
    });
  });

  it.each(['nulls', 'trimmed'] as const)(
    'sees people in no visible department, however that is told: %s',
    async (kind) => {
      const connector = await open();
      sandbox.company.setRange({ departments: [4], users: ['lisi'], tags: [] });
      fault({ kind, path: 'user/get' });
      expect(await connector.employee('lisi', signal)).toMatchObject({ memberships: [], mainDepartmentId: null });
      expect(people(await readAll(connector))).toEqual(['lisi', 'wangwu', 'zhaoliu']);
    },
  );

  it('takes nobody for being in no department whose answer was cut, and sends nobody to the firewall for it', async () => {
    const connector = await open();
    fault({ kind: 'listless', path: 'user/get' });
    await expect(connector.employee('lisi', signal)).rejects.toMatchObject({
      message: expect.stringContaining('not as documented'),
      advice: expect.not.stringContaining('firewall'),
    });
  });

  it('does not stop where it may not read a tag that the visible range names', async () => {
    const connector = await open();
    change(sandbox, ({ tags }) => tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [] }));
    sandbox.company.setRange({ departments: [4], users: [], tags: [7] });
    fault({ kind: 'errcode', errcode: 48002, path: 'tag/get' });
    const pages = await readAll(connector);
    expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['group:7']);
    expect(people(pages)).toEqual(['wangwu', 'zhaoliu']);
  });

  it('answers nothing for who or what is gone', async () => {
    const connector = await open();
    expect(await connector.employee('nobody', signal)).toBeUndefined();
    expect(await connector.department('99', signal)).toBeUndefined();
    expect(await connector.employee('LISI', signal)).toMatchObject({ externalId: 'lisi' });
  });

  it('takes a tag for gone that the visible range names and WeCom does not know any more', async () => {
    const connector = await open();
    sandbox.company.setRange({ departments: [4], users: [], tags: [99] });
    const pages = await readAll(connector);
    expect(pages.map((p) => [p.key, p.content.kind])).toEqual([['employees-of:4', 'read']]);
  });

  describe('takes for gone only what a code says of that kind of object', () => {
    const department3 = { path: 'user/list', query: { department_id: '3' } };

    it.each([60111, 40003, 46004, 50002, 60021, 60221, 40068, 81011])('not a department: %d', async (errcode) => {
      const connector = await open();
      fault({ kind: 'errcode', errcode, ...department3 });
      const pages = await readAll(connector);
      expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['employees-of:3']);
    });

    it.each([60003, 60123])('nor one that is still there: %d', async (errcode) => {
      const connector = await open();
      fault({ kind: 'errcode', errcode, ...department3 });
      const pages = await readAll(connector);
      expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['employees-of:3']);
      fault({ kind: 'errcode', errcode, path: 'department/get', query: { id: '3' } });
      expect((await readAll(connector)).map((p) => p.content.kind)).toEqual(['read', 'read', 'read', 'read']);
      expect(await connector.department('3', signal)).toBeUndefined();
    });

    it.each([81011, 60003, 60123, 40068, 60221])('not a member: %d', async (errcode) => {
      const connector = await open();
      fault({ kind: 'errcode', errcode, path: 'user/get' });
      await expect(connector.employee('lisi', signal)).rejects.toMatchObject({ thirdPartyCode: String(errcode) });
      await expect(connector.employee('nobody', signal)).rejects.toMatchObject({ thirdPartyCode: String(errcode) });
    });

    it.each([60111, 60011, 60021, 46004, 50002])('but a member: %d', async (errcode) => {
      const connector = await open();
      fault({ kind: 'errcode', errcode, path: 'user/get' });
      expect(await connector.employee('lisi', signal)).toBeUndefined();
    });

    it('and a member in doubt where their id is called invalid', async () => {
      const connector = await open();
      fault({ kind: 'errcode', errcode: 40003, path: 'user/get' });
      await expect(connector.employee('lisi', signal)).rejects.toBeInstanceOf(GoneUnlessListed);
    });
  });

  it.each(['nulls', 'trimmed', 'empty'] as const)(
    'sees an empty visible range, however it is told: %s',
    async (kind) => {
      const connector = await open();
      sandbox.company.setRange({ departments: [], users: [], tags: [] });
      fault({ kind, path: 'agent/get' });
      expect(await connector.extent(signal)).toEqual({ departmentIds: [], employeeIds: [], groupIds: [] });
      sandbox.faults.clear();
      // But not in an answer that is none about the app.
      fault({ kind: 'bare', path: 'agent/get' });
      await expect(connector.extent(signal)).rejects.toMatchObject({ code: 'UPSTREAM_UNREACHABLE' });
    },
  );

  it('takes null for an empty list of members, but not that there is none', async () => {
    const connector = await open();
    const problems = async () =>
      (await readAll(connector)).flatMap((p) => (p.content.kind === 'read' ? p.content.problems : []));
    fault({ kind: 'nulls', path: 'user/list' });
    expect(await problems()).toEqual([]);
    sandbox.faults.clear();
    fault({ kind: 'trimmed', path: 'user/list' });
    expect(await problems()).toEqual(['The answer has no list "userlist".']);
  });

  it.each<[string, Partial<SandboxOptions>, Parameters<Sandbox['company']['setRange']>[0]]>([
    ['in the list of a department', {}, { departments: [1], users: [], tags: [] }],
    ['of a large department', { maxMembersPerAnswer: 1 }, { departments: [1], users: [], tags: [] }],
    ['by themselves', {}, { departments: [], users: ['neu'], tags: [] }],
  ])('tells of a status that is none of WeCom’s, %s', async (_where, options, range) => {
    const connector = await open(options);
    change(sandbox, ({ users }) => users.set('neu', user('neu', '新人', [4], { status: 3 })));
    sandbox.company.setRange(range);
    const contents = (await readAll(connector)).map((page) => page.content);
    const problems = contents.flatMap((content) => (content.kind === 'read' ? content.problems : []));
    expect(problems).toEqual(['The status of neu is none that WeCom documents (3); they count as not activated.']);
  });

  describe('reads tags as groups', () => {
    const openWithTags = async () => {
      const connector = await open();
      change(sandbox, ({ tags }) => {
        tags.set(7, { id: 7, name: '协会', users: ['lisi', 'wangwu'], departments: [4] });
        tags.set(8, { id: 8, name: '空', users: [], departments: [] });
      });
      if (!hasGroups(connector)) throw new Error('WeCom has groups.');
      return connector;
    };
    const readGroups = async (connector: Awaited<ReturnType<typeof openWithTags>>, options: ReadOptions = reading) => {
      const pages: DirectoryPage<ThirdPartyGroup>[] = [];
      for await (const page of connector.groups(options)) pages.push(page);
      return pages;
    };
    const kinds = (pages: readonly DirectoryPage<ThirdPartyGroup>[]) =>
      Object.fromEntries(pages.map((page) => [page.key, page.content.kind]));

    it('each with its people and departments, and their list last', async () => {
      const pages = await readGroups(await openWithTags());
      expect(kinds(pages)).toEqual({ 'group:7': 'read', 'group:8': 'read', groups: 'read' });
      expect(pages.at(-1)?.key).toBe('groups');
      expect(pages.find((page) => page.key === 'group:7')?.content).toMatchObject({
        objects: [{ externalId: '7', fields: { name: '协会' }, employeeIds: ['lisi', 'wangwu'], departmentIds: ['4'] }],
      });
    });

    it('with one call where there are none, and none parsed again that is known', async () => {
      const connector = await openWithTags();
      const known = new Map(
        (await readGroups(connector)).map((p) => [p.key, p.content.kind === 'read' ? p.content.digest : '']),
      );
      const again = await readGroups(connector, { ...reading, knownDigest: (key) => known.get(key) });
      expect(kinds(again)).toEqual({ 'group:7': 'unchanged', 'group:8': 'unchanged', groups: 'read' });
      expect(await readGroups(connector, { ...reading, alreadyRead: (key) => known.has(key) })).toEqual([]);
      change(sandbox, ({ tags }) => tags.clear());
      const calls = connector.statistics().calls;
      expect(kinds(await readGroups(connector))).toEqual({ groups: 'read' });
      expect(connector.statistics().calls).toBe(calls + 1);
    });

    it.each([48001, 48002, 60011, 81011])('and says where it may not: %d', async (errcode) => {
      const connector = await openWithTags();
      fault({ kind: 'errcode', errcode, path: 'tag/list' });
      await expect(readGroups(connector)).rejects.toMatchObject({ thirdPartyCode: String(errcode) });
      await expect(readGroups(connector)).rejects.toBeInstanceOf(NotPermitted);
    });

    it('with null for an empty list, and without a list of people beside one of departments', async () => {
      const connector = await openWithTags();
      change(sandbox, ({ tags }) => {
        tags.set(9, { id: 9, name: '部门', users: [], departments: [4] });
        tags.set(10, { id: 10, name: '人', users: ['lisi'], departments: [] });
      });
      const told = async (kind: 'nulls' | 'trimmed') => {
        sandbox.faults.clear();
        fault({ kind, path: 'tag/get' });
        const pages = await readGroups(connector);
        return Object.fromEntries(
          pages.map(({ key, content }) => {
            if (content.kind !== 'read' || content.problems.length > 0) return [key, 'incomplete'];
            return [key, content.objects.map((group) => [group.employeeIds, group.departmentIds])];
          }),
        );
      };
      const others = { 'group:7': [[['lisi', 'wangwu'], ['4']]], 'group:9': [[[], ['4']]], groups: [] };
      expect(await told('nulls')).toEqual({ ...others, 'group:8': [[[], []]], 'group:10': [[['lisi'], []]] });
      // Of departments beside people nothing is told.
      expect(await told('trimmed')).toEqual({
        ...others,
        'group:8': 'incomplete',
        'group:10': [[['lisi'], undefined]],
      });
      change(sandbox, ({ tags }) => tags.clear());
      fault({ kind: 'nulls', path: 'tag/list' });
      expect((await readGroups(connector)).map((page) => page.content)).toMatchObject([{ kind: 'read', problems: [] }]);
    });

    it('and names the one that cannot be read, whatever the reason', async () => {
      const connector = await openWithTags();
      for (const errcode of [81011, 60011, 40058, -1]) {
        fault({ kind: 'errcode', errcode, path: 'tag/get', query: { tagid: '7' } });
        expect([errcode, kinds(await readGroups(connector))]).toEqual([
          errcode,
          { 'group:7': 'unreadable', 'group:8': 'read', groups: 'read' },
        ]);
        sandbox.faults.clear();
      }
      fault({ kind: 'errcode', errcode: -1, path: 'tag/list' });
      expect(kinds(await readGroups(connector))).toEqual({ groups: 'unreadable' });
    });

    it('and gives up on them, not on everything, when WeCom answers nothing', async () => {
      const connector = await openWithTags();
      change(sandbox, ({ tags }) => {
        for (let id = 10; id < 40; id++) tags.set(id, { id, name: `t${id}`, users: [], departments: [] });
      });
      fault({ kind: 'http500', path: 'tag/get' });
      const pages = await readGroups(connector);
      expect(pages.length).toBeLessThan(12);
      expect(new Set(Object.values(kinds(pages)))).toEqual(new Set(['unreadable']));
      expect(pages.at(-1)?.key).toBe('groups');
    });

    it('one by one: gone is what WeCom does not know, or lists no more', async () => {
      const connector = await openWithTags();
      expect(await connector.group('7', signal)).toMatchObject({ externalId: '7', employeeIds: ['lisi', 'wangwu'] });
      expect(await connector.group('99', signal)).toBeUndefined();
      fault({ kind: 'errcode', errcode: 81011, path: 'tag/get' });
      await expect(connector.group('7', signal)).rejects.toMatchObject({ thirdPartyCode: '81011' });
      expect(await connector.group('99', signal)).toBeUndefined();
      fault({ kind: 'errcode', errcode: 48002, path: 'tag/list' });
      await expect(connector.group('99', signal)).rejects.toMatchObject({ thirdPartyCode: '81011' });
    });

    it('and not one that was deleted between the list and its turn', async () => {
      const connector = await openWithTags();
      fault({ kind: 'errcode', errcode: 40068, path: 'tag/get', query: { tagid: '8' } });
      const pages = await readGroups(connector);
      expect(pages.find((page) => page.key === 'group:8')?.content).toMatchObject({ kind: 'read', objects: [] });
    });
  });
});
