import { Logger as GraphileLogger, type Runner, run } from 'graphile-worker';
import { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { refreshSearch } from '../organisation/search-index';
import type { SyncRunner } from './sync-runner';

export const SYNC_JOB = 'sync-task';

/** Tasks of different sources that one process works on at a time. */
const CONCURRENCY = 4;
const LOOK_AGAIN_MS = 2_000;
/** What a run does after its commit takes a few seconds; of a million people who changed, minutes. */
const TIDIED_WITHIN = '5 minutes';

/**
 * Works on queued tasks. graphile-worker delivers each job; because it frees a killed worker's job only after four hours, this
 * looks for tasks whose lease has run out and queues them again.
 */
export class Worker {
  private readonly stopping = new AbortController();
  private readonly pool: Pool;
  private runner: Runner | undefined;
  private lookout: NodeJS.Timeout | undefined;
  private looking = false;

  constructor(
    private readonly dataSource: DataSource,
    url: string,
    private readonly syncRunner: SyncRunner,
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {
    this.pool = new Pool({ connectionString: url, max: CONCURRENCY + 2, application_name: 'rollcall worker' });
    // Without a listener, a connection that PostgreSQL ends while it is idle would end the whole process.
    const lost = (error: Error) => this.log.warn({ err: error }, 'worker.connection-lost');
    this.pool.on('error', lost);
    this.pool.on('connect', (client) => client.on('error', lost));
  }

  async start(): Promise<void> {
    this.runner = await run({
      pgPool: this.pool,
      concurrency: CONCURRENCY,
      noHandleSignals: true,
      logger: new GraphileLogger((scope) => (level, message) => {
        if (level === 'error' || level === 'warning') this.log.warn({ scope, message }, 'worker.message');
      }),
      taskList: {
        [SYNC_JOB]: async (payload) => {
          const { taskId } = payload as { taskId: string };
          await this.syncRunner.run(taskId, this.stopping.signal);
        },
      },
    });
    const every = Math.min(LOOK_AGAIN_MS, (this.leaseSeconds * 1_000) / 4);
    this.lookout = setInterval(() => void this.lookOut(), every);
  }

  /** Running tasks are handed on at their next batch, and nothing new is begun. */
  async stop(): Promise<void> {
    clearInterval(this.lookout);
    this.stopping.abort();
    await this.runner?.stop().catch(() => undefined);
    await this.pool.end();
  }

  private async lookOut(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      await this.queueAbandoned();
      await this.tidyAbandoned();
    } catch (error) {
      if (!this.stopping.signal.aborted) this.log.warn({ err: error }, 'worker.lookout-failed');
    } finally {
      this.looking = false;
    }
  }

  private async queueAbandoned(): Promise<void> {
    await this.dataSource.query(
      `SELECT graphile_worker.add_job($1, json_build_object('taskId', id), job_key => 'sync-task:' || id, max_attempts => 100)
         FROM sync_task
        WHERE (status = 'RUNNING' AND lease_until < now())
           OR (status = 'QUEUED' AND queued_at < now() - interval '2 seconds')`,
      [SYNC_JOB],
    );
  }

  /** A task whose worker was killed between its commit and making its people findable. */
  private async tidyAbandoned(): Promise<void> {
    const [tasks] = await this.dataSource.query(
      `UPDATE sync_task SET tidied_at = now() WHERE tidied_at IS NULL AND applied_at < now() - interval '${TIDIED_WITHIN}'
       RETURNING identity_source_id AS "identitySourceId"`,
    );
    for (const { identitySourceId } of tasks) {
      await refreshSearch((sql, parameters) => this.dataSource.query(sql, parameters), { identitySourceId });
    }
  }
}
