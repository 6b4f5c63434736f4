import { type GraphQLSchema, isObjectType } from 'graphql';
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import type { DataSource } from 'typeorm';
import { selectRows } from '../database/rows';
import { badRequest } from './errors';

const DEFAULT_PAGE = 50;
const MAX_PAGE = 500;

/** Relay's paging arguments. */
@ArgsType()
export class PageArgs {
  @Field(() => Int, {
    nullable: true,
    description: 'How many from the start, or after `after`. 50 unless said, at most 500.',
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'The cursor after which to begin.' })
  after?: string | null;

  @Field(() => Int, { nullable: true, description: 'How many from the end, or before `before`. At most 500.' })
  last?: number | null;

  @Field(() => String, { nullable: true, description: 'The cursor before which to end.' })
  before?: string | null;
}

@ObjectType({ description: 'Where a page lies in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether more follow after this page.' })
  hasNextPage: boolean;

  @Field(() => Boolean, { description: 'Whether there are some before this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first element; null on an empty page.' })
  startCursor: string | null;

  @Field(() => String, { nullable: true, description: 'Cursor of the last element; null on an empty page.' })
  endCursor: string | null;
}

/** A page of T, as resolvers return it. */
export interface Page<T> {
  readonly nodes: readonly T[];
  readonly edges: readonly { readonly node: T; readonly cursor: string }[];
  readonly pageInfo: PageInfo;
  /** Counted only when asked for. */
  totalCount(): Promise<number>;
}

