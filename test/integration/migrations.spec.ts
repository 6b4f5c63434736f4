import { createDataSource, migrate } from '../../src/database/data-source';
import { createTestDatabase } from '../setup/databases';

describe('migrations', () => {
  const tables = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'migration' ORDER BY 1`;

  it('go forward twice, back, and forward again, on an empty and on a filled database', async () => {
    const database = await createTestDatabase('nothing');
    const dataSource = await createDataSource(database.url).initialize();
    try {
      await migrate(dataSource);
      await migrate(dataSource);
      const made = await dataSource.query(tables);
      expect(made.length).toBeGreaterThan(10);
      await dataSource.query(`INSERT INTO identity_source (type, name, status) VALUES ('CUSTOM', '自定义', 'CLOSED')`);
      await dataSource.query(
        `INSERT INTO department (identity_source_id, name) SELECT id, '部门' FROM identity_source`,
      );
      for (const _ of dataSource.migrations) await dataSource.undoLastMigration();
      expect(await dataSource.query(tables)).toEqual([]);
      await migrate(dataSource);
      expect(await dataSource.query(tables)).toEqual(made);
    } finally {
      await dataSource.destroy();
      await database.drop();
    }
  });

  it('go back where an id waits that was given up twice, of which the later change stays', async () => {
    const database = await createTestDatabase();
    const dataSource = await createDataSource(database.url).initialize();
    const waiting = async () => {
      const index = `SELECT indexdef FROM pg_indexes WHERE indexname = 'directory_event_waiting_idx'`;
      return String((await dataSource.query(index))[0]?.indexdef);
    };
    try {
      await dataSource.query(
        `INSERT INTO identity_source (type, name, status, wecom_mode, corp_id) VALUES ('WECOM', 'WeCom', 'ENABLED', 'SELF_BUILT', 'ww1')`,
      );
      await dataSource.query(
        `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id, received_at)
         SELECT id, 'EMPLOYEE', 'a', 'a', told.to_key, told.to_key, now() + told.later
           FROM identity_source, (VALUES (NULL, interval '3 s'), ('b', '1 s'), ('c', '2 s')) told (to_key, later)`,
      );
      while ((await waiting()).includes('new_external_key')) await dataSource.undoLastMigration();
      const kept = await dataSource.query(
        'SELECT external_key AS key, new_external_key AS "newKey" FROM directory_event',
      );
      expect(kept).toEqual([{ key: 'a', newKey: 'c' }]);
      await migrate(dataSource);
      expect(await waiting()).toContain('new_external_key');
    } finally {
      await dataSource.destroy();
      await database.drop();
    }
  });

  it('leave nothing in which entities and database disagree', async () => {
    const database = await createTestDatabase();
    const dataSource = await createDataSource(database.url).initialize();
    try {
      const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
      // Indexes and constraints are written in migrations alone, so only columns and their types are compared.
      const columns = upQueries.map((q) => q.query).filter((q) => /COLUMN|CREATE TABLE/.test(q));
      expect(columns).toEqual([]);
    } finally {
      await dataSource.destroy();
      await database.drop();
    }
  });
});
