import type { PoolClient } from 'pg';
import type { UserErrorCode } from '../api/user-error';

export type AuthorizationStatusName = 'PENDING' | 'AUTHORIZED' | 'EXPIRED' | 'REFUSED' | 'CANCELED';

/** Why an authorization came to nothing, or why its source stayed closed all the same. */
export interface AuthorizationFailure {
  readonly code: keyof typeof UserErrorCode;
  /** Plain English; says what to do. */
  readonly message: string;
}

/** An administrator's consent, asked for or given. The newest of a source is the one that counts. */
export interface SourceAuthorization {
  readonly id: string;
  readonly identitySourceId: string;
  readonly status: AuthorizationStatusName;
  /** What the QR code holds; null where none is shown. */
  readonly url: string | null;
  /** Tells which link was scanned; null for credentials and for the template's own QR code. */
  readonly state: string | null;
  readonly expiresAt: Date | null;
  readonly authorizedAt: Date | null;
  readonly corpId: string | null;
  readonly corpName: string | null;
  readonly agentId: string | null;
  readonly authorizedBy: string | null;
  readonly failure: AuthorizationFailure | null;
}

export const AUTHORIZATION_COLUMNS = `id, identity_source_id AS "identitySourceId", status, url, state, expires_at AS "expiresAt",
  authorized_at AS "authorizedAt", corp_id AS "corpId", corp_name AS "corpName", agent_id AS "agentId",
  authorized_by AS "authorizedBy", failure`;

/** What an authorization gave. */
export interface GivenConsent {
  readonly corpId: string;
  readonly corpName: string | null;
  readonly agentId: string;
  readonly authorizedBy: string | null;
  readonly failure: AuthorizationFailure | null;
}

/** Notes a consent that no link of ours was waiting for: by credentials, or by the template's own QR code. */
export async function insertAuthorized(client: PoolClient, sourceId: string, given: GivenConsent): Promise<void> {
  await client.query(
    `INSERT INTO source_authorization (identity_source_id, status, authorized_at, corp_id, corp_name, agent_id, authorized_by, failure)
     VALUES ($1, 'AUTHORIZED', now(), $2, $3, $4, $5, $6)`,
    [sourceId, ...consentValues(given)],
  );
}

/** Notes the consent that a link was waiting for. */
export async function fulfil(client: PoolClient, authorizationId: string, given: GivenConsent): Promise<void> {
  await client.query(
    `UPDATE source_authorization SET status = 'AUTHORIZED', url = NULL, authorized_at = now(), ended_at = NULL, corp_id = $2,
            corp_name = $3, agent_id = $4, authorized_by = $5, failure = $6 WHERE id = $1`,
    [authorizationId, ...consentValues(given)],
  );
}

function consentValues(given: GivenConsent): unknown[] {
  const { corpId, corpName, agentId, authorizedBy, failure } = given;
  return [corpId, corpName, agentId, authorizedBy, failure && JSON.stringify(failure)];
}

/** The authorization that a source waits for, if it does. */
export async function pendingOf(client: PoolClient, sourceId: string): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM source_authorization WHERE identity_source_id = $1 AND status = 'PENDING' FOR UPDATE`,
    [sourceId],
  );
  return rows[0]?.id;
}

/** Ends the link that a source waits with, if there is one. */
export async function endPending(
  client: PoolClient,
  sourceId: string,
  status: 'REFUSED' | 'CANCELED',
  failure: AuthorizationFailure | null,
): Promise<void> {
  await client.query(
    `UPDATE source_authorization SET status = $2, url = NULL, ended_at = now(), failure = $3
      WHERE identity_source_id = $1 AND status = 'PENDING'`,
    [sourceId, status, failure && JSON.stringify(failure)],
  );
}
