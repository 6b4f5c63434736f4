import { storable } from '../platform/storable-text';
import type { RoleName } from './actor';

/** Fields that viewers see masked, by their local and third-party names. */
const PERSONAL = new Set(['mobile', 'telephone', 'email', 'biz_mail', 'address']);

export function isPersonal(field: string): boolean {
  return PERSONAL.has(field);
}

/** Whether a role sees personal values only masked. */
export function seesMasked(role: RoleName): boolean {
  return role === 'VIEWER';
}

/**
 * A personal value that can still be recognised by who knows it: of an e-mail address the first character and the domain, of a
 * number the first three and last two digits, of anything else the first two characters. Pure.
 */
export function masked(value: string): string {
  const [, first, domain] = /^(.).*(@[^@]+)$/su.exec(value) ?? [];
  if (first && domain) return `${first}***${domain}`;
  const characters = [...value];
  if (/^[+\d][\d\s().-]*$/.test(value) && characters.length >= 7) {
    return `${characters.slice(0, 3).join('')}****${characters.slice(-2).join('')}`;
  }
  return `${characters.slice(0, characters.length > 4 ? 2 : 0).join('')}***`;
}

/** A value as a role sees it. */
export function shown<T extends string | null | undefined>(field: string, value: T, role: RoleName): T | string {
  return value && seesMasked(role) && isPersonal(field) ? masked(value) : value;
}

const SECRET = /secret|token|password|aes_?key|encoding|sealed|hash|permanent_?code|authorization/i;

/** Any JSON value without secrets, with personal values masked, and with nothing that cannot be stored: what a log may keep. Pure. */
export function withoutSecrets(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, key));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !SECRET.test(name) || /^(taskId|idempotencyKey)$/.test(name))
        .map(([name, item]) => [storable(name), withoutSecrets(item, name)]),
    );
  }
  if (typeof value !== 'string') return value;
  // A file of people is full of personal values.
  if (key === 'csv') return `(${value.length} characters)`;
  return storable(isPersonal(key) ? masked(value) : value);
}
