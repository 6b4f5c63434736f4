import type { DataSource } from 'typeorm';
import type { DirectoryConnector, DirectoryExtent } from '../../src/connector/directory-connector';
import { createDataSource } from '../../src/database/data-source';
import { confirmAbsences, storeCertificate } from '../../src/sync/read/certificate';
import { SnapshotReader } from '../../src/sync/read/snapshot-reader';
import { Lease, type Run } from '../../src/sync/task/lease';
import type { ProgressReporter } from '../../src/sync/task/progress';
import { type CertificateState, SyncTask } from '../../src/sync/task/sync-task.entity';
import { createTestDatabase } from '../setup/databases';

const EXTENT: DirectoryExtent = { departmentIds: ['1'], employeeIds: [], groupIds: [] };

describe('a worker that was paused for longer than its lease', () => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>;
  let dataSource: DataSource;
  let paused: Run;

  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = await createDataSource(database.url).initialize();
    const [{ id: sourceId }] = await dataSource.query(
      `INSERT INTO identity_source (type, name, status, wecom_mode, sealed_secret) VALUES ('WECOM', 'W', 'ENABLED', 'SELF_BUILT', 'x') RETURNING id`,
    );
    const [{ id: taskId }] = await dataSource.query(
      `INSERT INTO sync_task (identity_source_id, mode, trigger, mappings, settings_version, settings)
       VALUES ($1, 'APPLY', 'MANUAL', '[]', 'v', '{"scope": {"mode": "ALL", "departmentIds": []}}') RETURNING id`,
      [sourceId],
    );
    paused = await takeUp(taskId);
    const other = await takeUp(taskId);
    expect(other.lease.fence).toBeGreaterThan(paused.lease.fence);
    await dataSource.query(
      `INSERT INTO task_page (task_id, object_type, page_key, read_at, problem) VALUES ($1, 'EMPLOYEE', 'again:ada', now(), 'busy')`,
      [taskId],
    );
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  /** With a lease that ends at once. */
  const takeUp = async (taskId: string): Promise<Run> => {
    const lease = await Lease.take(dataSource, taskId, 0);
    if (!lease) throw new Error('Another worker holds the task.');
    const task = await dataSource.manager.findOneByOrFail(SyncTask, { id: taskId });
    return { task, lease, signal: new AbortController().signal };
  };
  const connector = {
    extent: async () => EXTENT,
    keyOf: (id: string) => id,
    async *departments() {},
    async *employees() {},
    statistics: () => ({ calls: 0, throttledMs: 0 }),
  } as unknown as DirectoryConnector;
  const lost = expect.objectContaining({ code: 'LEASE_LOST' });

  it('does not forget what another one could not read', async () => {
    const progress = { update: () => undefined } as unknown as ProgressReporter;
    const reader = new SnapshotReader(dataSource, { connector, notTold: {} }, paused, progress);
    await expect(reader.read()).rejects.toEqual(lost);
    expect(await dataSource.query('SELECT page_key, problem FROM task_page')).toEqual([
      { page_key: 'again:ada', problem: 'busy' },
    ]);
  });

  it('certifies nothing', async () => {
    const read = { extent: EXTENT, fieldsWithdrawn: [], groups: false, groupsLeftAlone: undefined };
    await expect(storeCertificate(dataSource, connector, paused, read)).rejects.toEqual(lost);
    const certified = {
      certificate: { reasons: [] } as unknown as CertificateState,
      findings: { lost: [], same: false },
    };
    await expect(confirmAbsences(dataSource, connector, paused, certified)).rejects.toEqual(lost);
  });
});
