import type { PoolClient } from 'pg';
import type { MappedObjectType } from '../../field-mapping/field-mapping';
import type { Run } from '../task/lease';
import { changingPlanned } from '../task/record-events';

/** Values that must be unique and are somebody else's. Parameters: $1 task, $2 identity source. */

/** An undo may bring back somebody as suspended only, who is not present and takes nothing from those who are. */
const NOT_SUSPENDED = `r.after ->> 'status' IS DISTINCT FROM 'SUSPENDED'`;

/** Somebody who is here and was to get another user name. */
const KEEPS_USERNAME = `(r.action NOT IN ('CREATE', 'RESTORE') AND 'username' = ANY (r.changed))`;

/**
 * A user name that somebody present has, or gets, already: whoever is here keeps the name. A newcomer fails alone; somebody who
 * is here keeps their former name and gets the rest of their changes. Run until it finds nothing more, since a kept name may
 * be one that another was to get. Without this the constraint would fail the whole run at its commit.
 */
const REFUSE_TAKEN_USERNAMES = `
UPDATE sync_record r
   SET reason_code = 'VALUE_TAKEN',
       result = CASE WHEN ${KEEPS_USERNAME} AND cardinality(array_remove(r.changed, 'username')) > 0 THEN NULL ELSE 'FAILED' END,
       after = CASE WHEN ${KEEPS_USERNAME} THEN r.after || jsonb_build_object('username', r.before ->> 'username') ELSE r.after END,
       changed = CASE WHEN ${KEEPS_USERNAME} THEN array_remove(r.changed, 'username') ELSE r.changed END,
       kept = CASE WHEN ${KEEPS_USERNAME} THEN coalesce(r.kept, '{}') || '{"username": "TAKEN"}' ELSE r.kept END
 WHERE r.id = ANY (ARRAY(SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY lower(name_after) ORDER BY newcomer, external_key) AS place
      FROM (
        SELECT r.id, r.after ->> 'username' AS name_after, r.external_key,
               CASE WHEN 'username' = ANY (r.changed) OR r.action IN ('CREATE', 'RESTORE') THEN 1 ELSE 0 END AS newcomer
          FROM sync_record r
         WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.result IS NULL
           AND r.action IN ('CREATE', 'UPDATE', 'MOVE', 'RESTORE', 'RENAME_ID') AND ${NOT_SUSPENDED}
        UNION ALL
        SELECT NULL, w.username, '', 0
          FROM employee w
         WHERE w.identity_source_id = $2 AND w.status IN ('ACTIVE', 'INACTIVE', 'DISABLED')
           -- Whose name nobody gets is in nobody's way.
           AND lower(w.username) IN (SELECT lower(after ->> 'username') FROM sync_record
                                      WHERE task_id = $1 AND object_type = 'EMPLOYEE' AND result IS NULL AND after ? 'username'
                                        AND (action IN ('CREATE', 'RESTORE') OR 'username' = ANY (changed)))
           AND NOT EXISTS (SELECT FROM sync_record x WHERE x.task_id = $1 AND x.object_type = 'EMPLOYEE' AND x.local_id = w.id
                              AND x.result IS NULL AND x.action <> 'CREATE')
      ) names
  ) ranked WHERE place > 1 AND id IS NOT NULL))`;

/**
 * A unique extension value that somebody present, or a department, has or gets already: whoever is here keeps theirs, and the other
 * keeps what they had, which for a newcomer, and for somebody who comes back, is nothing. A department that is to go has its value
 * until it is gone: it may turn out not to be empty. Run until it finds nothing more. The key comes from the table of fields.
 */
function refuseTakenExtension(key: string, objectType: MappedObjectType): string {
  const field = `extension.${key}`;
  const gets = `('${field}' = ANY (r.changed) OR r.action = 'RESTORE')`;
  const value = (json: string) => `canonical('${key}', ${json} ->> '${field}')`;
  return `
UPDATE sync_record r
   SET reason_code = 'VALUE_TAKEN', kept = coalesce(r.kept, '{}') || '{"${field}": "TAKEN"}',
       after = (r.after - '${field}') || CASE WHEN r.action <> 'RESTORE' AND r.before ? '${field}'
                                              THEN jsonb_build_object('${field}', r.before ->> '${field}') ELSE '{}' END,
       changed = array_remove(r.changed, '${field}') || CASE WHEN r.action = 'RESTORE' AND r.before ? '${field}'
                                                             THEN ARRAY['${field}'] ELSE '{}' END,
       result = CASE WHEN r.action <> 'RESTORE' AND cardinality(array_remove(r.changed, '${field}')) = 0 THEN 'FAILED' END
 WHERE ${gets} AND r.after ? '${field}' AND r.id = ANY (ARRAY(SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY value ORDER BY newcomer, external_key) AS place
      FROM (
        SELECT r.id, ${value('r.after')} AS value, r.external_key, CASE WHEN ${gets} THEN 1 ELSE 0 END AS newcomer
          FROM sync_record r
         WHERE r.task_id = $1 AND r.object_type = '${objectType}' AND r.result IS NULL AND r.action <> 'SUSPEND' AND r.action <> 'REMOVE'
           AND r.after ? '${field}' AND ${NOT_SUSPENDED}
        UNION ALL
        SELECT NULL, u.value_key, '', 0 FROM extension_unique_value u
         WHERE u.identity_source_id = $2 AND u.field_key = '${key}'
           AND NOT EXISTS (SELECT FROM sync_record x WHERE x.task_id = $1 AND x.local_id = u.object_id AND x.result IS NULL
                              AND (x.object_type = 'EMPLOYEE' OR x.action <> 'REMOVE'))
      ) holders
  ) ranked WHERE place > 1 AND id IS NOT NULL))`;
}

/**
 * Takes values that somebody else has out of a task's records, and tells how these stand then; also those of fields that no mapping
 * fills any more: who comes back brings what they had. Each pass settles at least one value, so it ends.
 * @returns whether there was any
 */
export async function refuseTakenValues(
  client: PoolClient,
  { task }: Run,
  objectType: MappedObjectType,
): Promise<boolean> {
  const { rows } = await client.query<{ key: string }>(
    'SELECT key FROM extension_field WHERE is_unique AND object_type = $1',
    [objectType],
  );
  const refusals = rows.map(({ key }) => refuseTakenExtension(key, objectType));
  if (objectType === 'EMPLOYEE') refusals.unshift(REFUSE_TAKEN_USERNAMES);
  let any = false;
  for (const refusal of refusals) {
    const refuse = changingPlanned(refusal);
    while (((await client.query(refuse, [task.id, task.identitySourceId])).rowCount ?? 0) > 0) any = true;
  }
  return any;
}
