/** What PostgreSQL holds neither in a text nor in JSON: NUL, and halves of surrogate pairs. */
const UNSTORABLE = /[\0\p{Surrogate}]/u;
const EACH_UNSTORABLE = /[\0\p{Surrogate}]/gu;

export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

/** The text with U+FFFD for every character that cannot be stored. */
export function storable(text: string): string {
  return text.replace(EACH_UNSTORABLE, '\uFFFD');
}

/** Where any JSON value has a character that cannot be stored, such as `input.name`; undefined where it has none. Pure. */
export function unstorableAt(value: unknown, at = ''): string | undefined {
  if (typeof value === 'string') return isStorable(value) ? undefined : at;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, item] of Object.entries(value)) {
    const found = isStorable(name) ? unstorableAt(item, at === '' ? name : `${at}.${name}`) : at;
    if (found !== undefined) return found;
  }
  return undefined;
}
