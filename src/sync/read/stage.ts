import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type {
  DirectoryConnector,
  DirectoryPage,
  ReadOptions,
  ThirdPartyDepartment,
  ThirdPartyEmployee,
  ThirdPartyGroup,
} from '../../connector/directory-connector';
import { copyLines } from '../../database/copy';
import { inTransaction } from '../../database/transaction';
import { ExtensionFieldService } from '../../extension-field/extension-field.service';
import { normaliseValue } from '../../extension-field/extension-value';
import { EXTENSION_PREFIX, isMapped } from '../../field-mapping/field-mapping';
import { compileMapper, type ValueCheck } from '../../field-mapping/mapper';
import { INVALID } from '../../field-mapping/transforms';
import type { Run } from '../task/lease';
import { RowEncoder, type RowSettings, STAGED_COLUMNS, type StagedRows, type StagedType } from './staged-rows';

/** A page of objects of any one type. */
export type AnyPage =
  | DirectoryPage<ThirdPartyDepartment>
  | DirectoryPage<ThirdPartyEmployee>
  | DirectoryPage<ThirdPartyGroup>;

/** How many objects count as read with a stored page; pages of before that was counted hold each of theirs. */
export const COUNTED = 'coalesce(counted, cardinality(keys))';

/** A batch is written when it holds this many objects or pages: what bounds the memory of a read. */
const BATCH_OBJECTS = 2_000;
const BATCH_PAGES = 200;
const WRITES_AT_ONCE = 2;
const COPY_LIMIT = '120s';
/** Or when it is this old: a slow read shows its progress and loses little when it is interrupted. */
const BATCH_MS = 500;

/**
 * So many pages make the planner's figures wrong: it takes those of a task that it has not heard of for one, and would go through
 * them for each of them. A small sample tells enough.
 */
const MANY_PAGES = 250;
const ANALYSE_PAGES = `SET LOCAL default_statistics_target = 10;
ANALYZE (SKIP_LOCKED) task_page (task_id, object_type, page_key, page_id), snapshot_page (id, identity_source_id, object_type, applied)`;

/** Marks the digest of an answer that could not be understood whole. */
const INCOMPLETE = 'incomplete:';

/** The digest of the answer itself, from that of a stored page. */
export function wholeDigest(stored: string): string {
  return stored.startsWith(INCOMPLETE) ? stored.slice(INCOMPLETE.length) : stored;
}

/** A page version that is already stored and may be shared by another task. */
interface KnownPage {
  readonly id: number;
  readonly digest: string;
  readonly counted: number;
}

/** Told after every batch, for progress. */
export interface StagedBatch {
  readonly objectType: StagedType;
  /** Each object on one of its pages only, as far as the page itself tells. */
  readonly objects: number;
  readonly pages: number;
  readonly lastPageKey: string;
}

interface PageToWrite {
  readonly key: string;
  readonly readAt: Date;
  /** Null where it could not be read. */
  readonly pageId: number | null;
  /** Undefined where nothing is stored: the page is one that is stored already, or could not be read. */
  readonly fresh: (StagedRows & { readonly digest: string }) | undefined;
  readonly problem: string | null;
  /** Objects that count as read with this page. */
  readonly counted: number;
}

/**
 * The first step: what the directory answers becomes rows. A page whose digest is that of a stored one is shared instead of
 * parsed. Each batch is committed with the pages it holds, so an interrupted read goes on where it was.
 */
export class Stage {
  private known = new Map<string, KnownPage>();
  private done = new Set<string>();
  private pageIds: number[] = [];
  private encoder: RowEncoder;

  /**
   * @param notTold by third-party field: values that stand where the directory tells nothing
   * @param readAt by the database's clock when a page was read
   */
  constructor(
    private readonly dataSource: DataSource,
    private readonly connector: DirectoryConnector,
    private readonly run: Run,
    private readonly objectType: StagedType,
    private readonly notTold: RowSettings['notTold'],
    private readonly readAt: (page: AnyPage) => Date = (page) => this.run.lease.byDatabaseClock(page.readAt),
  ) {
    this.encoder = this.encoderOf({});
  }

