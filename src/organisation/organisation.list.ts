import { seesMasked } from '../access/masking';
import type { RequestContext } from '../api/context';
import { badRequest } from '../api/errors';
import {
  containing,
  type ListQuery,
  orderOfCursor,
  type Page,
  type PageArgs,
  readPage,
  type SortKey,
} from '../api/pagination';
import type { Selection } from '../api/selection';
import type { ExtensionFieldRow } from '../extension-field/extension-field.service';
import { type ExtensionFilter, extensionConditions, requireField } from '../extension-field/extension-filter';
import { valueExpression } from '../extension-field/extension-index';
import type { MappedObjectType } from '../field-mapping/field-mapping';
import { uuidOf } from '../platform/typed-id';
import { type AsOf, deletedSources, rowsOf } from './history';
import { DEPARTMENT_COLUMNS, EMPLOYEE_COLUMNS, employeeColumns } from './organisation.columns';
import { type Department, type Employee, PRESENT_STATUSES } from './organisation.entity';
import {
  type DepartmentFilter,
  type DepartmentObject,
  type DepartmentOrder,
  type EmployeeFilter,
  type EmployeeObject,
  type EmployeeOrder,
  toDepartment,
  toEmployee,
} from './organisation.type';
import { areNamesReady } from './search-index';
import { searchDemand } from './search-text';

/** Larger order first, as directories show their tree; then as created. */
const TREE_ORDER: readonly SortKey[] = [
  { sql: '-coalesce(d."order", -1)', type: 'bigint' },
  { sql: 'd.id', type: 'uuid' },
];

/** @param at children of one parent: null is the top level */
export async function listDepartments(
  ctx: RequestContext,
  at: {
    sourceId?: string;
    parent?: string | null;
    filter?: DepartmentFilter | null;
    orderBy?: DepartmentOrder | null;
  },
  page: PageArgs,
  asOf: AsOf = null,
): Promise<Page<DepartmentObject>> {
  const parameters: unknown[] = [];
  const where: string[] = [];
  const { filter } = at;
  const source = at.sourceId ?? idFilter('source', filter?.identitySourceId);
  if (source) where.push(`d.identity_source_id = $${parameters.push(source)}`);
  else where.push(notDeleted('d', asOf));
  if (at.parent === null) where.push('d.parent_id IS NULL');
  const parent = at.parent ?? idFilter('department', filter?.parentId);
  if (parent) where.push(`d.parent_id = $${parameters.push(parent)}`);
  if (filter?.text) {
    const pattern = parameters.push(containing(filter.text));
    where.push(`(d.name ILIKE $${pattern} OR d.english_name ILIKE $${pattern})`);
  }
  where.push(...(await extensionFilters(ctx, 'DEPARTMENT', filter?.extensionValues, 'd', parameters)));
  const sort =
    at.orderBy?.field === 'EXTENSION_FIELD' ? await extensionSort(ctx, 'DEPARTMENT', at.orderBy, 'd') : TREE_ORDER;
  const descending = at.orderBy?.direction === 'DESC';
  const from = `${rowsOf('department', asOf)} d`;
  const list = { columns: DEPARTMENT_COLUMNS, from, where, parameters, sort, descending };
  return readPage<Department, DepartmentObject>(ctx.dataSource, list, page, (row) => toDepartment(row, asOf));
}

const BY_ID: SortKey = { sql: 'e.id', type: 'uuid', column: 'id' };

/** Each has an index of exactly this form. */
const EMPLOYEE_SORTS: Readonly<
  Record<Exclude<EmployeeOrder['field'], 'DISPLAY_NAME' | 'EXTENSION_FIELD'>, readonly SortKey[]>
> = {
  CREATED_AT: [BY_ID],
  UPDATED_AT: [{ sql: 'e.updated_at', type: 'timestamptz' }, BY_ID],
  USERNAME: [{ sql: 'lower(e.username)', type: 'text' }, BY_ID],
  STATUS: [{ sql: 'e.status', type: 'text' }, BY_ID],
  POSITION: [{ sql: '(e.position COLLATE "C")', type: 'text', nullable: true }, BY_ID],
};

/** How a list is sorted, and what it is read from for that. */
type Sorting = Pick<ListQuery, 'sort' | 'from'> & Partial<Pick<ListQuery, 'order' | 'countFrom'>>;

async function sortingOf(
  ctx: RequestContext,
  orderBy: EmployeeOrder | undefined | null,
  source: string | null,
  page: PageArgs,
  asOf: AsOf,
): Promise<Sorting> {
  const from = `${rowsOf('employee', asOf)} e`;
  switch (orderBy?.field) {
    case 'EXTENSION_FIELD':
      return {
        from,
        sort: await extensionSort(ctx, 'EMPLOYEE', orderBy, 'e'),
        order: `extension ${orderBy.extensionKey}`,
      };
    case 'DISPLAY_NAME':
      return asOf ? { from, sort: AS_WRITTEN, order: 'written' } : nameSorting(ctx, source, page);
    default:
      return sortedBy(orderBy?.field ?? 'CREATED_AT', from);
  }
}

