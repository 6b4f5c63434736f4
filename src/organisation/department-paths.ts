import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { fromTypedId, toTypedId } from '../platform/typed-id';

/**
 * Departments in a cell of a file: their names from the top, joined by " / "; several paths are joined by ";". A backslash
 * stands before a semicolon, a backslash, or a slash between spaces, that belongs to a name.
 */
export function departmentPath(names: readonly string[]): string {
  return names.map((name) => name.replace(/[\\;]/g, '\\$&').replaceAll(' / ', ' \\/ ')).join(' / ');
}

/** A cell that names these departments. @param hasMain whether the first of them is the main one; otherwise none is */
export function joinPaths(paths: readonly string[], hasMain: boolean): string {
  return `${hasMain || paths.length === 0 ? '' : ';'}${paths.join(';')}`;
}

/** The paths of a cell, each as `departmentPath` writes it. Pure. */
export function splitPaths(cell: string): string[] {
  const paths = cell.match(/(?:\\.|[^\\;]|\\$)+/gsu) ?? [];
  return paths.map((path) => path.trim()).filter((path) => path !== '');
}

/** Whether a cell says that none of its departments is the main one. */
export function namesNoMain(cell: string): boolean {
  return cell.trimStart().startsWith(';');
}

/** What a file calls departments: their paths, or where several have the same, their ids. By uuid. */
export async function fileNames(dataSource: DataSource, ids: readonly string[]): Promise<Map<string, string>> {
  const rows: { id: string; names: string[]; ambiguous: boolean }[] = await dataSource.query(
    `WITH RECURSIVE up AS (
       SELECT d.id AS key, d.id, d.parent_id, d.name, 0 AS height FROM department d WHERE d.id = ANY ($1)
       UNION ALL SELECT up.key, d.id, d.parent_id, d.name, up.height + 1 FROM up JOIN department d ON d.id = up.parent_id
     ) CYCLE id SET again USING trail, step AS (
       SELECT up.key, up.name, up.height, EXISTS (
                SELECT FROM department here JOIN department twin ON twin.identity_source_id = here.identity_source_id
                   AND twin.parent_id IS NOT DISTINCT FROM here.parent_id AND twin.name = here.name AND twin.id <> here.id
                 WHERE here.id = up.id) AS has_twin
         FROM up WHERE NOT again
     ) SELECT key AS id, array_agg(name ORDER BY height DESC) AS names, bool_or(has_twin) AS ambiguous FROM step GROUP BY key`,
    [ids],
  );
  const nameOf = (row: (typeof rows)[number]) =>
    row.ambiguous ? toTypedId('department', row.id) : departmentPath(row.names);
  return new Map(rows.map((row) => [row.id, nameOf(row)]));
}

/** Finds departments of one source by what a file calls them. */
export class DepartmentPaths {
  private constructor(private readonly ids: ReadonlyMap<string, readonly string[]>) {}

  static async of(client: Pick<PoolClient, 'query'>, identitySourceId: string): Promise<DepartmentPaths> {
    const { rows } = await client.query<{ id: string; names: string[] }>(
      `WITH RECURSIVE tree AS (
         SELECT id, ARRAY[name] AS names FROM department WHERE identity_source_id = $1 AND parent_id IS NULL
         UNION ALL SELECT d.id, t.names || d.name FROM department d JOIN tree t ON d.parent_id = t.id
       ) SELECT id, names FROM tree`,
      [identitySourceId],
    );
    const ids = new Map<string, string[]>();
    for (const { id, names } of rows) {
      for (const name of [departmentPath(names), id]) ids.set(name, [...(ids.get(name) ?? []), id]);
    }
    return new DepartmentPaths(ids);
  }

  /** @returns the department's uuid, or what is wrong with the path */
  find(path: string): { readonly id: string } | { readonly problem: string } {
    const found = this.ids.get(fromTypedId('department', path) ?? path) ?? [];
    const [id] = found;
    if (id !== undefined && found.length === 1) return { id };
    if (found.length > 1) {
      return { problem: `There are ${found.length} departments ${path}: write the id of the right one instead.` };
    }
    return { problem: `There is no department ${path}: write names from the top, joined by " / ".` };
  }
}
