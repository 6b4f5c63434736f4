import type { PoolClient } from 'pg';
import type { IdentitySourceTypeName } from './identity-source.entity';
import { type Refusal, refusal } from './source-change';

/** How many sources may be enabled at once, and how many of these may be custom ones. */
export interface SourceLimits {
  readonly enabled: number;
  readonly customEnabled: number;
}

const LIMIT_LOCK = 7_255_502;

/** Lets one transaction at a time enable or make sources, so that what it counts is still true when it commits. */
export async function lockLimits(client: PoolClient): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [LIMIT_LOCK]);
}

/** Enables a source where there is a place for it. @returns why not, naming the sources that take the places */
export async function enableWithinLimits(
  client: PoolClient,
  limits: SourceLimits,
  source: { readonly id: string; readonly type: IdentitySourceTypeName },
): Promise<readonly Refusal[] | undefined> {
  await lockLimits(client);
  const { rows } = await client.query<{ name: string; type: string }>(
    `SELECT name, type FROM identity_source WHERE status = 'ENABLED' AND deleted_at IS NULL AND id <> $1 ORDER BY name`,
    [source.id],
  );
  const customNames = rows.filter((row) => row.type === 'CUSTOM').map((row) => row.name);
  if (source.type === 'CUSTOM' && customNames.length >= limits.customEnabled) {
    const message = `At most ${limits.customEnabled} custom source may be enabled; enabled now: ${customNames.join(', ')}. Disable it first.`;
    return refusal('CUSTOM_SOURCE_LIMIT', message, ['input']);
  }
  if (rows.length >= limits.enabled) {
    const names = rows.map((row) => row.name).join(', ');
    const message = `At most ${limits.enabled} sources may be enabled at once; enabled now: ${names}. Disable one of them first.`;
    return refusal('ENABLED_SOURCE_LIMIT', message, ['input']);
  }
  await client.query(
    `UPDATE identity_source SET status = 'ENABLED', version = version + 1, updated_at = now() WHERE id = $1`,
    [source.id],
  );
  return undefined;
}
