import type { DataSource } from 'typeorm';
import { badRequest } from '../api/errors';

/**
 * A moment of the past. A change is one transaction, and before a moment or after it as a whole: those that were committed by
 * then have numbers up to `last`, without the few that were committed later than one with a larger number.
 */
export interface Moment {
  readonly at: Date;
  readonly last: number;
  /** Those few; null while one of them may still be being committed, which is looked up by each statement that reads. */
  readonly overtaken: readonly number[] | null;
}

/** Null: now. */
export type AsOf = Moment | null;

/**
 * The changes that a moment lies after. What it answers stays the same for good: whoever is committing is waited for.
 * @throws GraphQLError BAD_USER_INPUT when the moment has not come yet, or lies before what is kept
 */
export async function momentOf(dataSource: DataSource, at: Date): Promise<Moment> {
  const [found] = await dataSource.query(
    `SELECT last, overtaken, is_past AS "isPast", kept_from AS "keptFrom", $1 < kept_from AS "isForgotten"
       FROM organisation_moment($1)`,
    [at],
  );
  if (!found.isPast) throw badRequest('asOf is in the future: give a moment that has passed, or leave it out for now.');
  if (found.isForgotten) {
    // Rounded up: a Date has milliseconds.
    const from = new Date(Number(found.keptFrom) + 1);
    throw badRequest(`What was before ${from.toISOString()} is not kept: ask for a later asOf.`);
  }
  return { at, last: Number(found.last), overtaken: found.overtaken?.map(Number) ?? null };
}

/** Whether the change in a column had been committed by a moment, as SQL. */
export function wasBy(column: string, { at, last, overtaken }: Moment): string {
  if (overtaken?.length === 0) return `(${column} <= ${last})`;
  // What is committed while an operation is being answered must stay as invisible as before.
  const numbers = overtaken
    ? `'{${overtaken.join(',')}}'::bigint[]`
    : `ARRAY(SELECT number FROM organisation_change WHERE late AND at > to_timestamp(${at.getTime() / 1000}) AND number < ${last})`;
  return `(${column} <= ${last} AND ${column} <> ALL (${numbers}))`;
}

/** The columns of versioned tables that are read as of a moment: all but `since`, so that a row looks as it did then. */
export const VERSIONED_COLUMNS = {
  department:
    'id, identity_source_id, parent_id, name, english_name, "order", created_at, updated_at, extension_values',
  employee: `id, identity_source_id, username, display_name, english_name, position, email, mobile, telephone, address, gender,
    employment_status, status, manager_id, main_department_id, suspended_at, removal_due_at, created_at, updated_at, extension_values,
    edited_fields, blocked_at, blocked_reason, blocked_by`,
  membership: 'employee_id, department_id, is_leader, "order"',
  link: 'local_id, external_id',
} as const;

export type VersionedTable = keyof typeof VERSIONED_COLUMNS;

/**
 * What stands after FROM to read a table as of a moment: its rows that stood then, and the former versions that did. In this
 * form PostgreSQL uses the indexes of both.
 */
export function rowsOf(table: VersionedTable, asOf: AsOf): string {
  if (!asOf) return table;
  const columns = VERSIONED_COLUMNS[table];
  return `(SELECT ${columns} FROM (
      SELECT ${columns}, since, ${NEVER}::bigint AS until FROM ${table} UNION ALL SELECT ${columns}, since, until FROM ${table}_version
    ) ${table}_rows WHERE ${wasBy('since', asOf)} AND NOT ${wasBy('until', asOf)})`;
}

/** Until when a row that is there now stands: the largest number. */
const NEVER = '9223372036854775807';

/** Sources that are in no list: those deleted, or deleted then. */
export function deletedSources(asOf: AsOf): string {
  if (!asOf) return 'SELECT id FROM identity_source WHERE deleted_at IS NOT NULL';
  return `SELECT identity_source_id FROM source_deletion
    WHERE ${wasBy('since', asOf)} AND (until IS NULL OR NOT ${wasBy('until', asOf)})`;
}
