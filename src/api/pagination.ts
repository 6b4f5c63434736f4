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

/** The GraphQL connection and edge types of a node type. */
export function connectionOf<T extends object>(node: ClassType<T>, name: string) {
  @ObjectType(`${name}Edge`, { description: `One ${name} of a page, with its cursor.` })
  class Edge {
    @Field(() => node, { description: 'The element itself.' })
    node: T;

    @Field(() => String, { description: 'Send it as `after` or `before` to go on from here.' })
    cursor: string;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list of ${name}.` })
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

/** One sort key: an SQL expression that is never null, and the type its cursor value is cast to. */
export interface SortKey {
  readonly sql: string;
  readonly type: 'text' | 'uuid' | 'bigint';
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
}

/** Reads one page by keyset: as quick at the millionth row as at the first. */
export async function readPage<Row extends object, T>(
  dataSource: DataSource,
  list: ListQuery,
  args: PageArgs,
  toNode: (row: Row) => T,
): Promise<Page<T>> {
  const { size, backward } = pageSize(args);
  const parameters = [...list.parameters];
  const where = [...list.where];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const bound = (cursor: string, comparison: '<' | '>') => {
    const values = decodeCursor(cursor, list.sort.length, list.sort.at(-1)?.type);
    const right = values.map((value, i) => `${bind(value)}::${list.sort[i]?.type}`);
    where.push(`(${list.sort.map((key) => key.sql).join(', ')}) ${comparison} (${right.join(', ')})`);
  };
  const descending = list.descending ?? false;
  if (args.after) bound(args.after, descending ? '<' : '>');
  if (args.before) bound(args.before, descending ? '>' : '<');
  const direction = descending !== backward ? 'DESC' : 'ASC';
  const rows: (Row & Readonly<Record<`cursor_${number}`, string>>)[] = await selectRows(
    dataSource,
    `SELECT ${list.columns}, ${list.sort.map((key, i) => `(${key.sql})::text AS cursor_${i}`).join(', ')}
       FROM ${list.from} ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
      ORDER BY ${list.sort.map((key) => `${key.sql} ${direction}`).join(', ')} LIMIT ${bind(size + 1)}`,
    parameters,
  );
  const more = rows.length > size;
  if (more) rows.pop();
  if (backward) rows.reverse();
  const nodes = rows.map(toNode);
  const cursor = (row: (typeof rows)[number]) => encodeCursor(list.sort.map((_, i) => row[`cursor_${i}`]));
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

async function countAll(dataSource: DataSource, list: ListQuery): Promise<number> {
  const where = list.where.length > 0 ? `WHERE ${list.where.join(' AND ')}` : '';
  const [row] = await selectRows<{ total: number }>(
    dataSource,
    `SELECT count(*)::int AS total FROM ${list.from} ${where}`,
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

function encodeCursor(values: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function decodeCursor(cursor: string, length: number, lastType: SortKey['type'] | undefined): string[] {
  try {
    const values: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(values) && values.length === length && values.every((v) => typeof v === 'string')) {
      const last = values.at(-1) ?? '';
      if (lastType === 'text' || UUID.test(last) || /^-?\d{1,18}$/.test(last))
        return values.map((v) => v.replaceAll('\0', ''));
    }
  } catch {
    // Falls through to the one message for every cursor that is not ours.
  }
  throw badRequest(
    'This cursor is not one of this list; take `endCursor` or `startCursor` of a page of the same list.',
  );
}

/** Input text as a LIKE pattern that finds it anywhere. */
export function containing(text: string): string {
  return `%${text.replaceAll('\0', '').replace(/[\\%_]/g, '\\$&')}%`;
}
