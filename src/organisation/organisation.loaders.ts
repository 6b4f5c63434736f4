import type DataLoader from 'dataloader';
import type { DataSource } from 'typeorm';
import type { RoleName } from '../access/actor';
import { Batches, inOrder, ReadFirst, statementLoaders } from '../api/batches';
import { selectPrepared, selectRows } from '../database/rows';
import { NO_ID } from '../sync/plan/changed-ids';
import { type AsOf, rowsOf } from './history';
import { DEPARTMENT_COLUMNS, EMPLOYEE_COLUMNS } from './organisation.columns';
import { type Department, type Employee, PRESENT } from './organisation.entity';
import {
  type DepartmentObject,
  type EmployeeObject,
  type Membership,
  toDepartment,
  toEmployee,
} from './organisation.type';

type LoaderOptions = Pick<DataLoader.Options<string, unknown>, 'batchScheduleFn'> & { readonly cache: boolean };

export type OrganisationLoaders = ReturnType<typeof organisationLoaders>;

/**
 * Questions about the organisation as it is, or as it was at a moment.
 * @param role viewers see personal values masked
 */
export function organisationLoaders(
  dataSource: DataSource,
  asOf: AsOf,
  role: RoleName,
  options: { readonly cache: boolean },
) {
  const [department, employee, membership, link] = [
    rowsOf('department', asOf),
    rowsOf('employee', asOf),
    rowsOf('membership', asOf),
    rowsOf('link', asOf),
  ];
  // Of a moment the text names changes.
  const select = asOf ? selectRows : selectPrepared;
  /** Rows of the wide tables as the API's objects, each made once however many ask for it. */
  const objects = <Row, T extends { uuid: string }>(
    sql: string,
    toObject: (row: Row) => T,
    when: LoaderOptions = options,
  ) =>
    new Batches<T | null>(async (ids) => {
      const rows = await select<Row>(dataSource, sql, [ids]);
      return inOrder(ids, rows.map(toObject), (object) => object.uuid);
    }, when);
  const { grouped, counted } = statementLoaders(dataSource, options, select);
  // The departments of memberships are known once these are read; main ones, known before, are asked for with them.
  const memberships = new ReadFirst(select);
  return {
    department: objects<Department, DepartmentObject>(
      `SELECT ${DEPARTMENT_COLUMNS} FROM ${department} d WHERE d.id = ANY ($1)`,
      (row) => toDepartment(row, asOf),
      { ...options, batchScheduleFn: memberships.after },
    ),
    employee: objects<Employee, EmployeeObject>(
      `SELECT ${EMPLOYEE_COLUMNS} FROM ${employee} e WHERE e.id = ANY ($1)`,
      (row) => toEmployee(row, role, asOf),
    ),
    memberships: statementLoaders(dataSource, options, memberships.select).grouped<Membership & { key: string }>(
      `SELECT m.employee_id AS key, m.department_id AS "departmentId", m.is_leader AS "isLeader", m."order"
         FROM ${membership} m WHERE m.employee_id = ANY ($1) ORDER BY m.department_id`,
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
       ) CYCLE id SET again USING trail
       SELECT key, name FROM up WHERE NOT again ORDER BY key, height DESC`,
    ),
    directCount: counted(
      `SELECT m.department_id AS key, count(*)::int AS total FROM ${membership} m JOIN ${employee} e ON e.id = m.employee_id
        WHERE m.department_id = ANY ($1) AND e.status IN ${PRESENT} GROUP BY m.department_id`,
    ),
    subtreeCount: counted(
      `WITH RECURSIVE down AS (
         SELECT id AS key, id FROM ${department} d WHERE id = ANY ($1)
         UNION
         SELECT down.key, d.id FROM down JOIN ${department} d ON d.parent_id = down.id
       ) SELECT down.key, count(DISTINCT e.id)::int AS total FROM down JOIN ${membership} m ON m.department_id = down.id
           JOIN ${employee} e ON e.id = m.employee_id AND e.status IN ${PRESENT} GROUP BY down.key`,
    ),
    externalId: grouped<{ key: string; externalId: string }>(
      // Who has no id any more has in the link the one that somebody else has got.
      `SELECT local_id AS key, external_id AS "externalId" FROM ${link} l
        WHERE local_id = ANY ($1) ${asOf ? '' : `AND left(external_key, 1) <> ${NO_ID}`}`,
    ),
  };
}
