import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../platform/project-root';
import { buildAppSchema, printAppSchema } from './schema';

const file = path.join(projectRoot(), 'schema', 'schema.graphql');
const current = printAppSchema(buildAppSchema());

if (!process.argv.includes('--check')) {
  writeFileSync(file, current);
} else if (readFileSync(file, 'utf8') !== current) {
  console.error('schema/schema.graphql is not what the code says: run `npm run schema` and commit the result.');
  process.exitCode = 1;
}
