import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { DirectoryError } from '../connector/directory-connector';
import {
  type ConnectorEnvironment,
  type ConnectorSettings,
  type OpenedConnector,
  openConnector,
} from '../connector/registry';
import { inTransaction } from '../database/transaction';
import { AppError } from '../platform/app-error';
import type { SecretBox } from '../platform/secret-box';
import type { EventLog } from '../sync/event-log';
import { moveNextRun } from '../sync/new-task';
import { cancelOpenTask, formerEffect, rememberEffect } from '../sync/sync.service';
import { IdentitySource, type IdentitySourceStatusName, type IdentitySourceTypeName } from './identity-source.entity';
import { descriptionProblem, nameProblem, schemaProblem, wecomProblems } from './identity-source.rules';
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
import { type AutomaticChange, automaticProblems, storeAutomatic } from './synchronization-settings';

/** How many sources may be enabled at once, and how many of these may be custom ones. */
export interface SourceLimits {
  readonly enabled: number;
  readonly customEnabled: number;
}

export interface WecomCredentials {
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
  /** Of the contacts-sync callback, both or neither; absent is unchanged. */
  readonly callbackToken?: string | null;
  readonly callbackEncodingAesKey?: string | null;
}

export interface CreateRequest {
  readonly type: IdentitySourceTypeName;
  readonly name: string;
  readonly description: string | null;
  readonly status: IdentitySourceStatusName;
  readonly wecomSelfBuilt: WecomCredentials | null;
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
}

/** Longer than any answer of a healthy directory, shorter than a caller's patience. */
const LIVE_CHECK_MS = 20_000;
const LIMIT_LOCK = 7_255_502;

