import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { isStorable } from '../platform/storable-text';
import { type Changed, changeOrganisation, refuse, requireUnchanged } from './change';
import { checkedExtensionValues } from './extension-values';
import { PRESENT } from './organisation.entity';

export interface DepartmentInput {
  readonly identitySourceId: string;
  readonly name: string;
  readonly englishName: string | null;
  readonly parentId: string | null;
  readonly order: number | null;
  readonly extensionValues: readonly ExtensionValueInput[];
}

export interface ExtensionValueInput {
  readonly key: string;
  readonly value: string | null;
}

/** Absent (undefined) is unchanged, null clears; a null parent is the top level. */
export type DepartmentChange = {
  readonly [K in keyof Omit<DepartmentInput, 'identitySourceId'>]?: DepartmentInput[K] | undefined;
} & {
  /** When the department last changed, as the editor has seen it: a later change refuses this one. */
  readonly expectedUpdatedAt?: Date | null | undefined;
};

const MAX_NAME = 128;

/** Departments that are kept here: those of custom sources. */
export class DepartmentService {
  constructor(private readonly dataSource: DataSource) {}

  create(input: DepartmentInput): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, input.identitySourceId, async (client) => {
      await requireCustom(client, input.identitySourceId);
      const name = checkedName(input.name);
      const englishName = checkedEnglishName(input.englishName);
      if (input.parentId) await requireDepartment(client, input.parentId, input.identitySourceId, 'parentId');
      const values = await checkedExtensionValues(client, 'DEPARTMENT', {}, input.extensionValues);
      const { rows } = await client.query(
        `INSERT INTO department (identity_source_id, parent_id, name, english_name, "order", extension_values)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
        [input.identitySourceId, input.parentId, name, englishName, input.order, JSON.stringify(values)],
      );
      return rows[0].id;
    });
  }

  async update(id: string, change: DepartmentChange): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, await this.sourceOf(id), async (client) => {
      const department = await lockDepartment(client, id);
      await requireCustom(client, department.sourceId);
      requireUnchanged(department.updatedAt, change.expectedUpdatedAt);
      const name = change.name === undefined ? null : checkedName(change.name);
      const englishName = checkedEnglishName(change.englishName ?? null);
      if (change.parentId) {
        await requireDepartment(client, change.parentId, department.sourceId, 'parentId');
        await requireNoCycle(client, id, change.parentId);
      }
      const values = await checkedExtensionValues(
        client,
        'DEPARTMENT',
        department.extensionValues,
        change.extensionValues ?? [],
      );
      await client.query(
        `UPDATE department SET name = coalesce($2, name), english_name = CASE WHEN $3 THEN $4 ELSE english_name END,
                parent_id = CASE WHEN $5 THEN $6 ELSE parent_id END, "order" = CASE WHEN $7 THEN $8 ELSE "order" END,
                extension_values = $9, updated_at = now() WHERE id = $1`,
        [
          id,
          name,
          change.englishName !== undefined,
          englishName,
          change.parentId !== undefined,
          change.parentId ?? null,
          change.order !== undefined,
          change.order ?? null,
          JSON.stringify(values),
        ],
      );
      return id;
    });
  }

  /** Refused while somebody present or another department is in it. */
  async delete(id: string): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, await this.sourceOf(id), async (client) => {
      const department = await lockDepartment(client, id);
      await requireCustom(client, department.sourceId);
      const { rows } = await client.query(
        `SELECT (SELECT count(*) FROM department WHERE parent_id = $1)::int AS departments,
                (SELECT count(*) FROM membership m JOIN employee e ON e.id = m.employee_id
                  WHERE m.department_id = $1 AND e.status IN ${PRESENT})::int AS people`,
        [id],
      );
      const [held] = rows;
      if (held.departments + held.people > 0) {
        refuse(
          'DEPARTMENT_NOT_EMPTY',
          `${held.people} people and ${held.departments} departments are in it: move them first.`,
          'id',
        );
      }
      await client.query('DELETE FROM department WHERE id = $1', [id]);
      return id;
    });
  }

  private async sourceOf(id: string): Promise<string | null> {
    const [row] = await this.dataSource.query('SELECT identity_source_id AS id FROM department WHERE id = $1', [id]);
    return row?.id ?? null;
  }
}

function checkedName(text: string): string {
  const name = text.trim();
  if (name === '' || !isName(name)) refuse('INVALID_INPUT', `A name has 1 to ${MAX_NAME} characters.`, 'name');
  return name;
}

function checkedEnglishName(text: string | null): string | null {
  const name = text?.trim() ?? '';
  if (!isName(name)) refuse('INVALID_INPUT', `An English name has at most ${MAX_NAME} characters.`, 'englishName');
  return name === '' ? null : name;
}

function isName(text: string): boolean {
  return [...text].length <= MAX_NAME && isStorable(text);
}

/** People and departments are made here only in a custom source; elsewhere the directory does. */
export async function requireCustom(client: PoolClient, sourceId: string, field = 'identitySourceId'): Promise<void> {
  const { rows } = await client.query('SELECT type FROM identity_source WHERE id = $1 AND deleted_at IS NULL', [
    sourceId,
  ]);
  if (!rows[0]) refuse('NOT_FOUND', 'There is no identity source with this id.', field);
  if (rows[0].type !== 'CUSTOM') {
    refuse(
      'FIELD_MANAGED_BY_SOURCE',
      'This belongs to a synchronized source: change it in the directory itself.',
      field,
    );
  }
}

/** @throws Refused where the department is not there, or another source's */
export async function requireDepartment(
  client: PoolClient,
  id: string,
  sourceId: string,
  ...field: string[]
): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM department WHERE id = $1 AND identity_source_id = $2', [
    id,
    sourceId,
  ]);
  if (!rows[0]) refuse('NOT_FOUND', 'There is no department with this id in this source.', ...field);
}

async function lockDepartment(client: PoolClient, id: string) {
  const { rows } = await client.query<{ sourceId: string; updatedAt: Date; extensionValues: Record<string, string> }>(
    `SELECT identity_source_id AS "sourceId", updated_at AS "updatedAt", extension_values AS "extensionValues"
       FROM department WHERE id = $1 FOR UPDATE`,
    [id],
  );
  return rows[0] ?? refuse('NOT_FOUND', 'There is no department with this id.', 'id');
}

async function requireNoCycle(client: PoolClient, id: string, parentId: string): Promise<void> {
  const { rows } = await client.query(
    `WITH RECURSIVE up AS (
       SELECT id, parent_id FROM department WHERE id = $1
       UNION SELECT d.id, d.parent_id FROM department d JOIN up ON d.id = up.parent_id
     ) SELECT 1 FROM up WHERE id = $2`,
    [parentId, id],
  );
  if (rows[0]) refuse('DEPARTMENT_CYCLE', 'A department cannot be moved below itself.', 'parentId');
}
