import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient } from 'graphql-ws';
import { exportJWK, generateKeyPair, type KeyLike, SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { ApiClient } from '../../src/demo/api-client';
import { connectSource, startRollcall, synchronize, type TestRollcall } from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

const CREATE = `mutation ($input: CreateApiTokenInput!) {
  createApiToken(input: $input) { token apiToken { id name role expiresAt } userErrors { code message field } }
}`;

interface Refusal {
  readonly status: number;
  readonly errors: { message: string; extensions: Record<string, unknown> }[];
}

/** Asks and expects to be refused. */
async function refusal(url: string, token: string, query: string, variables: unknown = {}): Promise<Refusal> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { errors } = (await response.json()) as { errors: Refusal['errors'] };
  return { status: response.status, errors };
}

describe('access to the API', () => {
  let rollcall: TestRollcall;
  let source: string;
  const clients: ApiClient[] = [];

  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    await synchronize(rollcall, source);
  });
  afterAll(async () => {
    for (const client of clients) await client.close();
    await rollcall.stop();
  });

  const tokenOf = async (role: string, more: Record<string, unknown> = {}) => {
    const input = { name: `${role} token`, role, ...more };
    return (await rollcall.api.request<Answer>(CREATE, { input })).createApiToken;
  };
  const clientOf = async (role: string) => {
    const { token } = await tokenOf(role);
    const client = new ApiClient(rollcall.url, token);
    clients.push(client);
    return { client, token };
  };

  it('shows a token once, stores only its hash, and refuses one that makes no sense', async () => {
    const made = await tokenOf('VIEWER', { expiresAt: new Date(Date.now() + 60_000).toISOString() });
    expect(made.token).toMatch(/^rollcall_/);
    const { rows } = await rollcall.sql.query('SELECT * FROM api_token');
    expect(JSON.stringify(rows)).not.toContain(made.token);
    const listed = await rollcall.api.request<Answer>('{ apiTokens { nodes { id name role createdBy } } }');
    expect(listed.apiTokens.nodes).toContainEqual(expect.objectContaining({ id: made.apiToken.id, role: 'VIEWER' }));
    expect((await tokenOf('VIEWER', { expiresAt: '2020-01-01T00:00:00Z' })).userErrors).toMatchObject([
      { code: 'INVALID_INPUT', field: ['input', 'expiresAt'] },
    ]);
    expect((await tokenOf('VIEWER', { name: ' ' })).userErrors).toMatchObject([{ field: ['input', 'name'] }]);
  });

  it('refuses what a role may not do, before anything of the operation runs', async () => {
    const viewer = await clientOf('VIEWER');
    const { errors, status } = await refusal(
      rollcall.url,
      viewer.token,
      `mutation ($id: ID!) { startSyncTask(input: { identitySourceId: $id }) { syncTask { id } } }`,
      { id: source },
    );
    expect(status).toBe(403);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', role: 'OPERATOR' } }]);
    const mixed = await refusal(
      rollcall.url,
      viewer.token,
      'query { viewer { name } ...more } fragment more on Query { auditLog { nodes { id } } }',
    );
    expect(mixed.errors).toMatchObject([
      { message: expect.stringContaining('Query.auditLog'), extensions: { code: 'FORBIDDEN' } },
    ]);
    const overSocket = viewer.client.subscribe(
      'mutation { revokeApiToken(input: { id: "x" }) { userErrors { code } } }',
      {},
    );
    await expect(overSocket.next()).rejects.toMatchObject([{ message: expect.stringContaining('ADMINISTRATOR') }]);
    const operator = await clientOf('OPERATOR');
    expect((await refusal(rollcall.url, operator.token, '{ apiTokens { nodes { id } } }')).status).toBe(403);
  });

  it('shows viewers personal values masked, in people, records and subscriptions, and lets them not search for them', async () => {
    const viewer = await clientOf('VIEWER');
    const query = `{ employees(filter: { text: "lisi" }) { nodes { username email mobile } }
      syncTasks { nodes { id records(filter: { text: "lisi" }) { nodes { comparison { field thirdPartyValue saseValueAfter } } } } }
      identitySources { nodes { thirdPartyFields { name samples } } } }`;
    const seen = JSON.stringify(await viewer.client.request(query));
    expect(seen).not.toContain('13800000000');
    expect(seen).not.toContain('lisi@example.com');
    expect(seen).toContain('138****00');
    expect(seen).toContain('l***@example.com');
    const byMobile = await viewer.client.request<Answer>(
      '{ employees(filter: { text: "13800000000" }) { nodes { id } } }',
    );
    expect(byMobile.employees.nodes).toEqual([]);
    const full = JSON.stringify(await rollcall.api.request(query));
    expect(full).toContain('13800000000');
    const [task] = (await rollcall.api.request<Answer>('{ syncTasks { nodes { id } } }')).syncTasks.nodes;
    const watched =
      'subscription ($id: ID!) { syncRecords(taskId: $id) { record { comparison { saseValueAfter thirdPartyValue } } } }';
    const events: unknown[] = [];
    for await (const event of viewer.client.subscribe(watched, { id: task.id })) events.push(event);
    expect(events.length).toBeGreaterThan(0);
    expect(JSON.stringify(events)).not.toContain('13800000000');
  });

  it('writes down every mutation, refused ones too, without secrets and with personal values masked', async () => {
    const update = `mutation ($input: UpdateIdentitySourceInput!) { updateIdentitySource(input: $input) { userErrors { code } } }`;
    const secret = 'planted-secret-0123456789';
    await rollcall.api.request(update, { input: { id: source, description: '公司' } });
    await rollcall.api.request(update, {
      input: { id: source, wecomSelfBuilt: { corpId: 'ww0123456789abcdef', agentId: '1000002', secret } },
    });
    const viewer = await clientOf('VIEWER');
    await refusal(
      rollcall.url,
      viewer.token,
      'mutation { deleteIdentitySource(input: { id: "x" }) { userErrors { code } } }',
    );
    const query = `{ auditLog(first: 20) { nodes { actor mutation outcome errorCodes address input before after objectId } } }`;
    const { nodes } = (await rollcall.api.request<Answer>(query)).auditLog;
    expect(nodes).toContainEqual(
      expect.objectContaining({ mutation: 'deleteIdentitySource', outcome: 'FORBIDDEN', actor: 'VIEWER token' }),
    );
    expect(nodes).toContainEqual(
      expect.objectContaining({
        mutation: 'updateIdentitySource',
        outcome: 'REFUSED',
        errorCodes: ['UPSTREAM_REFUSED'],
      }),
    );
    const change = nodes.find((n: Answer) => n.input?.description === '公司');
    expect(change).toMatchObject({
      outcome: 'ACCEPTED',
      objectId: source,
      before: { description: null },
      after: { description: '公司' },
    });
    expect(change.address).toContain('127.0.0.1');
    const { rows } = await rollcall.sql.query('SELECT * FROM audit_entry');
    expect(JSON.stringify(rows)).not.toContain(secret);
    expect(JSON.stringify(rows)).not.toContain('rollcall_');
    const made = await rollcall.api.request<Answer>(
      'mutation { createExtensionField(input: { key: "grade", displayName: "职级" }) { extensionField { id } } }',
    );
    const { id } = made.createExtensionField.extensionField;
    await rollcall.api.request(
      `mutation { updateExtensionField(input: { id: "${id}", displayName: "级" }) { userErrors { code } } }`,
    );
    const about = `{ auditLog(filter: { objectId: "${id}" }) { nodes { mutation before after } } }`;
    expect((await rollcall.api.request<Answer>(about)).auditLog.nodes).toMatchObject([
      { mutation: 'updateExtensionField', before: { display_name: '职级' }, after: { display_name: '级' } },
      { mutation: 'createExtensionField', before: null, after: { display_name: '职级' } },
    ]);
    const filtered = `{ auditLog(filter: { outcome: FORBIDDEN, actor: "VIEWER token" }) { totalCount nodes { mutation } } }`;
    expect((await rollcall.api.request<Answer>(filtered)).auditLog.nodes.length).toBeGreaterThan(0);
  });

  it('ends the live subscriptions of a revoked token within seconds', async () => {
    const made = await tokenOf('VIEWER');
    const client = new ApiClient(rollcall.url, made.token);
    const events = client.subscribe('subscription { syncTasks { sequence } }', {});
    const ended = (async () => {
      for await (const _ of events);
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const revoke =
      'mutation ($id: ID!) { revokeApiToken(input: { id: $id }) { apiToken { revokedAt } userErrors { code } } }';
    await rollcall.api.request(revoke, { id: made.apiToken.id });
    expect((await refusal(rollcall.url, made.token, '{ viewer { name } }')).status).toBe(401);
    await expect(ended).rejects.toBeDefined();
    await client.close();
  });

  it.each([
    ['depth', `{ departments { nodes { ${'parent { '.repeat(30)} id ${'} '.repeat(30)} } } }`],
    [
      'aliases',
      `{ ${Array.from({ length: 80 }, (_, i) => `a${i}: identitySourceQuota { enabled }`)
        .slice(0, 19)
        .join(' ')} employees { nodes { ${Array.from({ length: 80 }, (_, i) => `b${i}: id`).join(' ')} } } }`,
    ],
    ['rootFields', `{ ${Array.from({ length: 21 }, (_, i) => `a${i}: viewer { name }`).join(' ')} }`],
    [
      'cost',
      '{ departments(first: 500) { nodes { employees(first: 500) { nodes { memberships { department { name } } } } } } }',
    ],
    [
      'rootFields',
      `{ ...F } fragment F on Query { ${Array.from({ length: 21 }, (_, i) => `a${i}: __typename`).join(' ')} }`,
    ],
    [
      'cost',
      'query ($n: Int = 500, $none: Int) { departments(first: $none, last: 500) { nodes { employees(first: $n) { nodes { memberships { isMain } } } } } }',
    ],
  ])('refuses an operation over the limit of %s, with the figure', async (limit, query) => {
    const { token } = await clientOf('VIEWER');
    const { errors, status } = await refusal(rollcall.url, token, query);
    expect(status).toBe(400);
    expect(errors).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', limit, allowed: expect.any(Number) } }]);
  });

  it('measures fragments that are spread in each other at once, however much they stand for', async () => {
    const { token } = await clientOf('VIEWER');
    const doubled = Array.from({ length: 40 }, (_, i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`);
    const query = `{ ...F0 } ${doubled.join(' ')} fragment F40 on Query { __typename }`;
    const begun = Date.now();
    expect(await refusal(rollcall.url, token, query)).toMatchObject({ status: 400 });
    expect(Date.now() - begun).toBeLessThan(5_000);
  });

  it('refuses a huge body, a batch, and a document of endless tokens', async () => {
    const { token } = await clientOf('VIEWER');
    const huge = await refusal(rollcall.url, token, ' '.repeat(6_000_000));
    expect(huge).toMatchObject({ status: 413, errors: [{ extensions: { limit: 'bodyBytes', allowed: 5_000_000 } }] });
    expect((await refusal(rollcall.url, 'x', ' '.repeat(6_000_000))).status).toBe(401);
    const many = await refusal(rollcall.url, token, `{ ${'viewer '.repeat(30_000)} }`);
    expect(many.errors[0]?.message).toMatch(/token/i);
    const batch = await fetch(rollcall.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify([{ query: '{ viewer { name } }' }]),
    });
    expect(batch.status).toBe(400);
  });
});

describe('limits of requests', () => {
  it('slow a credential down, and say for how long', async () => {
    const rollcall = await startRollcall({
      environment: { ROLLCALL_REQUESTS_PER_MINUTE: '6', ROLLCALL_MAX_SUBSCRIPTIONS: '1' },
    });
    try {
      await rollcall.api.request('{ viewer { name } }');
      const response = await fetch(rollcall.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${rollcall.config.adminToken?.reveal()}`,
        },
        body: JSON.stringify({ query: '{ viewer { name } }' }),
      });
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    } finally {
      await rollcall.stop();
    }
  });
});

