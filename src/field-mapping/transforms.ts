import { RE2JS } from 're2js';

export const FIELD_TRANSFORM_KINDS = [
  'TRIM',
  'LOWERCASE',
  'UPPERCASE',
  'REGEX_EXTRACT',
  'TEMPLATE',
  'LOOKUP',
  'FALLBACK',
  'PHONE',
  'EMAIL',
] as const;
export type FieldTransformKindName = (typeof FIELD_TRANSFORM_KINDS)[number];

/** One step from a third-party value to a local one: data, never code. Which of the others it has depends on the kind. */
export interface FieldTransform {
  readonly kind: FieldTransformKindName;
  /** REGEX_EXTRACT: in RE2's syntax; the first group counts, or else the whole match. */
  readonly pattern?: string | null;
  /** TEMPLATE: text with `{value}` and `{<third-party field>}`. */
  readonly template?: string | null;
  /** LOOKUP: values by value, compared exactly; `*` stands for any other. */
  readonly table?: Readonly<Record<string, unknown>> | null;
  /** FALLBACK: third-party fields that are tried in order where there is no value. */
  readonly fields?: readonly string[] | null;
}

/** What a transform makes of a value: another one, nothing, or the finding that it is no value of its kind. */
export type Transformed = string | null | typeof INVALID;
export const INVALID = Symbol('invalid');

/** Third-party values by field, as far as they are filled. */
export type Told = Readonly<Record<string, string | typeof INVALID>>;

type Step = (value: string | null, told: Told) => Transformed;

const MAX_PATTERN = 512;
const MAX_TEMPLATE = 512;
const MAX_TABLE = 1_000;
/** Far more than a field holds; templates that double their value, one after the other, must not fill the memory. */
const MAX_FILLED = 10_000;
const PLACEHOLDER = /\{([^{}]+)\}/g;

/** Third-party fields that a transform reads beside the mapping's own. */
export function sourcesOf(transform: FieldTransform): string[] {
  if (transform.kind === 'FALLBACK') return [...(transform.fields ?? [])];
  if (transform.kind !== 'TEMPLATE') return [];
  const names = [...(transform.template ?? '').matchAll(PLACEHOLDER)].map((match) => match[1] ?? '');
  return names.filter((name) => name !== 'value');
}

/** What is wrong with a transform, in words; undefined when nothing is. */
export function transformProblem(transform: FieldTransform): string | undefined {
  const { kind, pattern, template, table, fields } = transform;
  switch (kind) {
    case 'REGEX_EXTRACT':
      return patternProblem(pattern);
    case 'TEMPLATE':
      if (!template) return 'TEMPLATE needs a template, such as "{value}@example.com".';
      return template.length > MAX_TEMPLATE ? `A template has at most ${MAX_TEMPLATE} characters.` : undefined;
    case 'LOOKUP': {
      const entries = Object.entries(table ?? {});
      if (entries.length === 0) return 'LOOKUP needs a table, such as {"1": "REGULAR", "*": "UNKNOWN"}.';
      if (entries.length > MAX_TABLE) return `A lookup table has at most ${MAX_TABLE} entries.`;
      const wrong = entries.find(([, value]) => typeof value !== 'string' && value !== null);
      return wrong && `The lookup table’s value for "${wrong[0]}" is neither a text nor null.`;
    }
    case 'FALLBACK':
      return fields && fields.length > 0 ? undefined : 'FALLBACK needs the fields to try, such as ["biz_mail"].';
    default:
      return undefined;
  }
}

function patternProblem(pattern: string | null | undefined): string | undefined {
  if (!pattern) return 'REGEX_EXTRACT needs a pattern, such as "^([^@]+)@".';
  if (pattern.length > MAX_PATTERN) return `A pattern has at most ${MAX_PATTERN} characters.`;
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return `The pattern cannot be used (RE2 syntax): ${(error as Error).message}`;
  }
}

/** A transform ready to run. Total: whatever the value, the answer is a text, null or INVALID. */
export function compileTransform(transform: FieldTransform): Step {
  switch (transform.kind) {
    case 'TRIM':
      return (value) => value?.trim() ?? null;
    case 'LOWERCASE':
      return (value) => value?.toLowerCase() ?? null;
    case 'UPPERCASE':
      return (value) => value?.toUpperCase() ?? null;
    case 'REGEX_EXTRACT':
      return extract(transform.pattern ?? '');
    case 'TEMPLATE':
      return fill(transform.template ?? '');
    case 'LOOKUP':
      return lookUp(transform.table ?? {});
    case 'FALLBACK':
      return fallBack(transform.fields ?? []);
    case 'PHONE':
      return (value) => (value === null ? null : phone(value));
    case 'EMAIL':
      return (value) => (value === null ? null : email(value));
  }
}

/** Linear in the length of the value, whatever the pattern: RE2 does not backtrack. */
function extract(pattern: string): Step {
  const compiled = RE2JS.compile(pattern);
  return (value) => {
    if (value === null) return null;
    const matcher = compiled.matcher(value);
    if (!matcher.find()) return null;
    return matcher.group(matcher.groupCount() > 0 ? 1 : 0) ?? null;
  };
}

/** Nothing where not one placeholder has a value; no value where it would be longer than any field's. */
function fill(template: string): Step {
  return (value, told) => {
    let any = false;
    let unusable = false;
    const text = template.replace(PLACEHOLDER, (_, name: string) => {
      const found = name === 'value' ? value : told[name];
      if (found === INVALID) unusable = true;
      else if (found) any = true;
      return found === INVALID ? '' : (found ?? '');
    });
    if (unusable || text.length > MAX_FILLED) return INVALID;
    return any ? text : null;
  };
}

function lookUp(table: Readonly<Record<string, unknown>>): Step {
  const entries = new Map(Object.entries(table));
  return (value) => {
    const found = value !== null && entries.has(value) ? entries.get(value) : entries.get('*');
    return value !== null && typeof found === 'string' ? found : null;
  };
}

function fallBack(fields: readonly string[]): Step {
  return (value, told) => {
    if (value !== null && value.trim() !== '') return value;
    const name = fields.find((field) => told[field] !== undefined);
    return name === undefined ? null : (told[name] ?? null);
  };
}

/** A plus sign and digits; mainland Chinese mobile numbers, which may come without one, get +86. */
function phone(value: string): Transformed {
  const compact = value.normalize('NFKC').replace(/[\s().-]/g, '');
  const number = compact.replace(/^00/, '+');
  if (/^(\+?86)?1[3-9]\d{9}$/.test(number)) return `+86${number.slice(-11)}`;
  return /^\+?\d{3,20}$/.test(number) ? number : INVALID;
}

/** Trimmed, without capitals. */
function email(value: string): Transformed {
  const address = value.normalize('NFKC').trim().toLowerCase();
  return /^[^\s@]{1,64}@[^\s@]{1,255}$/.test(address) ? address : INVALID;
}
