import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { Findings } from '../read/certify';
import type { Run } from '../task/lease';
import type { CounterState } from '../task/sync-task.entity';
import * as departments from './departments';
import * as employees from './employees';
import * as fields from './fields';
import { gate } from './gate';
import * as groups from './groups';
import { refuseTakenValues } from './taken-values';

const DEPARTMENT_STATEMENTS = [
  fields.COLLECT_MAPPED_FIELDS,
  departments.COLLECT_SCOPE_HERE,
  departments.COLLECT_READ_DEPARTMENTS,
  departments.COLLECT_DEPARTMENTS,
  departments.COLLECT_KEPT_DEPARTMENTS,
  departments.FORGET_UNKNOWN_PARENTS,
  departments.CUT_CYCLES,
  departments.RESOLVE_PARENTS,
  departments.COLLECT_HERE,
  departments.DESCRIBE_PATHS,
  departments.COLLECT_TARGETS,
  departments.RECORD_DEPARTMENTS,
];

const EMPLOYEE_STATEMENTS = [
  employees.COLLECT_RENAMES,
  employees.COLLECT_CANDIDATES,
  employees.COLLECT_EMPLOYEES,
  employees.COLLECT_MEMBERSHIPS,
  employees.SUMMARISE_MEMBERSHIPS,
  employees.SUMMARISE_LOCAL_PLACES,
  employees.COLLECT_MANAGERS,
  employees.RECORD_NEW_EMPLOYEES,
  employees.RECORD_CHANGED_EMPLOYEES,
];

const LEAVER_STATEMENTS = [employees.COLLECT_OUTSIDE_SCOPE, employees.RECORD_SUSPENSIONS, employees.RECORD_REMOVALS];

/** In their order; which ones depends on whether people are synchronized and how much of the directory is in scope. */
function statements(run: Run, same: boolean): string[] {
  const { includesEmployees, settings } = run.task;
  const seen = settings.scope.mode === 'PARTIAL' ? employees.COLLECT_SEEN_IN_SCOPE : employees.COLLECT_SEEN;
  // Of a snapshot that is made of the same pages nobody is missing who was not missing before.
  const leavers = same ? [employees.SEE_NOBODY, employees.RECORD_REMOVALS] : [seen, ...LEAVER_STATEMENTS];
  return [
    ...DEPARTMENT_STATEMENTS,
    ...(includesEmployees ? [...EMPLOYEE_STATEMENTS, ...leavers] : [employees.SEE_NOBODY]),
    departments.RECORD_DEPARTMENT_REMOVALS,
    fields.SKIP_OLDER_READS,
  ];
}

/**
 * Freshly filled: without figures of their own the planner would guess them wrong by orders of magnitude. Only the columns that
 * joins and conditions use: those of arrays and JSON would take longer than some of the statements.
 */
const ANALYSE_AFTER = new Map([
  [employees.COLLECT_CANDIDATES, 'candidate'],
  [employees.COLLECT_EMPLOYEES, 'plan_employee (external_key, page_id, local_id, manager_key, linked, status)'],
  [employees.COLLECT_MEMBERSHIPS, 'plan_membership (external_key)'],
  [employees.SUMMARISE_MEMBERSHIPS, 'plan_place (external_key)'],
  [employees.SUMMARISE_LOCAL_PLACES, 'local_place (external_key)'],
  [employees.COLLECT_SEEN, 'seen_key'],
  [employees.COLLECT_SEEN_IN_SCOPE, 'seen_key'],
  [departments.COLLECT_TARGETS, 'department_target (external_key, local_id, stays)'],
  [groups.COLLECT_GROUPS, 'plan_group'],
  [groups.COLLECT_GROUP_EDGES, 'group_edge'],
  [groups.COLLECT_MEMBER_RECORDS, 'member_record'],
]);

/** Of a table that lives as long as one transaction a small sample tells enough. */
const STATISTICS_TARGET = 10;

/**
 * The third and fourth step: snapshot rows against the local organisation, as sets; every difference becomes one record, and
 * removals over the limits are held.
 */
