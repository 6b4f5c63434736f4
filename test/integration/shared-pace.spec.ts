import { openWecomConnector } from '../../src/connector/wecom/wecom.connector';
import { createDataSource } from '../../src/database/data-source';
import { SharedPace } from '../../src/identity-source/shared-pace';
import { Organization, organizationState } from '../../src/sandbox/organization';
import { startSandbox } from '../../src/sandbox/sandbox';
import { createTestDatabase } from '../setup/databases';
import { user } from '../setup/rollcall';

const PER_MINUTE = 300;
const BURST = PER_MINUTE / 6;
const DEPARTMENTS = 35;

describe('the pace of calls', () => {
  it('is one for all processes: together they make as many calls as one may, and say how long they waited', async () => {
    const database = await createTestDatabase();
    const sandbox = await startSandbox({ organization: wideCompany() });
    const sources = [createDataSource(database.url), createDataSource(database.url)];
    const { corpId, agentId, secret } = sandbox.company.settings;
    const begun = Date.now();
    const made = () => sandbox.calls.get('user/list') ?? 0;
    let over = 0;
    const watch = setInterval(() => {
      const allowed = BURST + ((Date.now() - begun) * PER_MINUTE) / 60_000;
      over = Math.max(over, made() - Math.ceil(allowed));
    }, 10);
    try {
      // Each as a process of its own would: with its own connections, and its own places.
      const waited = await Promise.all(
        sources.map(async (source) => {
          await source.initialize();
          const connector = openWecomConnector(
            { corpId, agentId, secret },
            {
              apiUrl: sandbox.url,
              callsPerMinute: PER_MINUTE,
              tokens: { token: async (_key, fetch) => (await fetch()).token },
              pace: new SharedPace(source),
            },
          );
          const { signal } = new AbortController();
          const options = { signal, knownDigest: () => undefined, alreadyRead: () => false };
          const extent = await connector.extent(signal);
          const ids = Array.from({ length: DEPARTMENTS }, (_, i) => String(i + 1));
          for await (const page of connector.employees(extent, ids, options)) expect(page.content.kind).toBe('read');
          return connector.statistics().throttledMs;
        }),
      );
      expect(made()).toBe(2 * DEPARTMENTS);
      expect(over).toBe(0);
      expect(Date.now() - begun).toBeGreaterThan(((2 * DEPARTMENTS - BURST) * 60_000) / PER_MINUTE - 100);
      expect(Math.max(...waited)).toBeGreaterThan(0);
    } finally {
      clearInterval(watch);
      for (const source of sources) await source.destroy();
      await sandbox.close();
      await database.drop();
    }
  });

  it('costs a process that is alone nothing: its burst at once, then call for call, and few statements', async () => {
    const database = await createTestDatabase();
    const source = await createDataSource(database.url).initialize();
    try {
      const statements = jest.spyOn(source, 'query');
      const pace = new SharedPace(source);
      const waits: number[] = [];
      const calls = PER_MINUTE;
      for (let i = 0; i < calls; i++) waits.push(await pace.take('alone', PER_MINUTE));
      const atOnce = waits.filter((ms) => ms === 0).length;
      expect(atOnce).toBeGreaterThanOrEqual(BURST);
      expect(atOnce).toBeLessThanOrEqual(BURST + 5);
      expect(Math.max(...waits)).toBeLessThanOrEqual(((calls - BURST) * 60_000) / PER_MINUTE);
      expect(statements.mock.calls.length).toBeLessThanOrEqual(calls / (PER_MINUTE / 30) + 2);
    } finally {
      await source.destroy();
      await database.drop();
    }
  });
});

function wideCompany(): Organization {
  const departments = Array.from({ length: DEPARTMENTS }, (_, i) => ({
    id: i + 1,
    parentId: i === 0 ? 0 : 1,
    name: `部门${i + 1}`,
    order: 0,
  }));
  return new Organization(organizationState.parse({ departments, users: [user('lisi', '李四', [1])] }));
}
