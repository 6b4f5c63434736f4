import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../../access/actor';
import { inTransaction } from '../../database/transaction';
import type { EventLog } from '../../events/event-log';
import {
  type LockedSource,
  lockSource,
  type Refusal,
  refusal,
  versionConflict,
} from '../../identity-source/source-change';
import {
  changeProblems,
  extensionKeys,
  type SynchronizationChange,
  withChange,
} from '../../identity-source/synchronization-settings';
import { writeTaskEvent } from '../apply/apply';
import { forgetUnfinishedPlan } from './forget-plan';
import { type EffectiveSettings, effectiveSettings, insertTask, type NewTask } from './new-task';
import type { ScopeState, SyncTaskModeName, SyncTaskStatusName } from './sync-task.entity';

export interface StartRequest {
  readonly identitySourceId: string;
  readonly mode: SyncTaskModeName;
  readonly idempotencyKey: string | null;
  /** Of a preview: settings that are not saved yet. */
  readonly proposed: Proposal | null;
}

/** Settings as they would be sent to configure the source. */
export interface Proposal {
  readonly identitySourceId: string;
  /** The one that the caller has read; undefined: whatever is there. */
  readonly version: number | undefined;
  readonly change: SynchronizationChange;
}

export type StartOutcome =
  | { readonly kind: 'started' | 'alreadyRunning'; readonly taskId: string }
  | { readonly kind: 'anotherRunning' | 'beingCanceled'; readonly taskId: string }
  | { readonly kind: 'notFound' | 'sourceClosed' | 'notApplicable' | 'unauthorized' | 'keyReused' }
  | { readonly kind: 'proposalRefused'; readonly refusals: readonly Refusal[] };

export type CancelOutcome =
  | { readonly kind: 'canceled'; readonly taskId: string }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'ended'; readonly status: SyncTaskStatusName };

/** Starts and cancels sync tasks. */
export class SyncService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /** Starts a task, or answers the one that is open for this source already. */
  async start(actor: Actor, request: StartRequest): Promise<StartOutcome> {
    const outcome = await inTransaction(this.dataSource, (client) => this.startIn(client, actor, request));
    await this.events.publish();
    return outcome;
  }

  /** Asks a task to end. It ends between two batches, before it applies; a queued one at once. */
  async cancel(taskId: string): Promise<CancelOutcome> {
    const outcome = await inTransaction(this.dataSource, (client) => cancelOpenTask(client, taskId));
    await this.events.publish();
    return outcome;
  }

  private async startIn(client: PoolClient, actor: Actor, request: StartRequest): Promise<StartOutcome> {
    const digest = createHash('sha256')
      .update(JSON.stringify([request.identitySourceId, request.mode, request.proposed]))
      .digest();
    if (request.idempotencyKey !== null) {
      const former = await formerEffect(client, 'startSyncTask', request.idempotencyKey);
      if (former)
        return former.digest.equals(digest) ? { kind: 'started', taskId: former.objectId } : { kind: 'keyReused' };
    }
    // The lock makes a concurrent disable, and a second start, wait, so that no task starts on a source that has just been closed.
    const source = await lockSource(client, request.identitySourceId);
    if (!source) return { kind: 'notFound' };
    if (source.type === 'CUSTOM') return { kind: 'notApplicable' };
    if (!source.authorized) return { kind: 'unauthorized' };
    if (source.status === 'CLOSED' && request.mode === 'APPLY') return { kind: 'sourceClosed' };
    const effective = await this.settingsFor(client, source, request);
    if ('refusals' in effective) return { kind: 'proposalRefused', refusals: effective.refusals };
    const task = {
      identitySourceId: source.id,
      mode: request.mode,
      trigger: 'MANUAL',
      startedBy: actor.name,
      includesEmployees: true,
      originId: null,
    } as const;
    const outcome = await startOrFind(client, task, effective);
    if (request.idempotencyKey !== null && (outcome.kind === 'started' || outcome.kind === 'alreadyRunning')) {
      await rememberEffect(client, 'startSyncTask', request.idempotencyKey, digest, outcome.taskId);
    }
    return outcome;
  }

  /** The source's settings, or with a proposal those; read from the last complete snapshot unless the scope grew. */
  private async settingsFor(
    client: PoolClient,
    source: LockedSource,
    request: StartRequest,
  ): Promise<EffectiveSettings | { readonly refusals: readonly Refusal[] }> {
    if (!request.proposed) return effectiveSettings(source);
    if (request.mode !== 'PREVIEW') {
      const message = 'Proposed settings can only be previewed: save them with configureSynchronization to apply them.';
      return { refusals: [{ code: 'INVALID_INPUT', message, field: ['input', 'proposed'] }] };
    }
    const refusals = [
      ...proposalProblems(source, request.proposed),
      ...changeProblems(source.type, request.proposed.change, await extensionKeys(client)),
    ];
    if (refusals.length > 0)
      return { refusals: refusals.map((r) => ({ ...r, field: ['input', 'proposed', ...(r.field ?? []).slice(1)] })) };
    const proposed = effectiveSettings(withChange(source, request.proposed.change));
    const { rows } = await client.query(
      `SELECT t.id, t.settings FROM sync_task t LEFT JOIN sync_task o ON o.id = t.origin_id
        WHERE t.identity_source_id = $1 AND t.mode = 'APPLY' AND t.trigger IN ('MANUAL', 'SCHEDULED') AND t.includes_employees
          AND (t.certificate ->> 'complete')::boolean AND t.applied_at IS NOT NULL AND EXISTS (SELECT FROM task_page p WHERE p.task_id = t.id)
          -- The stored answers do not tell when less could be seen than before, nor what was applied since they were read began,
          -- of an applied preview since that was asked for: then the directory is asked.
          AND t.extent_accepted
          AND NOT EXISTS (SELECT FROM sync_task a WHERE a.identity_source_id = $1 AND a.id <> t.id
                             AND a.applied_at >= coalesce(o.queued_at, t.started_at))
        ORDER BY t.id DESC LIMIT 1`,
      [source.id],
    );
    const last = rows[0];
    if (!last || !isWithin(proposed.settings.scope, last.settings.scope)) return proposed;
    return { ...proposed, settings: { ...proposed.settings, snapshotTaskId: last.id } };
  }
}

