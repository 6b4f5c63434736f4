/** Paths with the types of their values; elements of a list share one path. */
export function shapeOf(value: unknown, at = ''): Record<string, string> {
  if (Array.isArray(value)) return value.length === 0 ? {} : shapeOf(value[0], `${at}[]`);
  if (typeof value !== 'object' || value === null) return { [at]: typeof value };
  return Object.assign({}, ...Object.entries(value).map(([key, v]) => shapeOf(v, `${at}.${key}`)));
}