describe('tokens of an OpenID Connect issuer', () => {
  let issuer: Server;
  let rollcall: TestRollcall;
  let keys: { publicKey: KeyLike; privateKey: KeyLike };
  let url: string;

  beforeAll(async () => {
    keys = await generateKeyPair('RS256');
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
    issuer = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      const answers: Record<string, unknown> = {
        '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/keys` },
        '/keys': { keys: [jwk] },
      };
      response.end(JSON.stringify(answers[request.url ?? ''] ?? {}));
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
    rollcall = await startRollcall({
      environment: {
        ROLLCALL_TRUST_PROXY: 'true',
        ROLLCALL_OIDC_ISSUER: url,
        ROLLCALL_OIDC_AUDIENCE: 'rollcall',
        ROLLCALL_OIDC_ROLE_CLAIM: 'realm_access.roles',
        ROLLCALL_OIDC_ROLES: '{"it-admins": "ADMINISTRATOR"}',
      },
    });
  });
  afterAll(async () => {
    await rollcall.stop();
    await new Promise((resolve) => issuer.close(resolve));
  });

  const jwt = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
    new SignJWT({ realm_access: { roles: ['it-admins'] }, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
      .setSubject('ada')
      .setIssuer(String(claims['iss'] ?? url))
      .setAudience(String(claims['aud'] ?? 'rollcall'))
      .setExpirationTime((claims['exp'] as string | number | undefined) ?? '5m');
  const viewer = async (token: string) => {
    const response = await fetch(rollcall.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ viewer { name role expiresAt } }' }),
    });
    return { status: response.status, body: (await response.json()) as Answer };
  };

  it('are accepted with the role that the claim names', async () => {
    const { body } = await viewer(await jwt().sign(keys.privateKey));
    expect(body.data.viewer).toMatchObject({ name: 'ada', role: 'ADMINISTRATOR' });
    const weak = await viewer(await jwt({ realm_access: { roles: ['VIEWER', 'x'] } }).sign(keys.privateKey));
    expect(weak.body.data.viewer.role).toBe('VIEWER');
  });

  it('of callers behind a trusted proxy are audited with the caller’s address, over WebSocket too', async () => {
    const authorization = `Bearer ${await jwt().sign(keys.privateKey)}`;
    const query = 'mutation { revokeApiToken(input: { id: "x" }) { userErrors { code } } }';
    const headers = { 'x-forwarded-for': '203.0.113.7, 10.0.0.1', 'content-type': 'application/json', authorization };
    await fetch(rollcall.url, { method: 'POST', headers, body: JSON.stringify({ query }) });
    class ThroughProxy extends WebSocket {
      constructor(address: string, protocol: string) {
        super(address, protocol, { headers: { 'x-forwarded-for': '203.0.113.8' } });
      }
    }
    const socket = createClient({
      url: rollcall.url.replace('http', 'ws'),
      webSocketImpl: ThroughProxy,
      connectionParams: { authorization },
    });
    await socket.iterate({ query }).next();
    await socket.dispose();
    const { rows } = await rollcall.sql.query('SELECT actor, address FROM audit_entry ORDER BY id');
    expect(rows).toEqual([
      { actor: 'ada', address: '203.0.113.7' },
      { actor: 'ada', address: '203.0.113.8' },
    ]);
  });

  it.each<[string, () => Promise<string>]>([
    ['another audience', () => jwt({ aud: 'other' }).sign(keys.privateKey)],
    ['another issuer', () => jwt({ iss: 'https://evil.example' }).sign(keys.privateKey)],
    ['an end in the past', () => jwt({ exp: Math.floor(Date.now() / 1000) - 3600 }).sign(keys.privateKey)],
    ['no role', () => jwt({ realm_access: { roles: ['guests'] } }).sign(keys.privateKey)],
    ['an unknown key', () => jwt({}, { kid: 'two' }).sign(keys.privateKey)],
    ['another key under the same name', async () => jwt().sign((await generateKeyPair('RS256')).privateKey)],
    ['no signature', async () => `${(await jwt().sign(keys.privateKey)).split('.').slice(0, 2).join('.')}.`],
    [
      'the public key used as a shared secret',
      async () =>
        jwt({}, { alg: 'HS256' }).sign(new TextEncoder().encode(JSON.stringify(await exportJWK(keys.publicKey)))),
    ],
  ])('are refused with %s', async (_what, make) => {
    expect((await viewer(await make())).status).toBe(401);
  });
});
