import type { PoolClient } from 'pg';
import type { ExtensionFieldRow } from '../../extension-field/extension-field.service';
import { normaliseValue } from '../../extension-field/extension-value';
import { EXTENSION_PREFIX, type MappedObjectType } from '../../field-mapping/field-mapping';
import type { Run } from '../task/lease';
import { OPEN } from './statements';

/** Values of extension fields that a reversal's records would bring back. Parameter: $1 task. */
const EXTENSION_VALUES = `
SELECT DISTINCT r.object_type AS "objectType", told.key AS field, told.value
  FROM sync_record r, jsonb_each_text(r.after) told
 WHERE ${OPEN} AND told.key LIKE '${EXTENSION_PREFIX}%' AND told.value IS NOT NULL`;

/** A value as a record has it, with its local field. */
interface ExtensionValue {
  readonly objectType: MappedObjectType;
  readonly field: string;
  readonly value: string;
}

/**
 * These values ($2) give way to what is here, which is nothing where the field was deleted. A record says so of what it would
 * have changed, and fails where that was all.
 */
const KEEP_WHAT_IS_HERE = `
WITH lost AS MATERIALIZED (
  SELECT r.id, array_agg(told.key) AS fields, extension_fields(coalesce(e.extension_values, d.extension_values, '{}')) AS here,
         jsonb_object_agg(told.key, 'INVALID') FILTER (WHERE told.key = ANY (r.changed) OR r.action = 'CREATE') AS kept
    FROM sync_record r
   CROSS JOIN jsonb_each_text(r.after) told
    JOIN jsonb_to_recordset($2) AS unfit ("objectType" text, field text, value text)
      ON unfit."objectType" = r.object_type AND unfit.field = told.key AND unfit.value = told.value
    LEFT JOIN employee e ON r.object_type = 'EMPLOYEE' AND e.id = r.local_id
    LEFT JOIN department d ON r.object_type = 'DEPARTMENT' AND d.id = r.local_id
   WHERE ${OPEN}
   GROUP BY r.id, e.extension_values, d.extension_values
)
UPDATE sync_record r
   SET after = (r.after - lost.fields)
               || (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(lost.here) WHERE key = ANY (lost.fields)),
       changed = ARRAY(SELECT field FROM unnest(r.changed) field WHERE field <> ALL (lost.fields)),
       kept = CASE WHEN lost.kept IS NULL THEN r.kept ELSE coalesce(r.kept, '{}') || lost.kept END,
       reason_code = CASE WHEN lost.kept IS NULL THEN r.reason_code ELSE 'INVALID_VALUE' END,
       result = CASE WHEN r.action = 'UPDATE' AND r.changed <@ lost.fields THEN 'FAILED' END
  FROM lost WHERE r.id = lost.id`;

/**
 * Takes values out of a reversal's records that their extension fields do not take any more, or whose fields are gone: while a value
 * is here a field cannot be changed so, and an undo must not bring one back.
 */
export async function dropUnfitValues(client: PoolClient, { task }: Run): Promise<void> {
  const { rows } = await client.query<ExtensionValue>(EXTENSION_VALUES, [task.id]);
  if (rows.length === 0) return;
  const fields = await extensionFields(client);
  const unfit = rows.filter(({ objectType, field, value }) => {
    const rules = fields.get(field);
    return rules?.objectType !== objectType || normaliseValue(rules, value) !== value;
  });
  if (unfit.length > 0) await client.query(KEEP_WHAT_IS_HERE, [task.id, JSON.stringify(unfit)]);
}

type FieldRules = Pick<ExtensionFieldRow, 'key' | 'objectType' | 'type' | 'options'>;

/** What each field takes, by the local field that records name. */
async function extensionFields(client: PoolClient): Promise<ReadonlyMap<string, FieldRules>> {
  const { rows } = await client.query<FieldRules>(
    'SELECT key, object_type AS "objectType", type, options FROM extension_field',
  );
  return new Map(rows.map((field) => [EXTENSION_PREFIX + field.key, field]));
}
