import DataLoader from 'dataloader';
import { In } from 'typeorm';
import type { RoleName } from '../access/actor';
import { AUTHORIZATION_COLUMNS, type SourceAuthorization } from '../authorization/source-authorization';
import { type ExtensionFieldObject, toExtensionField } from '../extension-field/extension-field.resolver';
import type { ExtensionFieldRow } from '../extension-field/extension-field.service';
import { IdentitySource } from '../identity-source/identity-source.entity';
import { DirectoryGroup } from '../organisation/directory-group.entity';
import { type AsOf, type Moment, momentOf } from '../organisation/history';
import { PRESENT } from '../organisation/organisation.entity';
import { type OrganisationLoaders, organisationLoaders } from '../organisation/organisation.loaders';
import { SyncTask } from '../sync/task/sync-task.entity';
import { Batches, inOrder, statementLoaders } from './batches';
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
  const { grouped, counted } = statementLoaders(dataSource, options);
  const now = organisationLoaders(dataSource, null, role, options);
  const past = new Map<Moment, OrganisationLoaders>();
  return {
    ...now,
    /** The same questions about the organisation as of a moment, where an object was read as of one. */
    asOf(moment: AsOf): OrganisationLoaders {
      if (!moment) return now;
      // The past does not change, so it may be remembered however long an operation lives.
      const loaders = past.get(moment) ?? organisationLoaders(dataSource, moment, role, { cache: true });
      past.set(moment, loaders);
      return loaders;
    },
    /** Moments by milliseconds of the epoch: one for all of an operation's fields that name the same. */
    moment: new DataLoader<number, Moment>((times) =>
      Promise.all(times.map((time) => momentOf(dataSource, new Date(time)).catch((error: Error) => error))),
    ),
    source: byId(IdentitySource),
    task: byId(SyncTask),
    directoryGroup: byId(DirectoryGroup),
    directoryGroupCount: counted(
      `SELECT m.group_id AS key, count(*)::int AS total FROM directory_group_employee m JOIN employee e ON e.id = m.employee_id
          WHERE m.group_id = ANY ($1) AND e.status IN ${PRESENT} GROUP BY m.group_id`,
    ),
    directoryGroupDepartments: grouped<{ key: string; id: string }>(
      `SELECT group_id AS key, department_id AS id FROM directory_group_department WHERE group_id = ANY ($1) ORDER BY department_id`,
    ),
    employeeDirectoryGroups: grouped<{ key: string; id: string }>(
      `SELECT employee_id AS key, group_id AS id FROM directory_group_employee WHERE employee_id = ANY ($1) ORDER BY group_id`,
    ),
    sourceDepartmentCount: counted(
      `SELECT identity_source_id AS key, count(*)::int AS total FROM department WHERE identity_source_id = ANY ($1) GROUP BY 1`,
    ),
    sourceEmployeeCount: counted(
      `SELECT identity_source_id AS key, count(*)::int AS total FROM employee
        WHERE identity_source_id = ANY ($1) AND status IN ${PRESENT} GROUP BY 1`,
    ),
    /** One key, 'all': asked once however many objects show their values. */
    extensionFields: new Batches<(ExtensionFieldObject & ExtensionFieldRow)[]>(async (keys) => {
      const fields = (await extensionFields.list()).map(toExtensionField);
      return keys.map(() => fields);
    }, options),
    extensionFieldUses: new DataLoader<string, ReadonlyMap<string, string[]>>(async (keys) => {
      const uses = await extensionFields.uses();
      return keys.map(() => uses);
    }, options),
    sourceAuthorization: grouped<SourceAuthorization & { key: string }>(
      `SELECT DISTINCT ON (identity_source_id) identity_source_id AS key, ${AUTHORIZATION_COLUMNS} FROM source_authorization
        WHERE identity_source_id = ANY ($1) ORDER BY identity_source_id, id DESC`,
    ),
    latestTask: grouped<{ key: string; id: string }>(
      `SELECT DISTINCT ON (identity_source_id) identity_source_id AS key, id FROM sync_task
        WHERE identity_source_id = ANY ($1) ORDER BY identity_source_id, id DESC`,
    ),
  };
}
