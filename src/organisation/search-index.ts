import { type Searchable, searchText } from './search-text';

/** People whose search text is made at a time. */
const BATCH = 500;
/** Before every id. */
const FIRST = '00000000-0000-0000-0000-000000000000';

/** What the search text is made of; when it differs, the text is made anew. */
const SOURCE = `concat_ws(chr(31), e.display_name, e.username, e.english_name, e.email, e.mobile, e.telephone)`;

/** Runs one statement: on a connection of its own, or within somebody's transaction. */
export type RunQuery = (sql: string, parameters: unknown[]) => Promise<Record<string, never>[]>;

/** Everybody of a source, those whom a task's records are about, or some. */
export type SearchRange =
  | { readonly identitySourceId: string }
  | { readonly taskId: string }
  | { readonly employeeIds: readonly string[] };

/**
 * Brings people's search text and the keys of their names up to date, in batches, and only where something that is searched has
 * changed. Any number of callers may run at once.
 */
export async function refreshSearch(query: RunQuery, range: SearchRange): Promise<void> {
  for (let last: string | undefined = FIRST; last !== undefined; ) last = await refreshBatch(query, range, last);
}

/**
 * One batch of it, in the order of ids, so that each person is looked at once, however many there are.
 * @param after the id to go on after
 * @returns the id to go on after, undefined when nobody is left
 */
export async function refreshBatch(query: RunQuery, range: SearchRange, after = FIRST): Promise<string | undefined> {
  const { condition, parameter } = rangeCondition(range);
  const stale = (await query(
    // Of the search rows, too, only those after it: a merge join would go through all of them each time.
    `SELECT e.id, e.display_name AS "displayName", e.username, e.english_name AS "englishName", e.email, e.mobile, e.telephone,
            ${SOURCE} AS source
       FROM employee e LEFT JOIN employee_search s ON s.employee_id = e.id AND s.employee_id > $2
      WHERE ${condition} AND e.id > $2 AND s.source IS DISTINCT FROM ${SOURCE} ORDER BY e.id LIMIT ${BATCH}`,
    [parameter, after],
  )) as unknown as (Searchable & { id: string; source: string })[];
  if (stale.length === 0) return undefined;
  const rows = stale.map((person) => ({ id: person.id, source: person.source, ...searchText(person) }));
  await query(
    `INSERT INTO employee_search (employee_id, source, names, contacts, tokens, name_key)
     SELECT r.id, r.source, r.names, r.contacts, ARRAY(SELECT jsonb_array_elements_text(r.tokens)), r."nameKey"
       FROM jsonb_to_recordset($1) AS r (id uuid, source text, names text, contacts text, tokens jsonb, "nameKey" text)
       JOIN employee e ON e.id = r.id
     ON CONFLICT (employee_id) DO UPDATE SET source = excluded.source, names = excluded.names, contacts = excluded.contacts,
            tokens = excluded.tokens, name_key = excluded.name_key`,
    [JSON.stringify(rows)],
  );
  return stale.length < BATCH ? undefined : stale.at(-1)?.id;
}

function rangeCondition(range: SearchRange): { condition: string; parameter: unknown } {
  if ('employeeIds' in range) return { condition: 'e.id = ANY ($1::uuid[])', parameter: range.employeeIds };
  if ('identitySourceId' in range) return { condition: 'e.identity_source_id = $1', parameter: range.identitySourceId };
  const condition = `e.id IN (SELECT r.local_id FROM sync_record r WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE')`;
  return { condition, parameter: range.taskId };
}

/** Notes, in the transaction that brings or changes people, that their search text will be made after it. */
export async function announceSearch(query: RunQuery, identitySourceId: string): Promise<void> {
  await query(
    `INSERT INTO search_pending (identity_source_id) VALUES ($1)
     ON CONFLICT (identity_source_id) DO UPDATE SET change = excluded.change, announced_at = excluded.announced_at`,
    [identitySourceId],
  );
}

/** Whether everybody (of a source) can be sorted by the keys of names. */
export async function areNamesReady(query: RunQuery, identitySourceId: string | null): Promise<boolean> {
  const pending = await query(
    'SELECT 1 FROM search_pending WHERE $1::uuid IS NULL OR identity_source_id = $1 LIMIT 1',
    [identitySourceId],
  );
  return pending.length === 0;
}
