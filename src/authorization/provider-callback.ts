import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { DirectoryEvents } from '../callbacks/directory-events';
import type { NamedObject, WecomMessage } from '../callbacks/wecom-message';
import { DirectoryError } from '../connector/directory-connector';
import { WecomError } from '../connector/wecom/wecom.errors';
import { isPlainCorpId, wecomKey } from '../connector/wecom/wecom.ids';
import type { WecomGrant, WecomProvider } from '../connector/wecom/wecom.provider';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import type { DurableJob } from '../jobs/worker';
import type { SecretBox } from '../platform/secret-box';
import {
  type CompanyContext,
  companyOfLink,
  connectCompany,
  connectedSource,
  disconnectCompany,
  replaceSecret,
} from './company-authorization';
import { endPending } from './source-authorization';

/** What WeCom tells a provider that is worked on afterwards. Source: developer.work.weixin.qq.com/document/path/100965 */
const KINDS = ['create_auth', 'change_auth', 'cancel_auth', 'reset_permanent_code'] as const;
/** `app_event`: a contact change under a corp id that is not known yet. */
type CallbackKind = (typeof KINDS)[number] | 'app_event';

export const PROVIDER_CALLBACK_JOB = 'provider-callback';

/** A callback is one worker's for so long; all its calls together take less. */
const LEASE_S = 60;
const CALLS_MS = 45_000;
/** A code can be exchanged for ten minutes. Source: developer.work.weixin.qq.com/document/path/100965 */
const CODE_LIFE_MS = 600_000;
/** What needs no code may be tried for a day. */
const PATIENCE_MS = 86_400_000;
/** Whatever fails is tried again within seconds at first, and later after this part of the time that it has failed for. */
const MIN_LONGEST_WAIT_S = 15;
const WAIT_SHARE = 1 / 20;
/** What WeCom refuses until somebody changes something, such as a wrong secret, is soon tried once an hour only. */
const MAX_WAIT_S = 3_600;
const CODE_SPENT: readonly number[] = [40078];
/** The permanent code is cancelled, or was made anew; the company has cancelled. */
const GRANT_ENDED: readonly number[] = [40084, 48004];
/** The company has not authorized this provider. */
const STRANGER: readonly number[] = [48001];
/** Callbacks that bring a code. */
const CODED: ReadonlySet<CallbackKind> = new Set(['create_auth', 'reset_permanent_code']);

interface CallbackRow {
  readonly id: string;
  readonly kind: CallbackKind;
  readonly stamp: number;
  readonly sealedMessage: string;
  /** What the code was exchanged for: it can be exchanged only once, so it is kept before anything else is done. */
  readonly sealedAnswer: string | null;
  readonly receivedAt: Date;
  readonly tries: number;
}

/** How a callback ended, with what is to be done to the rows in the transaction that ends it. */
type Effect = (client: PoolClient) => Promise<string>;

/**
 * WeCom's calls to the service provider: stored and answered at once, worked on afterwards by any process, once each however
 * often they come, and again after a crash.
 */
export class ProviderCallbacks implements DurableJob {
  readonly name = PROVIDER_CALLBACK_JOB;

  constructor(
    private readonly dataSource: DataSource,
    private readonly context: CompanyContext & { readonly dataDays: number },
    private readonly events: EventLog,
    private readonly provider: WecomProvider,
    private readonly directoryEvents: DirectoryEvents,
    private readonly log: Logger,
  ) {}

  /** Takes a verified message in; what is not about authorization is ignored. */
  async receive(message: WecomMessage): Promise<void> {
    const kind = KINDS.find((each) => each === message['InfoType']);
    if (message['InfoType'] === 'suite_ticket') await this.keepTicket(message);
    else if (kind)
      await this.keep(kind, message, message['AuthCode'] || `${message['AuthCorpId']} ${stampOf(message)}`);
  }

  /** Takes in a contact change under a corp id that no source has: it is the plain one, or a stranger's. */
  async receiveUnresolved(corpId: string, object: NamedObject): Promise<void> {
    const message = { corpId, ...object };
    await this.keep('app_event', message, JSON.stringify(message));
  }

