import { seesMasked } from '../access/masking';
import type { RequestContext } from '../api/context';
import { badRequest } from '../api/errors';
import { containing, type Page, type PageArgs, readPage, type SortKey } from '../api/pagination';
import { uuidOf } from '../platform/typed-id';
import { DEPARTMENT_COLUMNS, EMPLOYEE_COLUMNS } from './organisation.columns';
import { type Department, type Employee, PRESENT_STATUSES } from './organisation.entity';
import {
  type DepartmentFilter,
  type DepartmentObject,
  type EmployeeFilter,
  type EmployeeObject,
  type EmployeeOrder,
  toDepartment,
  toEmployee,
} from './organisation.type';
import { searchDemand } from './search-text';

/** Larger order first, as directories show their tree; then as created. */
const TREE_ORDER: readonly SortKey[] = [
  { sql: '-coalesce(d."order", -1)', type: 'bigint' },
  { sql: 'd.id', type: 'uuid' },
];

/** @param at children of one parent: null is the top level */
export async function listDepartments(
  ctx: RequestContext,
  at: { sourceId?: string; parent?: string | null; filter?: DepartmentFilter | null },
  page: PageArgs,
): Promise<Page<DepartmentObject>> {
  const parameters: unknown[] = [];
  const where: string[] = [];
  const { filter } = at;
  const source = at.sourceId ?? idFilter('source', filter?.identitySourceId);
  if (source) where.push(`d.identity_source_id = $${parameters.push(source)}`);
  else where.push(notDeleted('d'));
  if (at.parent === null) where.push('d.parent_id IS NULL');
  const parent = at.parent ?? idFilter('department', filter?.parentId);
  if (parent) where.push(`d.parent_id = $${parameters.push(parent)}`);
  if (filter?.text) {
    const pattern = parameters.push(containing(filter.text));
    where.push(`(d.name ILIKE $${pattern} OR d.english_name ILIKE $${pattern})`);
  }
  const list = { columns: DEPARTMENT_COLUMNS, from: 'department d', where, parameters, sort: TREE_ORDER };
  return readPage<Department, DepartmentObject>(ctx.dataSource, list, page, toDepartment);
}

const EMPLOYEE_SORTS: Readonly<Record<string, readonly SortKey[]>> = {
  CREATED_AT: [{ sql: 'e.id', type: 'uuid' }],
  USERNAME: [
    { sql: 'lower(e.username)', type: 'text' },
    { sql: 'e.id', type: 'uuid' },
  ],
  DISPLAY_NAME: [
    { sql: 'e.display_name COLLATE "C"', type: 'text' },
    { sql: 'e.id', type: 'uuid' },
  ],
};

function sortOf(orderBy: EmployeeOrder | undefined | null): readonly SortKey[] {
  if (orderBy?.field !== 'EXTENSION_FIELD') return EMPLOYEE_SORTS[orderBy?.field ?? 'CREATED_AT'] ?? [];
  if (!orderBy.extensionKey) throw badRequest('Sorting by EXTENSION_FIELD needs extensionKey.');
  const sql = `coalesce(e.extension_values ->> ${literal(orderBy.extensionKey)}, '')`;
  return [
    { sql, type: 'text' },
    { sql: 'e.id', type: 'uuid' },
  ];
}

/** An extension field's identifier as SQL: only what can be one gets that far. */
function literal(key: string): string {
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(key))
    throw badRequest(`"${key.slice(0, 60)}" is no extension field’s identifier.`);
  return `'${key}'`;
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

export async function listEmployees(
  ctx: RequestContext,
  filter: (EmployeeFilter & { sourceUuid?: string; departmentUuid?: string }) | undefined,
  orderBy: EmployeeOrder | undefined | null,
  page: PageArgs,
): Promise<Page<EmployeeObject>> {
  const parameters: unknown[] = [];
  const where = [`e.status = ANY ($${parameters.push(filter?.status ?? PRESENT_STATUSES)})`];
  const source = idFilter('source', filter?.identitySourceId);
  if (source) where.push(`e.identity_source_id = $${parameters.push(source)}`);
  if (filter?.sourceUuid) where.push(`e.identity_source_id = $${parameters.push(filter.sourceUuid)}`);
  if (!source && !filter?.sourceUuid) where.push(notDeleted('e'));
  const department = filter?.departmentUuid ?? idFilter('department', filter?.departmentId);
  if (department) where.push(memberOf(parameters.push(department), filter?.includeSubtree ?? false));
  if (filter?.blocked != null) where.push(`e.blocked_at IS ${filter.blocked ? 'NOT ' : ''}NULL`);
  if (filter?.employmentStatus) where.push(`e.employment_status = ANY ($${parameters.push(filter.employmentStatus)})`);
  for (const { key, equals } of filter?.extensionValues ?? []) {
    const value = `(e.extension_values ->> ${literal(key)})`;
    where.push(equals == null ? `${value} IS NULL` : `${value} = $${parameters.push(equals)}`);
  }
  if (filter?.text?.trim()) where.push(found(filter.text, !seesMasked(ctx.actor.role), parameters));
  const sort = sortOf(orderBy);
  const descending = orderBy?.direction === 'DESC';
  const list = { columns: EMPLOYEE_COLUMNS, from: 'employee e', where, parameters, sort, descending };
  return readPage<Employee, EmployeeObject>(ctx.dataSource, list, page, (row) => toEmployee(row, ctx.actor.role));
}

/** A deleted source takes its people and departments out of every list. */
function notDeleted(row: string): string {
  return `${row}.identity_source_id NOT IN (SELECT id FROM identity_source WHERE deleted_at IS NOT NULL)`;
}

function memberOf(parameter: number, includeSubtree: boolean): string {
  if (!includeSubtree) return `e.id IN (SELECT m.employee_id FROM membership m WHERE m.department_id = $${parameter})`;
  return `e.id IN (WITH RECURSIVE down AS (
      SELECT $${parameter}::uuid AS id UNION ALL SELECT d.id FROM department d JOIN down ON d.parent_id = down.id
    ) SELECT m.employee_id FROM down JOIN membership m ON m.department_id = down.id)`;
}

/** The uuid to filter by; an id of another type matches nothing. */
function idFilter(prefix: 'source' | 'department', id: string | null | undefined): string | undefined {
  return id == null ? undefined : uuidOf(prefix, id);
}
