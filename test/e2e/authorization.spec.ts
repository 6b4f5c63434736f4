import { Client } from 'pg';
import { loadConfig } from '../../src/config/config';
import { encrypt, signature } from '../../src/connector/wecom/wecom.callback-crypto';
import { DEFAULT_PROVIDER } from '../../src/sandbox/provider/settings';
import { ALL_PERMISSIONS, PROVIDER_ENVIRONMENT, TEMPLATE_KEYS } from '../setup/provider';
import { createSource, type SourcePayload, startRollcall, synchronize, type TestRollcall } from '../setup/rollcall';

const KEYS = TEMPLATE_KEYS;
const AUTHORIZATION = `id status url state expiresAt corpId corpName agentId authorizedBy failure { code message }`;

interface Authorization {
  id: string;
  status: string;
  url: string | null;
  state: string | null;
  expiresAt: string | null;
  corpId: string | null;
  corpName: string | null;
  agentId: string | null;
  authorizedBy: string | null;
  failure: { code: string; message: string } | null;
}
interface Source {
  id: string;
  name: string;
  status: string;
  authorization: Authorization;
  wecom: { mode: string; corpId: string | null };
}

describe('authorization by QR code', () => {
  let rollcall: TestRollcall;
  beforeEach(async () => {
    rollcall = await startRollcall({ environment: PROVIDER_ENVIRONMENT });
    await rollcall.sandbox.provider.setTemplateCallback({ ...KEYS, url: templateUrl() });
    // The first suite ticket comes with the address.
    await until(`SELECT 1 FROM suite_ticket`);
  });
  afterEach(() => rollcall.stop());

  const templateUrl = () => rollcall.url.replace('/graphql', '/callbacks/wecom');
  const until = async (sql: string, values: unknown[] = []) => {
    for (let i = 0; i < 600; i++) {
      const { rows } = await rollcall.sql.query(sql, values);
      if (rows.length > 0) return rows;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`Never became true: ${sql}`);
  };
  /** Everything that WeCom was told to send has come, and is worked off. */
  const workedOff = async () => {
    await rollcall.sandbox.settled();
    await until('SELECT 1 WHERE NOT EXISTS (SELECT FROM provider_callback WHERE done_at IS NULL)');
  };
  const pending = async (name = '示例企业', more: Record<string, unknown> = {}) => {
    const payload = await createSource(rollcall.api, { type: 'WECOM', name, ...more });
    if (!payload.identitySource) throw new Error(JSON.stringify(payload.userErrors));
    return payload.identitySource.id;
  };
  const start = async (identitySourceId: string, renew = false) =>
    (
      await rollcall.api.request<{
        startAuthorization: { authorization: Authorization | null; userErrors: { code: string }[] };
      }>(
        `mutation ($input: StartAuthorizationInput!) { startAuthorization(input: $input) {
           authorization { ${AUTHORIZATION} } userErrors { code message field } } }`,
        { input: { identitySourceId, renew } },
      )
    ).startAuthorization;
  const link = async (sourceId: string): Promise<Authorization> => {
    const { authorization, userErrors } = await start(sourceId);
    if (!authorization) throw new Error(JSON.stringify(userErrors));
    return authorization;
  };
  const SOURCE = `id name status authorization { ${AUTHORIZATION} } wecom { mode corpId }`;
  const sourceOf = async (id: string) =>
    (
      await rollcall.api.request<{ identitySource: Source }>(
        `query ($id: ID!) { identitySource(id: $id) { ${SOURCE} } }`,
        { id },
      )
    ).identitySource;
  const listed = async (filter = '') =>
    (
      await rollcall.api.request<{ identitySources: { nodes: Source[] } }>(
        `{ identitySources${filter} { nodes { ${SOURCE} } } }`,
      )
    ).identitySources.nodes.filter((source) => source.name !== 'Built-in');
  /** A link of the same template that this server knows nothing of. */
  const foreignLink = async (): Promise<string> => {
    const call = async (path: string, body: unknown) => {
      const url = `${rollcall.sandbox.url}/cgi-bin/service/${path}`;
      return (await fetch(url, { method: 'POST', body: JSON.stringify(body) })).json() as Promise<
        Record<string, string>
      >;
    };
    const { corpId, secret, templateId } = DEFAULT_PROVIDER;
    const { provider_access_token: token } = await call('get_provider_token', {
      corpid: corpId,
      provider_secret: secret,
    });
    const asked = { state: 'ofAnotherServer', templateid_list: [templateId] };
    return (await call(`get_customized_auth_url?provider_access_token=${token}`, asked))['qrcode_url'] ?? '';
  };
  const mutate = async (name: string, input: Record<string, unknown>): Promise<SourcePayload> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { identitySource { id name status version } userErrors { code message field } } }`;
    return (await rollcall.api.request<Record<string, SourcePayload>>(query, { input }))[name] as SourcePayload;
  };

  it('connects the company whose administrator scans the code, and synchronizes it', async () => {
    const id = await pending();
    expect(await listed()).toEqual([]);
    expect(await sourceOf(id)).toMatchObject({ status: 'CLOSED', authorization: null });
    const { authorization } = await start(id);
    expect(authorization).toMatchObject({ status: 'PENDING', corpId: null, failure: null });
    expect(authorization?.state).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(new Date(authorization?.expiresAt ?? 0).getTime()).toBeGreaterThan(Date.now() + 9 * 86_400_000);
    const statuses: string[] = [];
    const told = (async () => {
      const query = `subscription ($id: ID!) { authorization(id: $id) { status corpId url } }`;
      for await (const event of rollcall.api.subscribe<{ authorization: Authorization }>(query, {
        id: authorization?.id,
      }))
        statuses.push(`${event.authorization.status} ${event.authorization.url === null}`);
    })();
    const { corpId, agentId } = await rollcall.sandbox.provider.authorize({
      url: authorization?.url ?? '',
      permissions: ALL_PERMISSIONS,
    });
    await workedOff();
    await told;
    expect(statuses.at(-1)).toBe('AUTHORIZED true');
    expect(await listed()).toEqual([
      expect.objectContaining({ id, name: '示例企业', status: 'ENABLED', wecom: { mode: 'SERVICE_PROVIDER', corpId } }),
    ]);
    expect(corpId).toMatch(/^wp/);
    expect((await sourceOf(id)).authorization).toMatchObject({ corpId, agentId, corpName: expect.any(String) });
    const { rows } = await rollcall.sql.query('SELECT sealed_secret FROM identity_source WHERE corp_id = $1', [corpId]);
    expect(rows[0].sealed_secret).toMatch(/^v1\./);
    expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
    const people = await rollcall.api.request<{ employees: { nodes: { displayName: string; username: string }[] } }>(
      `query ($id: ID!) { employees(filter: { identitySourceId: $id }) { nodes { displayName username } } }`,
      { id },
    );
    expect(people.employees.nodes.map((e) => e.displayName).sort()).toEqual(['张三', '李四', '王五', '赵六'].sort());
    expect(people.employees.nodes.every((e) => e.username.startsWith('wo'))).toBe(true);
  });

  it('shows the link as a QR code in SVG and PNG, to administrators, while it can be scanned', async () => {
    const authorization = await link(await pending());
    const query = `query ($id: ID!) { node(id: $id) { ... on Authorization { svg: qrCode png: qrCode(format: PNG, size: 300) } } }`;
    const { node } = await rollcall.api.request<{ node: { svg: string; png: string } }>(query, {
      id: authorization.id,
    });
    expect(Buffer.from(node.svg.replace('data:image/svg+xml;base64,', ''), 'base64').toString()).toContain('<svg');
    const png = Buffer.from(node.png.replace('data:image/png;base64,', ''), 'base64');
    expect([png.subarray(1, 4).toString(), png.readUInt32BE(16)]).toEqual(['PNG', 300]);
    const huge = rollcall.api.request(query.replace('300', '3000'), { id: authorization.id });
    await expect(huge).rejects.toThrow('64 to 1024 pixels');
  });

  it('gives the same link when it is asked for again, also at the same moment, and another one when told to', async () => {
    const id = await pending();
    const links = await Promise.all([start(id), start(id), start(id)]);
    expect(new Set(links.map((l) => l.authorization?.id)).size).toBe(1);
    const renewed = await start(id, true);
    expect(renewed.authorization?.id).not.toBe(links[0]?.authorization?.id);
    await rollcall.sandbox.provider.authorize({ url: links[0]?.authorization?.url ?? '' });
    await workedOff();
    // The former link was ended: whoever scanned it did not connect this source.
    expect((await sourceOf(id)).authorization.status).toBe('PENDING');
    expect(await listed()).toEqual([expect.objectContaining({ status: 'CLOSED' })]);
  });

  it('names what is missing where a source cannot be authorized', async () => {
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    const own = await createSource(rollcall.api, {
      type: 'WECOM',
      name: 'own',
      wecomSelfBuilt: { corpId, agentId, secret },
    });
    const codes = async (id: string) => (await start(id)).userErrors.map((error) => error.code);
    expect(await codes(own.identitySource?.id ?? '')).toEqual(['INVALID_INPUT']);
    expect(await codes('source_01j00000000000000000000000')).toEqual(['NOT_FOUND']);
    const id = await pending();
    for (const mutation of ['enableIdentitySource', 'runConnectionChecks'])
      expect((await mutate(mutation, { id })).userErrors).toEqual([
        expect.objectContaining({ code: 'AUTHORIZATION_REQUIRED' }),
      ]);
    rollcall.sandbox.provider.template.online = false;
    expect((await start(id)).userErrors).toEqual([
      expect.objectContaining({ code: 'UPSTREAM_REFUSED', message: expect.stringContaining('842002') }),
    ]);
  });

  it.each([
    ['without a link', {}, 'AUTHORIZATION_REFUSED'],
    ['with a link that another server made', 'foreign', 'AUTHORIZATION_REFUSED'],
    ['with a link that has expired', 'expired', 'AUTHORIZATION_EXPIRED'],
    ['with a link that another company used', 'used', 'AUTHORIZATION_REFUSED'],
  ] as const)('lets a company that authorizes %s appear closed, under its own name', async (_what, how, code) => {
    let scan: Record<string, unknown> = typeof how === 'string' ? {} : how;
    if (how === 'foreign') scan = { url: await foreignLink() };
    else if (typeof how === 'string') {
      const { url, state } = await link(await pending('waiting'));
      scan = { url };
      if (how === 'used') await rollcall.sandbox.provider.authorize({ url: url ?? '' });
      else
        await rollcall.sql.query(
          `UPDATE source_authorization SET expires_at = now() - interval '1 second' WHERE state = $1`,
          [state],
        );
      await workedOff();
      if (how === 'expired') await until(`SELECT 1 FROM source_authorization WHERE status = 'EXPIRED'`);
    }
    const company = { corpId: 'ww1111222233334444', name: '别家 公司（北京）' };
    const { corpId } = await rollcall.sandbox.provider.authorize({ ...scan, company, again: true });
    await workedOff();
    const own = (await listed()).filter((source) => source.wecom.corpId === corpId);
    expect(own).toEqual([
      expect.objectContaining({
        name: '别家-公司-北京',
        status: 'CLOSED',
        authorization: expect.objectContaining({ status: 'AUTHORIZED', failure: expect.objectContaining({ code }) }),
      }),
    ]);
    expect((await mutate('enableIdentitySource', { id: own[0]?.id })).userErrors).toEqual([]);
  });

  it.each([false, true])(
    'leaves a source to its company whose link another company scans, also once its own has cancelled: %s',
    async (cancelled) => {
      const { provider } = rollcall.sandbox;
      const id = await pending();
      const { corpId } = provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
      await workedOff();
      await synchronize(rollcall, id);
      if (cancelled) provider.cancel(corpId);
      await workedOff();
      const { url, id: scanned } = await link(id);
      const other = provider.authorize({ url: url ?? '', company: { corpId: 'ww1111222233334444', name: '别家' } });
      await workedOff();
      expect(await sourceOf(id)).toMatchObject({
        status: cancelled ? 'CLOSED' : 'ENABLED',
        wecom: { corpId },
        authorization: {
          id: scanned,
          status: 'REFUSED',
          failure: { code: 'AUTHORIZATION_REFUSED', message: expect.stringContaining('别家') },
        },
      });
      const own = (await listed()).filter((source) => source.wecom.corpId === other.corpId);
      expect(own).toMatchObject([{ name: '别家', status: 'CLOSED', authorization: { status: 'AUTHORIZED' } }]);
      if (!cancelled) provider.cancel(corpId);
      await workedOff();
      const due = await rollcall.sql.query('SELECT corp_id FROM identity_source WHERE data_removal_due_at IS NOT NULL');
      expect(due.rows).toEqual([{ corp_id: corpId }]);
      // Once nothing of the company is left, the source is anybody's.
      await rollcall.sql.query('UPDATE identity_source SET data_removal_due_at = now() WHERE corp_id = $1', [corpId]);
      await until('SELECT 1 WHERE NOT EXISTS (SELECT FROM identity_source WHERE data_removal_due_at IS NOT NULL)');
      const third = provider.authorize({
        url: (await link(id)).url ?? '',
        company: { corpId: 'ww5555222233334444', name: '三家' },
      });
      await workedOff();
      expect(await sourceOf(id)).toMatchObject({
        wecom: { corpId: third.corpId },
        authorization: { status: 'AUTHORIZED' },
      });
    },
  );

  it('knows a company that authorized before ids were encrypted, and does so again with a link', async () => {
    const { provider } = rollcall.sandbox;
    const id = await pending();
    provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS, plainIds: true });
    await workedOff();
    const { corpId } = provider.authorize({
      url: (await link(id)).url ?? '',
      permissions: ALL_PERMISSIONS,
      again: true,
    });
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({ wecom: { corpId }, authorization: { status: 'AUTHORIZED' } });
    expect(await listed()).toHaveLength(1);
  });

  it('refuses a second source for a company that is connected, and goes on with the first one', async () => {
    const first = await pending('first');
    await rollcall.sandbox.provider.authorize({ url: (await link(first)).url ?? '' });
    await workedOff();
    const second = await pending('second');
    await rollcall.sandbox.provider.authorize({ url: (await link(second)).url ?? '', again: true });
    await workedOff();
    expect((await sourceOf(second)).authorization).toMatchObject({
      status: 'REFUSED',
      failure: { code: 'COMPANY_ALREADY_CONNECTED', message: expect.stringContaining('first') },
    });
    expect((await listed()).map((source) => source.name)).toEqual(['first']);
    expect((await synchronize(rollcall, first)).status).toBe('SUCCEEDED');
  });

  it('leaves a source closed, and says so, when the places ran out meanwhile', async () => {
    const id = await pending();
    const { url } = await link(id);
    const { corpId, agentId, secret } = rollcall.sandbox.company.settings;
    for (let i = 0; i < 5; i++) {
      const wecomSelfBuilt = { corpId, agentId, secret };
      await createSource(rollcall.api, { type: 'WECOM', name: `full-${i}`, wecomSelfBuilt });
    }
    await rollcall.sandbox.provider.authorize({ url: url ?? '' });
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({
      status: 'CLOSED',
      authorization: { status: 'AUTHORIZED', failure: { code: 'ENABLED_SOURCE_LIMIT' } },
    });
    expect((await listed()).map((source) => source.id)).toContain(id);
  });

  it('has one effect for a callback that comes several times, as WeCom sends it or as somebody kept it', async () => {
    rollcall.sandbox.provider.deliveries.switches = { duplicate: true, delay: 0, reorder: false, dropEvery: 0 };
    const id = await pending();
    await rollcall.sandbox.provider.authorize({ url: (await link(id)).url ?? '' });
    await workedOff();
    const { rows } = await rollcall.sql.query(`SELECT kind, outcome, sealed_message FROM provider_callback`);
    expect(rows).toEqual([{ kind: 'create_auth', outcome: 'BIND', sealed_message: '' }]);
    expect(await listed()).toHaveLength(1);
  });

  it('goes on with a code that was exchanged before the rest failed', async () => {
    const id = await pending();
    const { url } = await link(id);
    rollcall.sandbox.faults.add({ kind: 'http500', path: 'service/v2/get_auth_info', times: 4 });
    await rollcall.sandbox.provider.authorize({ url: url ?? '' });
    await rollcall.sandbox.settled();
    await until(`SELECT 1 FROM provider_callback WHERE sealed_answer IS NOT NULL`);
    await workedOff();
    expect((await sourceOf(id)).status).toBe('ENABLED');
  });

  it('tells whoever waits when the code cannot be exchanged', async () => {
    const id = await pending();
    const { url } = await link(id);
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 40078, path: 'service/v2/get_permanent_code' });
    await rollcall.sandbox.provider.authorize({ url: url ?? '' });
    await workedOff();
    const { status, failure } = (await sourceOf(id)).authorization;
    expect([status, failure?.code]).toEqual(['REFUSED', 'AUTHORIZATION_REFUSED']);
    expect(failure?.message).toContain('重新获取');
  });

  it('closes the source when the company cancels, wipes its secret at once and its people later', async () => {
    const id = await pending();
    const { corpId } = await rollcall.sandbox.provider.authorize({
      url: (await link(id)).url ?? '',
      permissions: ALL_PERMISSIONS,
    });
    await workedOff();
    await synchronize(rollcall, id);
    rollcall.sandbox.provider.cancel(corpId);
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({ status: 'CLOSED', authorization: { status: 'CANCELED' } });
    const secrets = await rollcall.sql.query(
      `SELECT sealed_secret, (SELECT count(*)::int FROM access_token WHERE key LIKE 'wecom:wp%') AS tokens FROM identity_source WHERE corp_id = $1`,
      [corpId],
    );
    expect(secrets.rows).toEqual([{ sealed_secret: null, tokens: 0 }]);
    const count = async () => (await rollcall.sql.query(`SELECT count(*)::int AS n FROM employee`)).rows[0].n;
    expect(await count()).toBe(4);
    expect((await mutate('enableIdentitySource', { id })).userErrors).toEqual([
      expect.objectContaining({ code: 'AUTHORIZATION_REQUIRED' }),
    ]);
    await rollcall.sql.query(
      'UPDATE identity_source SET data_removal_due_at = now() WHERE data_removal_due_at IS NOT NULL',
    );
    await until(
      'SELECT 1 WHERE NOT EXISTS (SELECT FROM employee) AND NOT EXISTS (SELECT FROM sync_record) AND NOT EXISTS (SELECT FROM employee_version)',
    );
    // The same source is taken up again, and enabled as it was.
    await rollcall.sandbox.provider.authorize({
      url: (await link(id)).url ?? '',
      permissions: ALL_PERMISSIONS,
      again: true,
    });
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({ status: 'ENABLED', authorization: { status: 'AUTHORIZED' } });
    expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
    expect(await count()).toBe(4);
  });

  it('believes no cancellation that is older than the consent', async () => {
    const id = await pending();
    const { corpId } = await rollcall.sandbox.provider.authorize({ url: (await link(id)).url ?? '' });
    await workedOff();
    await post(cancellation(corpId, 1403610513));
    await workedOff();
    expect((await sourceOf(id)).status).toBe('ENABLED');
  });

  it.each(['create_auth', 'reset_permanent_code'])(
    'leaves a company cancelled that does so while another worker stores its %s',
    async (kind) => {
      const { provider, faults } = rollcall.sandbox;
      const id = await pending();
      const scan = { url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS };
      let corpId = '';
      if (kind === 'reset_permanent_code') {
        corpId = provider.authorize(scan).corpId;
        await workedOff();
      }
      const slow = new Client({ connectionString: rollcall.database.url });
      await slow.connect();
      try {
        faults.add({ kind: 'slow', milliseconds: 300, path: 'service/v2/get_auth_info' });
        if (kind === 'create_auth') corpId = provider.authorize(scan).corpId;
        else provider.resetPermanentCode(corpId);
        await until('SELECT FROM provider_callback WHERE sealed_answer IS NOT NULL AND done_at IS NULL');
        await slow.query('BEGIN');
        await slow.query('SELECT FROM provider_callback WHERE done_at IS NULL FOR UPDATE');
        await until(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%provider_callback%'`,
        );
        const later = Math.floor(Date.now() / 1_000) + 2;
        await post(cancellation(corpId, later));
        await until(`SELECT FROM provider_callback WHERE kind = 'cancel_auth' AND done_at IS NOT NULL`);
      } finally {
        await slow.query('COMMIT');
        await slow.end();
      }
      await workedOff();
      const stored = await rollcall.sql.query(
        'SELECT sealed_secret AS secret FROM identity_source WHERE corp_id = $1',
        [corpId],
      );
      expect(stored.rows).toEqual(kind === 'create_auth' ? [] : [{ secret: null }]);
      const { rows } = await rollcall.sql.query(
        `SELECT s.status, a.status AS authorization FROM identity_source s JOIN source_authorization a ON a.identity_source_id = s.id`,
      );
      expect(rows).toEqual([{ status: 'CLOSED', authorization: kind === 'create_auth' ? 'REFUSED' : 'CANCELED' }]);
    },
  );

  it('leaves no link waiting whose consent is older than the one that the company is connected by', async () => {
    const { provider } = rollcall.sandbox;
    const [id, second] = [await pending('first'), await pending('second')];
    provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
    await workedOff();
    await rollcall.sql.query('UPDATE identity_source SET secret_stamp = secret_stamp + 1000 WHERE secret_stamp > 0');
    for (const each of [id, second]) {
      provider.authorize({ url: (await link(each)).url ?? '', permissions: ALL_PERMISSIONS, again: true });
      await workedOff();
    }
    expect((await sourceOf(id)).authorization).toMatchObject({ status: 'AUTHORIZED', failure: null });
    expect((await sourceOf(second)).authorization).toMatchObject({
      status: 'REFUSED',
      failure: { code: 'COMPANY_ALREADY_CONNECTED', message: expect.stringContaining('first') },
    });
  });

  it('connects a company that has come back by the secret made anew, where its new consent was lost', async () => {
    const { provider } = rollcall.sandbox;
    const id = await pending();
    const { corpId } = provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
    await workedOff();
    provider.cancel(corpId);
    await workedOff();
    const { url, id: waiting } = await link(id);
    const { switches } = provider.deliveries;
    provider.deliveries.switches = { ...switches, dropEvery: 1 };
    provider.authorize({ url: url ?? '', permissions: ALL_PERMISSIONS });
    await rollcall.sandbox.settled();
    provider.deliveries.switches = switches;
    provider.resetPermanentCode(corpId);
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({
      status: 'ENABLED',
      authorization: { id: waiting, status: 'AUTHORIZED', corpId },
    });
    expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
  });

  it('takes over a secret that was made anew, and looks again when the app’s range changes', async () => {
    const id = await pending();
    const { corpId } = await rollcall.sandbox.provider.authorize({ url: (await link(id)).url ?? '' });
    await workedOff();
    const secret = async () =>
      (await rollcall.sql.query('SELECT sealed_secret FROM identity_source WHERE corp_id = $1', [corpId])).rows[0];
    const before = await secret();
    rollcall.sandbox.provider.resetPermanentCode(corpId);
    await workedOff();
    expect(await secret()).not.toEqual(before);
    expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
    rollcall.sandbox.provider.appOf(corpId).setRange({ departments: [2], users: [], tags: [] });
    await until(`SELECT 1 FROM provider_callback WHERE kind = 'change_auth' AND outcome = 'REFRESHED'`);
    await until(`SELECT 1 FROM sync_task WHERE trigger = 'SCHEDULED'`);
  });

  it('reads at once what WeCom says has changed, at the address that the app has from the template', async () => {
    const id = await pending();
    await rollcall.sandbox.provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
    await workedOff();
    await synchronize(rollcall, id);
    rollcall.sandbox.company.change(() => {
      const zhangsan = rollcall.sandbox.company.organization.users.get('zhangsan');
      if (zhangsan) rollcall.sandbox.company.organization.users.set('zhangsan', { ...zhangsan, name: '张三丰' });
    });
    await until(`SELECT 1 FROM employee WHERE display_name = '张三丰'`);
  });

  it.each(['encrypted', 'plain'] as const)(
    'reads changes at an app’s own address, with keys of its own, under the %s corp id',
    async (receiveId) => {
      const { provider, company } = rollcall.sandbox;
      const id = await pending();
      const { corpId } = provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
      await workedOff();
      await synchronize(rollcall, id);
      const keys = { token: 'ownToken1', encodingAesKey: KEYS.encodingAesKey.split('').reverse().join('') };
      const wecomCallback = { wecomCallback: keys };
      expect((await mutate('updateIdentitySource', { id, ...wecomCallback })).userErrors).toEqual([]);
      provider.configure({ receiveId });
      const address = { ...keys, url: `${templateUrl()}/${id}` };
      const app = provider.appOf(corpId);
      await app.deliveries.verify(address, DEFAULT_PROVIDER.corpId);
      app.callback = { address, form: 'full' };
      for (const name of ['张三丰', '张无忌']) {
        company.change(() => {
          const zhangsan = company.organization.users.get('zhangsan');
          if (zhangsan) company.organization.users.set('zhangsan', { ...zhangsan, name });
        });
        await until('SELECT 1 FROM employee WHERE display_name = $1', [name]);
      }
      // A plain corp id is asked about once.
      expect(rollcall.sandbox.calls.get('service/corpid_to_opencorpid') ?? 0).toBe(receiveId === 'plain' ? 1 : 0);
      expect((await fetch(`${address.url}?echostr=x&msg_signature=x&timestamp=1&nonce=1`)).status).toBe(403);
    },
  );

  it('reads a change under the plain corp id although WeCom refuses at first to say whose it is', async () => {
    const { provider, company, faults } = rollcall.sandbox;
    const id = await pending();
    provider.authorize({ url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS });
    await workedOff();
    await synchronize(rollcall, id);
    provider.configure({ receiveId: 'plain' });
    faults.add({ kind: 'errcode', errcode: 60020, path: 'service/corpid_to_opencorpid', times: 1 });
    company.change(() => {
      const zhangsan = company.organization.users.get('zhangsan');
      if (zhangsan) company.organization.users.set('zhangsan', { ...zhangsan, name: '张三丰' });
    });
    await until(`SELECT 1 FROM employee WHERE display_name = '张三丰'`);
  });

  it('also knows companies that authorized before ids were encrypted', async () => {
    const { provider } = rollcall.sandbox;
    const id = await pending();
    const { corpId } = provider.authorize({
      url: (await link(id)).url ?? '',
      permissions: ALL_PERMISSIONS,
      plainIds: true,
    });
    expect(corpId).toMatch(/^ww[0-9a-f]{16}$/);
    await workedOff();
    expect((await synchronize(rollcall, id)).status).toBe('SUCCEEDED');
    expect((await rollcall.sql.query(`SELECT username FROM employee WHERE username = 'lisi'`)).rowCount).toBe(1);
    provider.cancel(corpId);
    await workedOff();
    expect((await sourceOf(id)).authorization.status).toBe('CANCELED');
  });

  it('asks ever more rarely what WeCom refuses until somebody changes something', async () => {
    const { provider, faults } = rollcall.sandbox;
    const id = await pending();
    const { corpId } = provider.authorize({ url: (await link(id)).url ?? '' });
    await workedOff();
    faults.add({ kind: 'errcode', errcode: 60020, path: 'service/v2/get_auth_info' });
    provider.setPermissions(corpId, ALL_PERMISSIONS);
    await until(
      `UPDATE provider_callback SET tries = 20, due_at = now() WHERE tries = 1 AND done_at IS NULL AND due_at < now() + interval '30 seconds' RETURNING id`,
    );
    await until(`SELECT 1 FROM provider_callback WHERE tries = 21 AND due_at > now() + interval '55 minutes'`);
    faults.clear();
    await rollcall.sql.query('UPDATE provider_callback SET due_at = now()');
    await workedOff();
    await until(`SELECT 1 FROM provider_callback WHERE kind = 'change_auth' AND outcome = 'REFRESHED'`);
  });

  it('asks once with one suite ticket that WeCom does not take, and again with the next', async () => {
    const { provider, faults, calls } = rollcall.sandbox;
    const asked = () => calls.get('service/get_suite_token') ?? 0;
    faults.add({ kind: 'errcode', errcode: 40085, path: 'service/get_suite_token' });
    provider.authorize({});
    await until(`SELECT 1 FROM provider_callback WHERE tries = 1 AND due_at < now() + interval '20 seconds'`);
    expect(asked()).toBe(1);
    faults.clear();
    await workedOff();
    expect((await listed()).map((source) => source.status)).toEqual(['CLOSED']);
  });

  it('keeps what a code was exchanged for, however long the rest does not work', async () => {
    const { provider, faults } = rollcall.sandbox;
    const id = await pending();
    faults.add({ kind: 'bare', path: 'service/v2/get_auth_info' });
    const { corpId } = provider.authorize({ url: (await link(id)).url ?? '' });
    const dayLater = `UPDATE provider_callback SET received_at = now() - interval '25 hours', due_at = now()
      WHERE sealed_answer IS NOT NULL AND due_at < now() + interval '20 seconds' RETURNING id`;
    await until(dayLater);
    await until(`SELECT 1 FROM source_authorization WHERE status = 'REFUSED'`);
    expect((await sourceOf(id)).authorization.failure?.message).toContain('agentid');
    await until(
      `SELECT 1 FROM provider_callback WHERE due_at > now() + interval '1 second' AND done_at IS NULL AND sealed_answer IS NOT NULL`,
    );
    faults.clear();
    await rollcall.sql.query('UPDATE provider_callback SET due_at = now()');
    await workedOff();
    expect((await listed()).map((source) => source.wecom.corpId)).toContain(corpId);
  });

  it('gives up a code that was exchanged once the company has cancelled', async () => {
    const { provider, faults } = rollcall.sandbox;
    faults.add({ kind: 'errcode', errcode: 48004, path: 'service/v2/get_auth_info' });
    provider.authorize({});
    await until(`UPDATE provider_callback SET received_at = now() - interval '25 hours', due_at = now()
      WHERE sealed_answer IS NOT NULL AND due_at < now() + interval '20 seconds' RETURNING id`);
    await workedOff();
    const { rows } = await rollcall.sql.query('SELECT outcome, sealed_answer FROM provider_callback');
    expect(rows).toEqual([{ outcome: 'FAILED', sealed_answer: null }]);
  });

  it('knows a company by its encrypted corp id, whatever that looks like', async () => {
    const { provider } = rollcall.sandbox;
    provider.configure({ idLength: 6 });
    const id = await pending();
    const scan = { url: (await link(id)).url ?? '', permissions: ALL_PERMISSIONS };
    const { corpId } = provider.authorize(scan);
    expect(corpId).toMatch(/^wp(?=.*[A-Z]).{6}$/);
    await workedOff();
    await synchronize(rollcall, id);
    const keys = await rollcall.sql.query('SELECT external_id, external_key FROM link');
    for (const { external_id, external_key } of keys.rows) expect(external_key).toBe(external_id);
    provider.setPermissions(corpId, ALL_PERMISSIONS);
    await workedOff();
    provider.authorize({ again: true });
    await workedOff();
    expect(await listed()).toEqual([expect.objectContaining({ id, wecom: { mode: 'SERVICE_PROVIDER', corpId } })]);
    provider.cancel(corpId);
    await workedOff();
    expect(await sourceOf(id)).toMatchObject({ status: 'CLOSED', authorization: { status: 'CANCELED' } });
    const { rows } = await rollcall.sql.query('SELECT kind, outcome FROM provider_callback ORDER BY received_at');
    expect(rows.map((row) => `${row.kind} ${row.outcome}`)).toEqual([
      'create_auth BIND',
      'change_auth REFRESHED',
      'create_auth REUSE',
      'cancel_auth CLOSED 1',
    ]);
  });

  it('tells subscribers of the list what appears, changes and goes', async () => {
    const news: string[] = [];
    const query = `subscription { identitySourceChanged { sequence kind identitySource { name status } } }`;
    const done = (async () => {
      for await (const { identitySourceChanged: event } of rollcall.api.subscribe<{
        identitySourceChanged: { kind: string; identitySource: { name: string; status: string } | null };
      }>(query, {})) {
        if (event.identitySource?.name !== 'Built-in') news.push(event.kind);
        if (event.kind === 'REMOVED') return;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const id = await pending();
    await rollcall.sandbox.provider.authorize({ url: (await link(id)).url ?? '' });
    await workedOff();
    await mutate('disableIdentitySource', { id });
    await mutate('deleteIdentitySource', { id });
    await done;
    expect([...new Set(news)]).toEqual(['ADDED', 'CHANGED', 'REMOVED']);
    expect(news.filter((kind) => kind !== 'CHANGED')).toEqual(['ADDED', 'REMOVED']);
  });

  it('removes a source that came to nothing after a day, and frees its name', async () => {
    const id = await pending('once');
    const { state } = await link(id);
    await rollcall.sql.query(
      `UPDATE source_authorization SET status = 'REFUSED', ended_at = now() - interval '25 hours' WHERE state = $1`,
      [state],
    );
    await rollcall.sql.query(`UPDATE identity_source SET created_at = now() - interval '26 hours' WHERE name = 'once'`);
    await until(`SELECT 1 FROM identity_source WHERE name = 'once' AND deleted_at IS NOT NULL`);
    await pending('once');
  });

  it('lists sources that wait when asked for them', async () => {
    const id = await pending();
    const waiting = [expect.objectContaining({ id })];
    expect(await listed('(filter: { authorization: PENDING })')).toEqual(waiting);
    await link(id);
    expect(await listed('(filter: { authorization: PENDING })')).toEqual(waiting);
    expect(await listed('(filter: { authorization: AUTHORIZED })')).toEqual([]);
  });

  const post = async (message: string, change: { receiveId?: string; age?: number; sign?: string } = {}) => {
    const encrypted = encrypt(KEYS, message, change.receiveId ?? DEFAULT_PROVIDER.templateId);
    const timestamp = String(Math.floor(Date.now() / 1000) - (change.age ?? 0));
    const signed = change.sign ?? signature(KEYS.token, timestamp, 'nonce', encrypted);
    const query = new URLSearchParams({ msg_signature: signed, timestamp, nonce: 'nonce' });
    const body = `<xml><ToUserName>x</ToUserName><Encrypt>${encrypted}</Encrypt><AgentID></AgentID></xml>`;
    return fetch(`${templateUrl()}?${query}`, { method: 'POST', body });
  };
  const cancellation = (corpId: string, stamp: number) =>
    `<xml><SuiteId>${DEFAULT_PROVIDER.templateId}</SuiteId><InfoType>cancel_auth</InfoType><TimeStamp>${stamp}</TimeStamp><AuthCorpId>${corpId}</AuthCorpId></xml>`;
  const CREATE = `<xml><SuiteId>${DEFAULT_PROVIDER.templateId}</SuiteId><AuthCode>abc</AuthCode><InfoType>create_auth</InfoType><TimeStamp>1</TimeStamp></xml>`;

  it.each([
    ['signed with another token', { sign: '0'.repeat(40) }],
    ['over ten minutes old', { age: 601 }],
    ['for another template', { receiveId: 'dk9999999999999999' }],
    ['for nobody', { receiveId: '' }],
  ])('refuses a callback that is %s, and keeps nothing of it', async (_what, change) => {
    expect((await post(CREATE, change)).status).toBe(403);
    expect((await rollcall.sql.query('SELECT count(*)::int AS n FROM provider_callback')).rows).toEqual([{ n: 0 }]);
  });

  it.each([
    ['entity expansion', '<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><Encrypt>&a;</Encrypt></xml>', 403],
    ['no XML', 'hello', 403],
    ['nothing', '', 403],
    ['a huge body', `<xml><Encrypt>${'a'.repeat(5_000_000)}</Encrypt></xml>`, 413],
  ])('refuses %s before anything is parsed', async (_what, body, status) => {
    const answer = await fetch(`${templateUrl()}?msg_signature=x&timestamp=1&nonce=1`, { method: 'POST', body });
    expect([answer.status, await answer.text()]).toEqual([status, 'refused']);
  });

  it('refuses entities inside a message that is signed and encrypted', async () => {
    const message = CREATE.replace('<xml>', '<!DOCTYPE xml [<!ENTITY a "b">]><xml>');
    expect((await post(message)).status).toBe(403);
  });
});

describe('the provider’s configuration', () => {
  it('is all there, or not at all', () => {
    const { WECOM_TEMPLATE_SECRET: _, ...rest } = PROVIDER_ENVIRONMENT;
    expect(() => loadConfig({ ...rest })).toThrow('missing: WECOM_TEMPLATE_SECRET');
    expect(() => loadConfig({ ...PROVIDER_ENVIRONMENT, ROLLCALL_PUBLIC_URL: '' })).toThrow('ROLLCALL_PUBLIC_URL');
    expect(() => loadConfig({ ...PROVIDER_ENVIRONMENT, WECOM_CALLBACK_ENCODING_AES_KEY: 'short' })).toThrow(
      '43 letters',
    );
    expect(loadConfig({}).wecomProvider).toBeUndefined();
    expect(JSON.stringify(loadConfig(PROVIDER_ENVIRONMENT))).not.toContain(DEFAULT_PROVIDER.secret);
  });
});
