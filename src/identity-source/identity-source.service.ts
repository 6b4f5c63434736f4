import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../access/actor';
import { noProvider } from '../authorization/authorization.service';
import { insertAuthorized } from '../authorization/source-authorization';
import { DirectoryError } from '../connector/directory-connector';
import {
  type ConnectorEnvironment,
  type ConnectorSettings,
  type OpenedConnector,
  openConnector,
} from '../connector/registry';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import { AppError } from '../platform/app-error';
import type { SecretBox } from '../platform/secret-box';
import { moveNextRun } from '../sync/task/new-task';
import { formerEffect, rememberEffect } from '../sync/task/sync.service';
import { closeSource } from './close-source';
import {
  IdentitySource,
  type IdentitySourceStatusName,
  type IdentitySourceTypeName,
  type WecomModeName,
} from './identity-source.entity';
import {
  callbackProblems,
  descriptionProblem,
  nameProblem,
  schemaProblem,
  wecomProblems,
} from './identity-source.rules';
import {
  changeSource,
  lockSource,
  notFound,
  type Refusal,
  type RefusalCode,
  refusal,
  type SourceOutcome,
  versionConflict,
} from './source-change';
import { enableWithinLimits, lockLimits, type SourceLimits } from './source-limits';
import { type AutomaticChange, automaticProblems, storeAutomatic } from './synchronization-settings';

export interface WecomCredentials {
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
}

/** Signs and encrypts what WeCom sends to a source's callback address. */
export interface WecomCallback {
  readonly token: string;
  readonly encodingAesKey: string;
}

export interface CreateRequest {
  readonly type: IdentitySourceTypeName;
  readonly name: string;
  readonly description: string | null;
  readonly status: IdentitySourceStatusName;
  /** Null: a WeCom source waits for an authorization by QR code. */
  readonly wecomSelfBuilt: WecomCredentials | null;
  readonly wecomCallback: WecomCallback | null;
  readonly automatic: AutomaticChange | null;
  readonly idempotencyKey: string | null;
}

/** Absent (undefined) is unchanged, null clears. */
export interface UpdateRequest {
  readonly id: string;
  readonly version: number | undefined;
  readonly name: string | undefined;
  readonly description: string | null | undefined;
  readonly schema: string | null | undefined;
  readonly wecomSelfBuilt: WecomCredentials | undefined;
  readonly wecomCallback: WecomCallback | null | undefined;
}

/** Longer than any answer of a healthy directory, shorter than a caller's patience. */
const LIVE_CHECK_MS = 20_000;

const AUTHORIZE_FIRST =
  'No company has authorized this source, or it has cancelled: startAuthorization gives the QR code to scan.';

function authorizationRequired(): readonly Refusal[] {
  return refusal('AUTHORIZATION_REQUIRED', AUTHORIZE_FIRST, ['input', 'id']);
}