  async run(payload: unknown, stopping: AbortSignal): Promise<void> {
    const { id } = payload as { id: string };
    const row = await this.take(id);
    if (!row) return;
    try {
      const signal = AbortSignal.any([stopping, AbortSignal.timeout(CALLS_MS)]);
      await this.finish(row, await this.work(row, signal));
    } catch (error) {
      if (stopping.aborted) await this.postpone(row, 0);
      else await this.failed(row, error);
    }
    await this.events.publish();
  }

  async queueDue(): Promise<void> {
    await this.dataSource.query(
      `SELECT graphile_worker.add_job($1, json_build_object('id', id), job_key => 'provider-callback:' || id)
         FROM provider_callback WHERE done_at IS NULL AND due_at < now()`,
      [PROVIDER_CALLBACK_JOB],
    );
  }

  /** The newest counts, whatever order they come in. */
  private async keepTicket(message: WecomMessage): Promise<void> {
    const [suite, ticket] = [message['SuiteId'] ?? '', message['SuiteTicket']];
    if (!ticket) return;
    await this.dataSource.query(
      `INSERT INTO suite_ticket (suite_id, sealed_ticket, stamp) VALUES ($1, $2, $3)
       ON CONFLICT (suite_id) DO UPDATE SET sealed_ticket = excluded.sealed_ticket, stamp = excluded.stamp, received_at = now()
        WHERE suite_ticket.stamp <= excluded.stamp`,
      [suite, this.context.secrets.seal(ticket, suite), stampOf(message)],
    );
  }

  /** Once for each code; a change is worth looking at however often it is told. */
  private async keep(kind: CallbackKind, message: object, identity: string): Promise<void> {
    const digest = createHash('sha256').update(`${kind}\n${identity}`).digest();
    await inTransaction(this.dataSource, async (client) => {
      const { rows } = await client.query(
        `INSERT INTO provider_callback (kind, stamp, digest, sealed_message) VALUES ($1, $2, $3, '')
         ON CONFLICT (digest) DO UPDATE SET done_at = NULL, due_at = now(), received_at = now(), tries = 0
          WHERE provider_callback.kind IN ('change_auth', 'app_event') RETURNING id`,
        [kind, stampOf(message as WecomMessage), digest],
      );
      const id: string | undefined = rows[0]?.id;
      if (!id) return;
      const sealed = this.context.secrets.seal(JSON.stringify(message), id);
      await client.query('UPDATE provider_callback SET sealed_message = $2 WHERE id = $1', [id, sealed]);
      await client.query(
        `SELECT graphile_worker.add_job($1, json_build_object('id', $2::uuid), job_key => 'provider-callback:' || $2)`,
        [PROVIDER_CALLBACK_JOB, id],
      );
    });
  }

  private async take(id: string): Promise<CallbackRow | undefined> {
    const [rows] = await this.dataSource.query(
      `UPDATE provider_callback SET due_at = now() + make_interval(secs => ${LEASE_S}), tries = tries + 1
        WHERE id = $1 AND done_at IS NULL AND due_at <= now()
       RETURNING id, kind, stamp, sealed_message AS "sealedMessage", sealed_answer AS "sealedAnswer",
                 received_at AS "receivedAt", tries`,
      [id],
    );
    return rows[0];
  }

  /** The calls, and then what is to be done here. */
  private async work(row: CallbackRow, signal: AbortSignal): Promise<Effect> {
    const message = this.messageOf(row);
    const corpId = message['AuthCorpId'] ?? '';
    switch (row.kind) {
      case 'cancel_auth':
        return async (client) => `CLOSED ${await disconnectCompany(client, corpId, row.stamp, this.context.dataDays)}`;
      case 'change_auth':
        return this.refresh(corpId, signal);
      case 'app_event':
        return this.resolve(message, signal);
      case 'create_auth':
      case 'reset_permanent_code': {
        const grant = await this.exchange(row, message, signal);
        const app = await this.provider.authorizedApp(grant.corpId, grant.permanentCode, signal);
        const consent = { grant, app, stamp: row.stamp, formerCorpId: await this.formerCorpId(grant, signal) };
        const act = row.kind === 'create_auth' ? connectCompany : replaceSecret;
        return (client) => act(client, this.context, consent);
      }
    }
  }