export async function plan(dataSource: DataSource, run: Run, findings: Findings): Promise<CounterState[]> {
  return inTransaction(dataSource, async (client) => {
    await client.query(`SET LOCAL work_mem = '64MB'; SET LOCAL default_statistics_target = ${STATISTICS_TARGET}`);
    await client.query('DELETE FROM sync_record WHERE task_id = $1', [run.task.id]);
    await execute(client, run, statements(run, findings.same));
    await gate(client, run, findings.lost, ['EMPLOYEE', 'DEPARTMENT']);
    // After the gate: somebody whose leaving waits for approval is here, and so are their values.
    await refuseTakenValues(client, run, 'DEPARTMENT');
    if (run.task.includesEmployees) {
      await refuseTakenValues(client, run, 'EMPLOYEE');
      await execute(client, run, employees.LEAVE_OUT_REFUSED_MANAGERS);
      await planGroups(client, run);
      await gate(client, run, findings.lost, ['GROUP']);
    }
    const counters = await countPlanned(client, run, findings.same);
    await client.query(`UPDATE sync_task SET planned_at = now(), counters = $2 WHERE id = $1`, [
      run.task.id,
      JSON.stringify(counters),
    ]);
    await client.query(
      `INSERT INTO event (kind, identity_source_id, task_id, first_ordinal, size, payload)
       SELECT 'RECORDS', $2, $1, 1, max(ordinal), '{"state": "PLANNED"}' FROM sync_record WHERE task_id = $1 HAVING count(*) > 0`,
      [run.task.id, run.task.identitySourceId],
    );
    await run.lease.confirm(client);
    return counters;
  });
}

async function execute(client: PoolClient, run: Run, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await client.query(inline(statement, run));
    const filled = ANALYSE_AFTER.get(statement);
    if (filled) await client.query(`ANALYZE ${filled}`);
  }
}

/** After it is certain who comes: a newcomer who was refused is a member of nothing. */
async function planGroups(client: PoolClient, run: Run): Promise<void> {
  const { rows } = await client.query(inline(groups.ANY_GROUPS, run));
  if (rows[0].any) await execute(client, run, [...groups.GROUP_STATEMENTS, fields.SKIP_OLDER_READS]);
}

/** CREATE TABLE AS takes no parameters; both ids come from the database and are checked to be what they must be. */
function inline(statement: string, run: Run): string {
  const ids = [run.task.id, run.task.identitySourceId];
  if (!ids.every((id) => /^[0-9a-f-]{36}$/.test(id))) throw new Error('Not a uuid.');
  return statement.replace(/\$([12])/g, (_, n: string) => `'${ids[Number(n) - 1]}'::uuid`);
}

async function countPlanned(client: PoolClient, run: Run, same: boolean): Promise<CounterState[]> {
  const { rows } = await client.query(
    `SELECT object_type AS "objectType", action, count(*)::int AS planned, 0 AS applied,
            (count(*) FILTER (WHERE result = 'HELD'))::int AS held,
            (count(*) FILTER (WHERE result = 'SKIPPED'))::int AS skipped, (count(*) FILTER (WHERE result = 'FAILED'))::int AS failed
       FROM sync_record WHERE task_id = $1 GROUP BY object_type, action
     UNION ALL
     SELECT seen.object_type, 'NONE', greatest(0, seen.total - (SELECT count(*) FROM sync_record r WHERE r.task_id = $1
              AND r.object_type = seen.object_type AND r.action NOT IN ('REMOVE', 'SUSPEND')))::int, 0, 0, 0, 0
       FROM (SELECT 'DEPARTMENT' AS object_type, count(*) AS total FROM plan_department
             UNION ALL SELECT 'EMPLOYEE', CASE WHEN $2 THEN (SELECT (certificate ->> 'employeesRead')::int FROM sync_task WHERE id = $1)
                                         ELSE (SELECT count(*) FROM seen_key) END
             UNION ALL SELECT 'GROUP', count(DISTINCT k) FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
                        WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' HAVING count(*) > 0) seen
     ORDER BY 1, 2`,
    [run.task.id, same],
  );
  return rows;
}
