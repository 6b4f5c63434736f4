import DataLoader from 'dataloader';
import { In } from 'typeorm';
import type { RoleName } from '../access/actor';
import { selectRows } from '../database/rows';
import { type ExtensionFieldObject, toExtensionField } from '../extension-field/extension-field.resolver';
import { IdentitySource } from '../identity-source/identity-source.entity';
import { DEPARTMENT_COLUMNS, EMPLOYEE_COLUMNS } from '../organisation/organisation.columns';
import type { Department, Employee } from '../organisation/organisation.entity';
import {
  type DepartmentObject,
  type EmployeeObject,
  type MembershipObject,
  toDepartment,
  toEmployee,
} from '../organisation/organisation.type';
import { SyncTask } from '../sync/sync-task.entity';
import type { Services } from './context';

/** One question each, asked once for all who ask it in the same moment. */
export type Loaders = ReturnType<typeof createLoaders>;

/**
 * @param role viewers see personal values masked
 * @param cache false over WebSocket, where an operation lives long and must not see yesterday's rows
 */
export function createLoaders({ dataSource, extensionFields }: Services, role: RoleName, cache: boolean) {
  const options = { cache };
  const byId = <T extends { id: string }>(entity: new () => T) =>
    new DataLoader<string, T | null>(async (ids) => {
      const rows = await dataSource.manager.find(entity, { where: { id: In([...ids]) } as never });
      return inOrder(ids, rows, (row) => row.id);
    }, options);
  /** Rows of the wide tables as the API's objects, each made once however many ask for it. */
  const objects = <Row, T extends { uuid: string }>(sql: string, toObject: (row: Row) => T) =>
    new DataLoader<string, T | null>(async (ids) => {
      const rows = await selectRows<Row>(dataSource, sql, [ids]);
      return inOrder(ids, rows.map(toObject), (object) => object.uuid);
    }, options);
  const grouped = <T extends { key: string }>(sql: string) =>
    new DataLoader<string, T[]>(async (ids) => group(ids, await selectRows<T>(dataSource, sql, [ids])), options);
  const counted = (sql: string) =>
    new DataLoader<string, number>(async (ids) => {
      const rows = await selectRows<{ key: string; total: number }>(dataSource, sql, [ids]);
      return inOrder(ids, rows, (row) => row.key).map((row) => row?.total ?? 0);
    }, options);
  return {
    source: byId(IdentitySource),
    task: byId(SyncTask),
    department: objects<Department, DepartmentObject>(
      `SELECT ${DEPARTMENT_COLUMNS} FROM department d WHERE d.id = ANY ($1)`,
      toDepartment,
    ),
    employee: objects<Employee, EmployeeObject>(
      `SELECT ${EMPLOYEE_COLUMNS} FROM employee e WHERE e.id = ANY ($1)`,
      (row) => toEmployee(row, role),
    ),
    memberships: grouped<MembershipObject & { key: string }>(
      `SELECT m.employee_id AS key, m.department_id AS "departmentId", m.is_leader AS "isLeader", m."order",
              e.main_department_id IS NOT DISTINCT FROM m.department_id AS "isMain"
         FROM membership m JOIN employee e ON e.id = m.employee_id WHERE m.employee_id = ANY ($1) ORDER BY m.department_id`,
    ),
    leaders: grouped<{ key: string; id: string }>(
      `SELECT m.department_id AS key, e.id FROM membership m JOIN employee e ON e.id = m.employee_id
        WHERE m.department_id = ANY ($1) AND m.is_leader AND e.status IN ('ACTIVE', 'INACTIVE', 'DISABLED')
        ORDER BY m."order" DESC NULLS LAST, e.id`,
    ),
    path: grouped<{ key: string; name: string }>(
      `WITH RECURSIVE up AS (
         SELECT id AS key, id, parent_id, name, 0 AS height FROM department WHERE id = ANY ($1)
         UNION ALL
         SELECT up.key, d.id, d.parent_id, d.name, up.height + 1 FROM up JOIN department d ON d.id = up.parent_id
       ) SELECT key, name FROM up ORDER BY key, height DESC`,
    ),
    directCount: counted(
      `SELECT m.department_id AS key, count(*)::int AS total FROM membership m JOIN employee e ON e.id = m.employee_id
        WHERE m.department_id = ANY ($1) AND e.status IN ('ACTIVE', 'INACTIVE', 'DISABLED') GROUP BY m.department_id`,
    ),
    subtreeCount: counted(
      `WITH RECURSIVE down AS (
         SELECT id AS key, id FROM department WHERE id = ANY ($1)
         UNION ALL
         SELECT down.key, d.id FROM down JOIN department d ON d.parent_id = down.id
       ) SELECT down.key, count(DISTINCT e.id)::int AS total FROM down JOIN membership m ON m.department_id = down.id
           JOIN employee e ON e.id = m.employee_id AND e.status IN ('ACTIVE', 'INACTIVE', 'DISABLED') GROUP BY down.key`,
    ),
    externalId: grouped<{ key: string; externalId: string }>(
      `SELECT local_id AS key, external_id AS "externalId" FROM link WHERE local_id = ANY ($1)`,
    ),
    sourceDepartmentCount: counted(
      `SELECT identity_source_id AS key, count(*)::int AS total FROM department WHERE identity_source_id = ANY ($1) GROUP BY 1`,
    ),
    sourceEmployeeCount: counted(
      `SELECT identity_source_id AS key, count(*)::int AS total FROM employee
        WHERE identity_source_id = ANY ($1) AND status IN ('ACTIVE', 'INACTIVE', 'DISABLED') GROUP BY 1`,
    ),
    /** One key, 'all': asked once however many objects show their values. */
    extensionFields: new DataLoader<string, ExtensionFieldObject[]>(async (keys) => {
      const fields = (await extensionFields.list()).map(toExtensionField);
      return keys.map(() => fields);
    }, options),
    extensionFieldUses: new DataLoader<string, ReadonlyMap<string, string[]>>(async (keys) => {
      const uses = await extensionFields.uses();
      return keys.map(() => uses);
    }, options),
    latestTask: grouped<{ key: string; id: string }>(
      `SELECT DISTINCT ON (identity_source_id) identity_source_id AS key, id FROM sync_task
        WHERE identity_source_id = ANY ($1) ORDER BY identity_source_id, id DESC`,
    ),
  };
}

function inOrder<T>(ids: readonly string[], rows: readonly T[], key: (row: T) => string): (T | null)[] {
  const found = new Map(rows.map((row) => [key(row), row]));
  return ids.map((id) => found.get(id) ?? null);
}

function group<T extends { key: string }>(ids: readonly string[], rows: readonly T[]): T[][] {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const list = found.get(row.key);
    if (list) list.push(row);
    else found.set(row.key, [row]);
  }
  return ids.map((id) => found.get(id) ?? []);
}
