import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { DirectoryError } from '../connector/directory-connector';
import type { OpenedConnector } from '../connector/registry';
import { isPassingFault } from '../database/passing-fault';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import { AppError } from '../platform/app-error';
import { ApplyAhead } from './apply/ahead';
import { type Applied, apply, PlanOutdated, writeTaskEvent } from './apply/apply';
import { Planner } from './plan/plan';
import type { Certified } from './read/certificate';
import { SnapshotReader } from './read/snapshot-reader';
import { openEventTask } from './task/event-task';
import { forgetUnfinishedPlan } from './task/forget-plan';
import { Lease, type Run } from './task/lease';
import { ProgressReporter } from './task/progress';
import { type FailureState, isProven, SyncTask, type SyncTaskStatusName } from './task/sync-task.entity';
import { tidy } from './task/tidy';

/** So many changes of one kind make the planner's figures wrong. */
const MANY = 1_000;

/** Opens the connector of a task's source, with its secret. */
export type OpenConnector = (identitySourceId: string) => Promise<OpenedConnector>;

/** A plan as the worker knows it that has made it. */
interface Planned {
  readonly certified: Certified;
  /** How many tasks of the source had been applied before. */
  readonly basis: number;
}

/** Four heartbeats a lease, in milliseconds for each of its seconds. */
const HEARTBEAT_SHARE = 250;

/** A task that the database interrupts so often, for so long, and that gets nowhere in between, may be at fault itself. */
const FRUITLESS_TAKES = 20;
const FRUITLESS_MS = 300_000;

/** So often a plan is made because something changed here meanwhile; then the task fails, and the next run brings everything. */
const MAX_PLANS = 5;

/** What a run ended as; `HANDED_ON` and `NOT_OURS` leave the task to another worker. */
export type RunOutcome = SyncTaskStatusName | 'HANDED_ON' | 'NOT_OURS';

/** Runs one task from where it stands to its end: stage, certify, plan, apply, publish. */
export class SyncRunner {
  private readonly planner: Planner;
  /** Tasks that got nowhere before the database interrupted them, the last times one after another. */
  private readonly fruitless = new Map<string, { readonly times: number; readonly since: number }>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly openConnector: OpenConnector,
    /** How long a task is this worker's without a heartbeat. */
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {
    this.planner = new Planner(dataSource, events);
  }

  /**
   * @param stopping aborted when this process is to stop: the task is then handed on, not failed
   * @param pool connections for heartbeats, which neither the API nor callbacks take
   */
  async run(taskId: string, stopping: AbortSignal, pool: Pool): Promise<RunOutcome> {
    if (stopping.aborted) return 'NOT_OURS';
    const lease = await Lease.take(this.dataSource, taskId, this.leaseSeconds);
    if (!lease) return 'NOT_OURS';
    const task = await this.dataSource.manager.findOneByOrFail(SyncTask, { id: taskId });
    const log = this.log.child({ syncTaskId: taskId, identitySourceId: task.identitySourceId });
    const interrupted = new AbortController();
    const heartbeat = this.beat(lease, interrupted, pool);
    const signal = AbortSignal.any([stopping, interrupted.signal]);
    const run: Run = { task, lease, signal };
    const progress = new ProgressReporter(this.dataSource, this.events, run);
    log.info('sync.started');
    try {
      const outcome = await this.steps(run, progress);
      log.info({ status: outcome }, 'sync.finished');
      this.fruitless.delete(taskId);
      if (task.trigger === 'EVENT') await this.openNextEventTask(task.identitySourceId);
      return outcome;
    } catch (error) {
      return await this.interruptedBy(error, run, progress, stopping, log);
    } finally {
      clearInterval(heartbeat);
      // What cannot be numbered now is numbered by whoever looks next.
      await this.events.publish().catch(() => undefined);
    }
  }

  /** What was named while the task ran waits no longer than it did. */
  private async openNextEventTask(identitySourceId: string): Promise<void> {
    await inTransaction(this.dataSource, (client) => openEventTask(client, identitySourceId));
  }

