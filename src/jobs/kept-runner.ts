import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Logger as GraphileLogger, type Runner, run, type TaskList, type WorkerEvents } from 'graphile-worker';
import type { Pool } from 'pg';
import type { Logger } from 'pino';

const RESTART_MS = 500;

/** A runner with what is known of its end. */
interface Kept {
  readonly runner: Runner;
  /** It takes up no more jobs. */
  readonly givenUp: Promise<void>;
  /** The jobs that it had taken up have ended, too. */
  readonly ended: Promise<void>;
}

/**
 * A graphile-worker runner that outlives its database: one that gives up, or gets no jobs for errors, is followed by another at once,
 * beside which it ends what it has begun.
 */
export class KeptRunner {
  private readonly kept = new Set<Kept>();
  private keeping: Promise<void> = Promise.resolve();
  private stopped = false;

  /** @param concurrency jobs at a time */
  constructor(
    private readonly pool: Pool,
    private readonly concurrency: number,
    private readonly taskList: TaskList,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    this.keeping = this.keepRunning(await this.run());
  }

  /** Nothing new is begun; resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.stopAll();
    await this.keeping;
    await this.stopAll();
  }

  private async stopAll(): Promise<void> {
    await Promise.all(
      [...this.kept].map(async ({ runner, ended }) => {
        await runner.stop().catch(() => undefined);
        await ended;
      }),
    );
  }

  private async run(): Promise<Kept> {
    const events: WorkerEvents = new EventEmitter();
    const givenUp = new Promise<void>((resolve) => events.once('pool:gracefulShutdown', () => resolve()));
    const runner = await run({
      pgPool: this.pool,
      concurrency: this.concurrency,
      noHandleSignals: true,
      events,
      // Otherwise a job whose end cannot be noted because the database went away would end the process.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      logger: new GraphileLogger((scope) => (level, message) => {
        if (level === 'error' || level === 'warning') this.log.warn({ scope, message }, 'worker.message');
      }),
      taskList: this.taskList,
    });
    this.replaceWhereStuck(runner, events);
    const ended = runner.promise.catch((error) => this.log.warn({ err: error }, 'worker.ended'));
    const kept = { runner, givenUp, ended };
    this.kept.add(kept);
    void ended.then(() => this.kept.delete(kept));
    return kept;
  }

  /**
   * A runner keeps the outcome of its very first statement, which makes its tasks known, also where it failed: it then asks for jobs
   * in vain for good, long after the database is back.
   */
  private replaceWhereStuck(runner: Runner, events: WorkerEvents): void {
    let failures = 0;
    const works = () => {
      failures = 0;
    };
    events.on('worker:getJob:empty', works);
    events.on('job:start', works);
    events.on('worker:getJob:error', ({ error }) => {
      failures += 1;
      // Of as many askers, one has failed twice with no success in between.
      if (failures !== this.concurrency + 1) return;
      this.log.warn({ err: error }, 'worker.gets-no-jobs');
      void runner.stop().catch(() => undefined);
    });
  }

  private async keepRunning(first: Kept): Promise<void> {
    for (let current: Kept | undefined = first; ; ) {
      if (current) await Promise.race([current.givenUp, current.ended]);
      if (!this.stopped) await delay(RESTART_MS);
      if (this.stopped) return;
      current = await this.run().catch((error) => {
        this.log.warn({ err: error }, 'worker.start-failed');
        return undefined;
      });
    }
  }
}