function sortedBy(field: keyof typeof EMPLOYEE_SORTS, from = 'employee e'): Sorting {
  return { from, sort: EMPLOYEE_SORTS[field], order: field };
}

/** Names of the past: the keys of former versions' names are not kept, so they stand as their characters do. */
const AS_WRITTEN: readonly SortKey[] = [{ sql: '(e.display_name COLLATE "C")', type: 'text' }, BY_ID];

const PINYIN = 'pinyin';

/**
 * By the keys of names, in pinyin order. While keys of people that a large run brought are still being made, lists begin as
 * people came instead, in which everybody has their place. A cursor goes on in the order that it was made in, so that keys which
 * arrive meanwhile neither hide anybody nor bring them twice.
 */
async function nameSorting({ dataSource }: RequestContext, source: string | null, page: PageArgs): Promise<Sorting> {
  const begun = orderOfCursor(page.after ?? page.before);
  const query = (sql: string, parameters: unknown[]) => dataSource.query(sql, parameters);
  const order = begun ?? ((await areNamesReady(query, source)) ? PINYIN : undefined);
  if (order !== PINYIN) return sortedBy('CREATED_AT');
  return {
    from: 'employee_search n JOIN employee e ON e.id = n.employee_id',
    countFrom: 'employee e',
    sort: [
      { sql: 'n.name_key', type: 'text' },
      { sql: 'n.employee_id', type: 'uuid' },
    ],
    order: PINYIN,
  };
}

async function extensionSort(
  ctx: RequestContext,
  objectType: MappedObjectType,
  { extensionKey }: { readonly extensionKey?: string | null },
  row: string,
): Promise<readonly SortKey[]> {
  if (!extensionKey) throw badRequest('Sorting by EXTENSION_FIELD needs extensionKey.');
  const field = requireField(await fieldsOf(ctx, objectType), extensionKey);
  return [
    { ...valueExpression(field, row), nullable: true },
    { sql: `${row}.id`, type: 'uuid' },
  ];
}

async function extensionFilters(
  ctx: RequestContext,
  objectType: MappedObjectType,
  filters: readonly ExtensionFilter[] | null | undefined,
  row: string,
  parameters: unknown[],
): Promise<string[]> {
  if (!filters || filters.length === 0) return [];
  const fields = await fieldsOf(ctx, objectType);
  return filters.flatMap((filter) => extensionConditions(requireField(fields, filter.key), filter, row, parameters));
}

async function fieldsOf({ loaders }: RequestContext, objectType: MappedObjectType): Promise<ExtensionFieldRow[]> {
  return (await loaders.extensionFields.load('all')).filter((field) => field.objectType === objectType);
}

/** People whom a text finds; short and Chinese texts by tokens, longer ones by trigrams. */
function found(text: string, contactsToo: boolean, parameters: unknown[]): string {
  const { tokens, text: wanted } = searchDemand(text);
  const conditions: string[] = [];
  const isShort = tokens.length === 1 && tokens[0] === wanted && !/\p{Script=Han}/u.test(wanted);
  // A short Latin text is found where a word begins, which its token says by itself.
  if (isShort) conditions.push(`s.tokens @> $${parameters.push(tokens)}`);
  else {
    const pattern = parameters.push(containing(wanted));
    const byTokens = tokens.length > 0 ? `s.tokens @> $${parameters.push(tokens)} AND ` : '';
    conditions.push(`(${byTokens}s.names LIKE $${pattern})`);
    if (contactsToo) conditions.push(`s.contacts LIKE $${pattern}`);
  }
  return `e.id IN (SELECT s.employee_id FROM employee_search s WHERE ${conditions.join(' OR ')})`;
}

/** The same as of a moment, as the values were written then: the search text of former versions is not kept. */
function written(text: string, contactsToo: boolean, parameters: unknown[]): string {
  const pattern = parameters.push(containing(text.trim()));
  const fields = ['display_name', 'username', 'english_name', ...(contactsToo ? ['email', 'mobile', 'telephone'] : [])];
  return `(${fields.map((field) => `e.${field} ILIKE $${pattern}`).join(' OR ')})`;
}

/** Which people, beyond what a caller writes: those of one source, department or group whose uuid the server knows. */
export type EmployeeSelection = EmployeeFilter & { sourceUuid?: string; departmentUuid?: string; groupUuid?: string };

/** As of when people are listed, and what is asked of them: everything, where that is not known. */
interface HowListed {
  readonly asOf?: AsOf;
  readonly asked?: Selection;
}

