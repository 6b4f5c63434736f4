import { TypeID } from 'typeid-js';

/** What an id on the API can name; the prefix tells (`employee_01j...`). Source of the form: github.com/jetify-com/typeid */
export type IdPrefix = (typeof PREFIXES)[number];

const PREFIXES = [
  'source',
  'authorization',
  'task',
  'record',
  'department',
  'employee',
  'group',
  'token',
  'audit',
  'field',
] as const;

/** The API's id of a database row. */
export function toTypedId(prefix: IdPrefix, uuid: string): string {
  return TypeID.fromUUID(prefix, uuid).toString();
}

/** The row's uuid, or undefined where the text is no id or names another type: to the caller that is "not found". */
export function fromTypedId(prefix: IdPrefix, id: string): string | undefined {
  try {
    return TypeID.fromString(id, prefix).toUUID();
  } catch {
    return undefined;
  }
}

/** An id that names nothing: no row has it. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** The row's uuid to look up; an id that is none, or names another type, finds no row. */
export function uuidOf(prefix: IdPrefix, id: string): string {
  return fromTypedId(prefix, id) ?? NOBODY;
}

/** The type that an id names, or undefined. */
export function prefixOf(id: string): IdPrefix | undefined {
  const prefix = id.slice(0, Math.max(0, id.lastIndexOf('_')));
  return PREFIXES.find((p) => p === prefix);
}
