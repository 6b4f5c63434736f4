import { createDataSource } from '../../src/database/data-source';
import { rotateSecrets } from '../../src/identity-source/rotate-secrets';
import { SecretBox } from '../../src/platform/secret-box';
import {
  connectSource,
  createSource,
  type SourcePayload,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  watch,
} from '../setup/rollcall';

describe('identity sources', () => {
  let rollcall: TestRollcall;
  beforeEach(async () => {
    rollcall = await startRollcall();
  });
  afterEach(() => rollcall.stop());

  const custom = (name: string, more: Record<string, unknown> = {}) =>
    createSource(rollcall.api, { type: 'CUSTOM', name, ...more });
  const mutate = async (name: string, input: Record<string, unknown>): Promise<SourcePayload> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { identitySource { id name status version } userErrors { code message field } } }`;
    return (await rollcall.api.request<Record<string, SourcePayload>>(query, { input }))[name] as SourcePayload;
  };
  const codes = (payload: SourcePayload) => payload.userErrors.map((error) => error.code);

  it('are named in Chinese or Latin, once each, ignoring case', async () => {
    expect(codes(await custom('研发_A-1'))).toEqual([]);
    expect(codes(await custom('研发_a-1', { status: 'CLOSED' }))).toEqual(['NAME_TAKEN']);
    for (const name of ['x', 'a b', '研发!', 'a'.repeat(101), ''])
      expect(codes(await custom(name))).toEqual(['INVALID_NAME']);
  });

  it('take no settings that their type does not have', async () => {
    expect(codes(await custom('Custom', { automaticSynchronization: { enabled: true } }))).toEqual([
      'SYNC_NOT_APPLICABLE',
    ]);
    const { identitySource } = await custom('Custom');
    const schema = 'wwauth0123456789abcdef000002';
    expect(codes(await mutate('updateIdentitySource', { id: identitySource?.id, schema }))).toEqual(['INVALID_INPUT']);
  });

  it('are listed in the order that is asked for, page by page', async () => {
    for (const name of ['beta', 'Alpha']) await custom(name, { status: 'CLOSED' });
    const names = async (args: string) => {
      const query = `query ($after: String) { identitySources(first: 1, after: $after, ${args}) { nodes { name } pageInfo { hasNextPage endCursor } } }`;
      const found: string[] = [];
      for await (const { name } of rollcall.api.all<{ name: string }>(query, {})) found.push(name);
      return found;
    };
    expect(await names('orderBy: { field: NAME }')).toEqual(['Alpha', 'beta', 'Built-in']);
    expect(await names('orderBy: { field: CREATED_AT, direction: DESC }')).toEqual(['Alpha', 'beta', 'Built-in']);
  });

  it('check WeCom credentials by a live call, store them sealed, and never show them', async () => {
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    const wrong = await createSource(rollcall.api, {
      type: 'WECOM',
      name: 'WeCom',
      wecomSelfBuilt: { corpId, agentId, secret: 'planted' },
    });
    expect(codes(wrong)).toEqual(['UPSTREAM_REFUSED']);
    expect(JSON.stringify(wrong)).not.toContain('planted');
    await connectSource(rollcall);
    const { rows } = await rollcall.sql.query(`SELECT sealed_secret FROM identity_source WHERE type = 'WECOM'`);
    expect(rows).toHaveLength(1);
    expect(rows[0].sealed_secret).toMatch(/^v1\./);
    expect(rows[0].sealed_secret).not.toContain(secret);
  });

  it('are at most five enabled, one of them custom: of simultaneous requests for the last place one wins', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 8; i++) ids.push((await connectClosed(`WeCom${i}`)) ?? '');
    const enabled = await Promise.all(ids.map((id) => mutate('enableIdentitySource', { id })));
    expect(enabled.filter((payload) => payload.identitySource)).toHaveLength(5);
    const refused = enabled.filter((payload) => !payload.identitySource);
    expect(refused.flatMap(codes)).toEqual(Array(3).fill('ENABLED_SOURCE_LIMIT'));
    expect(refused[0]?.userErrors[0]?.message).toContain('WeCom');
    const winner = enabled.find((payload) => payload.identitySource)?.identitySource?.id;
    await mutate('disableIdentitySource', { id: winner });
    const customs = await Promise.all([custom('Custom1'), custom('Custom2')]);
    expect(customs.flatMap(codes)).toHaveLength(1);
    expect(['CUSTOM_SOURCE_LIMIT', 'ENABLED_SOURCE_LIMIT']).toContain(customs.flatMap(codes)[0]);
  });

  it('keep working when the encryption key is changed, once every secret was sealed with the new one', async () => {
    const id = await connectSource(rollcall);
    await synchronize(rollcall, id);
    const dataSource = await createDataSource(rollcall.database.url).initialize();
    try {
      const [former, next] = [Buffer.alloc(32, 0x11), Buffer.alloc(32, 0x22)];
      await expect(rotateSecrets(dataSource, new SecretBox(next))).rejects.toThrow('ROLLCALL_FORMER_ENCRYPTION_KEYS');
      expect(await rotateSecrets(dataSource, new SecretBox(next, [former]))).toBe(2);
      expect(await rotateSecrets(dataSource, new SecretBox(next))).toBe(0);
      expect(await rotateSecrets(dataSource, new SecretBox(former, [next]))).toBe(2);
      expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
    } finally {
      await dataSource.destroy();
    }
  });

  it('refuse an update that was made against an older version', async () => {
    const source = (await custom('Custom')).identitySource;
    const first = await mutate('updateIdentitySource', {
      id: source?.id,
      version: source?.version,
      description: '登录',
    });
    expect(first.identitySource?.version).toBe((source?.version ?? 0) + 1);
    const second = await mutate('updateIdentitySource', { id: source?.id, version: source?.version, name: 'Other' });
    expect(codes(second)).toEqual(['VERSION_CONFLICT']);
    expect(
      codes(await mutate('updateIdentitySource', { id: 'employee_01h455vb4pex5vsknk084sn02q', name: 'Other' })),
    ).toEqual(['NOT_FOUND']);
    expect(codes(await mutate('updateIdentitySource', { id: source?.id, schema: 'javascript:' }))).toEqual([
      'SCHEMA_INVALID',
    ]);
  });

  it('answer a repeated creation with the first one’s source', async () => {
    const [a, b] = await Promise.all([
      custom('Custom', { idempotencyKey: 'k' }),
      custom('Custom', { idempotencyKey: 'k' }),
    ]);
    expect(a?.identitySource?.id).toBe(b?.identitySource?.id);
    expect(codes(await custom('Other', { idempotencyKey: 'k' }))).toEqual(['IDEMPOTENCY_KEY_REUSED']);
  });

  it('cancel their running task when they are disabled, and start none while closed', async () => {
    const id = await connectSource(rollcall);
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 4_000, path: 'user/list' });
    const { syncTask } = await startTask(rollcall.api, id);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await mutate('disableIdentitySource', { id });
    expect((await watch(rollcall.api, syncTask?.id ?? '')).status).toBe('CANCELED');
    expect((await startTask(rollcall.api, id)).userErrors).toMatchObject([{ code: 'SOURCE_CLOSED' }]);
  });

  async function connectClosed(name: string): Promise<string | undefined> {
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    const input = { type: 'WECOM', name, status: 'CLOSED', wecomSelfBuilt: { corpId, agentId, secret } };
    return (await createSource(rollcall.api, input)).identitySource?.id;
  }
});
