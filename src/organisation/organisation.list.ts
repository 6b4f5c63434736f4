import { seesMasked } from '../access/masking';
import type { RequestContext } from '../api/context';
import { containing, type Page, type PageArgs, readPage, type SortKey } from '../api/pagination';
import { uuidOf } from '../platform/typed-id';
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

const DEPARTMENT_COLUMNS = `d.id, d.identity_source_id AS "identitySourceId", d.parent_id AS "parentId", d.name,
  d.english_name AS "englishName", d."order"`;

const EMPLOYEE_COLUMNS = `e.id, e.identity_source_id AS "identitySourceId", e.username, e.display_name AS "displayName",
  e.english_name AS "englishName", e.position, e.email, e.mobile, e.telephone, e.address, e.gender,
  e.employment_status AS "employmentStatus", e.status, e.manager_id AS "managerId", e.main_department_id AS "mainDepartmentId",
  e.suspended_at AS "suspendedAt", e.removal_due_at AS "removalDueAt", e.created_at AS "createdAt", e.updated_at AS "updatedAt"`;

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
  if (filter?.text) {
    const pattern = parameters.push(containing(filter.text));
    const names = ['display_name', 'username', 'english_name'];
    const fields = seesMasked(ctx.actor.role) ? names : [...names, 'email', 'mobile'];
    where.push(`(${fields.map((field) => `e.${field} ILIKE $${pattern}`).join(' OR ')})`);
  }
  const sort = EMPLOYEE_SORTS[orderBy?.field ?? 'CREATED_AT'] ?? [];
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
