import { randomBytes } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { DirectoryError } from '../connector/directory-connector';
import type { WecomProvider } from '../connector/wecom/wecom.provider';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import { lockSource, type Refusal, type RefusalCode, refusal } from '../identity-source/source-change';
import { AUTHORIZATION_COLUMNS, endPending, type SourceAuthorization } from './source-authorization';

export type StartAuthorizationOutcome =
  | { readonly authorization: SourceAuthorization }
  | { readonly refusals: readonly Refusal[] };

/** Longer than any healthy answer, shorter than a caller's patience. */
const CALL_MS = 20_000;
/** 32 letters and digits: as long as WeCom lets a state be. Source: developer.work.weixin.qq.com/document/path/98744 */
const STATE_BYTES = 16;

const FIELD = ['input', 'identitySourceId'];

/** Links that administrators scan to connect their company. */
export class AuthorizationService {
  /** @param provider undefined where this server is no service provider */
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly provider: WecomProvider | undefined,
  ) {}

  /**
   * The link that the source waits with, or a new one. Asking again gets the same one while it can be used.
   * @param renew ends the link that was shown before
   */
  async start(sourceId: string, renew: boolean): Promise<StartAuthorizationOutcome> {
    const { provider } = this;
    if (!provider) return { refusals: noProvider(FIELD) };
    const waiting = await inTransaction(this.dataSource, (client) => waitingOrRefused(client, sourceId, renew));
    if (waiting) return waiting;
    const state = randomBytes(STATE_BYTES).toString('hex');
    try {
      const { url, lifetimeMs } = await provider.authorizationLink(state, AbortSignal.timeout(CALL_MS));
      const link = { state, url, expiresAt: new Date(Date.now() + lifetimeMs) };
      return await inTransaction(this.dataSource, (client) => store(client, sourceId, renew, link));
    } catch (error) {
      if (error instanceof DirectoryError) return { refusals: refusedUpstream(error) };
      throw error;
    } finally {
      await this.events.publish();
    }
  }

  async find(id: string): Promise<SourceAuthorization | undefined> {
    const [row] = await this.dataSource.query(
      `SELECT ${AUTHORIZATION_COLUMNS} FROM source_authorization WHERE id = $1`,
      [id],
    );
    return row;
  }
}

/** Why a source cannot be authorized, or the link that waits already; undefined where a new one is to be made. */
async function waitingOrRefused(
  client: PoolClient,
  sourceId: string,
  renew: boolean,
): Promise<StartAuthorizationOutcome | undefined> {
  const source = await lockSource(client, sourceId);
  if (!source) return { refusals: refusal('NOT_FOUND', 'There is no identity source with this id.', FIELD) };
  if (source.wecomMode !== 'SERVICE_PROVIDER') {
    const message =
      source.type === 'CUSTOM'
        ? 'A custom source needs no authorization.'
        : 'This source uses the company’s own app; its credentials are its authorization (updateIdentitySource).';
    return { refusals: refusal('INVALID_INPUT', message, FIELD) };
  }
  if (renew) return undefined;
  const { rows } = await client.query<SourceAuthorization>(
    `SELECT ${AUTHORIZATION_COLUMNS} FROM source_authorization
      WHERE identity_source_id = $1 AND status = 'PENDING' AND expires_at > now() + interval '1 minute'`,
    [sourceId],
  );
  return rows[0] && { authorization: rows[0] };
}

/** Stores a new link, unless somebody stored another one meanwhile: then that one is the answer. */
async function store(
  client: PoolClient,
  sourceId: string,
  renew: boolean,
  link: { readonly state: string; readonly url: string; readonly expiresAt: Date },
): Promise<StartAuthorizationOutcome> {
  const meanwhile = await waitingOrRefused(client, sourceId, renew);
  if (meanwhile) return meanwhile;
  await endPending(client, sourceId, 'CANCELED', null);
  const { rows } = await client.query<SourceAuthorization>(
    `INSERT INTO source_authorization (identity_source_id, status, state, url, expires_at) VALUES ($1, 'PENDING', $2, $3, $4)
     RETURNING ${AUTHORIZATION_COLUMNS}`,
    [sourceId, link.state, link.url, link.expiresAt],
  );
  return { authorization: rows[0] as SourceAuthorization };
}

export function noProvider(field: readonly string[]): readonly Refusal[] {
  const message =
    'This server is no WeCom service provider: set WECOM_PROVIDER_CORP_ID and the variables that go with it, or connect the company’s own app with wecomSelfBuilt.';
  return refusal('INVALID_INPUT', message, field);
}

function refusedUpstream(error: DirectoryError): readonly Refusal[] {
  const code = error.thirdPartyCode ? ` (WeCom code ${error.thirdPartyCode})` : '';
  return refusal(error.code as RefusalCode, `${error.message}${code} ${error.advice}`, null);
}
