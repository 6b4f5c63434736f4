import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Logger as GraphileLogger, type Runner, run, type WorkerEvents } from 'graphile-worker';
import { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { CONNECT_LIMIT_MS } from '../database/data-source';
import type { SyncRunner } from './sync-runner';
import { tidyAbandoned } from './tidy';

export const SYNC_JOB = 'sync-task';

/** Tasks of different sources that one process works on at a time. */
const CONCURRENCY = 4;
const LOOK_AGAIN_MS = 2_000;
const RESTART_MS = 500;

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
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly dataSource: DataSource,
    url: string,
    private readonly syncRunner: SyncRunner,
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {
    this.pool = new Pool({
      connectionString: url,
      max: CONCURRENCY + 2,
      application_name: 'rollcall worker',
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
    });
    // Without a listener, a connection that PostgreSQL ends while it is idle would end the whole process.
    const lost = (error: Error) => this.log.warn({ err: error }, 'worker.connection-lost');
    this.pool.on('error', lost);
    this.pool.on('connect', (client) => client.on('error', lost));
  }

  async start(): Promise<void> {
    this.runner = await this.run();
    this.running = this.keepRunning(this.runner);
    const every = Math.min(LOOK_AGAIN_MS, (this.leaseSeconds * 1_000) / 4);
    this.lookout = setInterval(() => void this.lookOut(), every);
  }

  /** Running tasks are handed on at their next batch, and nothing new is begun. */
  async stop(): Promise<void> {
    clearInterval(this.lookout);
    this.stopping.abort();
    await this.runner?.stop().catch(() => undefined);
    await this.running;
    await this.pool.end();
  }

  private run(): Promise<Runner> {
    const events: WorkerEvents = new EventEmitter();
    // It goes on with one place less; a runner of its own has all of them again.
    events.on('worker:fatalError', () => void this.runner?.stop().catch(() => undefined));
    return run({
      pgPool: this.pool,
      concurrency: CONCURRENCY,
      noHandleSignals: true,
      events,
      // Otherwise a job that cannot be completed because the database went away would end the process.
      preset: { worker: { completeJobBatchDelay: 0 } },
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
  }

  /** A runner gives up when its database goes away; then another takes its place. */
  private async keepRunning(first: Runner): Promise<void> {
    for (let runner: Runner | undefined = first; ; ) {
      await runner?.promise.catch((error) => this.log.warn({ err: error }, 'worker.ended'));
      if (!this.stopping.signal.aborted) await delay(RESTART_MS);
      if (this.stopping.signal.aborted) return;
      runner = await this.run().catch((error) => {
        this.log.warn({ err: error }, 'worker.start-failed');
        return undefined;
      });
      if (runner) this.runner = runner;
      if (this.stopping.signal.aborted) await runner?.stop().catch(() => undefined);
    }
  }

  private async lookOut(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      await this.queueAbandoned();
      await tidyAbandoned(this.dataSource);
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
}
