import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import { beginApplying } from '../sync/apply/apply-records';
import { refreshSearch } from './search-index';

/** Why a change of a person or department was refused. */
export interface OrganisationRefusal {
  readonly code:
    | 'INVALID_INPUT'
    | 'NOT_FOUND'
    | 'VALUE_TAKEN'
    | 'FIELD_MANAGED_BY_SOURCE'
    | 'VERSION_CONFLICT'
    | 'DEPARTMENT_CYCLE'
    | 'DEPARTMENT_NOT_EMPTY';
  readonly message: string;
  readonly field: readonly string[];
}

/** Ends the transaction without a change. */
export class Refused extends Error {
  constructor(readonly refusals: readonly OrganisationRefusal[]) {
    super('refused');
  }
}

export function refuse(code: OrganisationRefusal['code'], message: string, ...field: string[]): never {
  throw new Refused([{ code, message, field: ['input', ...field] }]);
}

export type Changed<T> = { readonly value: T } | { readonly refusals: readonly OrganisationRefusal[] };

/**
 * Changes a source's people or departments in one transaction, one change at a time for a source, a running synchronization's
 * apply included. A unique value that is taken is a refusal.
 */
export async function changeOrganisation<T>(
  dataSource: DataSource,
  identitySourceId: string | null,
  change: (client: PoolClient) => Promise<T>,
): Promise<Changed<T>> {
  try {
    const value = await inTransaction(dataSource, async (client) => {
      if (identitySourceId) await beginApplying(client, identitySourceId);
      const result = await change(client);
      // What is deferred is decided here, while the refusal can still be told.
      await client.query('SET CONSTRAINTS ALL IMMEDIATE');
      return result;
    });
    return { value };
  } catch (error) {
    if (error instanceof Refused) return { refusals: error.refusals };
    const { constraint } = error as { constraint?: string };
    if (constraint === 'employee_username_taken') {
      return {
        refusals: [
          { code: 'VALUE_TAKEN', message: 'Another present person has this user name.', field: ['input', 'username'] },
        ],
      };
    }
    if (constraint === 'extension_value_taken') {
      const message = 'Another present person has this value, and the field is unique.';
      return { refusals: [{ code: 'VALUE_TAKEN', message, field: ['input', 'extensionValues'] }] };
    }
    throw error;
  }
}

/** Whoever is changed is found, and sorted, under the new name from the commit on. */
export async function makeFindable(client: PoolClient, employeeIds: readonly string[]): Promise<void> {
  await refreshSearch(async (sql, parameters) => (await client.query(sql, parameters)).rows, { employeeIds });
}

/**
 * Refuses a change by somebody who has seen the object before its last one.
 * @param expected undefined or null: whatever it was
 */
export function requireUnchanged(updatedAt: Date, expected: Date | null | undefined): void {
  if (!expected || updatedAt.getTime() === expected.getTime()) return;
  const message = `This was changed at ${updatedAt.toISOString()}, after what you have seen: read it again.`;
  refuse('VERSION_CONFLICT', message, 'expectedUpdatedAt');
}
