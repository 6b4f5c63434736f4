import { pino } from 'pino';
import { PROVIDER_ENVIRONMENT, TEMPLATE_KEYS } from '../setup/provider';
import { connectSource, startRollcall, startTask, type TestRollcall, TOKEN, watch } from '../setup/rollcall';

/** Everything that this server says or keeps while it is used, by where it said or kept it. */
class Heard {
  readonly places = new Map<string, string[]>();

  note(place: string, what: unknown): void {
    const said = typeof what === 'string' ? what : JSON.stringify(what);
    this.places.set(place, [...(this.places.get(place) ?? []), said]);
  }

  /** Where a text was said or kept. */
  whereIs(secret: string): string[] {
    return [...this.places].filter(([, said]) => said.some((text) => text.includes(secret))).map(([place]) => place);
  }
}

describe('secrets', () => {
  const heard = new Heard();
  const planted = new Map<string, string>();
  let rollcall: TestRollcall;

  beforeAll(async () => {
    const log = pino({ level: 'trace' }, { write: (line: string) => heard.note('log', line) });
    rollcall = await startRollcall({ environment: PROVIDER_ENVIRONMENT, log });
  });
  afterAll(() => rollcall.stop());

  const ask = async (query: string, variables: Record<string, unknown> = {}) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const answer = await fetch(rollcall.url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
    const text = await answer.text();
    heard.note('answers', text);
    return JSON.parse(text);
  };
  const settled = async () => {
    await rollcall.sandbox.settled();
    for (let i = 0; i < 200; i++) {
      const { rows } = await rollcall.sql.query(
        'SELECT count(*)::int AS n FROM provider_callback WHERE done_at IS NULL',
      );
      if (rows[0].n === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  };

  it('are in no answer, log line, error, audit entry, metric or table, whatever is done and goes wrong', async () => {
    await useEverything();
    await readEverything();
    for (const place of ['answers', 'log', 'audit_entry', 'identity_source', 'metrics'])
      expect([place, heard.places.get(place)?.length ?? 0]).not.toEqual([place, 0]);
    const found = [...planted].map(([name, secret]) => [name, heard.whereIs(secret)]);
    expect(found).toEqual([...planted.keys()].map((name) => [name, []]));
  });

  const plant = (name: string, secret: string) => {
    expect(secret.length).toBeGreaterThanOrEqual(6);
    planted.set(name, secret);
  };

  /** Works with every secret there is, also wrongly. */
  async function useEverything(): Promise<void> {
    const { provider, company, faults } = rollcall.sandbox;
    plant('administrator token', TOKEN);
    plant('provider secret', PROVIDER_ENVIRONMENT.WECOM_PROVIDER_SECRET);
    plant('template secret', PROVIDER_ENVIRONMENT.WECOM_TEMPLATE_SECRET);
    plant('callback token', TEMPLATE_KEYS.token);
    plant('callback key', TEMPLATE_KEYS.encodingAesKey);
    plant('app secret', company.settings.secret);
    plant('wrong app secret', 'wrong-secret-that-somebody-typed');
    const own = await connectSource(rollcall, 'own');
    await provider.setTemplateCallback({ ...TEMPLATE_KEYS, url: rollcall.url.replace('/graphql', '/callbacks/wecom') });
    await rollcall.sandbox.settled();
    const made = await ask(
      `mutation { createIdentitySource(input: { type: WECOM, name: "scanned" }) { identitySource { id } userErrors { message } } }`,
    );
    const { id } = made.data.createIdentitySource.identitySource;
    const START = `mutation ($id: ID!) { startAuthorization(input: { identitySourceId: $id }) { authorization { id url } userErrors { code } } }`;
    const { url } = (await ask(START, { id })).data.startAuthorization.authorization;
    const scan = await provider.authorize({ url });
    plant('authorization code', scan.authCode);
    await settled();
    plant('permanent code', provider.appOf(scan.corpId).settings.secret);
    const UPDATE = `mutation ($input: UpdateIdentitySourceInput!) { updateIdentitySource(input: $input) { identitySource { id } userErrors { code message } } }`;
    const { corpId, agentId } = company.settings;
    const wrong = { corpId, agentId, secret: 'wrong-secret-that-somebody-typed' };
    await ask(UPDATE, { input: { id: own, wecomSelfBuilt: wrong } });
    plant('own callback token', 'ownCallbackToken1');
    const wecomCallback = { token: 'ownCallbackToken1', encodingAesKey: TEMPLATE_KEYS.encodingAesKey };
    await ask(UPDATE, { input: { id, wecomCallback } });
    await ask(UPDATE, { input: { id, wecomCallback: { token: 'not valid!', encodingAesKey: 'x' } } });
    faults.add({ kind: 'reset', path: 'department/list', times: 4 });
    for (const source of [own, id]) {
      const { syncTask } = await startTask(rollcall.api, source);
      heard.note('answers', await watch(rollcall.api, syncTask?.id ?? ''));
    }
    for (const app of [company, provider.appOf(scan.corpId)])
      plant(`access token of ${app.settings.agentId}`, app.issueToken().access_token);
    await ask(
      `mutation ($id: ID!) { runConnectionChecks(input: { id: $id }) { identitySource { connectionChecks { name message advice } } } }`,
      { id },
    );
    const token = await ask(`mutation { createApiToken(input: { name: "script", role: VIEWER }) { token } }`);
    plant('API token', token.data.createApiToken.token);
    // The one place that shows it, once.
    heard.places.set('answers', (heard.places.get('answers') ?? []).slice(0, -1));
    provider.cancel(scan.corpId);
    await settled();
  }

  /** Reads all that a caller or an operator can read. */
  async function readEverything(): Promise<void> {
    await ask(`{ identitySources { nodes { id name wecom { corpId agentId callbackUrl } authorization { status url state authorizedBy failure { message } }
      connectionChecks { name message advice } syncTasks { nodes { id failure { message } } } } }
      auditLog(first: 100) { nodes { actor mutation input before after } } apiTokens { nodes { name } } }`);
    await ask('{ nonsense }');
    heard.note('metrics', await (await fetch(rollcall.url.replace('/graphql', '/metrics'))).text());
    const { rows: tables } = await rollcall.sql.query(
      `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS qualified, tablename AS name FROM pg_tables
        WHERE schemaname IN ('public', 'graphile_worker')`,
    );
    for (const { qualified, name } of tables) {
      const { rows } = await rollcall.sql.query(`SELECT t::text AS row FROM ${qualified} t`);
      for (const { row } of rows) heard.note(name, row);
    }
  }
});
