import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { poolOf } from './pool';

/** What a piece of work collects in a temporary table before it goes on from there. */
export interface WorkingTable {
  readonly name: string;
  /** The SELECT that fills it, which also says what columns it has. */
  readonly rows: string;
  /**
   * Columns that the planner is told about once it is filled: those that joins and conditions use, since those of arrays and JSON
   * would take longer than some of the statements. Undefined: it guesses, for tables that nothing is joined with in numbers.
   */
  readonly analysed: readonly string[] | undefined;
}

/** @param rows a SELECT, with its parameters written out: CREATE TABLE AS takes none */
export function workingTable(name: string, rows: string, analysed?: readonly string[]): WorkingTable {
  return { name, rows, analysed };
}

/** After so many rows a session's tables are dropped: what was deleted from them still takes room. */
const WORN_OUT = 5_000;

/** What is left of a connection's temporary tables: empty ones, which its next work fills again. */
class Session {
  readonly names = new Set<string>();
  rows = 0;
}

const sessions = new WeakMap<PoolClient, Session>();

/**
 * The temporary tables of one piece of work, which outlast its transactions. They stay when it is done, emptied: making one costs
 * as much as several hundred rows, and a run that brings one person needs twenty of them.
 */
export class WorkingTables {
  private readonly filled = new Set<string>();

  constructor(
    readonly client: PoolClient,
    private readonly session: Session,
  ) {}

  /** @returns how many rows it has. Once for each table. */
  async fill({ name, rows, analysed }: WorkingTable): Promise<number> {
    const { rowCount } = await this.client.query(
      this.session.names.has(name) ? `INSERT INTO ${name} ${rows}` : `CREATE TEMP TABLE ${name} AS ${rows}`,
    );
    const count = rowCount ?? 0;
    this.session.names.add(name);
    this.session.rows += count;
    if (count > 0) this.filled.add(name);
    if (analysed) await this.client.query(`ANALYZE ${name} (${analysed.join(', ')})`);
    return count;
  }

  /** Where it is known that there would be no rows: for statements that look into it all the same. */
  async leaveEmpty({ name, rows }: WorkingTable): Promise<void> {
    if (!this.session.names.has(name)) await this.client.query(`CREATE TEMP TABLE ${name} AS ${rows} WITH NO DATA`);
    this.session.names.add(name);
  }

  /** At the end of the work, so that the next one meets no row of it. */
  async empty(): Promise<void> {
    if (this.session.rows > WORN_OUT) await dropTables(this.client);
    else if (this.filled.size > 0)
      await this.client.query([...this.filled].map((name) => `DELETE FROM ${name}`).join('; '));
  }
}

async function dropTables(client: PoolClient): Promise<void> {
  sessions.delete(client);
  await client.query('DISCARD TEMP');
}

/**
 * Several transactions on one connection, with tables of their own. Whatever becomes of `work`, nobody meets its rows
 * afterwards: the tables are emptied, after a failure dropped, and a connection that can do neither is closed.
 */
export async function withWorkingTables<T>(
  dataSource: DataSource,
  work: (tables: WorkingTables) => Promise<T>,
): Promise<T> {
  const client = await poolOf(dataSource).connect();
  // Without a listener, a connection that PostgreSQL ends between two statements would end the whole process.
  const onError = () => undefined;
  client.on('error', onError);
  const session = sessions.get(client) ?? new Session();
  sessions.set(client, session);
  const tables = new WorkingTables(client, session);
  let done = false;
  try {
    const result = await work(tables);
    done = true;
    return result;
  } finally {
    // A table that a transaction made which did not come to its end is not there.
    const left = await (done ? tables.empty() : dropTables(client)).then(
      () => undefined,
      (error: Error) => error,
    );
    client.off('error', onError);
    client.release(left);
  }
}
