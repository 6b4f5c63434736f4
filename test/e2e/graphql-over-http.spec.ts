import { serverAudits } from 'graphql-http';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { startRollcall, type TestRollcall, TOKEN } from '../setup/rollcall';

/** The GraphQL over HTTP specification, by its reference implementation's own audits. */
describe('GraphQL over HTTP', () => {
  let rollcall: TestRollcall;
  beforeAll(async () => {
    rollcall = await startRollcall();
  });
  afterAll(() => rollcall.stop());

  const withToken: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('authorization', `Bearer ${TOKEN}`);
    return fetch(input, { ...init, headers });
  };

  it.each(serverAudits({ url: () => rollcall.url, fetchFn: withToken }).map((audit) => [audit.name, audit] as const))(
    '%s',
    async (_name, audit) => {
      const result = await audit.fn();
      expect(result).toMatchObject({ status: 'ok' });
    },
  );

  it('answers 401 and says what to do where no valid token is given', async () => {
    for (const authorization of [undefined, 'Bearer wrong', 'Basic abc', `Bearer ${TOKEN} x`]) {
      const response = await fetch(rollcall.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
        body: '{"query":"{ __typename }"}',
      });
      expect(response.status).toBe(401);
      const body = await response.json();
      expect(body.errors[0]).toMatchObject({ extensions: { code: 'UNAUTHENTICATED' } });
      expect(body.errors[0].message).toContain('Authorization: Bearer');
    }
  });

  const ask = async (body: unknown) => {
    const headers = { 'content-type': 'application/json' };
    return (await withToken(rollcall.url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
  };
  const overWebSocket = async (query: string) => {
    const client = createClient({
      url: rollcall.url.replace('http', 'ws'),
      retryAttempts: 0,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${TOKEN}` },
    });
    try {
      return { errors: (await client.iterate({ query }).next()).value?.errors };
    } catch (errors) {
      return { errors };
    } finally {
      await client.dispose();
    }
  };

  it.each([
    ['OPERATION_RESOLUTION_FAILURE', { query: 'query a { __typename }', operationName: 'b' }],
    ['OPERATION_RESOLUTION_FAILURE', { query: 'query a { __typename } query b { __typename }' }],
    ['BAD_USER_INPUT', { query: 'subscription { syncTasks { sequence } }' }],
    ['BAD_USER_INPUT', { query: '{ auditLog(filter: { actor: "\\u0000" }) { nodes { id } } }' }],
    ['PERSISTED_QUERY_NOT_SUPPORTED', { extensions: { persistedQuery: { version: 1, sha256Hash: 'a' } } }],
  ])('answers %s, and nothing but it, to %j', async (code, body) => {
    expect((await ask(body)).errors).toEqual([expect.objectContaining({ extensions: { code } })]);
  });

  it('tells no more than five faults of one document, over WebSocket neither', async () => {
    const query = `{ __typename ${'@no'.repeat(10)} }`;
    for (const { errors } of [await ask({ query }), await overWebSocket(query)]) {
      expect(errors).toHaveLength(5);
      expect(errors[0]).toMatchObject({ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } });
    }
    expect((await overWebSocket('{{')).errors).toMatchObject([{ extensions: { code: 'GRAPHQL_PARSE_FAILED' } }]);
  });

  it('shows of an internal fault its request id alone, over WebSocket and elsewhere too', async () => {
    const query = '{ auditLog { nodes { id } } }';
    await rollcall.sql.query('ALTER TABLE audit_entry RENAME TO lost');
    try {
      for (const { errors } of [await ask({ query }), await overWebSocket(query)]) {
        expect(errors).toMatchObject([
          { extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) } },
        ]);
        expect(JSON.stringify(errors)).not.toContain('audit_entry');
      }
    } finally {
      await rollcall.sql.query('ALTER TABLE lost RENAME TO audit_entry');
    }
    const unreadable = await withToken(rollcall.url.replace('/graphql', '/exports/sync-tasks/%E0%A4%A/records.csv'));
    expect([unreadable.status, await unreadable.json()]).toEqual([400, { errors: [expect.anything()] }]);
    const nowhere = await fetch(rollcall.url.replace('/graphql', '/nowhere'));
    expect([nowhere.status, await nowhere.json()]).toMatchObject([
      404,
      { errors: [{ extensions: { code: 'NOT_FOUND' } }] },
    ]);
  });
});
