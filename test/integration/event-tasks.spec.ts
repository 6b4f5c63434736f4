import type { DataSource } from 'typeorm';
import { createDataSource } from '../../src/database/data-source';
import { inTransaction } from '../../src/database/transaction';
import { closeSource } from '../../src/identity-source/close-source';
import { claimEvents, openEventTask } from '../../src/sync/task/event-task';
import { Lease, type Run } from '../../src/sync/task/lease';
import { tidy } from '../../src/sync/task/tidy';
import { createTestDatabase } from '../setup/databases';

describe('an event task', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  let source: string;
  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await createDataSource(database.url).initialize();
    const [made] = await dataSource.query(
      `INSERT INTO identity_source (type, name, status, wecom_mode, corp_id) VALUES ('WECOM', 'WeCom', 'ENABLED', 'SELF_BUILT', 'ww1') RETURNING id`,
    );
    source = made.id;
    await dataSource.query(
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id) VALUES ($1, 'EMPLOYEE', 'lisi', 'lisi')`,
      [source],
    );
  });
  afterEach(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const open = () => inTransaction(dataSource, (client) => openEventTask(client, source));
  const take = async (): Promise<Run> => {
    const id = (await open()) ?? '';
    const lease = await Lease.take(dataSource, id, 30);
    if (!lease) throw new Error('The task is not to be had.');
    return { task: { id, identitySourceId: source }, lease, signal: new AbortController().signal } as Run;
  };
  const waiting = async () => (await dataSource.query('SELECT FROM directory_event WHERE task_id IS NULL')).length;

  it('takes up nothing once it has ended, or is another worker’s', async () => {
    const run = await take();
    await dataSource.query('UPDATE sync_task SET fence = fence + 1');
    await expect(claimEvents(dataSource, run)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await dataSource.query(`UPDATE sync_task SET fence = fence - 1, status = 'FAILED', finished_at = now()`);
    await expect(claimEvents(dataSource, run)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await waiting()).toBe(1);
  });

  it('is queued for another worker at once where its own stops, and only later where something disturbs it', async () => {
    const jobs = () => dataSource.query('SELECT task_identifier AS job FROM graphile_worker.jobs');
    for (const [atOnce, queued] of [
      [true, [{ job: 'event-task' }]],
      [false, []],
    ] as const) {
      const { task, lease } = await take();
      await dataSource.query('SELECT graphile_worker.complete_jobs(array_agg(id)) FROM graphile_worker.jobs');
      await lease.handOn(atOnce);
      expect(await jobs()).toEqual(queued);
      await dataSource.query(`UPDATE sync_task SET status = 'CANCELED' WHERE id = $1`, [task.id]);
    }
  });

  it('is not opened while its source is being closed, and nobody waits for that', async () => {
    await inTransaction(dataSource, async (client) => {
      await closeSource(client, source);
      expect(await open()).toBeUndefined();
    });
    expect(await open()).toBeUndefined();
    expect(await dataSource.query('SELECT FROM sync_task')).toEqual([]);
  });

  it('is opened while another task is tidied up after', async () => {
    const { task } = await take();
    await dataSource.query(`UPDATE sync_task SET status = 'SUCCEEDED', applied_at = now(), finished_at = now()`);
    await dataSource.query(
      `INSERT INTO sync_task (identity_source_id, mode, trigger, includes_employees, mappings, settings_version, settings, progress, status)
       SELECT identity_source_id, mode, 'MANUAL', true, mappings, settings_version, settings, progress, 'FAILED' FROM sync_task`,
    );
    await dataSource.query(
      `INSERT INTO task_page (task_id, object_type, page_key, read_at) SELECT id, 'EMPLOYEE', 'page', now() FROM sync_task WHERE status = 'FAILED'`,
    );
    let tidied: Promise<void> | undefined;
    await inTransaction(dataSource, async (client) => {
      await client.query('SELECT FROM task_page FOR UPDATE');
      tidied = tidy(dataSource, task);
      // It has locked the source, and waits for the page.
      while ((await dataSource.query(WAITS_FOR_PAGE)).length === 0) await new Promise((next) => setTimeout(next, 5));
      expect(await open()).toEqual(expect.any(String));
    });
    await tidied;
    expect(await dataSource.query('SELECT FROM task_page')).toEqual([]);
  });
});

const WAITS_FOR_PAGE = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%DELETE FROM task_page%'`;