export async function listEmployees(
  ctx: RequestContext,
  filter: EmployeeSelection | undefined,
  orderBy: EmployeeOrder | undefined | null,
  page: PageArgs,
  { asOf = null, asked }: HowListed = {},
): Promise<Page<EmployeeObject>> {
  const parameters: unknown[] = [];
  const where = await employeeConditions(ctx, filter, parameters, asOf);
  const sorting = await sortingOf(ctx, orderBy, sourceOf(filter) ?? null, page, asOf);
  const descending = orderBy?.direction === 'DESC';
  const columns = asked ? employeeColumns(asked.keys()) : EMPLOYEE_COLUMNS;
  const list = { columns, where, parameters, descending, ...sorting };
  const toNode = (row: Employee) => toEmployee(row, ctx.actor.role, asOf);
  const read = await readPage<Employee, EmployeeObject>(ctx.dataSource, list, page, toNode);
  if (asked) await readAround(ctx, read.nodes, asked, asOf);
  return read;
}

/** What is asked beside the people themselves, in one statement for each kind, so that it is at hand when their fields are read. */
async function readAround(
  { loaders }: RequestContext,
  people: readonly EmployeeObject[],
  asked: Selection,
  asOf: AsOf,
): Promise<void> {
  if (people.length === 0) return;
  const { memberships, department } = loaders.asOf(asOf);
  const [places] = await Promise.all([
    asked.has('memberships') ? memberships.readAhead(people.map(({ uuid }) => uuid)) : [],
    asked.has('extensionValues') ? loaders.extensionFields.readAhead(['all']) : [],
  ]);
  const ids = asked.get('memberships')?.has('department') ? places.flat().map((place) => place.departmentId) : [];
  if (asked.has('mainDepartment'))
    for (const { mainDepartmentId } of people) if (mainDepartmentId) ids.push(mainDepartmentId);
  await department.readAhead(ids);
}

/** SQL conditions on `employee e`. @param parameters is added to */
async function employeeConditions(
  ctx: RequestContext,
  filter: EmployeeSelection | undefined,
  parameters: unknown[],
  asOf: AsOf,
): Promise<string[]> {
  const where = [`e.status = ANY ($${parameters.push(filter?.status ?? PRESENT_STATUSES)})`];
  const source = sourceOf(filter);
  if (source) where.push(`e.identity_source_id = $${parameters.push(source)}`);
  else where.push(notDeleted('e', asOf));
  const department = filter?.departmentUuid ?? idFilter('department', filter?.departmentId);
  if (department) where.push(await memberOf(ctx, department, filter?.includeSubtree ?? false, parameters, asOf));
  const group = filter?.groupUuid ?? idFilter('group', filter?.directoryGroupId);
  if (group && asOf)
    throw badRequest('Who was in a directory group is not kept: leave out either asOf or directoryGroupId.');
  if (group)
    where.push(
      `e.id IN (SELECT m.employee_id FROM directory_group_employee m WHERE m.group_id = $${parameters.push(group)})`,
    );
  if (filter?.blocked != null) where.push(`e.blocked_at IS ${filter.blocked ? 'NOT ' : ''}NULL`);
  if (filter?.employmentStatus) where.push(`e.employment_status = ANY ($${parameters.push(filter.employmentStatus)})`);
  where.push(...(await extensionFilters(ctx, 'EMPLOYEE', filter?.extensionValues, 'e', parameters)));
  if (filter?.text?.trim()) {
    const find = asOf ? written : found;
    where.push(find(filter.text, !seesMasked(ctx.actor.role), parameters));
  }
  return where;
}

function sourceOf(filter: EmployeeSelection | undefined): string | undefined {
  return filter?.sourceUuid ?? idFilter('source', filter?.identitySourceId);
}

/** A deleted source takes its people and departments out of every list. */
function notDeleted(row: string, asOf: AsOf): string {
  return `${row}.identity_source_id NOT IN (${deletedSources(asOf)})`;
}

/** The departments are asked for first: with their number at hand the planner knows from which side to begin. */
async function memberOf(
  { dataSource }: RequestContext,
  department: string,
  includeSubtree: boolean,
  parameters: unknown[],
  asOf: AsOf,
): Promise<string> {
  const below: { id: string }[] = includeSubtree
    ? await dataSource.query(
        `WITH RECURSIVE down AS (
           SELECT $1::uuid AS id UNION SELECT d.id FROM ${rowsOf('department', asOf)} d JOIN down ON d.parent_id = down.id
         ) SELECT id FROM down`,
        [department],
      )
    : [{ id: department }];
  const ids = parameters.push(below.map(({ id }) => id));
  return `e.id IN (SELECT m.employee_id FROM ${rowsOf('membership', asOf)} m WHERE m.department_id = ANY ($${ids}::uuid[]))`;
}

/** The uuid to filter by; an id of another type matches nothing. */
function idFilter(prefix: 'source' | 'department' | 'group', id: string | null | undefined): string | undefined {
  return id == null ? undefined : uuidOf(prefix, id);
}
