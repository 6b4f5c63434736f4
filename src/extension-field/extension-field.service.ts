import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { selectPrepared } from '../database/rows';
import { inTransaction } from '../database/transaction';
import { EXTENSION_PREFIX, LOCAL_FIELDS, type MappedObjectType } from '../field-mapping/field-mapping';
import { createIndexStatement, dropIndexStatement, indexName, tableOf } from './extension-index';
import { describeRules, type ExtensionFieldTypeName, normaliseValue } from './extension-value';
import { openTask, whatIsInTheWay } from './values-in-the-way';

/** An administrator-defined field. */
export interface ExtensionFieldRow {
  readonly id: string;
  readonly objectType: MappedObjectType;
  readonly key: string;
  readonly displayName: string;
  readonly description: string | null;
  readonly type: ExtensionFieldTypeName;
  readonly options: string[];
  readonly required: boolean;
  readonly isUnique: boolean;
}

export type FieldInput = Omit<ExtensionFieldRow, 'id'>;
export type FieldChange = { readonly [K in keyof Omit<FieldInput, 'objectType' | 'key'>]?: FieldInput[K] | undefined };

export interface FieldRefusal {
  readonly code:
    | 'INVALID_INPUT'
    | 'NAME_TAKEN'
    | 'NOT_FOUND'
    | 'EXTENSION_FIELD_IN_USE'
    | 'VALUE_TAKEN'
    | 'TASK_RUNNING';
  readonly message: string;
  readonly field: readonly string[];
}

export type FieldOutcome = { readonly field: ExtensionFieldRow } | { readonly refusals: readonly FieldRefusal[] };

const COLUMNS = `id, object_type AS "objectType", key, display_name AS "displayName", description, type, options, required,
  is_unique AS "isUnique"`;
const MAX_OPTIONS = 500;
const MAX_DESCRIPTION = 512;

/** Extension fields: of the local organisation, for all sources. */
export class ExtensionFieldService {
  constructor(private readonly dataSource: DataSource) {}

  async list(objectType?: MappedObjectType | null): Promise<ExtensionFieldRow[]> {
    return selectPrepared(
      this.dataSource,
      `SELECT ${COLUMNS} FROM extension_field WHERE $1::text IS NULL OR object_type = $1 ORDER BY id`,
      [objectType ?? null],
    );
  }

  /** Which mappings fill each field, in words; by key. */
  async uses(): Promise<ReadonlyMap<string, string[]>> {
    const rows: { key: string; source: string }[] = await this.dataSource.query(
      `SELECT DISTINCT substr(m ->> 'localField', ${EXTENSION_PREFIX.length + 1}) AS key, s.name AS source
         FROM identity_source s, jsonb_array_elements(s.field_mappings) m
        WHERE s.deleted_at IS NULL AND jsonb_typeof(s.field_mappings) = 'array' AND m ->> 'localField' LIKE '${EXTENSION_PREFIX}%'
        ORDER BY 1, 2`,
    );
    const uses = new Map<string, string[]>();
    for (const { key, source } of rows) uses.set(key, [...(uses.get(key) ?? []), `field mapping of ${source}`]);
    return uses;
  }

  /** The field and its index come together; whoever writes people waits for that moment. */
  async create(input: FieldInput): Promise<FieldOutcome> {
    const problems = inputProblems(input);
    if (problems.length > 0) return { refusals: problems };
    return inTransaction(this.dataSource, async (client): Promise<FieldOutcome> => {
      await holdValuesStill(client);
      const { rows } = await client.query<ExtensionFieldRow>(
        `INSERT INTO extension_field (object_type, key, display_name, description, type, options, required, is_unique)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING RETURNING ${COLUMNS}`,
        [
          input.objectType,
          input.key,
          input.displayName.trim(),
          input.description,
          input.type,
          input.options,
          input.required,
          input.isUnique,
        ],
      );
      const [field] = rows;
      if (!field)
        return refused('NAME_TAKEN', `The identifier ${input.key} is taken by another extension field.`, 'key');
      await client.query(createIndexStatement(field));
      return { field };
    });
  }

