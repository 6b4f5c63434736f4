import { isDeepStrictEqual } from 'node:util';
import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../../access/actor';
import { inTransaction } from '../../database/transaction';
import type { EventLog } from '../../events/event-log';
import type { FieldMapping } from '../../field-mapping/field-mapping';
import * as sql from '../apply/reversal';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from './new-task';
import { tellRecords } from './record-events';
import type { SyncTaskModeName, SyncTaskStatusName, SyncTaskTriggerName, TaskSettings } from './sync-task.entity';

export type DerivedOutcome =
  | { readonly kind: 'started'; readonly taskId: string }
  | { readonly kind: 'notFound' | 'sourceClosed' | 'sourceDeleted' | 'taskRunning' }
  /** The preview no longer fits, or the task cannot be undone; the reason is for people. */
  | { readonly kind: 'refused'; readonly reason: string };

interface Origin {
  readonly id: string;
  readonly identitySourceId: string;
  readonly mode: SyncTaskModeName;
  readonly trigger: SyncTaskTriggerName;
  readonly status: SyncTaskStatusName;
  readonly mappings: readonly FieldMapping[];
  readonly settingsVersion: string;
  readonly settings: TaskSettings;
  readonly includesEmployees: boolean;
}

/** How many changed objects a refusal names. */
const NAMED = 5;

/** Tasks made from another task's records instead of from the directory: a preview applied, a task undone. */
export class DerivedTasks {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /** Applies a preview exactly as it was shown, or says what has changed since. */
  applyPreview(actor: Actor, previewId: string): Promise<DerivedOutcome> {
    return this.derive(previewId, async (client, preview, source) => {
      if (preview.mode !== 'PREVIEW') return { kind: 'refused', reason: 'This task is no preview.' };
      if (!['SUCCEEDED', 'PARTIALLY_SUCCEEDED'].includes(preview.status)) {
        return { kind: 'refused', reason: `The preview is ${preview.status}: it has no plan to apply.` };
      }
      const effective = effectiveSettings(source);
      if (
        effective.version !== preview.settingsVersion ||
        !isDeepStrictEqual(effective.settings.safeguards, preview.settings.safeguards)
      ) {
        return { kind: 'refused', reason: 'The source’s mappings, scope or safeguards are not those of the preview.' };
      }
      const stale = await staleReason(client, preview);
      if (stale) return { kind: 'refused', reason: stale };
      const taskId = await insertTask(client, derivedTask(actor, preview, 'MANUAL'), effective);
      if (!taskId) return { kind: 'taskRunning' };
      for (const statement of sql.COPY_PREVIEW) await client.query(statement, [taskId, preview.id]);
      await tellRecords(client, taskId, 'PLANNED');
      return { kind: 'started', taskId };
    });
  }

  /**
   * Undoes a finished task: what it changed and nobody has changed since.
   * @param keepAutomatic leaves automatic synchronization on, although its next run brings everything back
   */
  revert(actor: Actor, originId: string, keepAutomatic: boolean): Promise<DerivedOutcome> {
    return this.derive(originId, async (client, origin, source) => {
      if (origin.mode === 'PREVIEW') return { kind: 'refused', reason: 'A preview changed nothing.' };
      if (!['SUCCEEDED', 'PARTIALLY_SUCCEEDED', 'HELD'].includes(origin.status)) {
        return { kind: 'refused', reason: `The task is ${origin.status}: it has applied nothing.` };
      }
      const { settings } = effectiveSettings(source);
      // The mappings that filled what is undone tell which fields its records have.
      const taskId = await insertTask(client, derivedTask(actor, origin, 'REVERT'), {
        mappings: origin.mappings,
        version: origin.settingsVersion,
        settings: { ...settings, switchesAutomaticOff: !keepAutomatic },
      });
      if (!taskId) return { kind: 'taskRunning' };
      for (const statement of sql.PLAN_REVERSAL) {
        await client.query(statement, statement.includes('$2') ? [taskId, origin.id] : [taskId]);
      }
      const [reversals] = (await client.query<OpenReversals>(sql.COUNT_OPEN, [taskId, origin.id])).rows;
      if (!reversals?.open) throw new NothingLeft(whyNothing(reversals as OpenReversals));
      await client.query(sql.FINISH_REVERSAL_PLAN, [taskId]);
      await tellRecords(client, taskId, 'PLANNED');
      return { kind: 'started', taskId };
    });
  }

