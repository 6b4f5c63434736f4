import type { PoolClient } from 'pg';
import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import { PRESENT } from '../organisation/organisation.entity';
import type { ExtensionFieldRow, FieldRefusal } from './extension-field.service';
import { tableOf } from './extension-index';
import { describeRules, normaliseValue } from './extension-value';

/** Examples that a refusal names. */
const NAMED = 5;
/** Why a field cannot become what it is to be; undefined when nothing is in the way. Called with the field's values held still. */
export async function whatIsInTheWay(
  client: PoolClient,
  former: ExtensionFieldRow,
  next: ExtensionFieldRow,
): Promise<FieldRefusal | undefined> {
  const isNarrowed = former.type !== next.type || JSON.stringify(former.options) !== JSON.stringify(next.options);
  const becomesUnique = next.isUnique && !former.isUnique;
  return (
    (isNarrowed ? await unfitValues(client, former, next) : undefined) ??
    (becomesUnique ? await sharedValues(client, next) : undefined) ??
    (next.required && !former.required ? await missingValues(client, next) : undefined) ??
    (isNarrowed || becomesUnique ? await openTask(client, next) : undefined)
  );
}

async function unfitValues(client: PoolClient, former: ExtensionFieldRow, next: ExtensionFieldRow) {
  const { rows } = await client.query<{ value: string; holder: string; holders: number }>(
    `SELECT extension_values ->> $1 AS value, min(${nameOf(former)}) AS holder, count(*)::int AS holders
       FROM ${tableOf(former.objectType)} WHERE extension_values ? $1 GROUP BY 1 ORDER BY 3 DESC, 1`,
    [former.key],
  );
  const unfit = rows.filter(({ value }) => normaliseValue(next, value) !== value);
  if (unfit.length === 0) return undefined;
  const examples = unfit.map(({ value, holder, holders }) => `${value} (${holder}${others(holders - 1)})`);
  return refusal(
    next.type === former.type ? 'options' : 'type',
    'INVALID_INPUT',
    `Values in the way: ${named(examples)}. The field would hold ${describeRules(next)}. Change these values first.`,
  );
}

async function sharedValues(client: PoolClient, field: ExtensionFieldRow) {
  const present = field.objectType === 'EMPLOYEE' ? `AND status IN ${PRESENT}` : '';
  const { rows } = await client.query<{ value: string; holders: string[] }>(
    `SELECT min(extension_values ->> $1) AS value, (array_agg(${nameOf(field)} ORDER BY id))[1:3] AS holders
       FROM ${tableOf(field.objectType)} WHERE extension_values ? $1 ${present}
      GROUP BY identity_source_id, canonical($1, extension_values ->> $1) HAVING count(*) > 1 ORDER BY 1 LIMIT 100`,
    [field.key],
  );
  if (rows.length === 0) return undefined;
  const examples = rows.map(({ value, holders }) => `${value} (${holders.join(', ')})`);
  return refusal(
    'unique',
    'VALUE_TAKEN',
    `Several have the same value: ${named(examples)}. Give each their own first.`,
  );
}

/** Only those that are kept here must have a required field; the others have what their directory tells. */
async function missingValues(client: PoolClient, field: ExtensionFieldRow) {
  const present = field.objectType === 'EMPLOYEE' ? `AND o.status IN ${PRESENT}` : '';
  const { rows } = await client.query<{ holder: string; total: number }>(
    `SELECT ${nameOf(field, 'o')} AS holder, count(*) OVER ()::int AS total
       FROM ${tableOf(field.objectType)} o JOIN identity_source s ON s.id = o.identity_source_id
      WHERE s.type = 'CUSTOM' AND s.deleted_at IS NULL ${present} AND o.extension_values ->> $1 IS NULL ORDER BY o.id LIMIT ${NAMED}`,
    [field.key],
  );
  const [first] = rows;
  if (!first) return undefined;
  const message = `Without a value: ${rows.map((row) => row.holder).join(', ')}${others(first.total - rows.length)}. Give each a value first, such as by an import.`;
  return refusal('required', 'INVALID_INPUT', message);
}

/** A run that is under way has the field's rules from its beginning, and would bring values that fit those. */
export async function openTask(client: PoolClient, field: ExtensionFieldRow): Promise<FieldRefusal | undefined> {
  const { rows } = await client.query(
    `SELECT s.name FROM sync_task t JOIN identity_source s ON s.id = t.identity_source_id
      WHERE t.status IN ('QUEUED', 'RUNNING') AND t.mappings @> $1 LIMIT 1`,
    [JSON.stringify([{ objectType: field.objectType, localField: EXTENSION_PREFIX + field.key }])],
  );
  if (!rows[0]) return undefined;
  const message = `A task that fills this field is running for ${rows[0].name}: wait until it has ended, or cancel it.`;
  return refusal('id', 'TASK_RUNNING', message);
}

function nameOf({ objectType }: Pick<ExtensionFieldRow, 'objectType'>, row?: string): string {
  return `${row ? `${row}.` : ''}${objectType === 'EMPLOYEE' ? 'username' : 'name'}`;
}

function named(examples: readonly string[]): string {
  const shown = examples.slice(0, NAMED).join(', ');
  return `${shown}${others(examples.length - NAMED)}`;
}

function others(count: number): string {
  return count > 0 ? ` and ${count} more` : '';
}

function refusal(field: string, code: FieldRefusal['code'], message: string): FieldRefusal {
  return { code, message, field: ['input', field] };
}
