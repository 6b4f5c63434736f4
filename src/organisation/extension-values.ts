import type { PoolClient } from 'pg';
import { describeRules, normaliseValue } from '../extension-field/extension-value';
import type { MappedObjectType } from '../field-mapping/field-mapping';
import { type OrganisationRefusal, Refused } from './change';
import type { ExtensionValueInput } from './department.service';

/** What of a field decides about its values. */
export interface ExtensionRules {
  readonly key: string;
  readonly displayName: string;
  readonly type: Parameters<typeof normaliseValue>[0]['type'];
  readonly options: string[];
  readonly required: boolean;
}

/**
 * The extension values that an object will have: the former ones with the given ones over them, each in its field's form.
 * @throws Refused with every value that does not fit, and every required field that would be empty
 */
export async function checkedExtensionValues(
  client: Pick<PoolClient, 'query'>,
  objectType: MappedObjectType,
  former: Readonly<Record<string, string>>,
  given: readonly ExtensionValueInput[],
): Promise<Record<string, string>> {
  const { rows } = await client.query<ExtensionRules>(
    `SELECT key, display_name AS "displayName", type, options, required FROM extension_field WHERE object_type = $1`,
    [objectType],
  );
  const { values, problems } = mergeExtensionValues(rows, former, given);
  if (problems.length > 0) throw new Refused(problems);
  return values;
}

/** The same without a database. Pure. */
export function mergeExtensionValues(
  fields: readonly ExtensionRules[],
  former: Readonly<Record<string, string>>,
  given: readonly ExtensionValueInput[],
): { values: Record<string, string>; problems: OrganisationRefusal[] } {
  const values: Record<string, string> = { ...former };
  const problems: OrganisationRefusal[] = [];
  const problem = (message: string, key: string) =>
    problems.push({ code: 'INVALID_INPUT', message, field: ['input', 'extensionValues', key] });
  for (const { key, value } of given) {
    const field = fields.find((f) => f.key === key);
    if (!field) {
      problem(`There is no extension field ${key}.`, key);
      continue;
    }
    const text = value?.trim() ?? '';
    const stored = text === '' ? null : normaliseValue(field, text);
    if (stored === undefined) problem(`${field.displayName} holds ${describeRules(field)}.`, key);
    else if (stored === null) delete values[key];
    else values[key] = stored;
  }
  for (const field of fields) {
    if (field.required && values[field.key] === undefined) problem(`${field.displayName} is required.`, field.key);
  }
  return { values, problems };
}
