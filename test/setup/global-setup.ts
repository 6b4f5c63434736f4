import { runMigrations } from 'graphile-worker';
import { createDataSource, migrate } from '../../src/database/data-source';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded/embedded-postgres';
import { administer, TEMPLATE, withDatabase } from './databases';
import { makeTestFolder } from './test-folder';

declare global {
  var embeddedPostgres: EmbeddedPostgres | undefined;
  var testFolder: string | undefined;
}

/** One PostgreSQL for all tests: that of DATABASE_URL, or an embedded one; with a migrated template to clone from. */
export default async function globalSetup(): Promise<void> {
  globalThis.testFolder = makeTestFolder();
  process.env['TMPDIR'] = globalThis.testFolder;
  let url = process.env['DATABASE_URL'];
  if (!url) {
    globalThis.embeddedPostgres = await startEmbeddedPostgres({ dataDir: globalThis.testFolder });
    url = globalThis.embeddedPostgres.url;
    // It outlives no crash of the machine; what a killed process has committed is there all the same.
    await administer(url, 'ALTER SYSTEM SET fsync = off');
    await administer(url, 'ALTER SYSTEM SET full_page_writes = off');
    await administer(url, 'SELECT pg_reload_conf()');
  }
  process.env['ROLLCALL_TEST_DATABASE_URL'] = url;
  await administer(url, `DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
  await administer(url, `CREATE DATABASE ${TEMPLATE}`);
  const dataSource = await createDataSource(withDatabase(url, TEMPLATE)).initialize();
  await migrate(dataSource);
  await runMigrations({ connectionString: withDatabase(url, TEMPLATE) });
  await dataSource.destroy();
}
