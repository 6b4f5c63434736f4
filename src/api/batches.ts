/** Rows of one statement in the order of the ids that it was asked for; null where there is none. Pure. */
export function inOrder<T>(ids: readonly string[], rows: readonly T[], key: (row: T) => string): (T | null)[] {
  const found = new Map(rows.map((row) => [key(row), row]));
  return ids.map((id) => found.get(id) ?? null);
}

/** The same where an id can have any number of rows, which keep their order. Pure. */
export function group<T extends { key: string }>(ids: readonly string[], rows: readonly T[]): T[][] {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const list = found.get(row.key);
    if (list) list.push(row);
    else found.set(row.key, [row]);
  }
  return ids.map((id) => found.get(id) ?? []);
}
