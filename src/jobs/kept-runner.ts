import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Logger as GraphileLogger, type Runner, run, type TaskList, type WorkerEvents } from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';

const RESTART_MS = 500;

/** A graphile-worker runner that outlives its database: one that gives up is followed by another. */
export class KeptRunner {
  private runner: Runner | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  /** @param concurrency jobs at a time */
  constructor(
    private readonly pool: Pool,
    private readonly concurrency: number,
    private readonly taskList: TaskList,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    this.runner = await this.run();
    this.running = this.keepRunning(this.runner);
  }

  /** Nothing new is begun; resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.runner?.stop().catch(() => undefined);
    await this.running;
  }

  private run(): Promise<Runner> {
    const events: WorkerEvents = new EventEmitter();
    // It goes on with one place less; a runner of its own has all of them again.
    events.on('worker:fatalError', () => void this.runner?.stop().catch(() => undefined));
    return run({
      pgPool: this.pool,
      concurrency: this.concurrency,
      noHandleSignals: true,
      events,
      // Otherwise a job that cannot be completed because the database went away would end the process.
      preset: { worker: { completeJobBatchDelay: 0 } },
      logger: new GraphileLogger((scope) => (level, message) => {
        if (level === 'error' || level === 'warning') this.log.warn({ scope, message }, 'worker.message');
      }),
      taskList: this.taskList,
    });
  }

  private async keepRunning(first: Runner): Promise<void> {
    for (let runner: Runner | undefined = first; ; ) {
      await runner?.promise.catch((error) => this.log.warn({ err: error }, 'worker.ended'));
      if (!this.stopped) await delay(RESTART_MS);
      if (this.stopped) return;
      runner = await this.run().catch((error) => {
        this.log.warn({ err: error }, 'worker.start-failed');
        return undefined;
      });
      if (runner) this.runner = runner;
      if (this.stopped) await runner?.stop().catch(() => undefined);
    }
  }
}
