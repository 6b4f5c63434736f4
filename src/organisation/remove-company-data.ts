import type { PoolClient } from 'pg';

/**
 * What a source holds of its company, in the order of the references: people, departments, groups, what was read of them, and what
 * tasks noted of them. The source, its tasks with their counters, and the audit log stay.
 */
const STATEMENTS = [
  `DELETE FROM sync_record WHERE task_id IN (SELECT id FROM sync_task WHERE identity_source_id = $1)`,
  `DELETE FROM event WHERE identity_source_id = $1 AND task_id IS NOT NULL`,
  `DELETE FROM directory_event WHERE identity_source_id = $1`,
  `DELETE FROM task_page WHERE task_id IN (SELECT id FROM sync_task WHERE identity_source_id = $1)`,
  `DELETE FROM staged_employee WHERE page_id IN (SELECT id FROM snapshot_page WHERE identity_source_id = $1)`,
  `DELETE FROM staged_department WHERE page_id IN (SELECT id FROM snapshot_page WHERE identity_source_id = $1)`,
  `DELETE FROM staged_group WHERE page_id IN (SELECT id FROM snapshot_page WHERE identity_source_id = $1)`,
  `DELETE FROM snapshot_page WHERE identity_source_id = $1`,
  `DELETE FROM link WHERE identity_source_id = $1`,
  `UPDATE employee SET manager_id = NULL, main_department_id = NULL WHERE identity_source_id = $1`,
  `DELETE FROM directory_group WHERE identity_source_id = $1`,
  `DELETE FROM employee WHERE identity_source_id = $1`,
  `DELETE FROM department WHERE identity_source_id = $1`,
  // Deleting has made former versions of what was there; they go with those that there were.
  `DELETE FROM link_version WHERE local_id IN (SELECT id FROM employee_version WHERE identity_source_id = $1
     UNION ALL SELECT id FROM department_version WHERE identity_source_id = $1)`,
  `DELETE FROM membership_version WHERE employee_id IN (SELECT id FROM employee_version WHERE identity_source_id = $1)`,
  `DELETE FROM employee_version WHERE identity_source_id = $1`,
  `DELETE FROM department_version WHERE identity_source_id = $1`,
  `DELETE FROM connection_check WHERE identity_source_id = $1`,
  `UPDATE sync_task SET progress = progress - 'currentDepartment' WHERE identity_source_id = $1`,
];

/** Removes a company's people and departments with every trace of their values, in the caller's transaction. */
export async function removeCompanyData(client: PoolClient, identitySourceId: string): Promise<void> {
  for (const statement of STATEMENTS) await client.query(statement, [identitySourceId]);
}