  /**
   * The corp id under which the scanned link's source has the same company, where that is another: a company that authorized before
   * ids were encrypted, and does so again. Source: developer.work.weixin.qq.com/document/path/97104
   */
  private async formerCorpId({ corpId, state }: WecomGrant, signal: AbortSignal): Promise<string | undefined> {
    const held = state ? await companyOfLink(this.dataSource, state) : undefined;
    if (!held || isPlainCorpId(held) === isPlainCorpId(corpId)) return undefined;
    const [plain, encrypted] = isPlainCorpId(held) ? [held, corpId] : [corpId, held];
    const told = await this.provider.encryptedCorpId(plain, signal).catch((error) => {
      if (!isErrcode(error, STRANGER)) throw error;
      return undefined;
    });
    return told === encrypted ? held : undefined;
  }

  private async exchange(row: CallbackRow, message: WecomMessage, signal: AbortSignal): Promise<WecomGrant> {
    const { secrets } = this.context;
    if (row.sealedAnswer) return JSON.parse(secrets.open(row.sealedAnswer, row.id));
    const answer = await this.provider.exchange(message['AuthCode'] ?? '', signal);
    // The event is documented to tell the state as well; the answer's counts where both do.
    const grant = { ...answer, state: answer.state ?? (message['State'] || null) };
    await this.dataSource.query('UPDATE provider_callback SET sealed_answer = $2 WHERE id = $1', [
      row.id,
      secrets.seal(JSON.stringify(grant), row.id),
    ]);
    return grant;
  }

  /** Something of the app changed, WeCom does not say what: its data is read again, and a run is due at once. */
  private async refresh(corpId: string, signal: AbortSignal): Promise<Effect> {
    const source = await connectedSource(this.dataSource, corpId);
    if (!source) return async () => 'UNKNOWN_COMPANY';
    const code = this.context.secrets.open(source.sealedSecret, source.id);
    const app = await this.provider.authorizedApp(source.corpId, code, signal);
    return async (client) => {
      await client.query(
        `UPDATE identity_source SET agent_id = $2, updated_at = now(),
                next_run_at = CASE WHEN automatic_enabled AND status = 'ENABLED' THEN now() ELSE next_run_at END WHERE id = $1`,
        [source.id, app.agentId],
      );
      await client.query(
        `UPDATE source_authorization SET agent_id = $2, corp_name = coalesce($3, corp_name)
          WHERE identity_source_id = $1 AND status = 'AUTHORIZED'`,
        [source.id, app.agentId, app.corpName],
      );
      return 'REFRESHED';
    };
  }

  /** Whether contact changes of a customised app come under the plain or the encrypted corp id is not documented. */
  private async resolve(message: WecomMessage, signal: AbortSignal): Promise<Effect> {
    const { corpId, ...object } = message as unknown as NamedObject & { corpId: string };
    const encrypted = await this.provider.encryptedCorpId(corpId, signal);
    const source = await connectedSource(this.dataSource, encrypted);
    if (!source) return async () => 'UNKNOWN_COMPANY';
    return async (client) => {
      await client.query('UPDATE identity_source SET plain_corp_id = $2 WHERE id = $1', [source.id, corpId]);
      await this.directoryEvents.storeIn(client, source.id, object, (id) =>
        wecomKey(source.corpId, 'SERVICE_PROVIDER', id),
      );
      return 'RESOLVED';
    };
  }

  private async finish(row: CallbackRow, effect: Effect): Promise<void> {
    const outcome = await inTransaction(this.dataSource, async (client) => {
      const { rows } = await client.query(
        'SELECT 1 FROM provider_callback WHERE id = $1 AND done_at IS NULL FOR UPDATE',
        [row.id],
      );
      if (rows.length === 0) return undefined;
      const done = await effect(client);
      await end(client, row, done);
      return done;
    });
    if (outcome) this.log.info({ callback: row.kind, outcome }, 'authorization.callback-done');
  }

