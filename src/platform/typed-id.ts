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

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Ten bits as two letters. */
const PAIRS = Array.from({ length: 1024 }, (_, n) => `${ALPHABET[n >> 5]}${ALPHABET[n & 31]}`);

/**
 * The API's id of a database row. Written out, since a page of people has hundreds of ids and this takes an eighth of the
 * library's time: 128 bits are two hexadecimal digits and six times five, which are two letters and six times four.
 */
export function toTypedId(prefix: IdPrefix, uuid: string): string {
  const digits = uuid.replaceAll('-', '');
  let suffix = PAIRS[Number.parseInt(digits.slice(0, 2), 16)] ?? '';
  for (let i = 2; i < 32; i += 5) {
    const bits = Number.parseInt(digits.slice(i, i + 5), 16);
    suffix += `${PAIRS[bits >> 10]}${PAIRS[bits & 1023]}`;
  }
  return `${prefix}_${suffix}`;
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
