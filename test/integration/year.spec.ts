import { pino } from 'pino';
import type { DataSource } from 'typeorm';
import { createDataSource } from '../../src/database/data-source';
import { uuidOf } from '../../src/platform/typed-id';
import { Retention } from '../../src/sync/task/retention';
import { type Answer, mutate } from '../setup/organisation-view';
import {
  change,
  connectSource,
  decide,
  startRollcall,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

const MONTHS = 12;
const RUNS_A_MONTH = 720;
const KEPT = { eventDays: 7, recordDays: 90, historyDays: 60 };
/** After so many months all that is kept for a time has been kept for that long. */
const FULL = 4;

/** A year of hourly runs: some of each month are real, the others are what such a run leaves, at their times. */
describe('a year of hourly runs', () => {
  let rollcall: TestRollcall;
  let dataSource: DataSource;
  let source: string;
  let retention: Retention;

  beforeAll(async () => {
    rollcall = await startRollcall({ environment: { ROLLCALL_REQUESTS_PER_MINUTE: '1000000' } });
    dataSource = await createDataSource(rollcall.database.url).initialize();
    source = await connectSource(rollcall);
    retention = new Retention(dataSource, KEPT, pino({ level: 'silent' }));
    await synchronize(rollcall, source);
    // Only runs that are asked for: an aged source would always be due.
    await rollcall.sql.query('UPDATE identity_source SET automatic_enabled = false, next_run_at = NULL');
  });
  afterAll(async () => {
    await dataSource.destroy();
    await rollcall.stop();
  });

  const columnsOf = async (table: string, but: readonly string[]): Promise<string[]> => {
    const rows = await dataSource.query(
      `SELECT quote_ident(column_name) AS name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = $1 AND column_name <> ALL ($2)`,
      [table, but],
    );
    return rows.map((row: { name: string }) => row.name);
  };

  /** As if everything had been written that much earlier. */
  const age = async (days: number): Promise<void> => {
    await dataSource.query(`DO $$
      DECLARE aged record;
      BEGIN
        FOR aged IN
          SELECT table_name AS name, string_agg(format('%1$I = %1$I - interval ''${days} days''', column_name), ', ') AS shifts
            FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
           WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type = 'timestamp with time zone' GROUP BY 1
        LOOP
          EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', aged.name);
          EXECUTE format('UPDATE %I SET %s', aged.name, aged.shifts);
          EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', aged.name);
        END LOOP;
      END $$`);
  };

  /** Keeps what a run left, to be left again. */
  const model = async (kind: string, typedId: string): Promise<void> => {
    const taskId = uuidOf('task', typedId);
    await rollcall.sql.query(`CREATE TEMP TABLE ${kind}_task AS SELECT * FROM sync_task WHERE id = '${taskId}'`);
    await rollcall.sql.query(`CREATE TEMP TABLE ${kind}_event AS SELECT * FROM event WHERE task_id = '${taskId}'`);
  };

  /** What a month's runs of a kind leave that found nothing, or could not read: tasks, events, changes and keys. */
  const leaveLike = async (kind: string, runs: number): Promise<void> => {
    const then = `now() - interval '1 hour' * (n * ${RUNS_A_MONTH / runs})`;
    const tasks = await columnsOf('sync_task', ['id', 'queued_at', 'started_at', 'finished_at', 'last_sequence']);
    const events = await columnsOf('event', ['id', 'sequence', 'task_id', 'created_at']);
    await rollcall.sql.query('BEGIN');
    for (const statement of [
      `CREATE TEMP TABLE run ON COMMIT DROP AS SELECT new_id() AS id, n, ${then} AS at FROM generate_series(1, ${runs}) n`,
      `INSERT INTO sync_task (id, ${tasks}, queued_at, started_at, finished_at)
       SELECT run.id, ${tasks.map((c) => `t.${c}`)}, at, at, at FROM run, ${kind}_task t`,
      `INSERT INTO event (${events}, task_id, created_at)
       SELECT ${events.map((c) => `e.${c}`)}, run.id, at FROM run, ${kind}_event e ORDER BY n DESC, e.id`,
      `INSERT INTO organisation_change (number, at)
       SELECT nextval('organisation_change_number'), at FROM run, ${kind}_task t WHERE t.applied_at IS NOT NULL ORDER BY n DESC`,
      `INSERT INTO idempotency_key (operation, key, input_digest, object_id, created_at)
       SELECT 'startSyncTask', id::text, '', id, at FROM run`,
    ])
      await rollcall.sql.query(statement);
    await rollcall.sql.query('COMMIT');
  };

  const sizes = async (): Promise<Map<string, number>> => {
    const tables: { name: string }[] = await dataSource.query(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
       UNION ALL SELECT 'graphile_worker._private_jobs'`,
    );
    const counts = tables.map(({ name }) => `SELECT '${name}' AS name, count(*)::int AS n FROM ${name}`);
    const rows: { name: string; n: number }[] = await dataSource.query(counts.join(' UNION ALL '));
    return new Map(rows.map(({ name, n }) => [name, n]));
  };

  /** Moves, renames, edits, previews, and a person who leaves and comes back: what keeps the number of people as it is. */
  const liveAMonth = async (month: number): Promise<void> => {
    change(rollcall.sandbox, ({ users, departments }) => {
      users.set('lisi', user('lisi', `李四${month}`, [month % 2 ? 3 : 4], { position: `P${month}` }));
      departments.set(3, { id: 3, parentId: month % 2 ? 1 : 2, name: `后端${month}`, order: month });
      if (month % 2) users.delete('zhaoliu');
      else users.set('zhaoliu', user('zhaoliu', '赵六', [4]));
    });
    if (month % 4 === 1) await synchronize(rollcall, source, { mode: 'PREVIEW' });
    await synchronize(rollcall, source);
    const { employees } = await rollcall.api.request<Answer>(
      '{ employees(filter: { text: "wangwu" }) { nodes { id } } }',
    );
    await mutate(rollcall, 'updateEmployee', { id: employees.nodes[0].id, position: `M${month}` }, 'employee { id }');
  };

  it('leaves every table as large as what is kept for a time, and nothing that is needed goes', async () => {
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 48002, path: 'department/list' });
    const failed = await synchronize(rollcall, source);
    rollcall.sandbox.faults.clear();
    const idle = await synchronize(rollcall, source);
    expect([failed.status, idle.status]).toEqual(['FAILED', 'SUCCEEDED']);
    await model('failed', failed.id);
    await model('idle', idle.id);
    const after: Map<string, number>[] = [];
    for (let month = 1; month <= MONTHS; month++) {
      await leaveLike('idle', RUNS_A_MONTH - 60);
      await leaveLike('failed', 60);
      await liveAMonth(month);
      await retention.cleanUp();
      after.push(await sizes());
      // The last one found nothing, as nearly all do.
      await synchronize(rollcall, source);
      await age(30);
      await retention.cleanUp();
    }
    for (const table of after[0]?.keys() ?? []) {
      const course = after.map((month) => month.get(table) ?? 0);
      const [earlier, later] = [Math.max(...course.slice(0, FULL + 1)), Math.max(...course.slice(FULL + 1))];
      // A month has no more of anything than another; what is kept for longer than a month is there by now.
      expect([table, course, later <= earlier * 1.05 + 2]).toEqual([table, course, true]);
    }
    const [tasks, events] = [after.at(-1)?.get('sync_task') ?? 0, after.at(-1)?.get('event') ?? 0];
    // Those that found nothing for a month, those that failed for as long as records; events of a week.
    expect(tasks).toBeLessThan(2 * 660 + 5 * 60 + 50);
    expect(events).toBeLessThan((RUNS_A_MONTH / 4) * 10);
  }, 120_000);

  it('leaves what previews, undo and approvals need', async () => {
    // The stored snapshot is there: settings can be tried without a call.
    const called = () => [...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0);
    const before = called();
    const proposed = { id: source, scope: { mode: 'PARTIAL', departmentIds: ['2'] } };
    const tried = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed });
    expect([tried.status, called()]).toEqual(['SUCCEEDED', before]);
    // What changed two months ago can be undone, a removal that has waited as long can be decided.
    change(rollcall.sandbox, ({ users }) => users.set('late', user('late', '后来', [2])));
    const changed = await synchronize(rollcall, source);
    await mutate(
      rollcall,
      'configureSynchronization',
      { id: source, safeguards: { maxRemovals: 0, minimumObjects: 0 } },
      'identitySource { id }',
    );
    change(rollcall.sandbox, ({ users }) => users.delete('wangwu'));
    const held = await synchronize(rollcall, source);
    expect(held.status).toBe('HELD');
    await age(60);
    await retention.cleanUp();
    await age(60);
    await retention.cleanUp();
    expect((await decide(rollcall.api, { taskId: held.id, approve: true })).syncTask?.status).toBe('SUCCEEDED');
    expect(await rollcall.api.request(`{ syncTask(id: "${changed.id}") { id } }`)).toEqual({ syncTask: null });
    change(rollcall.sandbox, ({ users }) => users.delete('late'));
    await mutate(
      rollcall,
      'configureSynchronization',
      { id: source, safeguards: { maxRemovals: 50, minimumObjects: 5 } },
      'identitySource { id }',
    );
    const gone = await synchronize(rollcall, source);
    await age(60);
    await retention.cleanUp();
    const { syncTask, userErrors } = await mutate(rollcall, 'revertSyncTask', { taskId: gone.id }, 'syncTask { id }');
    expect(userErrors).toEqual([]);
    expect((await watch(rollcall.api, syncTask.id)).status).toBe('SUCCEEDED');
  }, 60_000);
});
