import DataLoader from 'dataloader';
import { In } from 'typeorm';
import type { ExtensionFieldRow } from '../extension-field/extension-field.service';
import { IdentitySource } from '../identity-source/identity-source.entity';
import { DirectoryGroup } from '../organisation/directory-group.entity';
import { Department, Employee, type Membership } from '../organisation/organisation.entity';
import { SyncTask } from '../sync/sync-task.entity';
import type { Services } from './context';

/** One question each, asked once for all who ask it in the same moment. */
export type Loaders = ReturnType<typeof createLoaders>;

/** @param cache false over WebSocket, where an operation lives long and must not see yesterday's rows */
export function createLoaders({ dataSource, extensionFields }: Services, cache: boolean) {
  const options = { cache };
  const byId = <T extends { id: string }>(entity: new () => T) =>
    new DataLoader<string, T | null>(async (ids) => {
      const rows = await dataSource.manager.find(entity, { where: { id: In([...ids]) } as never });
      return inOrder(ids, rows, (row) => row.id);
    }, options);
  const grouped = <T extends { key: string }>(sql: string) =>
    new DataLoader<string, T[]>(async (ids) => group(ids, await dataSource.query(sql, [ids])), options);
  const counted = (sql: string) =>
    new DataLoader<string, number>(async (ids) => {
      const rows: { key: string; total: number }[] = await dataSource.query(sql, [ids]);
      return inOrder(ids, rows, (row) => row.key).map((row) => row?.total ?? 0);
    }, options);
  return {
    source: byId(IdentitySource),
    task: byId(SyncTask),
    department: byId(Department),
    employee: byId(Employee),
    directoryGroup: byId(DirectoryGroup),
    memberships: grouped<Membership & { key: string }>(
      `SELECT m.employee_id AS key, m.employee_id AS "employeeId", m.department_id AS "departmentId", m.is_leader AS "isLeader",
              m."order" FROM membership m WHERE m.employee_id = ANY ($1) ORDER BY m.department_id`,
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
    directoryGroupCount: counted(
      `SELECT m.group_id AS key, count(*)::int AS total FROM directory_group_employee m JOIN employee e ON e.id = m.employee_id
        WHERE m.group_id = ANY ($1) AND e.status IN ('ACTIVE', 'INACTIVE', 'DISABLED') GROUP BY m.group_id`,
    ),
    directoryGroupDepartments: grouped<{ key: string; id: string }>(
      `SELECT group_id AS key, department_id AS id FROM directory_group_department WHERE group_id = ANY ($1) ORDER BY department_id`,
    ),
    employeeDirectoryGroups: grouped<{ key: string; id: string }>(
      `SELECT employee_id AS key, group_id AS id FROM directory_group_employee WHERE employee_id = ANY ($1) ORDER BY group_id`,
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
    extensionFields: new DataLoader<string, ExtensionFieldRow[]>(async (keys) => {
      const fields = await extensionFields.list();
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
