import type { DirectoryConnector, ThirdPartyGroup } from '../../src/connector/directory-connector';
import { createDataSource } from '../../src/database/data-source';
import { type AnyPage, Stage } from '../../src/sync/read/stage';
import { Lease } from '../../src/sync/task/lease';
import { SyncTask } from '../../src/sync/task/sync-task.entity';
import { createTestDatabase } from '../setup/databases';

/** A directory's answer about one group. */
function page(key: string, digest: string, name: string): AnyPage {
  const group: ThirdPartyGroup = { externalId: '7', fields: { name }, employeeIds: [], departmentIds: [] };
  return { key, readAt: new Date(), content: { kind: 'read', digest, objects: [group], problems: [] } };
}

it('of two answers about one page that come together the later counts', async () => {
  const database = await createTestDatabase();
  const dataSource = await createDataSource(database.url).initialize();
  try {
    const [{ id: sourceId }] = await dataSource.query(
      `INSERT INTO identity_source (type, name, status, wecom_mode, sealed_secret) VALUES ('WECOM', 'W', 'ENABLED', 'SELF_BUILT', 'x') RETURNING id`,
    );
    const [{ id: taskId }] = await dataSource.query(
      `INSERT INTO sync_task (identity_source_id, mode, trigger, mappings, settings_version, settings)
       VALUES ($1, 'APPLY', 'MANUAL', '[]', 'v', '{}') RETURNING id`,
      [sourceId],
    );
    const lease = await Lease.take(dataSource, taskId, 60);
    if (!lease) throw new Error('Another worker holds the task.');
    const task = await dataSource.manager.findOneByOrFail(SyncTask, { id: taskId });
    const connector = { keyOf: (id: string) => id } as unknown as DirectoryConnector;
    const stage = new Stage(dataSource, connector, { task, lease, signal: new AbortController().signal }, 'GROUP', {});
    await stage.open();
    const batches: number[] = [];
    async function* pages() {
      yield page('group:7', 'a', 'first');
      yield page('group:8', 'b', 'other');
      yield page('group:7', 'c', 'second');
    }
    await stage.write(pages(), (batch) => batches.push(batch.objects));
    expect(
      await dataSource.query(
        `SELECT tp.page_key, s.name FROM task_page tp JOIN staged_group s ON s.page_id = tp.page_id ORDER BY 1`,
      ),
    ).toEqual([
      { page_key: 'group:7', name: 'second' },
      { page_key: 'group:8', name: 'other' },
    ]);
    // Nothing is kept of the first.
    expect(await dataSource.query('SELECT name FROM staged_group ORDER BY 1')).toHaveLength(2);
    expect(batches).toEqual([2]);
  } finally {
    await dataSource.destroy();
    await database.drop();
  }
});
