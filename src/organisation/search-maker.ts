import type { PoolClient } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import { Recurring } from '../platform/recurring';
import { type RunQuery, refreshBatch } from './search-index';

const EVERY_MS = 1_000;

/** Longer than a batch takes: whoever was killed or paused is followed by another. */
const TAKEN_FOR = `interval '1 minute'`;

/** What was announced first and nobody is making. */
const TAKE = `
UPDATE search_pending SET taken_until = now() + ${TAKEN_FOR}
 WHERE identity_source_id = (
   SELECT identity_source_id FROM search_pending WHERE taken_until IS NULL OR taken_until < now()
    ORDER BY announced_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING identity_source_id AS id, change`;

const KEEP = `UPDATE search_pending SET taken_until = now() + ${TAKEN_FOR} WHERE identity_source_id = $1`;

/** Whoever brought more people meanwhile has changed the mark, and it stays: to be taken again. */
const RELEASE = `
WITH made AS (DELETE FROM search_pending WHERE identity_source_id = $1 AND change = $2 RETURNING 1)
UPDATE search_pending SET taken_until = NULL WHERE identity_source_id = $1 AND NOT EXISTS (SELECT FROM made)`;

/**
 * The entries of many people are merged at once, which is several times as fast as one by one (postgresql.org/docs/18/gin.html, "GIN
 * Fast Update Technique"); work_mem is what the merge may take. Not more at once, since an edit meanwhile may have to merge them. A
 * batch that a crash forgets is made again: it is stale.
 */
const IN_BULK = `
SET LOCAL gin_pending_list_limit = '4MB'; SET LOCAL work_mem = '64MB'; SET LOCAL synchronous_commit = off`;

/** What still waits to be merged would cost every search. */
const MERGE = `
SELECT gin_clean_pending_list(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
 WHERE i.indrelid = 'employee_search'::regclass AND a.amname = 'gin'`;

/** A source some of whose people have no search text, or an old one. */
interface Pending {
  readonly id: string;
  /** What was announced last. */
  readonly change: string;
}

/** Makes the search text that large runs announce, beside them; of several processes one does it for a source. */
export class SearchMaker {
  private readonly looks: Recurring;
  private stopping = false;

  constructor(
    private readonly dataSource: DataSource,
    log: Logger,
  ) {
    this.looks = new Recurring(
      EVERY_MS,
      () => this.makeAll(),
      (error) => log.warn({ err: error }, 'search.failed'),
    );
  }

  start(): void {
    this.looks.start();
  }

  stop(): Promise<void> {
    this.stopping = true;
    return this.looks.stop();
  }

  private async makeAll(): Promise<void> {
    while (!this.stopping) {
      const [taken]: [Pending[], number] = await this.dataSource.query(TAKE);
      if (!taken[0]) return;
      await this.make(taken[0]);
    }
  }

  private async make({ id, change }: Pending): Promise<void> {
    let next = await this.batch(id);
    while (next !== undefined && !this.stopping) next = await this.batch(id, next);
    if (next !== undefined) await this.dataSource.query(RELEASE, [id, null]);
    else {
      await this.dataSource.query(MERGE);
      await this.dataSource.query(RELEASE, [id, change]);
    }
  }

  private batch(identitySourceId: string, after?: string): Promise<string | undefined> {
    return inTransaction(this.dataSource, async (client) => {
      await client.query(IN_BULK);
      const next = await refreshBatch(queryOf(client), { identitySourceId }, after);
      await client.query(KEEP, [identitySourceId]);
      return next;
    });
  }
}

function queryOf(client: PoolClient): RunQuery {
  return async (sql, parameters) => (await client.query(sql, parameters)).rows;
}
