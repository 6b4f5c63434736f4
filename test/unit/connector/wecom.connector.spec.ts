import type { DirectoryPage, ReadOptions } from '../../../src/connector/directory-connector';
import { openWecomConnector } from '../../../src/connector/wecom/wecom.connector';
import type { FaultInput } from '../../../src/sandbox/faults';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../src/sandbox/sandbox';
import { change, smallCompany } from '../../setup/rollcall';

describe('the WeCom connector', () => {
  let sandbox: Sandbox;
  const waits: number[] = [];
  const signal = new AbortController().signal;
  const reading: ReadOptions = { signal, knownDigest: () => undefined, alreadyRead: () => false };

  afterEach(() => sandbox.close());
  const open = async (options: Partial<SandboxOptions> = {}, secret?: string) => {
    sandbox = await startSandbox({ organization: smallCompany(), ...options });
    waits.length = 0;
    let token: Promise<string> | undefined;
    const { settings } = sandbox.company;
    return openWecomConnector(
      { corpId: settings.corpId, agentId: settings.agentId, secret: secret ?? settings.secret },
      {
        apiUrl: `${sandbox.url}/`,
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

  it('waits a minute where the frequency limit is reached, and counts it', async () => {
    const connector = await open();
    fault({ kind: 'errcode', errcode: 45009, path: 'agent/get', times: 1 });
    await connector.extent(signal);
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(60_000);
    expect(connector.statistics().throttledMs).toBeGreaterThanOrEqual(60_000);
  });

  it('reads a department that is too large for one answer person by person', async () => {
    const connector = await open({ maxMembersPerAnswer: 1 });
    expect(people(await readAll(connector))).toEqual(['lisi', 'wangwu', 'zhangsan', 'zhaoliu']);
  });

  it('names the page that could not be read and goes on', async () => {
    const connector = await open();
    fault({ kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '3' } });
    const pages = await readAll(connector);
    expect(pages.filter((p) => p.content.kind === 'unreadable').map((p) => p.key)).toEqual(['employees-of:3']);
    expect(people(pages)).toEqual(['wangwu', 'zhangsan', 'zhaoliu']);
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

  it('answers nothing for who or what is gone', async () => {
    const connector = await open();
    expect(await connector.employee('nobody', signal)).toBeUndefined();
    expect(await connector.department('99', signal)).toBeUndefined();
    expect(await connector.employee('LISI', signal)).toMatchObject({ externalId: 'lisi' });
  });
});
