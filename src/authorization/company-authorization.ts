import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { corpKey } from '../connector/wecom/wecom.ids';
import type { WecomAuthorizedApp, WecomGrant } from '../connector/wecom/wecom.provider';
import { closeSource } from '../identity-source/close-source';
import { enableWithinLimits, type SourceLimits } from '../identity-source/source-limits';
import { asSourceName, freeName } from '../identity-source/source-name';
import type { SecretBox } from '../platform/secret-box';
import { moveNextRun } from '../sync/task/new-task';
import { type CompanyDecision, decideCompany, type KnownCompany, type ScannedLink } from './company-decision';
import { type AuthorizationFailure, endPending, fulfil, insertAuthorized, pendingOf } from './source-authorization';

/** What of the server a company's consent touches. */
export interface CompanyContext {
  readonly secrets: SecretBox;
  readonly limits: SourceLimits;
}

/** A consent with WeCom's time of it, in seconds. */
export interface CompanyConsent {
  readonly grant: WecomGrant;
  readonly app: WecomAuthorizedApp;
  readonly stamp: number;
  /** The corp id that the scanned link's source has the same company under, where that is another: ids were plain once. */
  readonly formerCorpId?: string | undefined;
}

/** In a word, for the log and the callback's row. */
export type ConsentOutcome = CompanyDecision['kind'] | 'SUPERSEDED';

/** Connects the company to the source that it belongs to, in the caller's transaction. */
export async function connectCompany(
  client: PoolClient,
  context: CompanyContext,
  consent: CompanyConsent,
): Promise<ConsentOutcome> {
  const { grant, stamp } = consent;
  await lockCompany(client, grant.corpId);
  const known = await knownCompany(client, grant.corpId);
  const link = grant.state ? await scannedLink(client, grant.state, consent) : undefined;
  const decision = decideCompany(grant.state, link, known, new Date(stamp * 1_000));
  if (await hasCanceledSince(client, consent)) {
    if (link?.status === 'PENDING') await endPending(client, link.sourceId, 'REFUSED', CANCELED_SINCE);
    return 'SUPERSEDED';
  }
  if (known && known.stamp > stamp && known.connected) {
    if (link?.status === 'PENDING') await endSuperseded(client, link, known, consent);
    return 'SUPERSEDED';
  }
  if (link?.ofAnother && link.status === 'PENDING')
    await endPending(client, link.sourceId, 'REFUSED', scannedByAnother(consent));
  switch (decision.kind) {
    case 'BIND': {
      await giveSecret(client, context, decision.sourceId, consent);
      const failure = await enableIfWanted(client, context, decision.sourceId);
      await fulfil(client, decision.authorizationId, { ...given(consent), failure });
      break;
    }
    case 'REFUSE':
      await giveSecret(client, context, decision.existing, consent);
      await endPending(client, decision.sourceId, 'REFUSED', await connectedElsewhere(client, decision.existing));
      break;
    case 'REUSE': {
      await giveSecret(client, context, decision.sourceId, consent);
      const failure = await enableIfWanted(client, context, decision.sourceId);
      const waiting = await pendingOf(client, decision.sourceId);
      if (waiting) await fulfil(client, waiting, { ...given(consent), failure });
      else await insertAuthorized(client, decision.sourceId, { ...given(consent), failure });
      break;
    }
    case 'APPEAR': {
      const sourceId = await makeSource(client, consent);
      await giveSecret(client, context, sourceId, consent);
      await insertAuthorized(client, sourceId, { ...given(consent), failure: UNBOUND[decision.reason] });
      break;
    }
  }
  return decision.kind;
}

/** Ends the link of a consent that the company is connected by a newer one of. */
async function endSuperseded(
  client: PoolClient,
  link: ScannedLink,
  known: KnownCompany,
  consent: CompanyConsent,
): Promise<void> {
  if (link.sourceId === known.sourceId) await fulfil(client, link.authorizationId, given(consent));
  else await endPending(client, link.sourceId, 'REFUSED', await connectedElsewhere(client, known.sourceId));
}

/** A company's new secret, after the provider had it made anew. An older event than the secret's changes nothing. */
export async function replaceSecret(
  client: PoolClient,
  context: CompanyContext,
  consent: CompanyConsent,
): Promise<ConsentOutcome> {
  await lockCompany(client, consent.grant.corpId);
  const known = await knownCompany(client, consent.grant.corpId);
  // Also one that had cancelled: its new consent was lost, or its code was, and the secret made anew stands for that.
  if (!known?.connected)
    return connectCompany(client, context, { ...consent, grant: { ...consent.grant, state: null } });
  if (known.stamp > consent.stamp || (await hasCanceledSince(client, consent))) return 'SUPERSEDED';
  await giveSecret(client, context, known.sourceId, consent);
  return 'REUSE';
}

/**
 * Closes every source of a company that has cancelled, and wipes what opens it; its data goes later.
 * @param stamp WeCom's time of the cancellation: a source whose secret is newer has been authorized again since
 * @returns how many sources were closed
 */
