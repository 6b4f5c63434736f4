import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { selectRows } from '../database/rows';
import { inTransaction } from '../database/transaction';
import { EXTENSION_PREFIX, LOCAL_FIELDS, type MappedObjectType } from '../field-mapping/field-mapping';
import { describeRules, type ExtensionFieldTypeName, normaliseValue } from './extension-value';

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
  readonly code: 'INVALID_INPUT' | 'NAME_TAKEN' | 'NOT_FOUND' | 'EXTENSION_FIELD_IN_USE' | 'VALUE_TAKEN';
  readonly message: string;
  readonly field: readonly string[];
}

export type FieldOutcome = { readonly field: ExtensionFieldRow } | { readonly refusals: readonly FieldRefusal[] };

const COLUMNS = `id, object_type AS "objectType", key, display_name AS "displayName", description, type, options, required,
  is_unique AS "isUnique"`;
const MAX_OPTIONS = 500;
const NAMED = 5;
const UNIQUE_VIOLATION = '23505';

/** Extension fields: of the local organisation, for all sources. */
export class ExtensionFieldService {
  constructor(private readonly dataSource: DataSource) {}

  async list(objectType?: MappedObjectType | null): Promise<ExtensionFieldRow[]> {
    return selectRows(
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

  async create(input: FieldInput): Promise<FieldOutcome> {
    const problems = inputProblems(input);
    if (problems.length > 0) return { refusals: problems };
    try {
      const [field] = await this.dataSource.query(
        `INSERT INTO extension_field (object_type, key, display_name, description, type, options, required, is_unique)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${COLUMNS}`,
        [
          input.objectType,
          input.key,
          input.displayName,
          input.description,
          input.type,
          input.options,
          input.required,
          input.isUnique,
        ],
      );
      // Keys are lower-case letters, digits and underscores, so they can stand in a statement.
      const table = input.objectType.toLowerCase();
      await this.dataSource.query(
        `CREATE INDEX IF NOT EXISTS ${indexName(input)} ON ${table} ((extension_values ->> '${input.key}'), id)`,
      );
      return { field };
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
      return refused('NAME_TAKEN', `The identifier ${input.key} is taken by another extension field.`, 'key');
    }
  }

  /** Refused where values that are already there would not fit. */
  async update(id: string, change: FieldChange): Promise<FieldOutcome> {
    return inTransaction(this.dataSource, async (client): Promise<FieldOutcome> => {
      const former = await lockField(client, id);
      if (!former) return refused('NOT_FOUND', 'There is no extension field with this id.', 'id');
      const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
      const next: ExtensionFieldRow = { ...former, ...given };
      const problems = inputProblems(next);
      if (problems.length > 0) return { refusals: problems };
      const inTheWay = await valuesInTheWay(client, former, next);
      if (inTheWay) return inTheWay;
      const { rows } = await client.query(
        `UPDATE extension_field SET display_name = $2, description = $3, type = $4, options = $5, required = $6, is_unique = $7
          WHERE id = $1 RETURNING ${COLUMNS}`,
        [id, next.displayName, next.description, next.type, next.options, next.required, next.isUnique],
      );
      if (next.isUnique !== former.isUnique) await renewUniqueValues(client, next);
      return { field: rows[0] };
    }).catch((error) => {
      if ((error as { constraint?: string }).constraint !== 'extension_value_taken') throw error;
      return refused('VALUE_TAKEN', 'Two people have the same value already, so it cannot be made unique.', 'unique');
    });
  }

  /** Refused while a mapping fills it; its values go with it. */
  async delete(id: string): Promise<FieldOutcome> {
    return inTransaction(this.dataSource, async (client) => {
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
      const table = field.objectType.toLowerCase();
      await client.query('DELETE FROM extension_field WHERE id = $1', [id]);
      await client.query(`UPDATE ${table} SET extension_values = extension_values - $1 WHERE extension_values ? $1`, [
        field.key,
      ]);
      await client.query(`DROP INDEX IF EXISTS ${indexName(field)}`);
      return { field };
    });
  }
}

function refused(code: FieldRefusal['code'], message: string, field: string): { refusals: FieldRefusal[] } {
  return { refusals: [{ code, message, field: ['input', field] }] };
}

function indexName({ objectType, key }: Pick<FieldInput, 'objectType' | 'key'>): string {
  return `${objectType.toLowerCase()}_extension_${key}_idx`;
}

function inputProblems(input: FieldInput): FieldRefusal[] {
  const at = (field: string, message: string): FieldRefusal => ({
    code: 'INVALID_INPUT',
    message,
    field: ['input', field],
  });
  const problems: FieldRefusal[] = [];
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(input.key)) {
    problems.push(at('key', 'An identifier begins with a letter a-z and has at most 40 of a-z, 0-9 and _.'));
  } else if (input.key in LOCAL_FIELDS[input.objectType]) {
    problems.push(at('key', `${input.key} is a built-in field.`));
  }
  const { length } = [...input.displayName.trim()];
  if (length < 1 || length > 64) problems.push(at('displayName', 'A display name has 1 to 64 characters.'));
  if (input.type === 'CHOICE' && (input.options.length === 0 || input.options.length > MAX_OPTIONS)) {
    problems.push(at('options', `A choice has 1 to ${MAX_OPTIONS} options.`));
  }
  if (
    input.type === 'CHOICE' &&
    (new Set(input.options).size !== input.options.length || input.options.some((o) => o.trim() === ''))
  ) {
    problems.push(at('options', 'Options are not empty and differ from each other.'));
  }
  if (input.type !== 'CHOICE' && input.options.length > 0) problems.push(at('options', 'Only a choice has options.'));
  return problems;
}

async function lockField(client: PoolClient, id: string): Promise<ExtensionFieldRow | undefined> {
  const { rows } = await client.query(`SELECT ${COLUMNS} FROM extension_field WHERE id = $1 FOR UPDATE`, [id]);
  return rows[0];
}

/** Values that the changed field could not hold. */
async function valuesInTheWay(client: PoolClient, former: ExtensionFieldRow, next: ExtensionFieldRow) {
  if (former.type === next.type && JSON.stringify(former.options) === JSON.stringify(next.options)) return undefined;
  const { rows } = await client.query<{ value: string }>(
    `SELECT DISTINCT extension_values ->> $1 AS value FROM ${former.objectType.toLowerCase()} WHERE extension_values ? $1`,
    [former.key],
  );
  const unfit = rows.map((row) => row.value).filter((value) => normaliseValue(next, value) !== value);
  if (unfit.length === 0) return undefined;
  const more = unfit.length > NAMED ? ` and ${unfit.length - NAMED} others` : '';
  const message = `Values in the way: ${unfit.slice(0, NAMED).join(', ')}${more}. The field would hold ${describeRules(next)}.`;
  return refused('INVALID_INPUT', message, next.type === former.type ? 'options' : 'type');
}

/** Every holder's row is touched, so that the trigger writes its unique value, or takes it away. */
async function renewUniqueValues(client: PoolClient, field: ExtensionFieldRow): Promise<void> {
  await client.query(
    `UPDATE ${field.objectType.toLowerCase()} SET extension_values = extension_values WHERE extension_values ? $1`,
    [field.key],
  );
}