  private async steps(run: Run, progress: ProgressReporter): Promise<SyncTaskStatusName> {
    const ahead = new ApplyAhead(this.dataSource, run, this.log);
    try {
      const planned = run.task.plannedAt ? undefined : await this.readAndPlan(run, progress, ahead);
      if (run.task.mode === 'PREVIEW') return await this.finishPreview(run, planned?.certified);
      const { status, counters } = await this.applyPlan(run, planned, progress, ahead);
      await this.events.publish();
      const touched = counters.filter((c) => c.action !== 'NONE' && c.applied > 0);
      if (touched.some((c) => c.applied >= MANY)) await this.analyse();
      await tidy(this.dataSource, run.task);
      return status;
    } finally {
      await ahead.forget();
      await progress.flush();
    }
  }

  /**
   * An edit or an event since an object was planned changes what is to be done: the plan is then made again from the same rows.
   * @param first undefined when this worker has not read the snapshot: it certifies it again before it plans again
   */
  private async applyPlan(
    run: Run,
    first: Planned | undefined,
    progress: ProgressReporter,
    ahead: ApplyAhead,
  ): Promise<Applied> {
    let planned = first;
    for (let plans = 1; ; plans++) {
      progress.update({ phase: 'APPLYING' });
      await progress.flush();
      try {
        const complete = isComplete(run, planned?.certified);
        return await apply(this.dataSource, run, complete, planned?.basis, progress.current, ahead);
      } catch (error) {
        if (!(error instanceof PlanOutdated)) throw error;
        if (error.cause) this.log.warn({ err: error.cause, syncTaskId: run.task.id }, 'sync.plan-refused');
        if (run.task.originId) {
          throw new AppError('PREVIEW_STALE', 'Something changed here since the preview: make another one.');
        }
        if (plans >= MAX_PLANS) {
          const message = `Something changed here each of ${MAX_PLANS} times that this was planned: run it again when less is edited.`;
          throw new AppError('CHANGED_MEANWHILE', message);
        }
        planned = await (planned ? this.plan(run, planned.certified, progress) : this.readAndPlan(run, progress));
      }
    }
  }

  private async readAndPlan(run: Run, progress: ProgressReporter, ahead?: ApplyAhead): Promise<Planned> {
    const opened = await this.openConnector(run.task.identitySourceId);
    const certified = await new SnapshotReader(this.dataSource, opened, run, progress).read();
    return this.plan(run, certified, progress, run.task.mode === 'APPLY' ? ahead : undefined);
  }

  private async plan(run: Run, certified: Certified, progress: ProgressReporter, ahead?: ApplyAhead): Promise<Planned> {
    return { certified, basis: await this.planner.plan(run, certified.findings, progress, ahead) };
  }

  private async finishPreview(run: Run, certified: Certified | undefined): Promise<SyncTaskStatusName> {
    const status: SyncTaskStatusName = isComplete(run, certified) ? 'SUCCEEDED' : 'PARTIALLY_SUCCEEDED';
    await this.end(run, status, null);
    return status;
  }

  /** Fresh figures for the planner after many changes: autovacuum would bring them only minutes later. */
  private async analyse(): Promise<void> {
    await this.dataSource.query(
      `ANALYZE department, employee, membership, directory_group_employee, directory_group_department, link, snapshot_page, task_page,
               staged_employee, staged_group`,
    );
  }

  private beat(lease: Lease, interrupted: AbortController, pool: Pool): NodeJS.Timeout {
    let beating = false;
    return setInterval(async () => {
      if (beating) return;
      beating = true;
      const state = await lease.heartbeat(pool).catch(() => 'KEPT' as const);
      beating = false;
      if (state === 'CANCEL_REQUESTED') interrupted.abort(new AppError('TASK_CANCELED', 'The task was canceled.'));
      if (state === 'LOST') interrupted.abort(new AppError('LEASE_LOST', 'Another worker took the task over.'));
    }, this.leaseSeconds * HEARTBEAT_SHARE);
  }

