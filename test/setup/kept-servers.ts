import { Client } from 'pg';
import type { AppConfig } from '../../src/config/config';
import type { RollcallServer } from '../../src/server';
import { administer, type createTestDatabase } from './databases';

/** A server with its database, for any number of tests of one file, one after the other. */
export interface KeptServer {
  /** What it was started with. */
  readonly environment: string;
  readonly database: Awaited<ReturnType<typeof createTestDatabase>>;
  readonly config: AppConfig;
  /** Where its directory is: the sandbox of each test listens there. */
  readonly sandboxPort: number;
  server: RollcallServer;
  /** A connection of the tests' own. */
  readonly sql: Client;
}

const idle: KeptServer[] = [];
let isOver = false;

afterAll(async () => {
  isOver = true;
  await Promise.all(idle.splice(0).map(endServer));
});

/** One that no test uses, as it was when it had just been started. */
export function takeServer(environment: string): KeptServer | undefined {
  const at = idle.findIndex((kept) => kept.environment === environment);
  return at < 0 ? undefined : idle.splice(at, 1)[0];
}

export async function endServer({ server, database, sql }: KeptServer): Promise<void> {
  await sql.end();
  await server.stop();
  await database.drop();
}

/**
 * Keeps a server for the next test that wants one like it: starting one, and the first run of one, cost as much as several runs.
 * One that is still at work, or whose database was altered, is ended.
 * @param closeDirectory ends what it reads, once it does so no more
 */
export async function giveBack(kept: KeptServer, closeDirectory: () => Promise<void>): Promise<void> {
  const isQuiet = !isOver && (await comesToRest(kept.sql));
  await closeDirectory();
  const isAsNew = isQuiet && (await startsOver(kept.sql));
  if (isAsNew) idle.push(kept);
  else await endServer(kept);
}

const IS_AT_REST = `
SELECT NOT EXISTS (SELECT FROM sync_task WHERE status = 'RUNNING')
   AND NOT EXISTS (SELECT FROM graphile_worker._private_jobs WHERE locked_at IS NOT NULL)
   AND NOT EXISTS (SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle') AS it_is`;

async function comesToRest(sql: Client): Promise<boolean> {
  try {
    await sql.query('DISCARD ALL');
    for (let i = 0; i < 20; i++) {
      if ((await sql.query(IS_AT_REST)).rows[0].it_is) return true;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  } catch {
    // The connection is lost, or in a transaction that was not ended.
  }
  return false;
}

/** What is the process's own, and numbers that its memory goes on from. */
const STAYS = `ARRAY['public.migration', 'public.event_counter', 'graphile_worker.migrations',
  'graphile_worker._private_tasks', 'graphile_worker._private_known_crontabs']`;

const TABLES = `
SELECT format('%I.%I', n.nspname, c.relname) AS name, format('as_started.%I', c.relname) AS kept,
       (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('public', 'graphile_worker')
   AND NOT (n.nspname || '.' || c.relname) = ANY (${STAYS})`;

/** What the schema consists of: a trigger that a test made, a column, an index. */
const SHAPE = `
SELECT md5(concat(
  (SELECT string_agg(concat_ws(' ', c.relname, c.relkind, c.relnatts), ',' ORDER BY c.oid)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'graphile_worker')),
  (SELECT string_agg(concat_ws(' ', tgname, tgenabled, tgfoid), ',' ORDER BY oid) FROM pg_trigger),
  (SELECT string_agg(md5(prosrc), ',' ORDER BY p.oid)
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'graphile_worker')),
  (SELECT string_agg(md5(pg_get_constraintdef(oid)), ',' ORDER BY oid) FROM pg_constraint WHERE conrelid <> 0),
  (SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting)))`;

/** Notes what a server has in its database when it has just been started. */
export async function noteStart(url: string): Promise<void> {
  await administer(
    url,
    `
DO $$
DECLARE t record; has_rows boolean;
BEGIN
  -- The built-in source is told of as news; the server would number that within a second.
  PERFORM number_events();
  CREATE SCHEMA as_started;
  FOR t IN ${TABLES} LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', t.name) INTO has_rows;
    IF has_rows THEN EXECUTE format('CREATE TABLE %s AS SELECT %s FROM %s', t.kept, t.columns, t.name); END IF;
  END LOOP;
  CREATE TABLE as_started.shape AS ${SHAPE} AS shape;
END $$`,
  );
}

/** The indexes of extension fields, which the server makes and drops. */
const INDEXES = `SELECT relname AS name FROM pg_class WHERE relkind = 'i' AND relname ~ '^extension_[0-9a-f]{32}_'`;

/** @returns whether it could */
async function startsOver(sql: Client): Promise<boolean> {
  try {
    await sql.query(`
DO $$
DECLARE t record; large text;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR t IN ${INDEXES} LOOP EXECUTE format('DROP INDEX %s', t.name); END LOOP;
  -- What is deleted from a table still takes room.
  SELECT string_agg(name, ', ') FROM (${TABLES}) kept WHERE pg_relation_size(name) > 500000 INTO large;
  IF large IS NOT NULL THEN EXECUTE format('TRUNCATE %s CASCADE', large); END IF;
  FOR t IN ${TABLES} LOOP EXECUTE format('DELETE FROM %s', t.name); END LOOP;
  FOR t IN ${TABLES} AND to_regclass(format('as_started.%I', c.relname)) IS NOT NULL LOOP
    EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s', t.name, t.columns, t.columns, t.kept);
  END LOOP;
END $$`);
    const { rows } = await sql.query(`SELECT shape = (${SHAPE}) AS as_was FROM as_started.shape`);
    return rows[0].as_was;
  } catch {
    return false;
  }
}
