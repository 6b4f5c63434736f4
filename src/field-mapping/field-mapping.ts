import { createHash } from 'node:crypto';
import type { ThirdPartyFields, ThirdPartyValue } from '../connector/directory-connector';

export type MappedObjectType = 'DEPARTMENT' | 'EMPLOYEE';

/** One third-party field, or the first filled of several, becomes one local field. */
export interface FieldMapping {
  readonly objectType: MappedObjectType;
  /** Tried in order; the first with a value counts. */
  readonly thirdPartyFields: readonly string[];
  readonly localField: string;
}

/** Built-in local fields with what people call them. `manager` holds the manager's external id until it is resolved. */
export const LOCAL_FIELDS: Readonly<Record<MappedObjectType, Readonly<Record<string, string>>>> = {
  DEPARTMENT: { name: 'Name', englishName: 'English name' },
  EMPLOYEE: {
    username: 'User name',
    displayName: 'Display name',
    englishName: 'English name',
    position: 'Position',
    email: 'E-mail',
    mobile: 'Mobile',
    telephone: 'Telephone',
    address: 'Address',
    gender: 'Gender',
    manager: 'Manager',
  },
};

/** Compared although no mapping names them: they always follow the source. */
export const STRUCTURAL_FIELDS: Readonly<Record<MappedObjectType, Readonly<Record<string, string>>>> = {
  DEPARTMENT: { parent: 'Parent department', order: 'Order' },
  EMPLOYEE: { status: 'Status', departments: 'Departments', mainDepartment: 'Main department' },
};

/** Local values by field; null clears the field. */
export type MappedValues = Readonly<Record<string, string | null>>;

/** Fields that cannot be empty: without a told value the id stands in (a name that the directory never tells). */
const NEVER_EMPTY = new Set(['name', 'username', 'displayName']);

/**
 * Third-party values become local ones. Total: whatever the directory told, the answer is a text or null for each mapped
 * field. Absent, empty and null all clear.
 */
export function mapFields(
  objectType: MappedObjectType,
  externalId: string,
  fields: ThirdPartyFields,
  mappings: readonly FieldMapping[],
): MappedValues {
  const values: Record<string, string | null> = {};
  for (const mapping of mappings) {
    if (mapping.objectType !== objectType) continue;
    const value = convert(mapping.localField, firstFilled(mapping.thirdPartyFields, fields));
    values[mapping.localField] = value ?? (NEVER_EMPTY.has(mapping.localField) ? externalId : null);
  }
  return values;
}

/** The third-party values that the mappings of this type use, as one text each: what a record shows. */
export function usedValues(
  objectType: MappedObjectType,
  fields: ThirdPartyFields,
  mappings: readonly FieldMapping[],
): Record<string, string | null> {
  const used: Record<string, string | null> = {};
  for (const mapping of mappings) {
    if (mapping.objectType !== objectType) continue;
    for (const name of mapping.thirdPartyFields) if (name in fields) used[name] = asText(fields[name]);
  }
  return used;
}

/** Which of a mapping's third-party fields supplied the value; the first where none is filled. */
export function supplyingField(mapping: FieldMapping, used: Readonly<Record<string, unknown>>): string {
  const filled = mapping.thirdPartyFields.find((name) => isFilled(used[name]));
  return filled ?? mapping.thirdPartyFields[0] ?? '';
}

/** Changes whenever the mappings do; pages staged under another version are mapped again. */
export function mappingVersion(mappings: readonly FieldMapping[]): string {
  return createHash('sha256').update(JSON.stringify(mappings)).digest('hex').slice(0, 16);
}

function firstFilled(names: readonly string[], fields: ThirdPartyFields): string | null {
  for (const name of names) {
    const text = asText(fields[name]);
    if (isFilled(text)) return text;
  }
  return null;
}

/** Several values become one a line; for a manager only the first counts, see {@link convert}. */
function asText(value: ThirdPartyValue | undefined): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === 'string' ? value : value.join('\n');
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

const GENDERS: Readonly<Record<string, string>> = { '0': 'UNKNOWN', '1': 'MALE', '2': 'FEMALE' };

function convert(localField: string, value: string | null): string | null {
  if (value === null) return null;
  if (localField === 'gender') return GENDERS[value] ?? (/^(MALE|FEMALE|UNKNOWN)$/.test(value) ? value : null);
  if (localField === 'manager') return value.split('\n').find((id) => id.trim() !== '') ?? null;
  return value;
}
