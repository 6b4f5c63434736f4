import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { mutate } from '../setup/organisation-view';
import { connectSource, startRollcall, synchronize } from '../setup/rollcall';

/** What every table holds, but for the numbers and jobs' names that a process has in its memory. */
async function contents(sql: Client): Promise<Record<string, string>> {
  const { rows } = await sql.query(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
      WHERE schemaname IN ('public', 'graphile_worker') AND tablename NOT IN ('event_counter', '_private_tasks')`,
  );
  const found: Record<string, string> = {};
  for (const { name } of rows) {
    const held = await sql.query(`SELECT to_jsonb(t)::text AS row FROM ${name} t ORDER BY 1`);
    if (held.rowCount) found[name] = createHash('sha1').update(JSON.stringify(held.rows)).digest('hex');
  }
  return found;
}

describe('a server that a test before is done with', () => {
  it('is as it was when it had just been started', async () => {
    const first = await startRollcall();
    const atStart = await contents(first.sql);
    const source = await connectSource(first);
    await mutate(
      first,
      'createExtensionField',
      { objectType: 'EMPLOYEE', key: 'badge', displayName: '工号', type: 'TEXT' },
      '__typename',
    );
    await synchronize(first, source);
    expect(await contents(first.sql)).not.toEqual(atStart);
    await first.stop();

    const second = await startRollcall();
    try {
      expect(second.database).toBe(first.database);
      expect(await contents(second.sql)).toEqual(atStart);
      expect((await synchronize(second, await connectSource(second))).status).toBe('SUCCEEDED');
    } finally {
      await second.stop();
    }
  });

  it.each([
    ['whose database was altered', {}, 'ALTER TABLE employee ADD COLUMN more text'],
    ['with other settings', { environment: { ROLLCALL_LEASE_SECONDS: '20' } }, 'SELECT 1'],
  ])('is not taken for another, %s', async (_how, options, statement) => {
    const first = await startRollcall(options);
    await first.sql.query(statement);
    await first.stop();
    const second = await startRollcall();
    expect(second.database).not.toBe(first.database);
    await second.stop();
  });
});
