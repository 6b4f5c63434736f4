import type { DataSource } from 'typeorm';
import { searchText } from './search-text';

/** People whose search text is made at a time. */
const BATCH = 2_000;

/** What the search text is made of; when it differs, the text is made anew. */
const SOURCE = `concat_ws(chr(31), e.display_name, e.username, e.english_name, e.email, e.mobile, e.telephone)`;

/**
 * Brings the search text of a source's people up to date, in batches, and only where something that is searched has changed. Any
 * number of callers may run at once; a run that is killed is made up for by the next.
 */
export async function refreshSearch(dataSource: DataSource, identitySourceId: string): Promise<void> {
  for (;;) {
    const stale = await dataSource.query(
      `SELECT e.id, e.display_name AS "displayName", e.username, e.english_name AS "englishName", e.email, e.mobile, e.telephone,
              ${SOURCE} AS source
         FROM employee e LEFT JOIN employee_search s ON s.employee_id = e.id
        WHERE e.identity_source_id = $1 AND s.source IS DISTINCT FROM ${SOURCE} ORDER BY e.id LIMIT ${BATCH}`,
      [identitySourceId],
    );
    if (stale.length === 0) return;
    const rows = stale.map((person: Parameters<typeof searchText>[0] & { id: string; source: string }) => ({
      id: person.id,
      source: person.source,
      ...searchText(person),
    }));
    await dataSource.query(
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
