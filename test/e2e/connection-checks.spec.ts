import { freePort } from '../../src/demo/free-port';
import { impatiently } from '../setup/impatient';
import { PROVIDER_ENVIRONMENT, TEMPLATE_KEYS } from '../setup/provider';
import { change, connectSource, createSource, startRollcall, type TestRollcall } from '../setup/rollcall';

interface Check {
  name: string;
  outcome: string;
  message: string;
  advice: string | null;
  thirdPartyCode: string | null;
}

const CHECK = `mutation ($id: ID!) { runConnectionChecks(input: { id: $id }) {
  identitySource { connectionChecks { name outcome message advice thirdPartyCode } } userErrors { code } } }`;
const CALLBACK = `mutation ($id: ID!, $keys: WecomCallbackInput) {
  updateIdentitySource(input: { id: $id, wecomCallback: $keys }) { identitySource { wecom { callbackUrl } } userErrors { code field } } }`;
/** Longer than anything waits in {@link impatiently}. */
const SLOW_MS = 1_500;

describe('the connection doctor', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    const port = await freePort();
    const environment = {
      ...PROVIDER_ENVIRONMENT,
      PORT: String(port),
      ROLLCALL_PUBLIC_URL: `http://127.0.0.1:${port}`,
    };
    rollcall = await startRollcall({ environment });
    source = await connectSource(rollcall);
  });
  afterEach(() => rollcall.sandbox.faults.clear());
  afterAll(() => rollcall.stop());

  const check = async (id: string): Promise<Map<string, Check>> => {
    const answer = await rollcall.api.request<{
      runConnectionChecks: { identitySource: { connectionChecks: Check[] } };
    }>(CHECK, { id });
    return new Map(answer.runConnectionChecks.identitySource.connectionChecks.map((c) => [c.name, c]));
  };

  /** The source of the company that has scanned the template's code. */
  const customised = async (): Promise<string> => {
    for (let i = 0; i < 400; i++) {
      const { identitySources } = await rollcall.api.request<{
        identitySources: { nodes: { id: string; wecom: { mode: string } | null }[] };
      }>('{ identitySources { nodes { id wecom { mode } } } }');
      const source = identitySources.nodes.find((s) => s.wecom?.mode === 'SERVICE_PROVIDER');
      if (source) return source.id;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error('No company has appeared.');
  };

  it('tries everything that can be wrong in the console', async () => {
    const checks = await check(source);
    expect([...checks.keys()].sort()).toEqual([
      'CALLBACK',
      'CLOCK',
      'CONTACT_PERMISSION',
      'CREDENTIAL',
      'DIRECTORY_GROUPS',
      'FIELD_COVERAGE',
      'INTERFACE_LICENCE',
      'RATE_LIMIT',
      'TRUSTED_IP',
      'VISIBILITY_SCOPE',
    ]);
    for (const { outcome, advice } of checks.values()) expect(outcome === 'PASSED' || advice !== null).toBe(true);
  });

  it('says what of tags may not be read, and where that is set', async () => {
    const { company, faults } = rollcall.sandbox;
    const groups = async () => (await check(source)).get('DIRECTORY_GROUPS');
    expect(await groups()).toMatchObject({ outcome: 'PASSED', message: expect.stringContaining('none') });
    company.change(() => company.organization.tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [] }));
    expect(await groups()).toMatchObject({ outcome: 'PASSED', message: expect.stringContaining('1 come') });
    faults.add({ kind: 'errcode', errcode: 81011, path: 'tag/get', query: { tagid: '7' } });
    expect(await groups()).toMatchObject({
      outcome: 'WARNING',
      message: expect.stringContaining('Tag 7'),
      advice: expect.stringContaining('可见范围'),
      thirdPartyCode: '81011',
    });
    faults.clear();
    faults.add({ kind: 'errcode', errcode: 48002, path: 'tag/list' });
    expect(await groups()).toMatchObject({
      outcome: 'WARNING',
      message: expect.stringContaining('left alone'),
      advice: expect.stringContaining('自建'),
      thirdPartyCode: '48002',
    });
    faults.clear();
  });

  it('calls the callback address as WeCom does, and says which step is missing', async () => {
    const callback = async () => (await check(source)).get('CALLBACK');
    expect(await callback()).toMatchObject({
      outcome: 'WARNING',
      advice: expect.stringContaining('设置接收事件服务器'),
    });
    const { updateIdentitySource } = await rollcall.api.request<{
      updateIdentitySource: { identitySource: { wecom: { callbackUrl: string } } };
    }>(CALLBACK, { id: source, keys: TEMPLATE_KEYS });
    const url = updateIdentitySource.identitySource.wecom.callbackUrl;
    expect(await callback()).toMatchObject({
      outcome: 'WARNING',
      message: expect.stringContaining('not called it yet'),
    });
    const { company } = rollcall.sandbox;
    company.callback = { address: { ...TEMPLATE_KEYS, url }, form: 'full' };
    company.push([{ changeType: 'update_user', fields: { UserID: 'lisi' } }]);
    await rollcall.sandbox.settled();
    expect(await callback()).toMatchObject({
      outcome: 'PASSED',
      message: expect.stringContaining('last called it at'),
    });
    await rollcall.api.request(CALLBACK, { id: source, keys: null });
    expect(await callback()).toMatchObject({ outcome: 'WARNING' });
  });

  it('says how long a customised app may go without licences, and what its provider has to do', async () => {
    const { provider, faults } = rollcall.sandbox;
    await provider.setTemplateCallback({ ...TEMPLATE_KEYS, url: rollcall.url.replace('/graphql', '/callbacks/wecom') });
    await rollcall.sandbox.settled();
    const { corpId } = provider.authorize({});
    await rollcall.sandbox.settled();
    const scanned = await customised();
    const checks = await check(scanned);
    expect(checks.get('INTERFACE_LICENCE')).toMatchObject({
      outcome: 'WARNING',
      message: expect.stringContaining('trial'),
      advice: expect.stringContaining('接口调用许可'),
    });
    expect(checks.get('CALLBACK')).toMatchObject({ outcome: 'WARNING' });
    faults.add({ kind: 'slow', milliseconds: SLOW_MS, path: 'license/get_app_license_info' });
    const late = await impatiently(() => check(scanned));
    expect(late.get('INTERFACE_LICENCE')).toMatchObject({
      outcome: 'FAILED',
      message: expect.stringContaining('in time'),
    });
    expect(late.get('CREDENTIAL')).toMatchObject({ outcome: 'PASSED' });
    faults.clear();
    const app = provider.appOf(corpId);
    Object.assign(app, { publishStatus: 1, untilOnline: 48002 });
    expect((await check(scanned)).get('CONTACT_PERMISSION')).toMatchObject({
      outcome: 'FAILED',
      advice: expect.stringContaining('online'),
      thirdPartyCode: '48002',
    });
    app.publishStatus = 2;
    app.allowedAddresses = ['192.0.2.1'];
    expect((await check(scanned)).get('TRUSTED_IP')).toMatchObject({
      outcome: 'FAILED',
      advice: expect.stringContaining('服务商后台'),
      thirdPartyCode: '60020',
    });
  });

  it('tells of a frequency limit that lasts longer than the checks', async () => {
    const { faults } = rollcall.sandbox;
    faults.add({ kind: 'errcode', errcode: 45009, path: 'agent/get' });
    const limited = await impatiently(() => check(source));
    expect(limited.get('RATE_LIMIT')).toMatchObject({
      outcome: 'FAILED',
      advice: expect.stringContaining('WECOM_CALLS_PER_MINUTE'),
      thirdPartyCode: '45009',
    });
    expect([limited.get('CREDENTIAL')?.outcome, limited.get('FIELD_COVERAGE')?.outcome]).toEqual([
      'SKIPPED',
      'SKIPPED',
    ]);
    faults.clear();
    faults.add({ kind: 'errcode', errcode: 45009, path: 'department/list' });
    const later = await impatiently(() => check(source));
    expect(later.get('RATE_LIMIT')).toMatchObject({ outcome: 'FAILED', thirdPartyCode: '45009' });
    expect(later.get('CREDENTIAL')).toMatchObject({ outcome: 'PASSED' });
    expect(later.get('DIRECTORY_GROUPS')).toMatchObject({
      outcome: 'SKIPPED',
      message: expect.stringContaining('time'),
    });
    faults.clear();
  });

  it('accepts a range of members or tags alone, whichever way WeCom answers that there is no department', async () => {
    const { company } = rollcall.sandbox;
    company.setRange({ departments: [], users: ['lisi'], tags: [] });
    for (const refuses of [false, true]) {
      company.refusesWithoutDepartments = refuses;
      const checks = await check(source);
      expect(checks.get('CONTACT_PERMISSION')).toMatchObject({ outcome: 'PASSED' });
      expect(checks.get('VISIBILITY_SCOPE')).toMatchObject({ outcome: 'WARNING' });
      expect(checks.get('FIELD_COVERAGE')).toMatchObject({ outcome: 'WARNING' });
    }
    company.setRange({ departments: [1], users: [], tags: [] });
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 60011, path: 'department/list' });
    expect((await check(source)).get('CONTACT_PERMISSION')).toMatchObject({ outcome: 'FAILED' });
    company.refusesWithoutDepartments = false;
  });

  it('tells where WeCom did not answer in time', async () => {
    const { faults } = rollcall.sandbox;
    faults.add({ kind: 'slow', milliseconds: SLOW_MS, path: 'department/list' });
    const checks = await impatiently(() => check(source));
    expect(checks.get('CONTACT_PERMISSION')).toMatchObject({
      outcome: 'FAILED',
      message: expect.stringContaining('no answer in time'),
    });
    expect(checks.get('VISIBILITY_SCOPE')).toMatchObject({ outcome: 'PASSED' });
    faults.clear();
    faults.add({ kind: 'slow', milliseconds: SLOW_MS, path: 'user/list' });
    expect((await impatiently(() => check(source))).get('FIELD_COVERAGE')).toMatchObject({ outcome: 'SKIPPED' });
    faults.clear();
  });

  it('asks a few departments for their people, however many have none', async () => {
    const { faults, calls } = rollcall.sandbox;
    change(rollcall.sandbox, ({ departments }) => {
      for (let id = 100; id < 200; id++) departments.set(id, { id, parentId: 1, name: `${id}`, order: 0 });
    });
    faults.add({ kind: 'empty', path: 'user/list' });
    const before = calls.get('user/list') ?? 0;
    expect((await check(source)).get('FIELD_COVERAGE')).toMatchObject({ outcome: 'WARNING' });
    expect((calls.get('user/list') ?? 0) - before).toBeLessThanOrEqual(50);
    faults.clear();
  });

  it('and everything else that is asked live say so when WeCom does not answer in time', async () => {
    const { faults, company } = rollcall.sandbox;
    const { corpId, agentId, secret } = company.settings;
    const waiting = await createSource(rollcall.api, { type: 'WECOM', name: 'waiting' });
    faults.add({ kind: 'slow', milliseconds: SLOW_MS, path: 'agent/get' });
    faults.add({ kind: 'slow', milliseconds: SLOW_MS, path: 'service/get_customized_auth_url' });
    await impatiently(async () => {
      const created = await createSource(rollcall.api, {
        type: 'WECOM',
        name: 'late',
        wecomSelfBuilt: { corpId, agentId, secret },
      });
      expect(created.userErrors).toMatchObject([{ code: 'UPSTREAM_UNREACHABLE' }]);
      const { startAuthorization } = await rollcall.api.request<{ startAuthorization: { userErrors: unknown[] } }>(
        'mutation ($id: ID!) { startAuthorization(input: { identitySourceId: $id }) { userErrors { code } } }',
        { id: waiting.identitySource?.id },
      );
      expect(startAuthorization.userErrors).toEqual([{ code: 'UPSTREAM_UNREACHABLE' }]);
      const scope = rollcall.api.request(
        'query ($id: ID!) { identitySource(id: $id) { visibilityScope { fetchedAt } } }',
        {
          id: source,
        },
      );
      await expect(scope).rejects.toThrow('no answer in time');
    });
    faults.clear();
  });

  it('says that the address does not answer where it does not', async () => {
    const elsewhere = await startRollcall({
      environment: { ROLLCALL_PUBLIC_URL: `http://127.0.0.1:${await freePort()}` },
    });
    try {
      const id = await connectSource(elsewhere);
      await elsewhere.api.request(CALLBACK, { id, keys: TEMPLATE_KEYS });
      const answer = await elsewhere.api.request<{
        runConnectionChecks: { identitySource: { connectionChecks: Check[] } };
      }>(CHECK, { id });
      const found = answer.runConnectionChecks.identitySource.connectionChecks.find((c) => c.name === 'CALLBACK');
      expect(found).toMatchObject({ outcome: 'FAILED', advice: expect.stringContaining('from the internet') });
    } finally {
      await elsewhere.stop();
    }
  });
});
