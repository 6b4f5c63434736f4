import type { DataSource } from 'typeorm';
import type { Run } from '../task/lease';
import { firstOf } from './certify';

/**
 * What was read by itself shows which lists were not whole: a department that the list of departments lacked, somebody whom the list
 * of their department's people lacked. Whoever has come since the last run may be missing from these as well, and nobody asks for
 * them by themselves.
 */

/** Departments that the list lacked although they are there, of those whose people are to be read. External ids. */
export async function departmentsFoundAgain(
  dataSource: DataSource,
  run: Run,
  inScope: readonly string[],
): Promise<string[]> {
  const rows = await dataSource.query(
    `SELECT DISTINCT s.external_id AS id FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
      WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' AND tp.page_key LIKE 'again:%' AND s.external_id = ANY ($2) ORDER BY 1`,
    [run.task.id, inScope],
  );
  return rows.map((row: { id: string }) => row.id);
}

/**
 * Departments whose list of people lacks somebody who says to be in them. External ids. OFFSET 0 and EXCEPT: each list is looked up
 * once and compared as a set, since the planner has no figures of a task that has just read, and would try each person with each list.
 */
export async function departmentsLackingPeople(dataSource: DataSource, run: Run): Promise<string[]> {
  const rows = await dataSource.query(
    `WITH told AS MATERIALIZED (
       SELECT k, s.external_key FROM task_page again JOIN staged_employee s ON s.page_id = again.page_id AND s.status <> 'LEFT', unnest(s.department_keys) k
        WHERE again.task_id = $1 AND again.object_type = 'EMPLOYEE' AND again.page_key LIKE 'again:%'
     ), list AS MATERIALIZED (
       SELECT told.k, listed.keys FROM (SELECT DISTINCT k FROM told) told CROSS JOIN LATERAL (
         SELECT p.keys FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
          WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND tp.page_key = 'employees-of:' || told.k OFFSET 0) listed
     ), lacking AS MATERIALIZED (
       SELECT DISTINCT k FROM (SELECT k, external_key FROM told EXCEPT SELECT k, unnest(keys) FROM list) unlisted WHERE k IN (SELECT k FROM list)
     )
     SELECT DISTINCT d.external_id AS id FROM lacking JOIN staged_department d ON d.external_key = lacking.k
       JOIN task_page tp ON tp.page_id = d.page_id AND tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' ORDER BY 1`,
    [run.task.id],
  );
  return rows.map((row: { id: string }) => row.id);
}

/** Which lists are not whole, in plain words. Pure. */
export function tellDoubts(foundAgain: readonly string[], lackingPeople: readonly string[]): string[] {
  const doubts: string[] = [];
  if (foundAgain.length > 0)
    doubts.push(`The list of departments lacked ${firstOf(foundAgain)}, although they are there.`);
  if (lackingPeople.length > 0)
    doubts.push(`Lists of people lack somebody who is there: of departments ${firstOf(lackingPeople)}.`);
  return doubts;
}
