import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import { SETTINGS_COLUMNS, type SettingsRow } from '../sync/task/new-task';
import { IdentitySource } from './identity-source.entity';

/** Something the caller can act on, with the place in the input it is about. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
  readonly field: readonly string[] | null;
}

export type RefusalCode =
  | 'INVALID_NAME'
  | 'NAME_TAKEN'
  | 'INVALID_INPUT'
  | 'NOT_FOUND'
  | 'VERSION_CONFLICT'
  | 'ENABLED_SOURCE_LIMIT'
  | 'CUSTOM_SOURCE_LIMIT'
  | 'SCHEMA_INVALID'
  | 'SOURCE_ENABLED'
  | 'AUTHORIZATION_REQUIRED'
  | 'COMPANY_ALREADY_CONNECTED'
  | 'SYNC_NOT_APPLICABLE'
  | 'MAPPING_INVALID'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'UPSTREAM_UNREACHABLE'
  | 'UPSTREAM_REFUSED'
  | 'UPSTREAM_RATE_LIMITED';

export type SourceOutcome = { readonly source: IdentitySource } | { readonly refusals: readonly Refusal[] };

const UNIQUE_VIOLATION = '23505';

/** Runs a change of one source; refusals roll it back, and a name taken meanwhile is a refusal too. */
export async function changeSource(
  dataSource: DataSource,
  nameField: readonly string[] | null,
  change: (client: PoolClient) => Promise<string | readonly Refusal[]>,
): Promise<SourceOutcome> {
  try {
    const id = await inTransaction(dataSource, async (client) => {
      const result = await change(client);
      if (typeof result !== 'string') throw new Refused(result);
      return result;
    });
    return { source: await dataSource.manager.findOneByOrFail(IdentitySource, { id }) };
  } catch (error) {
    if (error instanceof Refused) return { refusals: error.refusals };
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    const message = 'Another identity source has this name; choose a different one.';
    return { refusals: refusal('NAME_TAKEN', message, nameField) };
  }
}

class Refused extends Error {
  constructor(readonly refusals: readonly Refusal[]) {
    super('refused');
  }
}

export type LockedSource = SettingsRow &
  Pick<IdentitySource, 'version' | 'corpId' | 'name' | 'wecomMode'> & {
    /** Whether there is something to read its directory with. */
    readonly authorized: boolean;
  };

/** The source, which nobody else changes until the end of the transaction; undefined where there is none, or it is deleted. */
export async function lockSource(client: PoolClient, id: string): Promise<LockedSource | undefined> {
  const { rows } = await client.query<LockedSource>(
    `SELECT ${SETTINGS_COLUMNS}, version, corp_id AS "corpId", name, wecom_mode AS "wecomMode",
            sealed_secret IS NOT NULL AS authorized FROM identity_source
      WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`,
    [id],
  );
  return rows[0];
}

export function refusal(code: RefusalCode, message: string, field: readonly string[] | null): readonly Refusal[] {
  return [{ code, message, field }];
}

export function notFound(): readonly Refusal[] {
  return refusal('NOT_FOUND', 'There is no identity source with this id.', ['input', 'id']);
}

export function versionConflict(version: number): readonly Refusal[] {
  const message = `Somebody changed this source in between; its version is now ${version}. Read it again and repeat the change.`;
  return refusal('VERSION_CONFLICT', message, ['input', 'version']);
}
