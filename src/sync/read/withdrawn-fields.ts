import type { DataSource } from 'typeorm';
import type { DirectoryConnector } from '../../connector/directory-connector';
import type { Run } from '../task/lease';

/**
 * A field of people that the directory stops showing while it is read: the permission was withdrawn, or the administrator took the
 * field out of what the app may see. Whoever was read before has it, whoever was read after it does not, and has lost nothing. From one
 * run to the next such a field is withheld, since nobody has it; within one it has to be found out.
 */

/** The last list of people that shows a field which nobody has who was read after that. */
export interface LastShown {
  readonly field: string;
  /** Third-party id of the department whose list it is. */
  readonly departmentId: string;
}

/**
 * Fields that nobody has who was read after some moment, although somebody of them had it in the last complete snapshot. That alone
 * proves nothing: there may be nobody left who has it.
 * @param departmentIds whose lists were read
 */
export async function lastShownFields(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  departmentIds: readonly string[],
): Promise<LastShown[]> {
  const rows: { field: string; list: string }[] = await dataSource.query(LAST_SHOWN, [
    run.task.id,
    run.task.identitySourceId,
  ]);
  if (rows.length === 0) return [];
  const departments = new Map(departmentIds.map((id) => [`employees-of:${connector.keyOf(id)}`, id]));
  return rows.flatMap(({ field, list }) => {
    const departmentId = departments.get(list);
    return departmentId === undefined ? [] : [{ field, departmentId }];
  });
}

/** The fields of these that their lists, read once more by now, do not show either; or that could not be read. */
export async function fieldsWithdrawn(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  lastShown: readonly LastShown[],
): Promise<string[]> {
  const rows: { field: string }[] = await dataSource.query(
    `SELECT DISTINCT shown.field FROM unnest($2::text[], $3::text[]) AS shown (field, page_key)
       LEFT JOIN task_page tp ON tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND tp.page_key = shown.page_key
       LEFT JOIN snapshot_page p ON p.id = tp.page_id
      WHERE (shown.field = ANY (p.filled) OR p.keys = '{}') IS NOT TRUE ORDER BY 1`,
    [
      run.task.id,
      lastShown.map(({ field }) => field),
      lastShown.map(({ departmentId }) => `employees-of:${connector.keyOf(departmentId)}`),
    ],
  );
  return rows.map(({ field }) => field);
}

/**
 * Only pages that tell something new are looked at: what is shared with the last snapshot shows what it did then. Whoever is seen by
 * themselves is on a page of their own. An empty list says nothing of fields.
 */
const LAST_SHOWN = `
WITH former AS MATERIALIZED (
  SELECT tp.page_key, p.filled
    FROM (SELECT id FROM sync_task WHERE identity_source_id = $2 AND id < $1 AND (certificate ->> 'complete')::boolean AND mode = 'APPLY'
             AND trigger IN ('MANUAL', 'SCHEDULED') AND includes_employees ORDER BY id DESC LIMIT 1) last
    JOIN task_page tp ON tp.task_id = last.id AND tp.object_type = 'EMPLOYEE' JOIN snapshot_page p ON p.id = tp.page_id
), page AS MATERIALIZED (
  SELECT tp.page_key, tp.read_at, p.filled, p.applied
    FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
   WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE' AND tp.page_key NOT LIKE 'again:%' AND p.keys <> '{}'
), lost AS MATERIALIZED (
  SELECT field, max(page.read_at) AS read_at FROM page JOIN former USING (page_key), unnest(former.filled) field
   WHERE NOT page.applied AND NOT field = ANY (page.filled) GROUP BY field
), shown AS MATERIALIZED (
  SELECT field, max(read_at) AS read_at, (array_agg(page_key ORDER BY read_at DESC) FILTER (WHERE page_key LIKE 'employees-of:%'))[1] AS list
    FROM page, unnest(filled) field WHERE field IN (SELECT field FROM lost) GROUP BY field
)
SELECT shown.field, shown.list FROM shown JOIN lost USING (field)
 WHERE lost.read_at > shown.read_at AND shown.list IS NOT NULL ORDER BY 1`;
