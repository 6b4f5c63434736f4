import { Logger as GraphileLogger, type Runner, run, type TaskList } from 'graphile-worker';
import { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import type { SyncRunner } from './sync-runner';

export const SYNC_JOB = 'sync-task';

/** Tasks of different sources that one process works on at a time. */
const CONCURRENCY = 4;
/** Of the jobs beside them. */
const JOB_CONCURRENCY = 2;
const LOOK_AGAIN_MS = 2_000;

/** Work beside sync tasks that must be done once, whoever is killed meanwhile. */
export interface DurableJob {
  /** graphile-worker's task identifier. */
  readonly name: string;
  /** @param stopping aborted when this process is to stop; what was begun is then left for another */
  run(payload: unknown, stopping: AbortSignal): Promise<void>;
  /** Queues what is due and perhaps nobody's any more; called every few seconds. */
  queueDue(): Promise<void>;
}

/**
 * Works on queued tasks. graphile-worker delivers each job; because it frees a killed worker's job only after four hours, this
 * looks for tasks whose lease has run out and queues them again.
 */
export class Worker {
  private readonly stopping = new AbortController();
  private readonly pool: Pool;
  private readonly runners: Runner[] = [];
  private lookout: NodeJS.Timeout | undefined;

  constructor(
    private readonly dataSource: DataSource,
    url: string,
    private readonly syncRunner: SyncRunner,
    private readonly log: Logger,
    private readonly jobs: readonly DurableJob[] = [],
  ) {
    this.pool = new Pool({
      connectionString: url,
      max: CONCURRENCY + JOB_CONCURRENCY + 4,
      application_name: 'rollcall worker',
    });
    // Without a listener, a connection that PostgreSQL ends while it is idle would end the whole process.
    const lost = (error: Error) => this.log.warn({ err: error }, 'worker.connection-lost');
    this.pool.on('error', lost);
    this.pool.on('connect', (client) => client.on('error', lost));
  }

  async start(): Promise<void> {
    const synchronize = async (payload: unknown) => {
      await this.syncRunner.run((payload as { taskId: string }).taskId, this.stopping.signal);
    };
    await this.serve(CONCURRENCY, { [SYNC_JOB]: synchronize });
    // Apart, so that they do not wait behind tasks that take minutes.
    const others = this.jobs.map((job) => [job.name, (payload: unknown) => job.run(payload, this.stopping.signal)]);
    if (others.length > 0) await this.serve(JOB_CONCURRENCY, Object.fromEntries(others));
    this.lookout = setInterval(() => void this.queueAbandoned(), LOOK_AGAIN_MS);
  }

  /** Running tasks are handed on at their next batch, and nothing new is begun. */
  async stop(): Promise<void> {
    clearInterval(this.lookout);
    this.stopping.abort();
    await Promise.all(this.runners.map((runner) => runner.stop().catch(() => undefined)));
    await this.pool.end();
  }

  private async serve(concurrency: number, taskList: TaskList): Promise<void> {
    const logger = new GraphileLogger((scope) => (level, message) => {
      if (level === 'error' || level === 'warning') this.log.warn({ scope, message }, 'worker.message');
    });
    this.runners.push(await run({ pgPool: this.pool, concurrency, noHandleSignals: true, logger, taskList }));
  }

  private async queueAbandoned(): Promise<void> {
    try {
      await this.dataSource.query(
        `SELECT graphile_worker.add_job($1, json_build_object('taskId', id), job_key => 'sync-task:' || id, max_attempts => 100)
           FROM sync_task
          WHERE (status = 'RUNNING' AND lease_until < now())
             OR (status = 'QUEUED' AND queued_at < now() - interval '2 seconds')`,
        [SYNC_JOB],
      );
      for (const job of this.jobs) await job.queueDue();
    } catch (error) {
      if (!this.stopping.signal.aborted) this.log.warn({ err: error }, 'worker.lookout-failed');
    }
  }
}
