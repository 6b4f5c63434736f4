import { hash } from 'node:crypto';
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
import { type CopyValue, copyRows } from '../../database/copy';
import { inTransaction } from '../../database/transaction';
import { ExtensionFieldService } from '../../extension-field/extension-field.service';
import { normaliseValue } from '../../extension-field/extension-value';
import { EXTENSION_PREFIX, filledFields, isMapped, type SyncObjectTypeName } from '../../field-mapping/field-mapping';
import { compileMapper, type Mapper, type ValueCheck } from '../../field-mapping/mapper';
import { INVALID } from '../../field-mapping/transforms';
import type { Run } from '../task/lease';

export type StagedType = SyncObjectTypeName;

export type StagedObject = ThirdPartyDepartment | ThirdPartyEmployee | ThirdPartyGroup;

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

const STAGED_COLUMNS: Readonly<Record<StagedType, string>> = {
  DEPARTMENT:
    'staged_department (page_id, external_key, external_id, parent_key, "order", leader_keys, third_party, mapped, hash, invalid)',
  EMPLOYEE: `staged_employee (page_id, external_key, external_id, status, manager_key, main_department_key, department_keys,
     leader_flags, orders, third_party, mapped, hash, invalid)`,
  GROUP: 'staged_group (page_id, external_key, external_id, name, employee_keys, department_keys, third_party, hash)',
};

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
  readonly digest: string | null;
  readonly knownId: number | null;
  readonly keys: readonly string[];
  /** Third-party fields that somebody on it has. */
  readonly filled: readonly string[];
  readonly rows: readonly (readonly CopyValue[])[];
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
  private map: Mapper;

  /** @param notTold by third-party field: values that stand where the directory tells nothing */
  constructor(
    private readonly dataSource: DataSource,
    private readonly connector: DirectoryConnector,
    private readonly run: Run,
    private readonly objectType: StagedType,
    private readonly notTold: Readonly<Record<string, readonly string[]>>,
  ) {
    this.map = compileMapper(objectType, run.task.mappings);
  }

  /** Loads which pages are stored already, and which of them this task has read before it was interrupted. */
  async open(): Promise<void> {
    const { task } = this.run;
    if (isMapped(this.objectType))
      this.map = compileMapper(this.objectType, task.mappings, await extensionChecks(this.dataSource));
    await this.dataSource.query(`DELETE FROM task_page WHERE task_id = $1 AND page_id IS NULL AND object_type = $2`, [
      task.id,
      this.objectType,
    ]);
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
    let begun = Date.now();
    // Batches are written while the next are read: the directory and the database work at the same time, and never more than
    // a few batches are held.
    const writing = new Set<Promise<void>>();
    let failure: unknown;
    const flush = async () => {
      const write = this.flush(batch, onBatch)
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => writing.delete(write));
      writing.add(write);
      batch = [];
      objects = 0;
      begun = Date.now();
      if (writing.size >= WRITES_AT_ONCE) await Promise.race(writing);
      if (failure) throw failure;
    };
    try {
      for await (const page of pages) {
        const prepared = this.prepare(page);
        batch.push(prepared);
        objects += prepared.rows.length;
        if (objects >= BATCH_OBJECTS || batch.length >= BATCH_PAGES || Date.now() - begun >= BATCH_MS) await flush();
      }
      await flush();
    } finally {
      await Promise.all(writing);
    }
    if (failure) throw failure;
  }

  private prepare(page: AnyPage): PageToWrite {
    const base = { key: page.key, readAt: page.readAt };
    const { content } = page;
    if (content.kind === 'unreadable') {
      const problem = `${page.key}: ${content.error.message}`;
      return { ...base, digest: null, knownId: null, keys: [], filled: [], rows: [], problem, counted: 0 };
    }
    const known = this.known.get(page.key);
    if (known && known.digest === content.digest) {
      const { counted } = known;
      return {
        ...base,
        digest: content.digest,
        knownId: known.id,
        keys: [],
        filled: [],
        rows: [],
        problem: null,
        counted,
      };
    }
    if (content.kind === 'unchanged')
      throw new Error(`The connector called ${page.key} unchanged without a known digest.`);
    const rows = new Map<string, readonly CopyValue[]>();
    const counted = new Set<string>();
    const filled = new Set<string>();
    for (const object of content.objects) {
      const key = this.connector.keyOf(object.externalId);
      if (!('memberships' in object) || this.countsOn(page.key, object)) counted.add(key);
      const told = filledFields(object.fields);
      for (const name in told) if (!this.notTold[name]?.includes(told[name] ?? '')) filled.add(name);
      rows.set(key, this.row(key, object, told));
    }
    const problem = content.problems.length > 0 ? `${page.key}: ${content.problems.join('; ')}` : null;
    const keys = [...rows.keys()];
    // An answer that could not be understood whole must be parsed, and complained about, again.
    const stored = problem === null ? content.digest : `incomplete:${content.digest}`;
    const written = { keys, filled: [...filled], rows: [...rows.values()], counted: counted.size };
    return { ...base, ...written, digest: stored, knownId: null, problem };
  }

  private row(key: string, object: StagedObject, told: Record<string, string>): readonly CopyValue[] {
    if ('memberships' in object) return this.employeeRow(key, object, told);
    return 'leaderIds' in object ? this.departmentRow(key, object, told) : this.groupRow(key, object, told);
  }

  private groupRow(key: string, g: ThirdPartyGroup, told: Record<string, string>): readonly CopyValue[] {
    const keys = (ids: readonly string[]) => [...new Set(ids.map((id) => this.connector.keyOf(id)))];
    const name = told['name'] ?? null;
    const lines = (ids: readonly string[]) => (ids.length > 0 ? ids.join('\n') : null);
    const shown = { ...told, employees: lines(g.employeeIds), departments: lines(g.departmentIds) };
    const members = [keys(g.employeeIds), keys(g.departmentIds)];
    return [key, g.externalId, name, ...members, JSON.stringify(shown), digest(name ?? '')];
  }

  /** Somebody who is in several departments counts on the page of one: the main one, or the first. */
  private countsOn(pageKey: string, { memberships, mainDepartmentId }: ThirdPartyEmployee): boolean {
    const place = mainDepartmentId ?? memberships[0]?.departmentId;
    return place === undefined || pageKey === `employees-of:${place}`;
  }

  private departmentRow(key: string, d: ThirdPartyDepartment, told: Record<string, string>): readonly CopyValue[] {
    const { values, invalid } = this.map(d.externalId, told);
    const leaders = d.leaderIds ? d.leaderIds.map((id) => this.connector.keyOf(id)) : null;
    const parent = d.parentId === null ? null : this.connector.keyOf(d.parentId);
    const mapped = JSON.stringify(values);
    const shown = JSON.stringify({ ...told, parent: d.parentId, order: d.order === null ? null : String(d.order) });
    return [key, d.externalId, parent, d.order, leaders, shown, mapped, this.hash(mapped), noneAsNull(invalid)];
  }

  private employeeRow(key: string, e: ThirdPartyEmployee, told: Record<string, string>): readonly CopyValue[] {
    const { values, invalid } = this.map(e.externalId, told);
    const manager = values['manager'] === undefined ? null : this.connector.keyOf(values['manager']);
    const main = e.mainDepartmentId === null ? null : this.connector.keyOf(e.mainDepartmentId);
    const departments = e.memberships.map((m) => this.connector.keyOf(m.departmentId));
    const leaders = e.memberships.map((m) => m.isLeader ?? null);
    const orders = e.memberships.map((m) => m.order);
    const mapped = JSON.stringify(values);
    const shown = JSON.stringify({
      ...told,
      status: e.status,
      mainDepartment: e.mainDepartmentId,
      departments: e.memberships.map((m) => m.departmentId).join('\n'),
    });
    const place = [e.status, manager, main, departments, leaders, orders];
    return [key, e.externalId, ...place, shown, mapped, this.hash(mapped), noneAsNull(invalid)];
  }

  /** With the settings, which decide as well what is made of the values. */
  private hash(mapped: string): string {
    return digest(mapped + this.run.task.settingsVersion);
  }

  private async flush(batch: readonly PageToWrite[], onBatch: (batch: StagedBatch) => void): Promise<void> {
    const last = batch.at(-1);
    if (!last) return;
    await inTransaction(this.dataSource, async (client) => {
      // A COPY whose sender is paused counts as busy, not idle, so this ends it.
      await client.query(`SET LOCAL statement_timeout = '${COPY_LIMIT}'`);
      const ids = await this.insertPages(client, batch);
      if (batch.some((page) => page.rows.length > 0))
        await copyRows(client, STAGED_COLUMNS[this.objectType], withPageIds(batch, ids));
      await client.query(
        `INSERT INTO task_page (task_id, object_type, page_key, page_id, read_at, problem)
         SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[], $5::timestamptz[], $6::text[])
         ON CONFLICT (task_id, object_type, page_key)
         DO UPDATE SET page_id = excluded.page_id, read_at = excluded.read_at, problem = excluded.problem`,
        [
          this.run.task.id,
          this.objectType,
          batch.map((p) => p.key),
          batch.map((p, i) => p.knownId ?? ids[i] ?? null),
          batch.map((p) => p.readAt),
          batch.map((p) => p.problem),
        ],
      );
      await this.run.lease.confirm(client);
    });
    const objects = batch.reduce((sum, page) => sum + page.counted, 0);
    onBatch({ objectType: this.objectType, objects, pages: batch.length, lastPageKey: last.key });
  }

  /** New page versions; the answer has each page's id at its place, null where nothing new was stored. */
  private async insertPages(client: PoolClient, batch: readonly PageToWrite[]): Promise<(number | null)[]> {
    const fresh = batch.filter((page) => page.digest !== null && page.knownId === null);
    if (fresh.length === 0) return batch.map(() => null);
    const { rows } = await client.query(
      `INSERT INTO snapshot_page (identity_source_id, object_type, page_key, digest, settings_version, keys, filled, counted)
       SELECT $1, $2, p.key, p.digest, $3, ARRAY(SELECT jsonb_array_elements_text(p.keys)),
              ARRAY(SELECT jsonb_array_elements_text(p.filled)), p.counted
         FROM unnest($4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::int[]) AS p (key, digest, keys, filled, counted)
       RETURNING id, page_key`,
      [
        this.run.task.identitySourceId,
        this.objectType,
        this.run.task.settingsVersion,
        fresh.map((p) => p.key),
        fresh.map((p) => p.digest),
        fresh.map((p) => JSON.stringify(p.keys)),
        fresh.map((p) => JSON.stringify(p.filled)),
        fresh.map((p) => p.counted),
      ],
    );
    const byKey = new Map(rows.map((row: { id: number; page_key: string }) => [row.page_key, row.id]));
    return batch.map((page) => (page.knownId === null && page.digest !== null ? (byKey.get(page.key) ?? null) : null));
  }
}

function* withPageIds(batch: readonly PageToWrite[], ids: readonly (number | null)[]): Generator<readonly CopyValue[]> {
  for (const [i, page] of batch.entries()) for (const row of page.rows) yield [ids[i] ?? null, ...row];
}

function digest(text: string): string {
  return `\\x${hash('md5', text)}`;
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

/** An empty array costs bytes in every row; NULL costs none. */
function noneAsNull(names: readonly string[]): readonly string[] | null {
  return names.length > 0 ? names : null;
}
