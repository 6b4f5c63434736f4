import type { MappedObjectType } from '../field-mapping/field-mapping';
import type { ExtensionFieldTypeName } from './extension-value';

/** What of a field decides how its values are sorted. */
export interface SortedField {
  readonly id: string;
  readonly objectType: MappedObjectType;
  readonly key: string;
  readonly type: ExtensionFieldTypeName;
}

/** An SQL expression of a field's values, and what it compares as. */
export interface ValueExpression {
  readonly sql: string;
  readonly type: 'text' | 'numeric';
}

/**
 * What a field's values are sorted and compared by: numbers as numbers, everything else as text by code point, which for days
 * (YYYY-MM-DD) and for false and true is their own order. NULL where there is no value. Written as the field's index has it, so
 * that the planner can use that.
 * @param row the table's alias, a constant of the code
 */
export function valueExpression({ key, type }: Pick<SortedField, 'key' | 'type'>, row?: string): ValueExpression {
  const text = `${row ? `${row}.` : ''}extension_values ->> '${checkedKey(key)}'`;
  return type === 'NUMBER'
    ? { sql: `extension_number(${text})`, type: 'numeric' }
    : { sql: `((${text}) COLLATE "C")`, type: 'text' };
}

/**
 * The index of a field: only of those who have a value, so that a field costs nothing where it is not used. Made with the field;
 * it stays the same while the type changes between those that are compared as text.
 */
export function createIndexStatement(field: SortedField): string {
  const { sql } = valueExpression(field);
  return `CREATE INDEX ${indexName(field)} ON ${tableOf(field.objectType)} ((${sql}), id) WHERE ${sql} IS NOT NULL`;
}

export function dropIndexStatement(field: SortedField): string {
  return `DROP INDEX IF EXISTS ${indexName(field)}`;
}

/** Made of the field's id, because a key can be as long as an identifier may be. */
export function indexName({ id, type }: Pick<SortedField, 'id' | 'type'>): string {
  return `extension_${id.replaceAll('-', '')}_${type === 'NUMBER' ? 'number' : 'text'}`;
}

export function tableOf(objectType: MappedObjectType): 'department' | 'employee' {
  return objectType === 'DEPARTMENT' ? 'department' : 'employee';
}

/** A key stands in statements; only what is one gets there, whoever calls. */
function checkedKey(key: string): string {
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(key)) throw new Error('Not the key of an extension field.');
  return key;
}
