import { Field, InputType } from 'type-graphql';
import { badRequest } from '../api/errors';
import { containing } from '../api/pagination';
import type { ExtensionFieldRow } from './extension-field.service';
import { valueExpression } from './extension-index';
import { describeRules, type ExtensionFieldTypeName, normaliseValue } from './extension-value';

@InputType({
  description:
    'A condition on an extension field; all of the operators that are given together. Values are texts in any form that the field takes ("7" also finds 7.0).',
})
export class ExtensionFilter {
  @Field(() => String, { description: 'The field’s identifier.' })
  key: string;

  @Field(() => String, { nullable: true, description: 'With exactly this value; null: without one. Of every type.' })
  equals?: string | null;

  @Field(() => [String], { nullable: true, description: 'With one of these values. Of every type.' })
  oneOf?: string[] | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'true: without a value, false: with one, whichever it is. Of every type.',
  })
  isEmpty?: boolean | null;

  @Field(() => String, { nullable: true, description: 'At least so large, or not before. Of NUMBER and DATE.' })
  atLeast?: string | null;

  @Field(() => String, { nullable: true, description: 'At most so large, or not after. Of NUMBER and DATE.' })
  atMost?: string | null;

  @Field(() => String, { nullable: true, description: 'Has this in it, ignoring case. Of TEXT.' })
  contains?: string | null;

  @Field(() => String, { nullable: true, description: 'Begins with this, as it is written. Of TEXT.' })
  startsWith?: string | null;
}

const ORDERED = ['atLeast', 'atMost'] as const;
const TEXTUAL = ['contains', 'startsWith'] as const;

/** Operators by type, beside those of every type. */
const OPERATORS: Readonly<Record<ExtensionFieldTypeName, readonly string[]>> = {
  TEXT: TEXTUAL,
  NUMBER: ORDERED,
  DATE: ORDERED,
  BOOLEAN: [],
  CHOICE: [],
};

const MAX_ALTERNATIVES = 500;

/** @throws GraphQLError BAD_USER_INPUT with what there is instead, when no field of these has the key */
export function requireField(fields: readonly ExtensionFieldRow[], key: string): ExtensionFieldRow {
  const found = fields.find((field) => field.key === key);
  if (found) return found;
  const known = fields.length > 0 ? `There are: ${fields.map((field) => field.key).join(', ')}.` : 'There is none yet.';
  throw badRequest(`"${key.slice(0, 60)}" is no extension field’s identifier here. ${known}`);
}

/**
 * SQL conditions of a filter on one field.
 * @param row the table's alias
 * @param parameters is added to
 * @throws GraphQLError BAD_USER_INPUT when an operator or a value does not fit the field's type
 */
export function extensionConditions(
  field: ExtensionFieldRow,
  filter: ExtensionFilter,
  row: string,
  parameters: unknown[],
): string[] {
  const { sql, type } = valueExpression(field, row);
  const bind = (text: string) => `$${parameters.push(storedValue(field, text))}::${type}`;
  const where: string[] = [];
  for (const operator of [...ORDERED, ...TEXTUAL]) {
    if (filter[operator] != null && !OPERATORS[field.type].includes(operator)) throw unfitOperator(field, operator);
  }
  if (filter.equals === null) where.push(`${sql} IS NULL`);
  else if (filter.equals !== undefined) where.push(`${sql} = ${bind(filter.equals)}`);
  if (filter.oneOf) {
    if (filter.oneOf.length > MAX_ALTERNATIVES) throw badRequest(`oneOf takes at most ${MAX_ALTERNATIVES} values.`);
    where.push(`${sql} = ANY ($${parameters.push(filter.oneOf.map((text) => storedValue(field, text)))}::${type}[])`);
  }
  if (filter.isEmpty != null) where.push(`${sql} IS ${filter.isEmpty ? '' : 'NOT '}NULL`);
  if (filter.atLeast != null) where.push(`${sql} >= ${bind(filter.atLeast)}`);
  if (filter.atMost != null) where.push(`${sql} <= ${bind(filter.atMost)}`);
  if (filter.contains) where.push(`${sql} ILIKE $${parameters.push(containing(filter.contains))}`);
  if (filter.startsWith) where.push(`${sql} ^@ $${parameters.push(filter.startsWith.replaceAll('\0', ''))}`);
  return where;
}

function storedValue(field: ExtensionFieldRow, text: string): string {
  const value = normaliseValue(field, text);
  if (value !== undefined) return value.replaceAll('\0', '');
  throw badRequest(`"${text.slice(0, 60)}" cannot be a value of ${field.key}, which holds ${describeRules(field)}.`);
}

function unfitOperator(field: ExtensionFieldRow, operator: string) {
  const fitting = ['equals', 'oneOf', 'isEmpty', ...OPERATORS[field.type]].join(', ');
  return badRequest(
    `${operator} does not fit ${field.key}, which is a ${field.type} field. Its operators: ${fitting}.`,
  );
}