  private encoderOf(checks: Readonly<Record<string, ValueCheck>>): RowEncoder {
    const { mappings, settingsVersion } = this.run.task;
    const map = compileMapper(this.objectType, mappings, checks);
    return new RowEncoder(this.connector, { map, settingsVersion, notTold: this.notTold });
  }

  /** Loads which pages are stored already, and which of them this task has read before it was interrupted. */
  async open(): Promise<void> {
    const { task } = this.run;
    if (isMapped(this.objectType)) this.encoder = this.encoderOf(await extensionChecks(this.dataSource));
    const read = await this.dataSource.query(`SELECT page_key FROM task_page WHERE task_id = $1 AND object_type = $2`, [
      task.id,
      this.objectType,
    ]);
    this.done = new Set(read.map((row: { page_key: string }) => row.page_key));
    const stored = await this.dataSource.query(
      `SELECT DISTINCT ON (page_key) id, page_key, digest, ${COUNTED} AS counted FROM snapshot_page
        WHERE identity_source_id = $1 AND object_type = $2 AND settings_version = $3
        ORDER BY page_key, applied DESC, id DESC`,
      [task.identitySourceId, this.objectType, task.settingsVersion],
    );
    this.known = new Map(stored.map((row: KnownPage & { page_key: string }) => [row.page_key, row]));
  }

  options(): ReadOptions {
    return {
      signal: this.run.signal,
      knownDigest: (key) => this.known.get(key)?.digest,
      alreadyRead: (key) => this.done.has(key),
    };
  }

