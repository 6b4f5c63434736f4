import { once } from 'node:events';
import { Pool } from 'pg';
import { pino } from 'pino';
import { KeptRunner } from '../../src/jobs/kept-runner';
import { createTestDatabase } from '../setup/databases';
import { untilRow } from '../setup/rollcall';

const log = pino({ level: 'silent' });

/** A pool of a database of its own, whose connections may be lost. */
async function poolOfItsOwn() {
  const database = await createTestDatabase();
  const pool = new Pool({ connectionString: database.url });
  const ignore = () => undefined;
  pool.on('error', ignore).on('connect', (client) => client.on('error', ignore));
  return { pool, drop: () => pool.end().then(database.drop) };
}

describe('a runner that cannot make its tasks known when it starts', () => {
  it('is followed by another, which works once the database lets it', async () => {
    const { pool, drop } = await poolOfItsOwn();
    // graphile-worker prints what refused it.
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    const jobs = new EventTarget();
    const done = once(jobs, 'done');
    const runner = new KeptRunner(pool, 1, { job: async () => void jobs.dispatchEvent(new Event('done')) }, log);
    try {
      // As a database that is read-only for a moment, such as while another server takes over.
      await pool.query(
        `CREATE SEQUENCE refused;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN PERFORM nextval(''refused''); RAISE EXCEPTION ''read-only'' USING ERRCODE = ''25006''; END';
         CREATE TRIGGER refuse BEFORE INSERT ON graphile_worker._private_tasks FOR EACH ROW EXECUTE FUNCTION refuse()`,
      );
      await runner.start();
      await untilRow({ sql: pool }, 'SELECT FROM refused WHERE is_called');
      await pool.query('DROP FUNCTION refuse CASCADE');
      await pool.query(`SELECT graphile_worker.add_job('job')`);
      await done;
    } finally {
      await runner.stop();
      await drop();
      printed.mockRestore();
    }
  });
});

/** As where the database goes away at that moment. */
const BREAK = {
  done: 'DELETE',
  failed: 'UPDATE OF last_error',
};

describe('a runner that cannot note how a job ended', () => {
  it.each(['done', 'failed'] as const)('is followed by another while its other jobs go on: %s', async (how) => {
    const { pool, drop } = await poolOfItsOwn();
    const jobs = new EventTarget();
    const began = (name: string) => once(jobs, name);
    const tell = (name: string) => jobs.dispatchEvent(new Event(name));
    const tasks = {
      long: async () => {
        tell('long');
        await began('enough');
      },
      broken: async () => {
        if (how === 'failed') throw new Error('of the job');
      },
      next: async () => void tell('next'),
    };
    const runner = new KeptRunner(pool, 2, tasks, log);
    try {
      await runner.start();
      const add = (name: string) => pool.query('SELECT graphile_worker.add_job($1)', [name]);
      const long = began('long');
      await add('long');
      await long;
      await pool.query(
        `CREATE SEQUENCE refused;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN PERFORM nextval(''refused''); RAISE EXCEPTION ''away''; END';
         CREATE TRIGGER refuse BEFORE ${BREAK[how]} ON graphile_worker._private_jobs FOR EACH ROW EXECUTE FUNCTION refuse()`,
      );
      await add('broken');
      await untilRow({ sql: pool }, 'SELECT FROM refused WHERE is_called');
      const next = began('next');
      await add('next');
      await next;
      tell('enough');
    } finally {
      await pool.query('DROP FUNCTION refuse CASCADE');
      tell('enough');
      await runner.stop();
      await drop();
    }
  });
});