/** Whether everything of one scope was read for another. A chosen department's subtree is known when all of it was read. */
function isWithin(scope: ScopeState, read: ScopeState): boolean {
  if (read.mode === 'ALL') return true;
  return scope.mode === 'PARTIAL' && scope.departmentIds.every((id) => read.departmentIds.includes(id));
}

async function startOrFind(client: PoolClient, task: NewTask, effective: EffectiveSettings): Promise<StartOutcome> {
  const taskId = await insertTask(client, task, effective);
  if (taskId) return { kind: 'started', taskId };
  // An open task may end in between; then there is room for this one.
  return (await openTask(client, task, effective)) ?? startOrFind(client, task, effective);
}

/** A preview of other settings shows something else, and what is being canceled brings nothing: neither is what was asked for. */
async function openTask(
  client: PoolClient,
  { identitySourceId, mode }: NewTask,
  { version, settings }: EffectiveSettings,
): Promise<StartOutcome | undefined> {
  const { rows } = await client.query(
    `SELECT id AS "taskId", mode = $2 AND (mode = 'APPLY' OR (settings_version = $3 AND settings = $4)) AS same,
            cancel_requested_at IS NOT NULL AS canceled FROM sync_task
      WHERE identity_source_id = $1 AND trigger <> 'EVENT' AND status IN ('QUEUED', 'RUNNING')`,
    [identitySourceId, mode, version, JSON.stringify(settings)],
  );
  const open = rows[0];
  if (!open) return undefined;
  return {
    kind: open.canceled ? 'beingCanceled' : open.same ? 'alreadyRunning' : 'anotherRunning',
    taskId: open.taskId,
  };
}

/** Cancels a queued task at once and asks a running one to; in the caller's transaction. */
export async function cancelOpenTask(client: PoolClient, taskId: string): Promise<CancelOutcome> {
  const { rows } = await client.query(
    `UPDATE sync_task SET cancel_requested_at = coalesce(cancel_requested_at, now()),
            status = CASE status WHEN 'QUEUED' THEN 'CANCELED' ELSE status END,
            finished_at = CASE status WHEN 'QUEUED' THEN now() END,
            progress = CASE status WHEN 'QUEUED' THEN progress || '{"phase": "FINISHED"}' ELSE progress END
      WHERE id = $1 AND status IN ('QUEUED', 'RUNNING') RETURNING status`,
    [taskId],
  );
  if (rows[0]) {
    if (rows[0].status === 'CANCELED') await forgetUnfinishedPlan(client, taskId);
    await writeTaskEvent(client, taskId);
    return { kind: 'canceled', taskId };
  }
  const { rows: ended } = await client.query('SELECT status FROM sync_task WHERE id = $1', [taskId]);
  return ended[0] ? { kind: 'ended', status: ended[0].status } : { kind: 'notFound' };
}

/** What a mutation with this idempotency key did before. */
export async function formerEffect(
  client: PoolClient,
  operation: string,
  key: string,
): Promise<{ digest: Buffer; objectId: string } | undefined> {
  // Of two requests with one key at the same time, the second waits for the first.
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [`${operation}:${key}`]);
  const { rows } = await client.query(
    'SELECT input_digest AS digest, object_id AS "objectId" FROM idempotency_key WHERE operation = $1 AND key = $2',
    [operation, key],
  );
  return rows[0];
}

export async function rememberEffect(
  client: PoolClient,
  operation: string,
  key: string,
  digest: Buffer,
  objectId: string,
): Promise<void> {
  await client.query('INSERT INTO idempotency_key (operation, key, input_digest, object_id) VALUES ($1, $2, $3, $4)', [
    operation,
    key,
    digest,
    objectId,
  ]);
}

/** A proposal for another source, or made of settings that somebody has changed since, would show what nobody means. */
function proposalProblems(source: LockedSource, { identitySourceId, version }: Proposal): readonly Refusal[] {
  if (identitySourceId !== source.id) {
    return refusal('INVALID_INPUT', 'The proposed settings are those of another source.', ['input', 'id']);
  }
  return version === undefined || version === source.version ? [] : versionConflict(source.version);
}