/** The GraphQL connection and edge types of a node type. @param element what its elements are called, where not as the list */
export function connectionOf<T extends object>(node: ClassType<T>, name: string, element = name) {
  @ObjectType(`${name}Edge`, { description: `One ${element} of a page, with its cursor.` })
  class Edge {
    @Field(() => node, { description: 'The element itself.' })
    node: T;

    @Field(() => String, { description: 'Send it as `after` or `before` to go on from here.' })
    cursor: string;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${element}.` })
  class Connection {
    @Field(() => [Edge], { description: 'The page’s elements with their cursors.' })
    edges: readonly Edge[];

    @Field(() => [node], { description: 'The page’s elements.' })
    nodes: readonly T[];

    @Field(() => PageInfo, { description: 'Where this page lies in the list.' })
    pageInfo: PageInfo;

    @Field(() => Int, { description: 'How many the whole list has; counted only when asked for.' })
    totalCount: () => Promise<number>;
  }
  return Connection;
}

/** Makes every connection count its list only when an operation asks for `totalCount`. */
export function countOnDemand(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    const field = isObjectType(type) && type.name.endsWith('Connection') ? type.getFields()['totalCount'] : undefined;
    if (!field) continue;
    field.resolve = (page: { totalCount: number | (() => Promise<number>) }) =>
      typeof page.totalCount === 'function' ? page.totalCount() : page.totalCount;
  }
  return schema;
}

/** One sort key: an SQL expression, and the type its cursor value is cast to. */
export interface SortKey {
  readonly sql: string;
  readonly type: CursorType;
  /** Only of the first key: rows without a value come last in both directions. */
  readonly nullable?: boolean;
  /** The column of the rows that is its value as text; one of its own where there is none. */
  readonly column?: string;
}

/** A list to page through. All SQL comes from code; input only ever comes in `parameters`. */
export interface ListQuery {
  readonly columns: string;
  readonly from: string;
  readonly where: readonly string[];
  readonly parameters: readonly unknown[];
  /** The last key must be unique. All keys run in one direction. */
  readonly sort: readonly SortKey[];
  readonly descending?: boolean;
  /** Marks the cursors of this order where a list has several; another order's cursor is refused. */
  readonly order?: string;
  /** What is counted, where `from` has more in it than the list. */
  readonly countFrom?: string;
}

/** The rows that have a value of the first key, and those that have none; a list without such keys is one part. */
type Part = 'ALL' | 'FILLED' | 'EMPTY';

/** Reads one page by keyset: as quick at the millionth row as at the first. */
export async function readPage<Row extends object, T>(
  dataSource: DataSource,
  list: ListQuery,
  args: PageArgs,
  toNode: (row: Row) => T,
): Promise<Page<T>> {
  const { size, backward } = pageSize(args);
  const after = args.after ? decodeCursor(args.after, list) : undefined;
  const before = args.before ? decodeCursor(args.before, list) : undefined;
  const parts: Part[] = list.sort[0]?.nullable ? ['FILLED', 'EMPTY'] : ['ALL'];
  if (backward) parts.reverse();
  const rows: PagedRow<Row>[] = [];
  for (const part of parts) {
    const statement = partOfPage(list, part, { after, before, backward, limit: size + 1 - rows.length });
    if (statement && rows.length <= size) rows.push(...(await selectRows<PagedRow<Row>>(dataSource, ...statement)));
  }
  const more = rows.length > size;
  if (more) rows.pop();
  if (backward) rows.reverse();
  const nodes = rows.map(toNode);
  const cursor = (row: PagedRow<Row>) =>
    encodeCursor(
      list.sort.map((key, i) => row[cursorColumn(key, i)] ?? null),
      list.order,
    );
  const [first, last] = [rows[0], rows.at(-1)];
  return {
    // Few ask for a cursor of each.
    get edges() {
      return rows.map((row, i) => ({ node: nodes[i] as T, cursor: cursor(row) }));
    },
    nodes,
    pageInfo: {
      hasNextPage: backward ? Boolean(args.before) : more,
      hasPreviousPage: backward ? more : Boolean(args.after),
      startCursor: first ? cursor(first) : null,
      endCursor: last ? cursor(last) : null,
    },
    totalCount: () => countAll(dataSource, list),
  };
}

type PagedRow<Row> = Row & Readonly<Record<string, CursorValue>>;

/** What a key's value is called in the rows. */
function cursorColumn(key: SortKey, i: number): string {
  return key.column ?? `cursor_${i}`;
}

interface Bounds {
  readonly after: readonly CursorValue[] | undefined;
  readonly before: readonly CursorValue[] | undefined;
  readonly backward: boolean;
  readonly limit: number;
}

/** The statement that reads a part's rows of a page; undefined where the bounds leave none of that part. */
function partOfPage(list: ListQuery, part: Part, bounds: Bounds): [sql: string, parameters: unknown[]] | undefined {
  const { after, before, backward, limit } = bounds;
  if (part === 'FILLED' && after?.[0] === null) return undefined;
  if (part === 'EMPTY' && before && before[0] !== null) return undefined;
  const parameters = [...list.parameters];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const keys = part === 'EMPTY' ? list.sort.slice(1) : list.sort;
  const where = [...list.where];
  if (part !== 'ALL') where.push(`${list.sort[0]?.sql} IS ${part === 'EMPTY' ? '' : 'NOT '}NULL`);
  const bound = (values: readonly CursorValue[] | undefined, comparison: '<' | '>') => {
    // The other part's end bounds nothing of this one.
    if (!values || (part !== 'ALL' && (values[0] === null) !== (part === 'EMPTY'))) return;
    const own = part === 'EMPTY' ? values.slice(1) : values;
    const right = own.map((value, i) => `${bind(value)}::${keys[i]?.type}`);
    where.push(`(${keys.map((key) => key.sql).join(', ')}) ${comparison} (${right.join(', ')})`);
  };
  const descending = list.descending ?? false;
  bound(after, descending ? '<' : '>');
  bound(before, descending ? '>' : '<');
  const direction = descending !== backward ? 'DESC' : 'ASC';
  const cursors = list.sort.map((key, i) => (key.column ? '' : `, (${key.sql})::text AS ${cursorColumn(key, i)}`));
  const sql = `SELECT ${list.columns}${cursors.join('')}
       FROM ${list.from} ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
      ORDER BY ${keys.map((key) => `${key.sql} ${direction}`).join(', ')} LIMIT ${bind(limit)}`;
  return [sql, parameters];
}

async function countAll(dataSource: DataSource, list: ListQuery): Promise<number> {
  const where = list.where.length > 0 ? `WHERE ${list.where.join(' AND ')}` : '';
  const [row] = await selectRows<{ total: number }>(
    dataSource,
    `SELECT count(*)::int AS total FROM ${list.countFrom ?? list.from} ${where}`,
    list.parameters,
  );
  return row?.total ?? 0;
}

function pageSize(args: PageArgs): { size: number; backward: boolean } {
  if (args.first != null && args.last != null) throw badRequest('Give `first` or `last`, not both.');
  const size = args.first ?? args.last ?? DEFAULT_PAGE;
  if (size < 0 || size > MAX_PAGE) throw badRequest(`A page has 0 to ${MAX_PAGE} elements; ${size} were asked for.`);
  return { size, backward: args.last != null };
}

type CursorValue = string | null;

function encodeCursor(values: readonly CursorValue[], order: string | undefined): string {
  return Buffer.from(JSON.stringify(order === undefined ? values : [order, ...values])).toString('base64url');
}

/** What values of a type look like; anything else did not come from here, and PostgreSQL would not read it. */
const CURSOR_FORMS = {
  text: matches(/^[^\0]*$/),
  uuid: matches(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/),
  bigint: matches(/^-?\d{1,18}$/),
  numeric: matches(/^-?\d{1,15}(\.\d{1,10})?$/),
  timestamptz: isMoment,
} as const;

function matches(form: RegExp): (value: string) => boolean {
  return (value) => form.test(value);
}

/** As PostgreSQL writes one, with whatever offset from UTC it has; and there is such a day. */
function isMoment(value: string): boolean {
  const [, day] =
    /^(\d{4}-\d\d-\d\d) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?[+-](0\d|1[0-5])(:[0-5]\d)?$/.exec(value) ?? [];
  if (!day || day.startsWith('0000')) return false;
  const read = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(read.getTime()) && read.toISOString().startsWith(day);
}

export type CursorType = keyof typeof CURSOR_FORMS;

function decodeCursor(cursor: string, { sort, order }: ListQuery): CursorValue[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parsed) && (order === undefined || parsed.shift() === order) && parsed.length === sort.length) {
      const fits = sort.every((key, i) => {
        const value: unknown = parsed[i];
        return typeof value === 'string' ? CURSOR_FORMS[key.type](value) : value === null && key.nullable;
      });
      if (fits) return parsed;
    }
  } catch {
    // Falls through to the one message for every cursor that is not ours.
  }
  throw badRequest(
    'This cursor is not one of this list; take `endCursor` or `startCursor` of a page of the same list.',
  );
}

/** The order that a cursor was made in; undefined where it names none. */
export function orderOfCursor(cursor: string | null | undefined): string | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor ?? '', 'base64url').toString('utf8'));
    return Array.isArray(parsed) && typeof parsed[0] === 'string' ? parsed[0] : undefined;
  } catch {
    return undefined;
  }
}

/** Input text as a LIKE pattern that finds it anywhere. */
export function containing(text: string): string {
  return `%${text.replaceAll('\0', '').replace(/[\\%_]/g, '\\$&')}%`;
}