/** What can be done to identity sources. */
export class IdentitySourceService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly secrets: SecretBox,
    private readonly events: EventLog,
    private readonly environment: ConnectorEnvironment,
    readonly limits: SourceLimits,
    /** Whether companies can be connected by QR code. */
    private readonly isServiceProvider: boolean,
  ) {}

  /** The built-in source, made closed at the very first start; once deleted it does not come back. */
  async ensureCustomSource(): Promise<void> {
    await inTransaction(this.dataSource, async (client) => {
      await lockLimits(client);
      await client.query(
        `INSERT INTO identity_source (type, name, status, automatic_enabled)
         SELECT 'CUSTOM', 'Built-in', 'CLOSED', false WHERE NOT EXISTS (SELECT FROM identity_source)`,
      );
    });
  }

  /** Checks the credentials live, then stores the source. Of two requests for the last place one wins. */
  async create(request: CreateRequest, actor: Actor): Promise<SourceOutcome> {
    const refusals = createProblems(request, this.isServiceProvider);
    if (refusals.length > 0) return { refusals };
    const digest = this.digest({ ...request, idempotencyKey: null });
    if (request.wecomSelfBuilt) {
      const former = request.idempotencyKey && (await this.repeated(request.idempotencyKey, digest));
      if (former) return former;
      const refusal = await this.liveCheck(request.wecomSelfBuilt);
      if (refusal) return { refusals: [refusal] };
    }
    return changeSource(this.dataSource, ['input', 'name'], async (client) => {
      if (request.idempotencyKey !== null) {
        const former = await formerEffect(client, 'createIdentitySource', request.idempotencyKey);
        if (former) return this.formerOutcome(client, former, digest);
      }
      const { rows } = await client.query(
        `INSERT INTO identity_source (type, name, description, status, wecom_mode, appeared_at, enable_when_authorized)
         VALUES ($1, $2, $3, 'CLOSED', $4, CASE WHEN $5 THEN NULL ELSE now() END, $6) RETURNING id`,
        [
          request.type,
          request.name,
          request.description,
          wecomModeOf(request),
          waitsForAuthorization(request),
          waitsForAuthorization(request) && request.status === 'ENABLED',
        ],
      );
      const id: string = rows[0].id;
      if (request.wecomSelfBuilt) await this.storeCredentials(client, id, request.wecomSelfBuilt, actor);
      if (request.wecomCallback) await this.storeCallback(client, id, request.wecomCallback);
      if (request.automatic) await storeAutomatic(client, id, request.automatic);
      await moveNextRun(client, id);
      if (request.status === 'ENABLED' && !waitsForAuthorization(request)) {
        const refusal = await enableWithinLimits(client, this.limits, { id, type: request.type });
        if (refusal) return refusal;
      }
      if (request.idempotencyKey !== null) {
        await rememberEffect(client, 'createIdentitySource', request.idempotencyKey, digest, id);
      }
      return id;
    });
  }

  async update(request: UpdateRequest, actor: Actor): Promise<SourceOutcome> {
    const refusals = updateProblems(request);
    if (refusals.length > 0) return { refusals };
    if (request.wecomSelfBuilt) {
      const refusal = await this.liveCheck(request.wecomSelfBuilt);
      if (refusal) return { refusals: [refusal] };
    }
    return changeSource(this.dataSource, ['input', 'name'], async (client) => {
      const source = await lockSource(client, request.id);
      if (!source) return notFound();
      if (request.version !== undefined && request.version !== source.version) return versionConflict(source.version);
      if (request.wecomSelfBuilt && source.wecomMode !== 'SELF_BUILT') {
        const message =
          source.type === 'WECOM'
            ? 'This source is connected by a service provider’s app, whose secret comes by authorization: startAuthorization.'
            : 'Only a WeCom source has WeCom credentials.';
        return refusal('INVALID_INPUT', message, ['input', 'wecomSelfBuilt']);
      }
      if (request.wecomCallback && source.type !== 'WECOM') {
        return refusal('INVALID_INPUT', 'Only a WeCom source has a callback.', ['input', 'wecomCallback']);
      }
      if (request.schema && source.type !== 'WECOM') {
        return refusal('INVALID_INPUT', 'Only a WeCom source has a Schema value.', ['input', 'schema']);
      }
      if (request.wecomSelfBuilt && source.corpId?.toLowerCase() !== request.wecomSelfBuilt.corpId.toLowerCase()) {
        return refusal(
          'INVALID_INPUT',
          'The company of a source cannot be changed, because its people would all become leavers: create another source.',
          ['input', 'wecomSelfBuilt', 'corpId'],
        );
      }
      await client.query(
        `UPDATE identity_source SET name = coalesce($2, name), description = CASE WHEN $3 THEN $4 ELSE description END,
                schema = CASE WHEN $5 THEN $6 ELSE schema END, version = version + 1, updated_at = now() WHERE id = $1`,
        [
          request.id,
          request.name ?? null,
          request.description !== undefined,
          request.description ?? null,
          request.schema !== undefined,
          request.schema || null,
        ],
      );
      if (request.wecomSelfBuilt) await this.storeCredentials(client, request.id, request.wecomSelfBuilt, actor);
      if (request.wecomCallback !== undefined) await this.storeCallback(client, request.id, request.wecomCallback);
      return request.id;
    });
  }

  /** Enabling an enabled source changes nothing and is no error. */
  async enable(id: string): Promise<SourceOutcome> {
    return changeSource(this.dataSource, null, async (client) => {
      const source = await lockSource(client, id);
      if (!source) return notFound();
      if (source.status === 'ENABLED') return id;
      if (source.type === 'WECOM' && !source.authorized) return authorizationRequired();
      return (await enableWithinLimits(client, this.limits, source)) ?? id;
    });
  }

  /** Closes the source and cancels its open tasks, previews excepted. */
  async disable(id: string): Promise<SourceOutcome> {
    const outcome = await changeSource(this.dataSource, null, async (client) => {
      const source = await lockSource(client, id);
      if (!source) return notFound();
      if (source.status === 'ENABLED') await closeSource(client, id);
      return id;
    });
    await this.events.publish();
    return outcome;
  }

  /** The connector of a source, with its secret opened. */
  async openConnector(id: string): Promise<OpenedConnector> {
    const source = await this.dataSource.manager.findOneByOrFail(IdentitySource, { id });
    if (!source.sealedSecret || source.corpId === null || source.agentId === null) {
      throw new AppError('AUTHORIZATION_REQUIRED', AUTHORIZE_FIRST);
    }
    return this.open(source.wecomMode ?? 'SELF_BUILT', {
      corpId: source.corpId,
      agentId: source.agentId,
      secret: this.secrets.open(source.sealedSecret, id),
    });
  }

  private open(mode: WecomModeName, credentials: WecomCredentials): OpenedConnector {
    const settings: ConnectorSettings = { type: 'WECOM', mode, ...credentials };
    return openConnector(settings, this.environment);
  }

  private async liveCheck(credentials: WecomCredentials): Promise<Refusal | undefined> {
    try {
      await this.open('SELF_BUILT', credentials).connector.extent(AbortSignal.timeout(LIVE_CHECK_MS));
      return undefined;
    } catch (error) {
      if (error instanceof DirectoryError) {
        const code = error.thirdPartyCode ? ` (WeCom code ${error.thirdPartyCode})` : '';
        const message = `${error.message}${code} ${error.advice}`;
        return { code: error.code as RefusalCode, message, field: ['input', 'wecomSelfBuilt'] };
      }
      throw error;
    }
  }

  private async storeCredentials(
    client: PoolClient,
    id: string,
    { corpId, agentId, secret }: WecomCredentials,
    actor: Actor,
  ): Promise<void> {
    await client.query(
      `UPDATE identity_source SET corp_id = coalesce(corp_id, $2), agent_id = $3, sealed_secret = $4, secret_changed_at = now()
        WHERE id = $1`,
      [id, corpId, agentId, this.secrets.seal(secret, id)],
    );
    await insertAuthorized(client, id, { corpId, corpName: null, agentId, authorizedBy: actor.name, failure: null });
  }

  private async storeCallback(client: PoolClient, id: string, callback: WecomCallback | null): Promise<void> {
    const seal = (text: string) => this.secrets.seal(text, id);
    await client.query(
      'UPDATE identity_source SET sealed_callback_token = $2, sealed_callback_key = $3 WHERE id = $1',
      [id, callback && seal(callback.token), callback && seal(callback.encodingAesKey)],
    );
  }

  private async repeated(key: string, digest: Buffer): Promise<SourceOutcome | undefined> {
    return inTransaction(this.dataSource, async (client) => {
      const former = await formerEffect(client, 'createIdentitySource', key);
      if (!former) return undefined;
      const outcome = await this.formerOutcome(client, former, digest);
      if (typeof outcome !== 'string') return { refusals: outcome };
      return { source: await this.dataSource.manager.findOneByOrFail(IdentitySource, { id: outcome }) };
    });
  }

  private async formerOutcome(
    _client: PoolClient,
    former: { digest: Buffer; objectId: string },
    digest: Buffer,
  ): Promise<string | readonly Refusal[]> {
    if (former.digest.equals(digest)) return former.objectId;
    const message = 'This idempotency key was used with another input; use a new one.';
    return refusal('IDEMPOTENCY_KEY_REUSED', message, ['input', 'idempotencyKey']);
  }

  private digest(value: unknown): Buffer {
    return createHash('sha256').update(JSON.stringify(value)).digest();
  }
}

