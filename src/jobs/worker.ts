import { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { CONNECT_LIMIT_MS } from '../database/data-source';
import type { SyncRunner } from '../sync/sync-runner';
import { EVENT_JOB, queueJobs, SYNC_JOB } from '../sync/task/task-job';
import { tidyAbandoned } from '../sync/task/tidy';
import { KeptRunner } from './kept-runner';

/** Tasks of different sources that one process works on at a time, and event tasks beside them. */
const CONCURRENCY = 4;
const EVENT_CONCURRENCY = 4;
/** Of the jobs beside them. */
const JOB_CONCURRENCY = 2;
const LOOK_AGAIN_MS = 2_000;

/** Those of a worker that was killed, and those whose job was lost with one. */
const QUEUE_ABANDONED = queueJobs(`
SELECT id, trigger FROM sync_task
 WHERE (status = 'RUNNING' AND lease_until < now()) OR (status = 'QUEUED' AND queued_at < now() - interval '2 seconds')`);

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
  private readonly runners: readonly KeptRunner[];
  private lookout: NodeJS.Timeout | undefined;
  private readonly busy = new Set<() => Promise<void>>();

  constructor(
    private readonly dataSource: DataSource,
    url: string,
    syncRunner: SyncRunner,
    private readonly jobs: readonly DurableJob[],
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {
    this.pool = new Pool({
      connectionString: url,
      max: CONCURRENCY + EVENT_CONCURRENCY + JOB_CONCURRENCY + 4,
      application_name: 'rollcall worker',
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
    });
    // Without a listener, a connection that PostgreSQL ends while it is idle would end the whole process.
    const lost = (error: Error) => this.log.warn({ err: error }, 'worker.connection-lost');
    this.pool.on('error', lost);
    this.pool.on('connect', (client) => client.on('error', lost));
    const { signal } = this.stopping;
    const synchronize = async (payload: unknown) => {
      await syncRunner.run((payload as { taskId: string }).taskId, signal, this.pool);
    };
    const others = jobs.map((job) => [job.name, (payload: unknown) => job.run(payload, signal)]);
    // Apart, so that callbacks do not wait behind tasks that take minutes.
    const beside = EVENT_CONCURRENCY + (jobs.length > 0 ? JOB_CONCURRENCY : 0);
    this.runners = [
      new KeptRunner(this.pool, CONCURRENCY, { [SYNC_JOB]: synchronize }, log),
      new KeptRunner(this.pool, beside, { [EVENT_JOB]: synchronize, ...Object.fromEntries(others) }, log),
    ];
  }

  async start(): Promise<void> {
    for (const runner of this.runners) await runner.start();
    void this.unlessBusy(this.queueDue);
    const every = Math.min(LOOK_AGAIN_MS, (this.leaseSeconds * 1_000) / 4);
    this.lookout = setInterval(() => {
      void this.unlessBusy(this.queueDue);
      // Apart, since it may take minutes after a large run.
      void this.unlessBusy(this.tidyUp);
    }, every);
  }

  /** Running tasks are handed on at their next batch, and nothing new is begun. */
  async stop(): Promise<void> {
    clearInterval(this.lookout);
    this.stopping.abort();
    await Promise.all(this.runners.map((runner) => runner.stop()));
    await this.pool.end();
  }

  private async unlessBusy(work: () => Promise<void>): Promise<void> {
    if (this.busy.has(work)) return;
    this.busy.add(work);
    try {
      await work();
    } catch (error) {
      if (!this.stopping.signal.aborted) this.log.warn({ err: error }, 'worker.lookout-failed');
    } finally {
      this.busy.delete(work);
    }
  }

  private readonly queueDue = async (): Promise<void> => {
    await this.queueAbandoned();
    for (const job of this.jobs) await job.queueDue();
  };

  private readonly tidyUp = (): Promise<void> => tidyAbandoned(this.dataSource);

  private async queueAbandoned(): Promise<void> {
    await this.dataSource.query(QUEUE_ABANDONED);
  }
}
