import DataLoader from 'dataloader';
import type { DataSource } from 'typeorm';
import { type SelectRows, selectPrepared } from '../database/rows';

/** Rows of one statement in the order of the ids that it was asked for; null where there is none. Pure. */
export function inOrder<T>(ids: readonly string[], rows: readonly T[], key: (row: T) => string): (T | null)[] {
  const found = new Map(rows.map((row) => [key(row), row]));
  return ids.map((id) => found.get(id) ?? null);
}

/** The same where an id can have any number of rows, which keep their order. Pure. */
function group<T extends { key: string }>(ids: readonly string[], rows: readonly T[]): T[][] {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const list = found.get(row.key);
    if (list) list.push(row);
    else found.set(row.key, [row]);
  }
  return ids.map((id) => found.get(id) ?? []);
}

/**
 * A dataloader that gives what it has read already without a promise, of which the fields of a page would otherwise make hundreds.
 */
export class Batches<V> {
  private readonly known = new Map<string, V>();
  private readonly loader: DataLoader<string, V>;

  /**
   * @param read answers in the order of the ids
   * @param options cache: false where nothing may be remembered
   */
  constructor(
    private readonly read: (ids: readonly string[]) => Promise<readonly V[]>,
    private readonly options: DataLoader.Options<string, V> & { readonly cache: boolean },
  ) {
    this.loader = new DataLoader((ids) => this.readAndKeep(ids), options);
  }

  load(id: string): MaybePromise<V> {
    const value = this.known.get(id);
    return value === undefined ? this.loader.load(id) : value;
  }

  /** Reads what will be asked for, in one statement, and gives it; nothing where nothing may be remembered. */
  async readAhead(ids: readonly string[]): Promise<V[]> {
    if (!this.options.cache) return [];
    const unknown = [...new Set(ids)].filter((id) => !this.known.has(id));
    if (unknown.length > 0) await this.readAndKeep(unknown);
    return ids.map((id) => this.known.get(id) as V);
  }

  private async readAndKeep(ids: readonly string[]): Promise<readonly V[]> {
    const values = await this.read(ids);
    if (this.options.cache) for (const [i, id] of ids.entries()) this.known.set(id, values[i] as V);
    return values;
  }
}

/** What is at hand, or is to come. */
export type MaybePromise<V> = V | Promise<V>;

/** What follows from a value, at once where it is at hand. */
export function whenKnown<V, R>(value: MaybePromise<V>, work: (value: V) => R): MaybePromise<R> {
  return value instanceof Promise ? value.then(work) : work(value);
}

/**
 * Makes loaders of one statement each, which takes the ids as its one parameter.
 * @param select how they read: prepared, unless their texts are not the same each time
 */
export function statementLoaders(
  dataSource: DataSource,
  options: { readonly cache: boolean },
  select: SelectRows = selectPrepared,
) {
  return {
    /** Any number of rows for an id, its `key`. */
    grouped: <T extends { key: string }>(sql: string) =>
      new Batches<T[]>(async (ids) => group(ids, await select<T>(dataSource, sql, [ids])), options),
    /** A number for an id; 0 where the statement has no row for it. */
    counted: (sql: string) =>
      new Batches<number>(async (ids) => {
        const rows = await select<{ key: string; total: number }>(dataSource, sql, [ids]);
        return inOrder(ids, rows, (row) => row.key).map((row) => row?.total ?? 0);
      }, options),
  };
}

/** When everything that is due now has asked: as dataloader does it by itself. */
function afterAllHaveAsked(send: () => void): void {
  void Promise.resolve().then(() => process.nextTick(send));
}

/**
 * What one loader reads before another sends its batch, so that ids which those rows bring go in one statement with the ids that
 * have been asked for already.
 */
export class ReadFirst {
  private underWay = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly read: SelectRows) {}

  /** How the first loader reads. */
  readonly select: SelectRows = async (...question) => {
    this.underWay += 1;
    try {
      return await this.read(...question);
    } finally {
      this.underWay -= 1;
      if (this.underWay === 0) for (const send of this.waiting.splice(0)) afterAllHaveAsked(send);
    }
  };

  /** When the other loader sends. Looked at a turn later, since the first may have been asked in this one as well. */
  readonly after = (send: () => void): void =>
    afterAllHaveAsked(() =>
      afterAllHaveAsked(() => {
        if (this.underWay > 0) this.waiting.push(send);
        else send();
      }),
    );
}