export async function disconnectCompany(
  client: PoolClient,
  corpId: string,
  stamp: number,
  dataDays: number,
): Promise<number> {
  await lockCompany(client, corpId);
  await client.query(
    `INSERT INTO canceled_company AS c (corp_key, stamp) VALUES ($1, $2)
     ON CONFLICT (corp_key) DO UPDATE SET stamp = greatest(c.stamp, excluded.stamp)`,
    [corpKey(corpId, 'SERVICE_PROVIDER'), stamp],
  );
  const { rows } = await client.query<{ id: string; status: string; agentId: string | null }>(
    `SELECT id, status, agent_id AS "agentId" FROM identity_source
      WHERE wecom_mode = 'SERVICE_PROVIDER' AND ${SAME_CORP} AND sealed_secret IS NOT NULL AND coalesce(secret_stamp, 0) <= $2 FOR UPDATE`,
    [corpKey(corpId, 'SERVICE_PROVIDER'), stamp],
  );
  for (const source of rows) {
    if (source.status === 'ENABLED') await closeSource(client, source.id);
    await client.query(
      `UPDATE identity_source SET sealed_secret = NULL, sealed_callback_token = NULL, sealed_callback_key = NULL,
              enable_when_authorized = $2, data_removal_due_at = now() + make_interval(days => $3),
              version = version + 1, updated_at = now() WHERE id = $1`,
      [source.id, source.status === 'ENABLED', dataDays],
    );
    await client.query(
      `UPDATE source_authorization SET status = 'CANCELED', ended_at = now()
        WHERE identity_source_id = $1 AND status = 'AUTHORIZED'`,
      [source.id],
    );
    await client.query('DELETE FROM access_token WHERE starts_with(key, $1)', [
      `wecom:${corpKey(corpId, 'SERVICE_PROVIDER')}:${source.agentId}:`,
    ]);
  }
  return rows.length;
}

/** The connected source of a company; undefined where there is none. */
export async function connectedSource(
  dataSource: DataSource,
  corpId: string,
): Promise<{ readonly id: string; readonly sealedSecret: string; readonly corpId: string } | undefined> {
  const [row] = await dataSource.query(
    `SELECT id, sealed_secret AS "sealedSecret", corp_id AS "corpId" FROM identity_source
      WHERE wecom_mode = 'SERVICE_PROVIDER' AND ${SAME_CORP} AND deleted_at IS NULL AND sealed_secret IS NOT NULL`,
    [corpKey(corpId, 'SERVICE_PROVIDER')],
  );
  return row;
}

/** Encrypted ids compare exactly; plain ones were brought to lower case on both sides. */
const SAME_CORP = `(corp_id = $1 OR (corp_id ~* '^w[wx][0-9a-f]{16}$' AND lower(corp_id) = $1))`;

/** One company's events are worked off one at a time. */
async function lockCompany(client: PoolClient, corpId: string): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 2))', [corpKey(corpId, 'SERVICE_PROVIDER')]);
}

async function knownCompany(
  client: PoolClient,
  corpId: string,
): Promise<(KnownCompany & { readonly stamp: number }) | undefined> {
  const { rows } = await client.query(
    `SELECT id AS "sourceId", sealed_secret IS NOT NULL AS connected, coalesce(secret_stamp, 0) AS stamp FROM identity_source
      WHERE wecom_mode = 'SERVICE_PROVIDER' AND ${SAME_CORP} AND deleted_at IS NULL
      ORDER BY sealed_secret IS NOT NULL DESC, id LIMIT 1 FOR UPDATE`,
    [corpKey(corpId, 'SERVICE_PROVIDER')],
  );
  return rows[0];
}

/** Whether a cancellation that is newer than a consent was worked off before it. */
async function hasCanceledSince(client: PoolClient, { grant, stamp }: CompanyConsent): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM canceled_company WHERE corp_key = $1 AND stamp > $2', [
    corpKey(grant.corpId, 'SERVICE_PROVIDER'),
    stamp,
  ]);
  return rowCount !== 0;
}

async function scannedLink(
  client: PoolClient,
  state: string,
  { grant, formerCorpId }: CompanyConsent,
): Promise<ScannedLink | undefined> {
  const { rows } = await client.query(
    `SELECT a.id AS "authorizationId", a.identity_source_id AS "sourceId", a.status, a.expires_at AS "expiresAt",
            s.deleted_at IS NOT NULL AS "sourceDeleted", ${COMPANY_OF_SOURCE} AS "corpId"
       FROM source_authorization a JOIN identity_source s ON s.id = a.identity_source_id WHERE a.state = $1 FOR UPDATE`,
    [state],
  );
  if (!rows[0]) return undefined;
  const { corpId, ...link } = rows[0];
  const own = [grant.corpId, formerCorpId ?? grant.corpId].map((id) => corpKey(id, 'SERVICE_PROVIDER'));
  return { ...link, ofAnother: corpId !== null && !own.includes(corpKey(corpId, 'SERVICE_PROVIDER')) };
}

/** The corp id of a source that is connected, or has people of a company that has cancelled; NULL of any other. */
const COMPANY_OF_SOURCE = `CASE WHEN s.sealed_secret IS NOT NULL OR s.data_removal_due_at IS NOT NULL THEN s.corp_id END`;

