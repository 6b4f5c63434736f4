import type { Client } from 'pg';

/** Everything that a source's runs leave behind, without what differs from run to run: ids of our own and times. */
const STATE: Readonly<Record<string, string>> = {
  departments: `
    SELECT l.external_id, up.external_id AS parent, d.name, d.english_name, d."order"
      FROM department d JOIN link l ON l.local_id = d.id LEFT JOIN link up ON up.local_id = d.parent_id
     WHERE d.identity_source_id = $1 ORDER BY l.external_key`,
  employees: `
    SELECT l.external_id, e.username, e.display_name, e.position, e.email, e.mobile, e.status, e.employment_status,
           boss.external_id AS manager, main.external_id AS main,
           (SELECT jsonb_agg(jsonb_build_array(d.external_id, m.is_leader, m."order") ORDER BY d.external_key)
              FROM membership m JOIN link d ON d.local_id = m.department_id WHERE m.employee_id = e.id) AS places
      FROM employee e JOIN link l ON l.local_id = e.id
      LEFT JOIN link boss ON boss.local_id = e.manager_id LEFT JOIN link main ON main.local_id = e.main_department_id
     WHERE e.identity_source_id = $1 ORDER BY l.external_key`,
  links: `
    SELECT kind, external_key, external_id, encode(hash, 'hex') AS hash, unresolved, missing_since IS NOT NULL AS missing,
           rejected_at IS NOT NULL AS rejected
      FROM link WHERE identity_source_id = $1 ORDER BY kind, external_key`,
  // Of the last snapshot; what earlier ones leave where a worker was killed after its commit goes with the next run.
  pages: `
    SELECT p.object_type, p.page_key, p.digest, p.keys, p.applied FROM snapshot_page p JOIN task_page tp ON tp.page_id = p.id
     WHERE tp.task_id = (SELECT id FROM sync_task WHERE identity_source_id = $1 ORDER BY id DESC LIMIT 1)
       AND p.page_key NOT LIKE 'again:%'
     ORDER BY p.object_type, p.page_key`,
  task: `
    SELECT status, mode, counters, certificate - 'sourceCalls' AS certificate, failure FROM sync_task
     WHERE identity_source_id = $1 ORDER BY id DESC LIMIT 1`,
  records: `
    SELECT ordinal, object_type, external_key, external_id, name, action, result, reason_code, third_party, before, after,
           changed, kept
      FROM sync_record WHERE task_id = (SELECT id FROM sync_task WHERE identity_source_id = $1 ORDER BY id DESC LIMIT 1)
     ORDER BY ordinal`,
};

/** In words, what one source has and the other has not; nothing when both are as if undisturbed. */
export async function compareSources(sql: Client, disturbed: string, undisturbed: string): Promise<string[]> {
  const found: string[] = [];
  for (const [what, query] of Object.entries(STATE)) {
    const lines = async (id: string) => (await sql.query(query, [id])).rows.map((row) => JSON.stringify(row));
    const [here, there] = [await lines(disturbed), await lines(undisturbed)];
    const only = (a: string[], b: string[]) => a.filter((line) => !b.includes(line));
    for (const line of only(here, there).slice(0, 3)) found.push(`${what}, disturbed: ${line}`);
    for (const line of only(there, here).slice(0, 3)) found.push(`${what}, undisturbed: ${line}`);
    if (here.length !== there.length) found.push(`${what}: ${here.length} lines, undisturbed ${there.length}`);
  }
  return found;
}

/** What must not be left once nothing runs any more. */
export async function leftovers(sql: Client): Promise<string[]> {
  const { rows } = await sql.query(`
    SELECT 'an open task, ' || status AS what FROM sync_task WHERE status IN ('QUEUED', 'RUNNING')
    UNION ALL SELECT 'an event without a number' FROM event WHERE sequence IS NULL
    UNION ALL SELECT 'an applied task that nobody tidied up' FROM sync_task WHERE applied_at IS NOT NULL AND tidied_at IS NULL
    UNION ALL SELECT 'records of a plan that never became whole' FROM sync_record r JOIN sync_task t ON t.id = r.task_id
      WHERE t.planned_at IS NULL AND t.status NOT IN ('QUEUED', 'RUNNING')
    UNION ALL SELECT 'announced search text of people, not tidied up' FROM search_pending
    UNION ALL SELECT 'an open transaction' FROM pg_stat_activity
      WHERE datname = current_database() AND state = 'idle in transaction' AND now() - state_change > interval '5 seconds'`);
  return rows.map((row) => row.what);
}
