import 'reflect-metadata';
import { loadConfig } from './config/config';
import { createDataSource, migrate } from './database/data-source';
import { startEmbeddedPostgres } from './database/embedded/embedded-postgres';
import { rotateSecrets } from './identity-source/rotate-secrets';
import { createLogger } from './platform/logger';
import { openSecretBox } from './server';

/** Seals every stored secret with ROLLCALL_ENCRYPTION_KEY; the keys they are sealed with are in ROLLCALL_FORMER_ENCRYPTION_KEYS. */
async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const embedded = config.databaseUrl
    ? undefined
    : await startEmbeddedPostgres({ dataDir: config.dataDir, log: createLogger(config.logLevel) });
  const dataSource = createDataSource(config.databaseUrl?.reveal() ?? embedded?.url ?? '');
  try {
    await dataSource.initialize();
    await migrate(dataSource);
    const rotated = await rotateSecrets(dataSource, openSecretBox(config));
    console.log(`${rotated} secrets were sealed with the key in use. Former keys can be forgotten.`);
  } finally {
    await dataSource.destroy().catch(() => undefined);
    await embedded?.stop();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