/** The corp id of the company that a scanned link's source has; undefined where it has none. */
export async function companyOfLink(dataSource: DataSource, state: string): Promise<string | undefined> {
  const [row] = await dataSource.query(
    `SELECT ${COMPANY_OF_SOURCE} AS "corpId" FROM source_authorization a JOIN identity_source s ON s.id = a.identity_source_id
      WHERE a.state = $1`,
    [state],
  );
  return row?.corpId ?? undefined;
}

async function giveSecret(
  client: PoolClient,
  { secrets }: CompanyContext,
  id: string,
  { grant, app, stamp }: CompanyConsent,
): Promise<void> {
  const { rows } = await client.query(
    `UPDATE identity_source s SET corp_id = $2, agent_id = $3, sealed_secret = $4, secret_changed_at = now(), secret_stamp = $5,
            data_removal_due_at = NULL, appeared_at = coalesce(s.appeared_at, now()), version = s.version + 1, updated_at = now()
       FROM identity_source former WHERE former.id = s.id AND s.id = $1 RETURNING former.appeared_at IS NULL AS new`,
    [id, grant.corpId, app.agentId, secrets.seal(grant.permanentCode, id), stamp],
  );
  // For the schedule a source begins when it appears.
  if (rows[0]?.new) await moveNextRun(client, id);
}

/** @returns why the source stays closed although it was to be enabled */
async function enableIfWanted(
  client: PoolClient,
  { limits }: CompanyContext,
  id: string,
): Promise<AuthorizationFailure | null> {
  const { rows } = await client.query(
    `UPDATE identity_source s SET enable_when_authorized = false
       FROM identity_source former WHERE former.id = s.id AND s.id = $1
     RETURNING former.enable_when_authorized AND former.status = 'CLOSED' AS wanted`,
    [id],
  );
  if (!rows[0]?.wanted) return null;
  const refusals = await enableWithinLimits(client, limits, { id, type: 'WECOM' });
  return refusals?.[0] ? { code: refusals[0].code, message: `Authorized, but closed. ${refusals[0].message}` } : null;
}

async function makeSource(client: PoolClient, { grant, app }: CompanyConsent): Promise<string> {
  const name = await freeName(client, asSourceName(grant.corpName ?? app.corpName));
  const { rows } = await client.query(
    `INSERT INTO identity_source (type, name, status, wecom_mode) VALUES ('WECOM', $1, 'CLOSED', 'SERVICE_PROVIDER') RETURNING id`,
    [name],
  );
  await moveNextRun(client, rows[0].id);
  return rows[0].id;
}

function given({ grant, app }: CompanyConsent) {
  const { corpId, authorizedBy } = grant;
  return { corpId, corpName: grant.corpName ?? app.corpName, agentId: app.agentId, authorizedBy, failure: null };
}

async function connectedElsewhere(client: PoolClient, existing: string): Promise<AuthorizationFailure> {
  const { rows } = await client.query('SELECT name FROM identity_source WHERE id = $1', [existing]);
  const message = `This company is connected already, by the source ${rows[0]?.name}: use that one, or delete it first.`;
  return { code: 'COMPANY_ALREADY_CONNECTED', message };
}

function scannedByAnother({ grant, app }: CompanyConsent): AuthorizationFailure {
  const name = grant.corpName ?? app.corpName ?? grant.corpId;
  const message = `The link was scanned by another company, ${name}, which has a source of its own now: this one stays with the company that it has. Start the authorization again, and have an administrator of that company scan it.`;
  return { code: 'AUTHORIZATION_REFUSED', message };
}

const CANCELED_SINCE: AuthorizationFailure = {
  code: 'AUTHORIZATION_REFUSED',
  message:
    'The company authorized, and cancelled before it was connected. Start the authorization again, and have the new code scanned.',
};

/** Why a company appeared by itself, for whoever finds it in the list. */
const UNBOUND: Readonly<Record<Extract<CompanyDecision, { kind: 'APPEAR' }>['reason'], AuthorizationFailure>> = {
  NO_STATE: {
    code: 'AUTHORIZATION_REFUSED',
    message:
      'The company authorized the template without a link of this server, so it stands by itself: rename and enable this source, or delete it.',
  },
  UNKNOWN_STATE: {
    code: 'AUTHORIZATION_REFUSED',
    message:
      'The company authorized with a link that this server does not know, so it stands by itself: rename and enable this source, or delete it.',
  },
  EXPIRED_STATE: {
    code: 'AUTHORIZATION_EXPIRED',
    message:
      'The company authorized with a link that had expired, so it stands by itself: rename and enable this source, or delete it.',
  },
  OTHER_COMPANY: {
    code: 'AUTHORIZATION_REFUSED',
    message:
      'The company authorized with the link of another company’s source, so it stands by itself: rename and enable this source, or delete it.',
  },
  USED_STATE: {
    code: 'AUTHORIZATION_REFUSED',
    message:
      'The company authorized with a link that was used or ended before, so it stands by itself: rename and enable this source, or delete it.',
  },
};