  /** Writes the pages as they come. */
  async write(pages: AsyncIterable<AnyPage>, onBatch: (batch: StagedBatch) => void): Promise<void> {
    let batch: PageToWrite[] = [];
    let objects = 0;
    let written = 0;
    let begun = Date.now();
    // Batches are written while the next are read: the directory and the database work at the same time, and never more than
    // a few batches are held.
    const writing = new Set<Promise<void>>();
    let failure: unknown;
    const flush = async () => {
      const write = this.store(batch, onBatch)
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => writing.delete(write));
      writing.add(write);
      written += batch.length;
      batch = [];
      objects = 0;
      begun = Date.now();
      if (writing.size >= WRITES_AT_ONCE) await Promise.race(writing);
      if (failure) throw failure;
    };
    try {
      for await (const page of pages) {
        const prepared = await this.prepare(page);
        batch.push(prepared);
        objects += prepared.fresh?.keys.length ?? 0;
        if (objects >= BATCH_OBJECTS || batch.length >= BATCH_PAGES || Date.now() - begun >= BATCH_MS) await flush();
      }
      await flush();
    } finally {
      await Promise.all(writing);
    }
    if (failure) throw failure;
    if (written >= MANY_PAGES) await inTransaction(this.dataSource, (client) => client.query(ANALYSE_PAGES));
  }

  private async prepare(page: AnyPage): Promise<PageToWrite> {
    const base = { key: page.key, readAt: this.readAt(page) };
    const { content } = page;
    if (content.kind === 'unreadable')
      return { ...base, pageId: null, fresh: undefined, counted: 0, problem: `${page.key}: ${content.error.message}` };
    const known = this.known.get(page.key);
    if (known && known.digest === content.digest)
      return { ...base, pageId: known.id, fresh: undefined, counted: known.counted, problem: null };
    if (content.kind === 'unchanged')
      throw new Error(`The connector called ${page.key} unchanged without a known digest.`);
    const pageId = await this.nextPageId();
    const rows = this.encoder.encode(pageId, page.key, content.objects);
    const problem = content.problems.length > 0 ? `${page.key}: ${content.problems.join('; ')}` : null;
    // An answer that could not be understood whole must be parsed, and complained about, again.
    const digest = problem === null ? content.digest : `${INCOMPLETE}${content.digest}`;
    return { ...base, pageId, fresh: { ...rows, digest }, counted: rows.counted, problem };
  }

  /** A page's rows are made with its id, before the page itself is written. */
  private async nextPageId(): Promise<number> {
    const left = this.pageIds.pop();
    if (left !== undefined) return left;
    const taken: { id: number }[] = await this.dataSource.query(
      `SELECT nextval(pg_get_serial_sequence('snapshot_page', 'id')) AS id FROM generate_series(1, ${BATCH_PAGES}) ORDER BY 1 DESC`,
    );
    this.pageIds = taken.map((row) => row.id);
    return this.nextPageId();
  }

  private async store(pages: readonly PageToWrite[], onBatch: (batch: StagedBatch) => void): Promise<void> {
    // Of two answers about one page the later counts.
    const batch = [...new Map(pages.map((page) => [page.key, page])).values()];
    const last = batch.at(-1);
    if (!last) return;
    await inTransaction(this.dataSource, async (client) => {
      // A COPY whose sender is paused counts as busy, not idle, so this ends it.
      await client.query(`SET LOCAL statement_timeout = '${COPY_LIMIT}'`);
      await this.insertPages(client, batch);
      const lines = batch.flatMap(({ fresh }) => (fresh && fresh.lines.length > 0 ? [fresh.lines] : []));
      if (lines.length > 0) await copyLines(client, STAGED_COLUMNS[this.objectType], lines);
      await client.query(
        `INSERT INTO task_page (task_id, object_type, page_key, page_id, read_at, problem)
         SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[], $5::timestamptz[], $6::text[])
         ON CONFLICT (task_id, object_type, page_key)
         DO UPDATE SET page_id = excluded.page_id, read_at = excluded.read_at, problem = excluded.problem
          WHERE task_page.read_at <= excluded.read_at`,
        [
          this.run.task.id,
          this.objectType,
          batch.map((p) => p.key),
          batch.map((p) => p.pageId),
          batch.map((p) => p.readAt),
          batch.map((p) => p.problem),
        ],
      );
      await this.run.lease.confirm(client);
    });
    const objects = batch.reduce((sum, page) => sum + page.counted, 0);
    onBatch({ objectType: this.objectType, objects, pages: batch.length, lastPageKey: last.key });
  }

  /** New page versions. */
  private async insertPages(client: PoolClient, batch: readonly PageToWrite[]): Promise<void> {
    const pages = batch.flatMap(({ key, pageId, fresh }) => (fresh ? [{ key, pageId, ...fresh }] : []));
    if (pages.length === 0) return;
    await client.query(
      `INSERT INTO snapshot_page (id, identity_source_id, object_type, page_key, digest, settings_version, keys, filled, counted)
       OVERRIDING SYSTEM VALUE
       SELECT p.id, $1, $2, p.key, p.digest, $3, ARRAY(SELECT jsonb_array_elements_text(p.keys)),
              ARRAY(SELECT jsonb_array_elements_text(p.filled)), p.counted
         FROM unnest($4::bigint[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::int[]) AS p (id, key, digest, keys, filled, counted)`,
      [
        this.run.task.identitySourceId,
        this.objectType,
        this.run.task.settingsVersion,
        pages.map((p) => p.pageId),
        pages.map((p) => p.key),
        pages.map((p) => p.digest),
        pages.map((p) => JSON.stringify(p.keys)),
        pages.map((p) => JSON.stringify(p.filled)),
        pages.map((p) => p.counted),
      ],
    );
  }
}

/** How the texts of extension fields are checked, by local field. */
async function extensionChecks(dataSource: DataSource): Promise<Record<string, ValueCheck>> {
  const fields = await new ExtensionFieldService(dataSource).list();
  return Object.fromEntries(
    fields.map((field) => [
      `${EXTENSION_PREFIX}${field.key}`,
      (text: string) => normaliseValue(field, text) ?? INVALID,
    ]),
  );
}