  private async derive(
    originId: string,
    make: (client: PoolClient, origin: Origin, source: SettingsRow) => Promise<DerivedOutcome>,
  ): Promise<DerivedOutcome> {
    try {
      const outcome = await inTransaction(this.dataSource, async (client): Promise<DerivedOutcome> => {
        const { rows } = await client.query<Origin>(
          `SELECT id, identity_source_id AS "identitySourceId", mode, trigger, status, mappings, settings_version AS "settingsVersion",
                  settings, includes_employees AS "includesEmployees" FROM sync_task WHERE id = $1`,
          [originId],
        );
        const origin = rows[0];
        if (!origin) return { kind: 'notFound' };
        // Callbacks, which refer to the source, are noted meanwhile.
        const { rows: sources } = await client.query<SettingsRow>(
          `SELECT ${SETTINGS_COLUMNS} FROM identity_source WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`,
          [origin.identitySourceId],
        );
        if (!sources[0]) return { kind: 'sourceDeleted' };
        return sources[0].status === 'CLOSED' ? { kind: 'sourceClosed' } : make(client, origin, sources[0]);
      });
      await this.events.publish();
      return outcome;
    } catch (error) {
      if (error instanceof NothingLeft) return { kind: 'refused', reason: error.message };
      throw error;
    }
  }
}

/** Rolls the new task back. */
class NothingLeft extends Error {}

/** How much of a task can be undone. */
interface OpenReversals {
  readonly open: number;
  readonly skipped: number;
  /** Of some that were skipped. */
  readonly names: readonly string[] | null;
  /** It changed something, and its records have been deleted. */
  readonly forgotten: boolean;
}

function whyNothing({ skipped, names, forgotten }: OpenReversals): string {
  if (forgotten) return 'What it changed is not known any more: records are kept no longer than ROLLCALL_RECORD_DAYS.';
  if (skipped === 0) return 'It changed nothing.';
  return `Everything that it changed has been changed again since (${names?.slice(0, NAMED).join(', ')}).`;
}

function derivedTask(actor: Actor, origin: Origin, trigger: 'MANUAL' | 'REVERT') {
  const { identitySourceId, includesEmployees } = origin;
  return {
    identitySourceId,
    mode: 'APPLY',
    trigger,
    startedBy: actor.name,
    includesEmployees,
    originId: origin.id,
  } as const;
}

async function staleReason(client: PoolClient, preview: Origin): Promise<string | undefined> {
  const { rows: later } = await client.query(
    `SELECT coalesce(bool_or(a.applied_at IS NOT NULL AND a.finished_at > p.planned_at), false) AS applied, coalesce(bool_or(a.decided_at > p.planned_at), false) AS decided
       FROM sync_task a JOIN sync_task p ON p.id = $2 WHERE a.identity_source_id = $1 AND a.mode = 'APPLY'`,
    [preview.identitySourceId, preview.id],
  );
  if (later[0].applied) return 'Another task was applied since the preview.';
  if (later[0].decided) return 'Held removals were decided since the preview.';
  const { rows: pages } = await client.query('SELECT FROM task_page WHERE task_id = $1 LIMIT 1', [preview.id]);
  if (pages.length === 0) return 'The preview is too old: what it has read is no longer stored.';
  const { rows } = await client.query(sql.CHANGED_OBJECTS, [preview.id]);
  if (rows.length === 0) return undefined;
  const names = rows.slice(0, NAMED).map((row: { name: string }) => row.name);
  const more = rows.length > NAMED ? ` and ${rows.length - NAMED} more` : '';
  return `Changed here since the preview: ${names.join(', ')}${more}.`;
}