function wecomModeOf(request: CreateRequest): WecomModeName | null {
  if (request.type !== 'WECOM') return null;
  return request.wecomSelfBuilt ? 'SELF_BUILT' : 'SERVICE_PROVIDER';
}

function waitsForAuthorization(request: CreateRequest): boolean {
  return wecomModeOf(request) === 'SERVICE_PROVIDER';
}

function createProblems(request: CreateRequest, isServiceProvider: boolean): readonly Refusal[] {
  const problems = [nameProblem(request.name), descriptionProblem(request.description)].filter((p) => p !== undefined);
  for (const field of ['wecomSelfBuilt', 'wecomCallback'] as const) {
    if (request.type === 'CUSTOM' && request[field]) {
      problems.push(...refusal('INVALID_INPUT', 'A custom source takes no WeCom settings.', ['input', field]));
    }
  }
  if (request.type === 'CUSTOM' && request.automatic) {
    const message = 'A custom source has no directory to synchronize with.';
    problems.push(...refusal('SYNC_NOT_APPLICABLE', message, ['input', 'automaticSynchronization']));
  }
  if (waitsForAuthorization(request) && !isServiceProvider) problems.push(...noProvider(['input', 'wecomSelfBuilt']));
  problems.push(...automaticProblems(request.automatic ?? undefined));
  if (request.wecomCallback) problems.push(...callbackProblems(request.wecomCallback));
  return request.wecomSelfBuilt ? [...problems, ...wecomProblems(request.wecomSelfBuilt)] : problems;
}

function updateProblems(request: UpdateRequest): readonly Refusal[] {
  return [
    request.name === undefined ? undefined : nameProblem(request.name),
    request.description === undefined ? undefined : descriptionProblem(request.description),
    request.schema ? schemaProblem(request.schema) : undefined,
    ...(request.wecomSelfBuilt ? wecomProblems(request.wecomSelfBuilt) : []),
    ...(request.wecomCallback ? callbackProblems(request.wecomCallback) : []),
  ].filter((problem) => problem !== undefined);
}