  /** Refused where values that are already there would not fit, with examples of them. */
  async update(id: string, change: FieldChange): Promise<FieldOutcome> {
    return inTransaction(this.dataSource, async (client): Promise<FieldOutcome> => {
      await holdValuesStill(client);
      const former = await lockField(client, id);
      if (!former) return refused('NOT_FOUND', 'There is no extension field with this id.', 'id');
      const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
      const next: ExtensionFieldRow = { ...former, ...withOptionsOfType(former, given) };
      const problems = inputProblems(next);
      if (problems.length > 0) return { refusals: problems };
      const inTheWay = await whatIsInTheWay(client, former, next);
      if (inTheWay) return { refusals: [inTheWay] };
      const { rows } = await client.query(
        `UPDATE extension_field SET display_name = $2, description = $3, type = $4, options = $5, required = $6, is_unique = $7
          WHERE id = $1 RETURNING ${COLUMNS}`,
        [id, next.displayName.trim(), next.description, next.type, next.options, next.required, next.isUnique],
      );
      if (next.isUnique !== former.isUnique) await renewUniqueValues(client, next);
      if (indexName(next) !== indexName(former)) {
        await client.query(dropIndexStatement(former));
        await client.query(createIndexStatement(next));
      }
      if (describeRules(next) !== describeRules(former) || next.options.length !== former.options.length) {
        await readAnew(client, next);
      }
      return { field: rows[0] };
    });
  }

  /** Refused while a mapping fills it; its values go with it. */
  async delete(id: string): Promise<FieldOutcome> {
    return inTransaction(this.dataSource, async (client) => {
      await holdValuesStill(client);
      const field = await lockField(client, id);
      if (!field) return refused('NOT_FOUND', 'There is no extension field with this id.', 'id');
      const uses = (await this.uses()).get(field.key) ?? [];
      if (uses.length > 0) {
        return refused(
          'EXTENSION_FIELD_IN_USE',
          `The field is used by: ${uses.join('; ')}. Take it out there first.`,
          'id',
        );
      }
      const task = await openTask(client, field);
      if (task) return { refusals: [task] };
      await forgetInDeletedSources(client, field);
      await client.query('DELETE FROM extension_field WHERE id = $1', [id]);
      await client.query(dropIndexStatement(field));
      await forgetValues(client, field);
      return { field };
    });
  }
}

/** A number of its own among the locks of the whole database: 7_255_504 is what every commit takes (`migrations/1802000000000-history.ts`). */
const VALUES_LOCK = 7_255_505;

/** Whoever changes a field waits for those who write values, and they for it. */
async function holdValuesStill(client: PoolClient): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [VALUES_LOCK]);
}

/** Called by those who write values, before they read what fields there are: these then stay as they are until the commit. */
export async function holdFieldsStill(client: Pick<PoolClient, 'query'>): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock_shared($1)', [VALUES_LOCK]);
}

/** Only a choice has options; a field that stops being one loses them unless other are given. */
function withOptionsOfType(former: ExtensionFieldRow, given: Partial<FieldInput>): Partial<FieldInput> {
  const loses = former.type === 'CHOICE' && given.type !== undefined && given.type !== 'CHOICE';
  return loses && given.options === undefined ? { ...given, options: [] } : given;
}

function refused(code: FieldRefusal['code'], message: string, field: string): { refusals: FieldRefusal[] } {
  return { refusals: [{ code, message, field: ['input', field] }] };
}

