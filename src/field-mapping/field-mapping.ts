import { createHash } from 'node:crypto';
import type { ThirdPartyFields, ThirdPartyValue } from '../connector/directory-connector';
import { type FieldTransform, sourcesOf } from './transforms';

export type MappedObjectType = 'DEPARTMENT' | 'EMPLOYEE';

/** What is synchronized. Groups are not mapped: they follow the source. */
export type SyncObjectTypeName = MappedObjectType | 'GROUP';

/** Who decides a field's value: the source, the source until somebody edits it here, or whoever sets it first. */
export type FieldOwnerName = 'SOURCE' | 'SOURCE_UNTIL_EDITED' | 'SET_ONCE';

/** One third-party field, passed through the transforms in their order, becomes one local field. */
export interface FieldMapping {
  readonly objectType: MappedObjectType;
  readonly thirdPartyField: string;
  /** A built-in field, or `extension.<key>`. */
  readonly localField: string;
  readonly transforms: readonly FieldTransform[];
  readonly owner: FieldOwnerName;
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
    employmentStatus: 'Employment status',
    manager: 'Manager',
  },
};

/** Compared although no mapping names them: they always follow the source. */
export const STRUCTURAL_FIELDS: Readonly<Record<SyncObjectTypeName, Readonly<Record<string, string>>>> = {
  DEPARTMENT: { parent: 'Parent department', order: 'Order' },
  EMPLOYEE: { status: 'Status', departments: 'Departments', mainDepartment: 'Main department' },
  GROUP: { name: 'Name', employees: 'Employees', departments: 'Departments' },
};

export function isMapped(objectType: SyncObjectTypeName): objectType is MappedObjectType {
  return objectType !== 'GROUP';
}

/** Fields that cannot be empty: without a told value the id stands in (a name that the directory never tells). */
export const NEVER_EMPTY: ReadonlySet<string> = new Set(['name', 'username', 'displayName']);

/** What marks a local field as an extension field; the rest is its key. */
export const EXTENSION_PREFIX = 'extension.';

/** The owner of a field when nothing else is said: people's edits of position and employment status outlast the source. */
export function defaultOwner(localField: string): FieldOwnerName {
  return localField === 'position' || localField === 'employmentStatus' ? 'SOURCE_UNTIL_EDITED' : 'SOURCE';
}

/** A mapping in its simplest form: the value as it comes, or that of the first filled field of several. */
export function plainMapping(
  objectType: MappedObjectType,
  localField: string,
  thirdPartyField: string,
  ...otherwise: string[]
): FieldMapping {
  const transforms: FieldTransform[] = otherwise.length > 0 ? [{ kind: 'FALLBACK', fields: otherwise }] : [];
  return { objectType, thirdPartyField, localField, transforms, owner: defaultOwner(localField) };
}

/** The third-party fields that a mapping can take its value from. */
export function mappingSources(mapping: FieldMapping): string[] {
  return [mapping.thirdPartyField, ...mapping.transforms.flatMap(sourcesOf)];
}

/** Which of a mapping's third-party fields supplied the value; the first where none is filled. */
export function supplyingField(mapping: FieldMapping, told: Readonly<Record<string, unknown>>): string {
  return mappingSources(mapping).find((name) => isFilled(told[name])) ?? mapping.thirdPartyField;
}

/**
 * Changes whenever anything does that a snapshot's rows depend on; rows staged under another version are made again.
 * @param more settings beside the mappings, such as the scope
 */
export function settingsVersion(mappings: readonly FieldMapping[], more: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify([mappings, more], withKeysInOrder))
    .digest('hex')
    .slice(0, 16);
}

/** What was stored comes back with its keys in another order than it was sent in. */
function withKeysInOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What a directory told, as one text a field; several values stand one a line, and what is empty is left out. */
export function filledFields(fields: ThirdPartyFields): Record<string, string> {
  const filled: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    const text = asText(value);
    if (isFilled(text)) filled[name] = text;
  }
  return filled;
}

function asText(value: ThirdPartyValue): string | null {
  return value === null || typeof value === 'string' ? value : value.join('\n');
}

export function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}