  private async interruptedBy(
    error: unknown,
    run: Run,
    progress: ProgressReporter,
    stopping: AbortSignal,
    log: Logger,
  ): Promise<RunOutcome> {
    const cause = run.signal.aborted && !stopping.aborted ? run.signal.reason : error;
    if (cause instanceof AppError && cause.code === 'LEASE_LOST') {
      log.warn('sync.lease-lost');
      return 'NOT_OURS';
    }
    if (cause instanceof AppError && cause.code === 'TASK_CANCELED') {
      log.info('sync.canceled');
      await this.end(run, 'CANCELED', null);
      return 'CANCELED';
    }
    const isPassing = isPassingFault(error);
    if (isPassing && this.isWorthAnother(run, progress)) {
      // The task goes on from where it stands, here or elsewhere: when it can be given back, or when its lease has run out.
      log.warn({ err: error }, 'sync.database-away');
      await run.lease.handOn(false).catch(() => undefined);
      return 'HANDED_ON';
    }
    if (stopping.aborted) {
      log.info('sync.handed-on');
      await run.lease.handOn(true);
      return 'HANDED_ON';
    }
    log.error({ err: error }, 'sync.failed');
    this.fruitless.delete(run.task.id);
    await this.end(run, 'FAILED', isPassing ? INTERRUPTED : failureOf(error));
    return 'FAILED';
  }

  /** Whether a task that the database has interrupted is tried again: always where it got on, else for some minutes. */
  private isWorthAnother({ task }: Run, { current }: ProgressReporter): boolean {
    const former = current.employeesDone > task.progress.employeesDone ? undefined : this.fruitless.get(task.id);
    const { times, since } = { times: (former?.times ?? 0) + 1, since: former?.since ?? Date.now() };
    this.fruitless.set(task.id, { times, since });
    return times < FRUITLESS_TAKES || Date.now() - since < FRUITLESS_MS;
  }

  private async end(run: Run, status: SyncTaskStatusName, failure: FailureState | null): Promise<void> {
    await inTransaction(this.dataSource, async (client) => {
      const { rowCount } = await client.query(
        `UPDATE sync_task SET status = $3, failure = $4, finished_at = now(), lease_until = NULL,
                progress = progress || '{"phase": "FINISHED", "currentDepartment": null, "estimatedSecondsLeft": null}'
                  || CASE WHEN $3 IN ('SUCCEEDED', 'PARTIALLY_SUCCEEDED') THEN '{"percent": 100}'::jsonb ELSE '{}' END
          WHERE id = $1 AND fence = $2 AND status = 'RUNNING'`,
        [run.task.id, run.lease.fence, status, failure && JSON.stringify(failure)],
      );
      if (!rowCount) return;
      await forgetUnfinishedPlan(client, run.task.id);
      await writeTaskEvent(client, run.task.id);
    });
  }
}

/** Whether nothing keeps the task from being green; a reversal follows no snapshot. */
function isComplete({ task }: Run, certified: Certified | undefined): boolean {
  const certificate = certified?.certificate ?? task.certificate;
  return certificate ? isProven(certificate) : task.trigger === 'REVERT';
}

const INTERRUPTED: FailureState = {
  code: 'DATABASE_INTERRUPTED',
  message:
    'The database has interrupted the task again and again for some minutes: see to it by the server log, then start the task again.',
};

/** What a caller is told; a fault of our own keeps its details for the log. */
function failureOf(error: unknown): FailureState {
  if (error instanceof DirectoryError) {
    const code = error.thirdPartyCode ? ` (code ${error.thirdPartyCode})` : '';
    return { code: error.code, message: `${error.message}${code} ${error.advice}` };
  }
  if (error instanceof AppError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: 'An internal fault; the server log has it under this task’s id.' };
}
