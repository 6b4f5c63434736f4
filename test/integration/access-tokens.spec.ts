import { once } from 'node:events';
import type { DataSource } from 'typeorm';
import { WecomClient, wecomApp } from '../../src/connector/wecom/wecom.client';
import { createDataSource, migrate } from '../../src/database/data-source';
import { DatabaseTokenStore } from '../../src/identity-source/access-token.store';
import { SecretBox } from '../../src/platform/secret-box';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox';
import { createTestDatabase } from '../setup/databases';
import { smallCompany } from '../setup/rollcall';

describe('access tokens', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  let sandbox: Sandbox;
  const { signal } = new AbortController();

  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = createDataSource(database.url);
    await dataSource.initialize();
    await migrate(dataSource);
  });
  afterEach(() => sandbox.close());
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const open = async (options: Partial<SandboxOptions>, pause?: (ms: number) => Promise<void>) => {
    sandbox = await startSandbox({ organization: smallCompany(), ...options });
    // Another app each time, so that no test has another one's token.
    const app = wecomApp({ ...sandbox.company.settings, agentId: String(sandbox.port) });
    const store = new DatabaseTokenStore(dataSource, new SecretBox(Buffer.alloc(32, 7)));
    const to = { apiUrl: sandbox.url, callsPerMinute: 1_000_000, tokens: store };
    const client = new WecomClient(app, { ...to, ...(pause ? { pause } : {}) });
    other = (until) => new WecomClient(app, to).get('department/list', {}, until);
    return () => client.get('department/list', {}, signal);
  };
  /** A call of the same app by somebody else in this process. */
  let other: (until: AbortSignal) => Promise<unknown>;
  const ended = async (until: AbortSignal) => {
    if (!until.aborted) await once(until, 'abort');
  };
  const fetched = () => sandbox.calls.get('gettoken') ?? 0;

  it.each([60, 30, 10])('that live for %d seconds are fetched once for many calls', async (tokenLifetime) => {
    const call = await open({ tokenLifetime });
    for (let i = 0; i < 5; i++) await call();
    expect(fetched()).toBe(1);
  });

  it.each([1e15, 1e9])(
    'are fetched again after a day where they are told to live for %d seconds',
    async (tokenLifetime) => {
      const call = await open({ tokenLifetime });
      for (let i = 0; i < 2; i++) await call();
      expect(fetched()).toBe(1);
      const now = Date.now();
      const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 25 * 3_600_000);
      await call();
      clock.mockRestore();
      expect(fetched()).toBe(2);
    },
  );

  it('are fetched again before they expire', async () => {
    const call = await open({ tokenLifetime: 60 });
    await call();
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 55_000);
    await call();
    clock.mockRestore();
    expect(fetched()).toBe(2);
  });

  it('keep no transaction open while WeCom’s frequency limit is waited out', async () => {
    const idle: number[] = [];
    const call = await open({}, async (ms) => {
      if (ms < 60_000) return;
      const [row] = await dataSource.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`,
      );
      idle.push(row.n);
    });
    sandbox.faults.add({ kind: 'errcode', errcode: 45009, path: 'gettoken', times: 3 });
    await call();
    expect(fetched()).toBe(4);
    expect(idle).toEqual([0, 0, 0]);
  });

  it('keep nobody longer than they want to wait, whoever else waits for the limit', async () => {
    const [over, met] = [new AbortController(), new AbortController()];
    const call = await open({}, async (ms) => {
      if (ms < 60_000) return;
      met.abort();
      await ended(over.signal);
    });
    sandbox.faults.add({ kind: 'errcode', errcode: 45009, path: 'gettoken' });
    const patient = call();
    await ended(met.signal);
    await expect(other(AbortSignal.timeout(300))).rejects.toMatchObject({ thirdPartyCode: '45009' });
    sandbox.faults.clear();
    over.abort();
    await patient;
  });
});
