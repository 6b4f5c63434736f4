import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export const TEMPLATE = 'rollcall_test_template';

export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.toString();
}

/** Runs one statement on a connection of its own. */
export async function administer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}

/** Where nothing is waited for to reach a disk, files are copied in half the time of a log of them. */
const STRATEGY = process.env['DATABASE_URL'] ? '' : 'STRATEGY FILE_COPY';

/** A fresh database cloned from the migrated template, or an empty one. */
export async function createTestDatabase(from: 'template' | 'nothing' = 'template') {
  const server = process.env['ROLLCALL_TEST_DATABASE_URL'] ?? '';
  const name = `rollcall_test_${randomBytes(6).toString('hex')}`;
  await administer(
    server,
    `CREATE DATABASE ${name} TEMPLATE ${from === 'template' ? TEMPLATE : 'template0'} ${STRATEGY}`,
  );
  return {
    url: withDatabase(server, name),
    drop: () => administer(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}