  private async failed(row: CallbackRow, error: unknown): Promise<void> {
    const exchanged = await this.isExchanged(row);
    const patience = CODED.has(row.kind) && !exchanged ? CODE_LIFE_MS : PATIENCE_MS;
    const isOver = Date.now() - row.receivedAt.getTime() >= patience;
    // A code can be exchanged only once: what it gave is kept until WeCom says that it is good no more.
    const isKept = exchanged && !isErrcode(error, GRANT_ENDED);
    const isHopeless = isErrcode(error, CODE_SPENT) || (row.kind === 'app_event' && isErrcode(error, STRANGER));
    const ends = isHopeless || (isOver && !isKept);
    if (ends) this.log.error({ err: error, callback: row.kind }, 'authorization.callback-failed');
    else this.log.warn({ err: error, callback: row.kind, tries: row.tries }, 'authorization.callback-postponed');
    await inTransaction(this.dataSource, async (client) => {
      if (ends || isOver) await this.refuseLink(client, row, error);
      if (ends) await end(client, row, 'FAILED');
    });
    if (!ends) await this.postpone(row, secondsUntilNextTry(row, error, patience));
  }

  private async isExchanged(row: CallbackRow): Promise<boolean> {
    const [now] = await this.dataSource.query(
      'SELECT sealed_answer IS NOT NULL AS exchanged FROM provider_callback WHERE id = $1',
      [row.id],
    );
    return now?.exchanged ?? false;
  }

  /** Whoever waits for this scan is told that it came to nothing. */
  private async refuseLink(client: PoolClient, row: CallbackRow, error: unknown): Promise<void> {
    const state = this.messageOf(row)['State'];
    if (row.kind !== 'create_auth' || !state) return;
    const { rows } = await client.query(
      `SELECT identity_source_id AS "sourceId" FROM source_authorization WHERE state = $1 AND status = 'PENDING'`,
      [state],
    );
    if (!rows[0]) return;
    const told = error instanceof DirectoryError ? `${error.message} ${error.advice}` : 'The server’s log says more.';
    const message = `The company authorized, but its secret could not be fetched: ${told} In the service provider console the secret can be made anew (重新获取); the company then appears.`;
    await endPending(client, rows[0].sourceId, 'REFUSED', { code: 'AUTHORIZATION_REFUSED', message });
  }

  private async postpone(row: CallbackRow, seconds: number): Promise<void> {
    await this.dataSource.query(
      `UPDATE provider_callback SET due_at = now() + make_interval(secs => $2) WHERE id = $1 AND done_at IS NULL`,
      [row.id, seconds],
    );
  }

  private messageOf(row: CallbackRow): WecomMessage {
    return JSON.parse(this.context.secrets.open(row.sealedMessage, row.id));
  }
}

function isErrcode(error: unknown, errcodes: readonly number[]): boolean {
  return error instanceof WecomError && errcodes.includes(error.errcode);
}

function secondsUntilNextTry(row: CallbackRow, error: unknown, patienceMs: number): number {
  const age = (Date.now() - row.receivedAt.getTime()) / 1_000;
  const isRefused = error instanceof WecomError && error.reaction === 'STOP';
  const longest = isRefused ? patienceMs / 10_000 : Math.max(MIN_LONGEST_WAIT_S, age * WAIT_SHARE);
  return Math.min(longest, MAX_WAIT_S, 2 ** row.tries);
}

/** The newest suite ticket; undefined until WeCom has sent one. */
export async function suiteTicket(
  dataSource: DataSource,
  secrets: SecretBox,
  suiteId: string,
): Promise<string | undefined> {
  const [row] = await dataSource.query('SELECT sealed_ticket AS sealed FROM suite_ticket WHERE suite_id = $1', [
    suiteId,
  ]);
  return row && secrets.open(row.sealed, suiteId);
}

/** What may hold a code or a secret goes as soon as it is not needed. */
async function end(client: PoolClient, row: CallbackRow, outcome: string): Promise<void> {
  await client.query(
    `UPDATE provider_callback SET done_at = now(), outcome = $2, sealed_message = '', sealed_answer = NULL WHERE id = $1`,
    [row.id, outcome],
  );
}

/** WeCom's time of a message, in seconds; now where it tells none. */
function stampOf(message: WecomMessage): number {
  const stamp = Number(message['TimeStamp']);
  return Number.isSafeInteger(stamp) && stamp > 0 ? stamp : Math.floor(Date.now() / 1_000);
}
