import type { PoolClient } from 'pg';
import type { MappedObjectType } from '../../field-mapping/field-mapping';
import { PRESENT } from '../../organisation/organisation.entity';
import type { Run } from '../task/lease';
import { changingPlanned } from '../task/record-events';

/** Values that must be unique and are somebody else's. Parameters: $1 task, $2 identity source. */

/** An undo may bring back somebody as suspended only, who is not present and takes nothing from those who are. */
const NOT_SUSPENDED = `r.after ->> 'status' IS DISTINCT FROM 'SUSPENDED'`;

/** Somebody or something that was here comes back, be it under another id: it had values, and brings them. */
const COMES_BACK = `(r.action = 'RESTORE' OR (r.action = 'RENAME_ID' AND coalesce(r.before ->> 'status', '') IN ('SUSPENDED', 'REMOVED')))`;

const COMES = `(r.action = 'CREATE' OR ${COMES_BACK})`;

/** Somebody who is here and was to get another user name. */
const KEEPS_USERNAME = `(NOT ${COMES} AND 'username' = ANY (r.changed))`;

/**
 * The ids of records that get a value which somebody else has or gets, as an array: of several that get one the first, and of who is
 * here and who is new who is here. Whoever is refused a value keeps the former one, which is then refused to whoever was to get that, and
 * so on: everybody's number moved up by one, and the last one taken, is a chain of all of them.
 * @param told a SELECT of each record's id, value, former value (null: none is kept), external key, and newcomer: whether it gets the
 *   value (1), or has it (0)
 * @param others a SELECT of the values of those without a record; it may look into `told`
 */
function idsOfRefused(told: string, others: string): string {
  return `ARRAY(
  WITH RECURSIVE told AS MATERIALIZED (${told}
  ), refused AS (
    SELECT id, former FROM (
      SELECT id, former, newcomer, row_number() OVER (PARTITION BY value ORDER BY newcomer, external_key) AS place
        FROM (SELECT id, value, former, external_key, newcomer FROM told
              UNION ALL SELECT NULL, value, NULL, '', 0 FROM (${others}) others) holders
    ) ranked WHERE place > 1 AND id IS NOT NULL
    UNION
    SELECT told.id, told.former FROM refused JOIN told ON told.value = refused.former AND told.newcomer = 1
  )
  SELECT id FROM refused)`;
}

/**
 * A user name that somebody present has, or gets, already: whoever is here keeps the name. A newcomer fails alone, and so does who comes
 * back; somebody who is here keeps their former name and gets the rest of their changes. Run until it finds nothing more. Without this the
 * constraint would fail the whole run at its commit.
 */
const REFUSE_TAKEN_USERNAMES = `
UPDATE sync_record r
   SET reason_code = 'VALUE_TAKEN',
       result = CASE WHEN ${KEEPS_USERNAME} AND cardinality(array_remove(r.changed, 'username')) > 0 THEN NULL ELSE 'FAILED' END,
       after = CASE WHEN ${KEEPS_USERNAME} THEN r.after || jsonb_build_object('username', r.before ->> 'username') ELSE r.after END,
       changed = CASE WHEN ${KEEPS_USERNAME} THEN array_remove(r.changed, 'username') ELSE r.changed END,
       kept = CASE WHEN ${KEEPS_USERNAME} THEN coalesce(r.kept, '{}') || '{"username": "TAKEN"}' ELSE r.kept END
 WHERE r.id = ANY (${idsOfRefused(
   `
    SELECT r.id, lower(r.after ->> 'username') AS value, r.external_key,
           CASE WHEN ${KEEPS_USERNAME} THEN lower(r.before ->> 'username') END AS former,
           CASE WHEN 'username' = ANY (r.changed) OR ${COMES} THEN 1 ELSE 0 END AS newcomer
      FROM sync_record r
     WHERE r.task_id = $1 AND r.object_type = 'EMPLOYEE' AND r.result IS NULL
       AND r.action IN ('CREATE', 'UPDATE', 'MOVE', 'RESTORE', 'RENAME_ID') AND ${NOT_SUSPENDED}`,
   `
    SELECT lower(w.username) AS value FROM employee w
     WHERE w.identity_source_id = $2 AND w.status IN ${PRESENT}
       -- Whose name nobody gets is in nobody's way.
       AND lower(w.username) IN (SELECT value FROM told WHERE newcomer = 1)
       AND (w.id IN (SELECT x.local_id FROM sync_record x
                      WHERE x.task_id = $1 AND x.object_type = 'EMPLOYEE' AND x.result IS NULL AND x.action <> 'CREATE')) IS NOT TRUE`,
 )})`;

/**
 * A unique extension value that somebody present, or a department, has or gets already: whoever is here keeps theirs, and the other
 * keeps what they had, which for a newcomer, and for somebody who comes back, is nothing. A department that is to go gives its value up,
 * unless that waits for approval; one that then turns out not to be empty goes without (`GIVE_UP_VALUES`). Run until it finds nothing
 * more. The key comes from the table of fields.
 */
function refuseTakenExtension(key: string, objectType: MappedObjectType): string {
  const field = `extension.${key}`;
  const gets = `('${field}' = ANY (r.changed) OR ${COMES_BACK})`;
  const value = (json: string) => `canonical('${key}', ${json} ->> '${field}')`;
  return `
UPDATE sync_record r
   SET reason_code = 'VALUE_TAKEN', kept = coalesce(r.kept, '{}') || '{"${field}": "TAKEN"}',
       after = (r.after - '${field}') || CASE WHEN NOT ${COMES_BACK} AND r.before ? '${field}'
                                              THEN jsonb_build_object('${field}', r.before ->> '${field}') ELSE '{}' END,
       changed = array_remove(r.changed, '${field}') || CASE WHEN ${COMES_BACK} AND r.before ? '${field}'
                                                             THEN ARRAY['${field}'] ELSE '{}' END,
       result = CASE WHEN NOT ${COMES_BACK} AND cardinality(array_remove(r.changed, '${field}')) = 0 THEN 'FAILED' END
 WHERE ${gets} AND r.after ? '${field}' AND r.id = ANY (${idsOfRefused(
   `
    SELECT r.id, ${value('r.after')} AS value, r.external_key, CASE WHEN ${gets} THEN 1 ELSE 0 END AS newcomer,
           CASE WHEN NOT ${COMES_BACK} THEN ${value('r.before')} END AS former
      FROM sync_record r
     WHERE r.task_id = $1 AND r.object_type = '${objectType}' AND r.result IS NULL AND r.action <> 'SUSPEND' AND r.action <> 'REMOVE'
       AND r.after ? '${field}' AND ${NOT_SUSPENDED}`,
   // Each value is looked up: of all that are taken, most are what nobody gets.
   `
    SELECT u.value_key AS value
      FROM (SELECT DISTINCT value FROM told) t
      CROSS JOIN LATERAL (SELECT value_key, object_id FROM extension_unique_value
                           WHERE identity_source_id = $2 AND field_key = '${key}' AND value_key = t.value OFFSET 0) u
     WHERE (u.object_id IN (SELECT x.local_id FROM sync_record x WHERE x.task_id = $1 AND x.result IS NULL)) IS NOT TRUE`,
 )})`;
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