/** What can be done to identity sources. */
export class IdentitySourceService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly secrets: SecretBox,
    private readonly events: EventLog,
    private readonly environment: ConnectorEnvironment,
    readonly limits: SourceLimits,
  ) {}

  /** The built-in source, made closed at the very first start; once deleted it does not come back. */
  async ensureCustomSource(): Promise<void> {
    await inTransaction(this.dataSource, async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [LIMIT_LOCK]);
      await client.query(
        `INSERT INTO identity_source (type, name, status, automatic_enabled)
         SELECT 'CUSTOM', 'Built-in', 'CLOSED', false WHERE NOT EXISTS (SELECT FROM identity_source)`,
      );
    });
  }

  /** Checks the credentials live, then stores the source. Of two requests for the last place one wins. */
  async create(request: CreateRequest): Promise<SourceOutcome> {
    const refusals = createProblems(request);
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
        `INSERT INTO identity_source (type, name, description, status, wecom_mode, corp_id, agent_id, secret_changed_at)
         VALUES ($1, $2, $3, 'CLOSED', $4, $5, $6, CASE WHEN $4::text IS NOT NULL THEN now() END) RETURNING id`,
        [
          request.type,
          request.name,
          request.description,
          request.wecomSelfBuilt ? 'SELF_BUILT' : null,
          request.wecomSelfBuilt?.corpId ?? null,
          request.wecomSelfBuilt?.agentId ?? null,
        ],
      );
      const id: string = rows[0].id;
      if (request.wecomSelfBuilt) await this.storeSecrets(client, id, request.wecomSelfBuilt);
      if (request.automatic) await storeAutomatic(client, id, request.automatic);
      await moveNextRun(client, id);
      if (request.status === 'ENABLED') {
        const refusal = await this.enableWithinLimits(client, id, request.type);
        if (refusal) return refusal;
      }
      if (request.idempotencyKey !== null) {
        await rememberEffect(client, 'createIdentitySource', request.idempotencyKey, digest, id);
      }
      return id;
    });
  }

  async update(request: UpdateRequest): Promise<SourceOutcome> {
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
      if (request.wecomSelfBuilt && source.type !== 'WECOM') {
        return refusal('INVALID_INPUT', 'Only a WeCom source has WeCom credentials.', ['input', 'wecomSelfBuilt']);
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
                schema = CASE WHEN $5 THEN $6 ELSE schema END, agent_id = coalesce($7, agent_id),
                version = version + 1, updated_at = now() WHERE id = $1`,
        [
          request.id,
          request.name ?? null,
          request.description !== undefined,
          request.description ?? null,
          request.schema !== undefined,
          request.schema ?? null,
          request.wecomSelfBuilt?.agentId ?? null,
        ],
      );
      if (request.wecomSelfBuilt) await this.storeSecrets(client, request.id, request.wecomSelfBuilt);
      return request.id;
    });
  }

  /** Enabling an enabled source changes nothing and is no error. */
  async enable(id: string): Promise<SourceOutcome> {
    return changeSource(this.dataSource, null, async (client) => {
      const source = await lockSource(client, id);
      if (!source) return notFound();
      if (source.status === 'ENABLED') return id;
      return (await this.enableWithinLimits(client, id, source.type)) ?? id;
    });
  }

  /** Closes the source and cancels its open tasks, previews excepted. */
  async disable(id: string): Promise<SourceOutcome> {
    const outcome = await changeSource(this.dataSource, null, async (client) => {
      const source = await lockSource(client, id);
      if (!source) return notFound();
      if (source.status === 'CLOSED') return id;
      await client.query(
        `UPDATE identity_source SET status = 'CLOSED', version = version + 1, updated_at = now() WHERE id = $1`,
        [id],
      );
      const { rows } = await client.query(
        `SELECT id FROM sync_task WHERE identity_source_id = $1 AND mode = 'APPLY' AND status IN ('QUEUED', 'RUNNING')`,
        [id],
      );
      for (const task of rows) await cancelOpenTask(client, task.id);
      return id;
    });
    await this.events.publish();
    return outcome;
  }

  /** The connector of a source, with its secret opened. */
  async openConnector(id: string): Promise<OpenedConnector> {
    const source = await this.dataSource.manager.findOneByOrFail(IdentitySource, { id });
    if (!source.sealedSecret || source.corpId === null || source.agentId === null) {
      throw new AppError('SECRET_UNREADABLE', 'This identity source has no credentials to read a directory with.');
    }
    return this.open({
      corpId: source.corpId,
      agentId: source.agentId,
      secret: this.secrets.open(source.sealedSecret, id),
    });
  }

  private open(credentials: WecomCredentials): OpenedConnector {
    const settings: ConnectorSettings = { type: 'WECOM', ...credentials };
    return openConnector(settings, this.environment);
  }

  private async liveCheck(credentials: WecomCredentials): Promise<Refusal | undefined> {
    try {
      await this.open(credentials).connector.extent(AbortSignal.timeout(LIVE_CHECK_MS));
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

  /** One at a time for all sources, so that a count read here is still true at the commit. */
  private async enableWithinLimits(
    client: PoolClient,
    id: string,
    type: IdentitySourceTypeName,
  ): Promise<readonly Refusal[] | undefined> {
    await client.query('SELECT pg_advisory_xact_lock($1)', [LIMIT_LOCK]);
    const { rows } = await client.query(
      `SELECT name, type FROM identity_source WHERE status = 'ENABLED' AND deleted_at IS NULL AND id <> $1 ORDER BY name`,
      [id],
    );
    const names = rows.map((row) => row.name).join(', ');
    const customNames = rows.filter((row) => row.type === 'CUSTOM').map((row) => row.name);
    if (type === 'CUSTOM' && customNames.length >= this.limits.customEnabled) {
      const message = `At most ${this.limits.customEnabled} custom source may be enabled; enabled now: ${customNames.join(', ')}. Disable it first.`;
      return refusal('CUSTOM_SOURCE_LIMIT', message, ['input']);
    }
    if (rows.length >= this.limits.enabled) {
      const message = `At most ${this.limits.enabled} sources may be enabled at once; enabled now: ${names}. Disable one of them first.`;
      return refusal('ENABLED_SOURCE_LIMIT', message, ['input']);
    }
    await client.query(
      `UPDATE identity_source SET status = 'ENABLED', version = version + 1, updated_at = now() WHERE id = $1`,
      [id],
    );
    return undefined;
  }

  private async storeSecrets(client: PoolClient, id: string, credentials: WecomCredentials): Promise<void> {
    const seal = (text: string | null | undefined) => (text ? this.secrets.seal(text, id) : null);
    await client.query(
      `UPDATE identity_source SET sealed_secret = $2, secret_changed_at = now(),
              sealed_callback_token = coalesce($3, sealed_callback_token), sealed_callback_key = coalesce($4, sealed_callback_key)
        WHERE id = $1`,
      [id, seal(credentials.secret), seal(credentials.callbackToken), seal(credentials.callbackEncodingAesKey)],
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

function createProblems(request: CreateRequest): readonly Refusal[] {
  const problems = [nameProblem(request.name), descriptionProblem(request.description)].filter((p) => p !== undefined);
  if (request.type === 'CUSTOM' && request.wecomSelfBuilt) {
    problems.push(
      ...refusal('INVALID_INPUT', 'A custom source takes no WeCom credentials.', ['input', 'wecomSelfBuilt']),
    );
  }
  if (request.type === 'WECOM' && !request.wecomSelfBuilt) {
    const message = 'Give the corp id, agent id and secret of your own WeCom app.';
    problems.push(...refusal('INVALID_INPUT', message, ['input', 'wecomSelfBuilt']));
  }
  problems.push(...automaticProblems(request.automatic ?? undefined));
  return request.wecomSelfBuilt ? [...problems, ...wecomProblems(request.wecomSelfBuilt)] : problems;
}

function updateProblems(request: UpdateRequest): readonly Refusal[] {
  return [
    request.name === undefined ? undefined : nameProblem(request.name),
    request.description === undefined ? undefined : descriptionProblem(request.description),
    request.schema ? schemaProblem(request.schema) : undefined,
    ...(request.wecomSelfBuilt ? wecomProblems(request.wecomSelfBuilt) : []),
  ].filter((problem) => problem !== undefined);
}
