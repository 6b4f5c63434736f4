import { type Job, scheduleJob } from 'node-schedule';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RESTORE_DAYS } from '../../identity-source/settings.service';
import { outlivedHistory } from '../../organisation/history-retention';
import { LAST_SNAPSHOTS } from './last-snapshots';
import { forgetUnusedPages } from './tidy';

/** How long what is not needed any more is kept, in days. */
export interface RetentionSettings {
  /** Events that subscriptions resume from. */
  readonly eventDays: number;
  /** Records of tasks, and the audit log. */
  readonly recordDays: number;
  /** Former versions of the organisation. */
  readonly historyDays: number;
}

/** At a quarter past every hour. */
const HOURLY = '15 * * * *';
/** Rows deleted by one statement, so that nobody waits long for what it locks. */
const BATCH = 10_000;
/** Snapshots of previews that nobody has applied, and of tasks that failed. */
const SNAPSHOT_DAYS = 7;
/** Tasks that found nothing to do: of hourly runs nearly all. */
const IDLE_TASK_DAYS = 30;
const IDEMPOTENCY_DAYS = 30;
/** Far longer than a callback that somebody kept is still believed. */
const PROVIDER_CALLBACK_DAYS = 30;
/** Access tokens live for hours; who needs a new one makes its row anew. */
const EXPIRED_DAYS = 1;
/** Jobs that were given up; their tasks are queued anew by themselves. */
const FAILED_JOB_DAYS = 7;
const CLEANUP_LOCK = 7_255_503;

/** Deletes in the background what has outlived its use; of several processes one does it. */
export class Retention {
  private job: Job | undefined;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly dataSource: DataSource,
    private readonly settings: RetentionSettings,
    private readonly log: Logger,
  ) {}

  start(): void {
    this.job = scheduleJob(HOURLY, () => {
      this.running = this.cleanUp().then(
        (deleted) => this.log.info({ deleted }, 'retention.cleaned-up'),
        (error) => this.log.warn({ err: error }, 'retention.failed'),
      );
    });
  }

  async stop(): Promise<void> {
    this.job?.cancel();
    await this.running;
  }

  /** @returns how many rows went, by table */
  async cleanUp(): Promise<Record<string, number>> {
    const runner = this.dataSource.createQueryRunner();
    try {
      const [lock] = await runner.query('SELECT pg_try_advisory_lock($1) AS taken', [CLEANUP_LOCK]);
      if (!lock.taken) return {};
      try {
        return await this.deleteOutlived();
      } finally {
        await runner.query('SELECT pg_advisory_unlock($1)', [CLEANUP_LOCK]);
      }
    } finally {
      await runner.release();
    }
  }

  private async deleteOutlived(): Promise<Record<string, number>> {
    const deleted: Record<string, number> = {};
    const deleteFrom = async (conditions: Record<string, string>) => {
      for (const [table, condition] of Object.entries(conditions))
        deleted[table] = await this.deleteAll(table, condition);
    };
    await deleteFrom(this.outlivedReads());
    deleted['snapshot_page'] = await forgetUnusedPages(this.dataSource);
    await deleteFrom(this.outlived());
    await deleteFrom(await outlivedHistory(this.dataSource, this.settings.historyDays));
    await this.dataSource.query(DELETE_FAILED_JOBS);
    await this.dataSource.query(DESTROY_SECRETS);
    return deleted;
  }

  /** Conditions by table, in the order in which rows go; the days are whole numbers of the configuration. */
  private outlivedReads(): Record<string, string> {
    const { eventDays } = this.settings;
    return {
      event: outlivedEvents(eventDays),
      directory_event: `task_id IS NOT NULL AND ${older('received_at', eventDays)}`,
      task_page: `task_id IN (SELECT id FROM sync_task WHERE status NOT IN ('QUEUED', 'RUNNING')
        AND ${older('finished_at', SNAPSHOT_DAYS)} AND id NOT IN (${LAST_SNAPSHOTS}))`,
    };
  }

  /** Those of what goes after the pages. */
  private outlived(): Record<string, string> {
    const { eventDays, recordDays } = this.settings;
    const ended = `status NOT IN ('QUEUED', 'RUNNING', 'HELD')`;
    return {
      staged_employee: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      staged_department: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      staged_group: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      sync_record: `task_id IN (SELECT id FROM sync_task WHERE ${ended} AND ${older('finished_at', recordDays)})`,
      // Nothing refers to one any more: no record, no page, no event, and no later run looks at it.
      sync_task: `${ended} AND NOT EXISTS (SELECT FROM sync_record r WHERE r.task_id = t.id)
        AND NOT EXISTS (SELECT FROM task_page p WHERE p.task_id = t.id) AND id NOT IN (${LOOKED_AT_AGAIN})
        AND (${older('finished_at', recordDays)}
          OR (status = 'SUCCEEDED' AND ${older('finished_at', Math.max(IDLE_TASK_DAYS, eventDays))}))`,
      audit_entry: older('at', recordDays),
      employee_change: older('at', recordDays),
      provider_callback: `done_at IS NOT NULL AND ${older('received_at', PROVIDER_CALLBACK_DAYS)}`,
      idempotency_key: older('created_at', IDEMPOTENCY_DAYS),
      access_token: older('expires_at', EXPIRED_DAYS),
    };
  }

  private async deleteAll(table: string, condition: string): Promise<number> {
    for (let total = 0; ; ) {
      const [, count] = await this.dataSource.query(
        `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM ${table} t WHERE ${condition} LIMIT ${BATCH}))`,
      );
      total += count;
      if (count < BATCH) return total;
    }
  }
}

