import { type Searchable, searchText } from './search-text';

/** People whose search text is made at a time. */
const BATCH = 2_000;

/** What the search text is made of; when it differs, the text is made anew. */
const SOURCE = `concat_ws(chr(31), e.display_name, e.username, e.english_name, e.email, e.mobile, e.telephone)`;

/** Runs one statement: on a connection of its own, or within somebody's transaction. */
export type RunQuery = (sql: string, parameters: unknown[]) => Promise<Record<string, never>[]>;

/** Everybody of a source, or only those whom a task's records are about. */
export type SearchRange = { readonly identitySourceId: string } | { readonly taskId: string };

/**
 * Brings people's search text up to date, in batches, and only where something that is searched has changed. Any number of
 * callers may run at once; a run that is killed is made up for by the next.
 */
export async function refreshSearch(query: RunQuery, range: SearchRange): Promise<void> {
  const [condition, id] =
    'taskId' in range
      ? [
          `e.id IN (SELECT r.local_id FROM sync_record r WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE')`,
          range.taskId,
        ]
      : ['e.identity_source_id = $1', range.identitySourceId];
  for (;;) {
    const stale = (await query(
      `SELECT e.id, e.display_name AS "displayName", e.username, e.english_name AS "englishName", e.email, e.mobile, e.telephone,
              ${SOURCE} AS source
         FROM employee e LEFT JOIN employee_search s ON s.employee_id = e.id
        WHERE ${condition} AND s.source IS DISTINCT FROM ${SOURCE} ORDER BY e.id LIMIT ${BATCH}`,
      [id],
    )) as unknown as (Searchable & { id: string; source: string })[];
    if (stale.length === 0) return;
    const rows = stale.map((person) => ({
      id: person.id,
      source: person.source,
      ...searchText(person),
    }));
    await query(
      `INSERT INTO employee_search (employee_id, source, names, contacts, tokens)
       SELECT r.id, r.source, r.names, r.contacts, ARRAY(SELECT jsonb_array_elements_text(r.tokens))
         FROM jsonb_to_recordset($1) AS r (id uuid, source text, names text, contacts text, tokens jsonb)
         JOIN employee e ON e.id = r.id
       ON CONFLICT (employee_id) DO UPDATE SET source = excluded.source, names = excluded.names, contacts = excluded.contacts,
              tokens = excluded.tokens`,
      [JSON.stringify(rows)],
    );
  }
}
