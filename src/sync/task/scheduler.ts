import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { EventLog } from '../../events/event-log';
import { Recurring } from '../../platform/recurring';
import { FREE_UNREAD_EVENTS, openEventTask, SOURCES_WITH_WAITING_EVENTS } from './event-task';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from './new-task';

/** A look costs one indexed query. */
const EVERY_MS = 1_000;

/**
 * The source whose run is due for longest. While a preview or an earlier run is under way it stays due, since these do not serve: what
 * made it due may be what they have not read.
 */
const NEXT_DUE = `
SELECT ${SETTINGS_COLUMNS} FROM identity_source s
 WHERE status = 'ENABLED' AND deleted_at IS NULL AND next_run_at <= now() AND automatic_enabled
   AND NOT EXISTS (SELECT FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger <> 'EVENT' AND t.status IN ('QUEUED', 'RUNNING'))
 ORDER BY next_run_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`;

/**
 * Starts the runs that are due. Any number of processes may look at once: a source's row lock and moving its due time on in
 * the same transaction make each run start once. A run that was missed while nothing was running is made up for once.
 */
export class Scheduler {
  private readonly looks: Recurring;

  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly log: Logger,
  ) {
    this.looks = new Recurring(
      EVERY_MS,
      () => this.startDueRuns().then(() => this.openEventTasks()),
      (error) => log.warn({ err: error }, 'scheduler.failed'),
    );
  }

  start(): void {
    this.looks.start();
  }

  stop(): Promise<void> {
    return this.looks.stop();
  }

  /** Events whose task ended without having read them, or was killed before it opened another, or that came while a switch was off. */
  private async openEventTasks(): Promise<void> {
    await this.dataSource.query(FREE_UNREAD_EVENTS);
    const waiting: { id: string }[] = await this.dataSource.query(SOURCES_WITH_WAITING_EVENTS);
    for (const { id } of waiting) await inTransaction(this.dataSource, (client) => openEventTask(client, id));
    if (waiting.length > 0) await this.events.publish();
  }

  private async startDueRuns(): Promise<void> {
    for (;;) {
      const started = await inTransaction(this.dataSource, async (client) => {
        const { rows } = await client.query<SettingsRow>(NEXT_DUE);
        const source = rows[0];
        if (!source) return undefined;
        const task = {
          identitySourceId: source.id,
          mode: 'APPLY',
          trigger: 'SCHEDULED',
          startedBy: null,
          includesEmployees: source.automaticUserInformation,
          originId: null,
        } as const;
        const taskId = await insertTask(client, task, effectiveSettings(source));
        // Somebody was faster: the next look finds the run due, if it still is.
        return taskId && { identitySourceId: source.id, taskId };
      });
      if (!started) return;
      await this.events.publish();
      this.log.info(started, 'scheduler.run-started');
    }
  }
}
