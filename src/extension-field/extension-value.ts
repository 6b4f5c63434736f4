import { isStorable } from '../platform/storable-text';

/** What an extension field can hold. */
export const EXTENSION_FIELD_TYPES = ['TEXT', 'NUMBER', 'BOOLEAN', 'DATE', 'CHOICE'] as const;
export type ExtensionFieldTypeName = (typeof EXTENSION_FIELD_TYPES)[number];

/** What decides whether a text is a value of a field. */
export interface ValueRules {
  readonly type: ExtensionFieldTypeName;
  /** Of a CHOICE. */
  readonly options: readonly string[];
}

/** How long a text may be; an index entry of PostgreSQL has room for it in any script. */
export const MAX_TEXT = 500;
const SHOWN_OPTIONS = 20;
const YES = new Set(['true', 'yes', '1', '是']);
const NO = new Set(['false', 'no', '0', '否']);

/**
 * A text in the form it is stored in: numbers as decimal text, booleans as true or false, dates as YYYY-MM-DD. Pure.
 * @returns undefined where the text is no value of the field
 */
export function normaliseValue(rules: ValueRules, text: string): string | undefined {
  const value = text.trim();
  if (!isStorable(value)) return undefined;
  switch (rules.type) {
    case 'TEXT':
      return value.length <= MAX_TEXT ? value : undefined;
    case 'NUMBER':
      return decimal(value);
    case 'BOOLEAN': {
      const word = value.toLowerCase();
      return YES.has(word) ? 'true' : NO.has(word) ? 'false' : undefined;
    }
    case 'DATE':
      return day(value);
    case 'CHOICE':
      return rules.options.find((option) => option === value);
  }
}

/** Without a plus sign and without zeros that say nothing; digit by digit, because a floating-point number would lose some. */
function decimal(text: string): string | undefined {
  const [, sign = '', whole = '', fraction = ''] = /^([-+]?)(\d{0,15})(?:\.(\d{1,10}))?$/.exec(text) ?? [];
  if (whole === '' && fraction === '') return undefined;
  const [before, after] = [whole.replace(/^0+/, '') || '0', fraction.replace(/0+$/, '')];
  const digits = after === '' ? before : `${before}.${after}`;
  return sign === '-' && digits !== '0' ? `-${digits}` : digits;
}

/** Years first, with -, / or . between, or 年月日. */
function day(text: string): string | undefined {
  const [, y, m, d] = /^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$/.exec(text) ?? [];
  if (!y || !m || !d) return undefined;
  const date = new Date(Date.UTC(Number(y), Number(m) - 1, Number(d)));
  const isReal = date.getUTCMonth() === Number(m) - 1 && date.getUTCDate() === Number(d);
  return isReal ? `${y}-${m.padStart(2, '0')}-${d.padStart(2, '0')}` : undefined;
}

/** What a value of the field looks like, for messages. */
export function describeRules(rules: ValueRules): string {
  switch (rules.type) {
    case 'TEXT':
      return `a text of at most ${MAX_TEXT} characters`;
    case 'NUMBER':
      return 'a decimal number, with at most 15 digits before the point and 10 after it';
    case 'BOOLEAN':
      return 'true or false';
    case 'DATE':
      return 'a day such as 2026-01-31';
    case 'CHOICE':
      return `one of ${rules.options.slice(0, SHOWN_OPTIONS).join(', ')}${rules.options.length > SHOWN_OPTIONS ? ' …' : ''}`;
  }
}
