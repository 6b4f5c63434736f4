import { serverAudits } from 'graphql-http';
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
});
