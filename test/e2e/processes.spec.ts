import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { pino } from 'pino';
import { loadConfig } from '../../src/config/config';
import { startServer } from '../../src/server';
import { createTestDatabase } from '../setup/databases';
import { connectSource, serverEnvironment, startRollcall, startTask, watch } from '../setup/rollcall';

const quiet = pino({ level: 'silent' });

describe('several processes against one PostgreSQL', () => {
  it('share the work: one serves the API, another works on tasks, and subscriptions are delivered across them', async () => {
    const rollcall = await startRollcall({ environment: { ROLLCALL_ROLE: 'api' } });
    const environment = serverEnvironment(rollcall.database.url, rollcall.sandbox.url);
    try {
      const source = await connectSource(rollcall);
      const { syncTask } = await startTask(rollcall.api, source);
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      const { rows } = await rollcall.sql.query('SELECT status FROM sync_task');
      expect(rows).toEqual([{ status: 'QUEUED' }]);
      const worker = await startServer(loadConfig({ ...environment, ROLLCALL_ROLE: 'worker' }), quiet);
      try {
        expect((await watch(rollcall.api, syncTask?.id ?? '')).status).toBe('SUCCEEDED');
        const at = (path: string) => fetch(`http://127.0.0.1:${worker.port}${path}`).then((answer) => answer.status);
        expect([await at('/healthz'), await at('/readyz'), await at('/graphql')]).toEqual([200, 200, 404]);
      } finally {
        await worker.stop();
      }
      // The access token that the worker fetched serves the other process too.
      expect(rollcall.sandbox.calls.get('gettoken')).toBeLessThanOrEqual(2);
    } finally {
      await rollcall.stop();
    }
  });

  it('say why they cannot listen, and make the administrator’s token only once they do', async () => {
    const database = await createTestDatabase();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const environment = { HOST: '127.0.0.1', DATABASE_URL: database.url, ROLLCALL_ENCRYPTION_KEY: '11'.repeat(32) };
    const start = (port: number) => startServer(loadConfig({ ...environment, PORT: String(port) }), quiet);
    try {
      await expect(start((taken.address() as AddressInfo).port)).rejects.toThrow('choose another PORT');
      const server = await start(0);
      await server.stop();
      expect(server.newAdministratorToken).toMatch(/^rollcall_/);
    } finally {
      taken.close();
      await database.drop();
    }
  });
});
