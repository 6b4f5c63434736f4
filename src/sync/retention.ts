import { type Job, scheduleJob } from 'node-schedule';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { RESTORE_DAYS } from '../identity-source/settings.service';

/** How long what is not needed any more is kept, in days. */
export interface RetentionSettings {
  /** Events that subscriptions resume from. */
  readonly eventDays: number;
  /** Records of tasks, and the audit log. */
  readonly recordDays: number;
}

/** At a quarter past every hour. */
const HOURLY = '15 * * * *';
/** Rows deleted by one statement, so that nobody waits long for what it locks. */
const BATCH = 10_000;
/** Of previews that nobody has applied. */
const PREVIEW_DAYS = 7;
const IDEMPOTENCY_DAYS = 30;
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
      const deleted: Record<string, number> = {};
      for (const [table, condition] of Object.entries(this.outlived()))
        deleted[table] = await this.deleteAll(table, condition);
      await this.dataSource.query(DESTROY_SECRETS);
      await runner.query('SELECT pg_advisory_unlock($1)', [CLEANUP_LOCK]);
      return deleted;
    } finally {
      await runner.release();
    }
  }

  /** Conditions by table; the days are whole numbers of the configuration. */
  private outlived(): Record<string, string> {
    const { eventDays, recordDays } = this.settings;
    const older = (column: string, days: number) => `${column} < now() - interval '${days} days'`;
    const ended = (days: number) => `SELECT id FROM sync_task WHERE ${older('finished_at', days)}`;
    return {
      event: older('created_at', eventDays),
      directory_event: `task_id IS NOT NULL AND ${older('received_at', eventDays)}`,
      task_page: `task_id IN (SELECT id FROM sync_task WHERE mode = 'PREVIEW' AND ${older('finished_at', PREVIEW_DAYS)})`,
      snapshot_page: `NOT EXISTS (SELECT FROM task_page tp WHERE tp.page_id = t.id)
        AND NOT EXISTS (SELECT FROM sync_task o WHERE o.identity_source_id = t.identity_source_id AND o.status IN ('QUEUED', 'RUNNING'))`,
      staged_employee: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      staged_department: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      staged_group: 'NOT EXISTS (SELECT FROM snapshot_page p WHERE p.id = t.page_id)',
      sync_record: `task_id IN (${ended(recordDays)})`,
      audit_entry: older('at', recordDays),
      employee_change: older('at', recordDays),
      idempotency_key: older('created_at', IDEMPOTENCY_DAYS),
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

/** A source that can no longer be restored keeps its row for the audit trail, and nothing that opens a door. */
const DESTROY_SECRETS = `
UPDATE identity_source SET sealed_secret = NULL, sealed_callback_token = NULL, sealed_callback_key = NULL
 WHERE deleted_at < now() - interval '${RESTORE_DAYS} days'
   AND coalesce(sealed_secret, sealed_callback_token, sealed_callback_key) IS NOT NULL`;