function inputProblems(input: FieldInput): FieldRefusal[] {
  const at = (field: string, message: string): FieldRefusal => ({
    code: 'INVALID_INPUT',
    message,
    field: ['input', field],
  });
  const problems: FieldRefusal[] = [];
  // The API's enum has groups too, which have no extension fields.
  if (!(input.objectType in LOCAL_FIELDS)) {
    return [at('objectType', 'Departments and employees have extension fields: choose DEPARTMENT or EMPLOYEE.')];
  }
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(input.key)) {
    problems.push(at('key', 'An identifier begins with a letter a-z and has at most 40 of a-z, 0-9 and _.'));
  } else if (input.key in LOCAL_FIELDS[input.objectType]) {
    problems.push(at('key', `${input.key} is a built-in field.`));
  }
  const { length } = [...input.displayName.trim()];
  if (length < 1 || length > 64) problems.push(at('displayName', 'A display name has 1 to 64 characters.'));
  if ([...(input.description ?? '')].length > MAX_DESCRIPTION) {
    problems.push(at('description', `A description has at most ${MAX_DESCRIPTION} characters.`));
  }
  if (input.type === 'CHOICE' && (input.options.length === 0 || input.options.length > MAX_OPTIONS)) {
    problems.push(at('options', `A choice has 1 to ${MAX_OPTIONS} options.`));
  }
  if (
    input.type === 'CHOICE' &&
    (new Set(input.options).size !== input.options.length ||
      input.options.some((option) => option === '' || normaliseValue({ type: 'TEXT', options: [] }, option) !== option))
  ) {
    problems.push(
      at(
        'options',
        'Options differ from each other, are not empty, and have no spaces around them and at most 500 characters.',
      ),
    );
  }
  if (input.type !== 'CHOICE' && input.options.length > 0) problems.push(at('options', 'Only a choice has options.'));
  return problems;
}

async function lockField(client: PoolClient, id: string): Promise<ExtensionFieldRow | undefined> {
  const { rows } = await client.query(`SELECT ${COLUMNS} FROM extension_field WHERE id = $1 FOR UPDATE`, [id]);
  return rows[0];
}

/** Every holder's row is touched, so that the trigger writes its unique value, or takes it away. */
async function renewUniqueValues(client: PoolClient, field: ExtensionFieldRow): Promise<void> {
  await client.query(
    `UPDATE ${tableOf(field.objectType)} SET extension_values = extension_values WHERE extension_values ? $1`,
    [field.key],
  );
}

/**
 * What pages were staged by the former rules is staged again by the next run, so that a value which fits now is brought; and
 * previews made by them are stale.
 */
async function readAnew(client: PoolClient, field: ExtensionFieldRow): Promise<void> {
  const mapping = mappingOf(field);
  await client.query(
    `UPDATE snapshot_page p SET settings_version = '' FROM identity_source s
      WHERE s.id = p.identity_source_id AND p.object_type = $1 AND s.field_mappings @> $2`,
    [field.objectType, mapping],
  );
  await makePreviewsStale(client, mapping);
}

async function makePreviewsStale(client: PoolClient, mapping: string): Promise<void> {
  await client.query(`UPDATE sync_task SET settings_version = '' WHERE mode = 'PREVIEW' AND mappings @> $1`, [mapping]);
}

/** A field's mapping by what it fills, as JSON. */
function mappingOf({ objectType, key }: ExtensionFieldRow): string {
  return JSON.stringify([{ objectType, localField: EXTENSION_PREFIX + key }]);
}

/**
 * Takes a field's values away. A mapping may fill another field of this identifier before the next run, as it did this one: whoever had
 * a value is compared again, and what pages were staged by the rules of the field is staged again, whichever sources had mapped it.
 */
async function forgetValues(client: PoolClient, field: ExtensionFieldRow): Promise<void> {
  await client.query(
    `WITH emptied AS (
       UPDATE ${tableOf(field.objectType)} SET extension_values = extension_values - $1 WHERE extension_values ? $1 RETURNING id
     )
     UPDATE link l SET hash = NULL FROM emptied WHERE l.local_id = emptied.id`,
    [field.key],
  );
  await client.query(`UPDATE snapshot_page SET settings_version = '' WHERE object_type = $1`, [field.objectType]);
  await makePreviewsStale(client, mappingOf(field));
}

/** A source that was deleted may come back: its mappings must not name a field that is gone. */
async function forgetInDeletedSources(client: PoolClient, { key }: ExtensionFieldRow): Promise<void> {
  await client.query(
    `UPDATE identity_source s
        SET field_mappings = (SELECT coalesce(jsonb_agg(m ORDER BY place), '[]')
                                FROM jsonb_array_elements(s.field_mappings) WITH ORDINALITY AS kept (m, place)
                               WHERE m ->> 'localField' <> $1)
      WHERE s.deleted_at IS NOT NULL AND jsonb_typeof(s.field_mappings) = 'array'
        AND s.field_mappings @> jsonb_build_array(jsonb_build_object('localField', $1::text))`,
    [EXTENSION_PREFIX + key],
  );
}
