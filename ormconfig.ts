import { loadConfig } from './src/config/config';
import { createDataSource } from './src/database/data-source';

const { databaseUrl } = loadConfig(process.env);
if (!databaseUrl) throw new Error('The TypeORM command line needs DATABASE_URL; the server migrates by itself.');

/** For TypeORM's command line (`npx typeorm -d dist/ormconfig.js migration:show`). */
export default createDataSource(databaseUrl.reveal());