function older(column: string, days: number): string {
  return `${column} < now() - interval '${days} days'`;
}

/** The oldest first, and none after one that stays: whoever goes on from a number gets all that came after it, or is refused. */
function outlivedEvents(days: number): string {
  const stays = `SELECT min(e.sequence) FROM event e WHERE NOT ${older('e.created_at', days)}`;
  return `t.sequence < coalesce((${stays}), (SELECT last + 1 FROM event_counter)) ORDER BY t.sequence`;
}

/** Of each source's tasks those whose certificate, extent or filled fields of a type the next run is compared with, and the newest. */
const LOOKED_AT_AGAIN = `
SELECT DISTINCT ON (s.identity_source_id, why) s.id
  FROM sync_task s, unnest(ARRAY(SELECT 'FILLED ' || type FROM jsonb_object_keys(s.filled) type
                                  WHERE (s.certificate ->> 'complete')::boolean AND s.mode = 'APPLY' AND s.trigger <> 'EVENT') || ARRAY[
         'NEWEST',
         CASE WHEN s.mode = 'APPLY' AND s.trigger <> 'EVENT' AND s.applied_at IS NOT NULL THEN 'APPLIED' END,
         CASE WHEN s.extent_accepted AND s.extent IS NOT NULL THEN 'EXTENT' END]) why
 WHERE why IS NOT NULL ORDER BY s.identity_source_id, why, s.id DESC`;

const DELETE_FAILED_JOBS = `
SELECT graphile_worker.complete_jobs(ARRAY(
  SELECT id FROM graphile_worker.jobs
   WHERE attempts >= max_attempts AND locked_at IS NULL AND updated_at < now() - interval '${FAILED_JOB_DAYS} days'))`;

/** A source that can no longer be restored keeps its row for the audit trail, and nothing that opens a door. */
const DESTROY_SECRETS = `
UPDATE identity_source SET sealed_secret = NULL, sealed_callback_token = NULL, sealed_callback_key = NULL
 WHERE deleted_at < now() - interval '${RESTORE_DAYS} days'
   AND coalesce(sealed_secret, sealed_callback_token, sealed_callback_key) IS NOT NULL`;
