import DataLoader from 'dataloader';
import type { DataSource } from 'typeorm';
import { group, inOrder } from '../api/batches';
import { type AsOf, rowsOf } from './history';
import type { Department, Employee, Membership } from './organisation.entity';

export const DEPARTMENT_COLUMNS = `d.id, d.identity_source_id AS "identitySourceId", d.parent_id AS "parentId", d.name,
  d.english_name AS "englishName", d."order", d.extension_values AS "extensionValues", d.created_at AS "createdAt",
  d.updated_at AS "updatedAt"`;

export const EMPLOYEE_COLUMNS = `e.id, e.identity_source_id AS "identitySourceId", e.username, e.display_name AS "displayName",
  e.english_name AS "englishName", e.position, e.email, e.mobile, e.telephone, e.address, e.gender,
  e.employment_status AS "employmentStatus", e.status, e.manager_id AS "managerId", e.main_department_id AS "mainDepartmentId",
  e.suspended_at AS "suspendedAt", e.removal_due_at AS "removalDueAt", e.created_at AS "createdAt", e.updated_at AS "updatedAt",
  e.blocked_at AS "blockedAt", e.blocked_reason AS "blockedReason", e.blocked_by AS "blockedBy", e.edited_fields AS "editedFields",
  e.extension_values AS "extensionValues"`;

const PRESENT = `('ACTIVE', 'INACTIVE', 'DISABLED')`;

export type OrganisationLoaders = ReturnType<typeof organisationLoaders>;

/** Questions about the organisation as it is, or as it was at a moment. */
export function organisationLoaders(dataSource: DataSource, asOf: AsOf, options: { readonly cache: boolean }) {
  const [department, employee, membership, link] = [
    rowsOf('department', asOf),
    rowsOf('employee', asOf),
    rowsOf('membership', asOf),
    rowsOf('link', asOf),
  ];
  const byId = <T extends { id: string }>(sql: string) =>
    new DataLoader<string, T | null>(
      async (ids) => inOrder(ids, await dataSource.query<T[]>(sql, [ids]), (row) => row.id),
      options,
    );
  const grouped = <T extends { key: string }>(sql: string) =>
    new DataLoader<string, T[]>(async (ids) => group(ids, await dataSource.query(sql, [ids])), options);
  const counted = (sql: string) =>
    new DataLoader<string, number>(async (ids) => {
      const rows: { key: string; total: number }[] = await dataSource.query(sql, [ids]);
      return inOrder(ids, rows, (row) => row.key).map((row) => row?.total ?? 0);
    }, options);
  return {
    department: byId<Department>(`SELECT ${DEPARTMENT_COLUMNS} FROM ${department} d WHERE d.id = ANY ($1)`),
    employee: byId<Employee>(`SELECT ${EMPLOYEE_COLUMNS} FROM ${employee} e WHERE e.id = ANY ($1)`),
    memberships: grouped<Membership & { key: string }>(
      `SELECT m.employee_id AS key, m.employee_id AS "employeeId", m.department_id AS "departmentId", m.is_leader AS "isLeader",
              m."order" FROM ${membership} m WHERE m.employee_id = ANY ($1) ORDER BY m.department_id`,
    ),
    leaders: grouped<{ key: string; id: string }>(
      `SELECT m.department_id AS key, e.id FROM ${membership} m JOIN ${employee} e ON e.id = m.employee_id
        WHERE m.department_id = ANY ($1) AND m.is_leader AND e.status IN ${PRESENT}
        ORDER BY m."order" DESC NULLS LAST, e.id`,
    ),
    path: grouped<{ key: string; name: string }>(
      `WITH RECURSIVE up AS (
         SELECT id AS key, id, parent_id, name, 0 AS height FROM ${department} d WHERE id = ANY ($1)
         UNION ALL
         SELECT up.key, d.id, d.parent_id, d.name, up.height + 1 FROM up JOIN ${department} d ON d.id = up.parent_id
       ) SELECT key, name FROM up ORDER BY key, height DESC`,
    ),
    directCount: counted(
      `SELECT m.department_id AS key, count(*)::int AS total FROM ${membership} m JOIN ${employee} e ON e.id = m.employee_id
        WHERE m.department_id = ANY ($1) AND e.status IN ${PRESENT} GROUP BY m.department_id`,
    ),
    subtreeCount: counted(
      `WITH RECURSIVE down AS (
         SELECT id AS key, id FROM ${department} d WHERE id = ANY ($1)
         UNION ALL
         SELECT down.key, d.id FROM down JOIN ${department} d ON d.parent_id = down.id
       ) SELECT down.key, count(DISTINCT e.id)::int AS total FROM down JOIN ${membership} m ON m.department_id = down.id
           JOIN ${employee} e ON e.id = m.employee_id AND e.status IN ${PRESENT} GROUP BY down.key`,
    ),
    externalId: grouped<{ key: string; externalId: string }>(
      `SELECT local_id AS key, external_id AS "externalId" FROM ${link} l WHERE local_id = ANY ($1)`,
    ),
  };
}
