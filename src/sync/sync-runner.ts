import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { openEventTask } from '../callbacks/directory-events';
import { type DirectoryConnector, DirectoryError, hasGroups, NotPermitted } from '../connector/directory-connector';
import type { OpenedConnector } from '../connector/registry';
import { isConnectionLost } from '../database/connection-lost';
import { inTransaction } from '../database/transaction';
import { AppError } from '../platform/app-error';
import { type Applied, apply, PlanOutdated, writeTaskEvent } from './apply';
import { confirmAbsences, type Findings, storeCertificate, storeEventCertificate, type WhatWasRead } from './certify';
import type { EventLog } from './event-log';
import { Lease, type Run } from './lease';
import { plan } from './plan';
import { ProgressReporter } from './progress';
import { readMissingAgain } from './read-again';
import { claimEvents, groupsToRead, readNamed } from './read-named';
import { SnapshotConnector } from './snapshot-connector';
import { COUNTED, Stage, type StagedBatch, type StagedType } from './stage';
import { type FailureState, isProven, SyncTask, type SyncTaskStatusName } from './sync-task.entity';
import { tidy } from './tidy';

/** So many changes of one kind make the planner's figures wrong. */
const MANY = 1_000;

/** A task that is resumed after its plan was made, and a plan that is made again, look at the removals' limits alone. */
const NOTHING_FOUND: Findings = { lost: [], same: false };

/** Opens the connector of a task's source, with its secret. */
export type OpenConnector = (identitySourceId: string) => Promise<OpenedConnector>;

/** Four heartbeats a lease, in milliseconds for each of its seconds. */
const HEARTBEAT_SHARE = 250;

/** A task that ends its database's connections so often is at fault itself. */
const MAX_TAKES = 20;

/** So often a plan is made again because something changed here meanwhile; then the next run brings the rest. */
const MAX_PLANS = 5;

/** What a run ended as; `HANDED_ON` and `NOT_OURS` leave the task to another worker. */
export type RunOutcome = SyncTaskStatusName | 'HANDED_ON' | 'NOT_OURS';

/** Runs one task from where it stands to its end: stage, certify, plan, apply, publish. */
export class SyncRunner {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly openConnector: OpenConnector,
    /** How long a task is this worker's without a heartbeat. */
    private readonly leaseSeconds: number,
    private readonly log: Logger,
  ) {}

  /** @param stopping aborted when this process is to stop: the task is then handed on, not failed */
  async run(taskId: string, stopping: AbortSignal): Promise<RunOutcome> {
    const lease = await Lease.take(this.dataSource, taskId, this.leaseSeconds);
    if (!lease) return 'NOT_OURS';
    const task = await this.dataSource.manager.findOneByOrFail(SyncTask, { id: taskId });
    const log = this.log.child({ syncTaskId: taskId, identitySourceId: task.identitySourceId });
    const interrupted = new AbortController();
    const heartbeat = this.beat(lease, interrupted);
    const signal = AbortSignal.any([stopping, interrupted.signal]);
    // Every call under way listens to it, and there may be as many as the connector makes at once.
    setMaxListeners(0, signal);
    const run: Run = { task, lease, signal };
    log.info('sync.started');
    try {
      const outcome = await this.steps(run);
      log.info({ status: outcome }, 'sync.finished');
      if (task.trigger === 'EVENT') await this.openNextEventTask(task.identitySourceId);
      return outcome;
    } catch (error) {
      return await this.interruptedBy(error, run, stopping, log);
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

  private async steps(run: Run): Promise<SyncTaskStatusName> {
    const progress = new ProgressReporter(this.dataSource, this.events, run);
    try {
      const { certificate, findings } = run.task.plannedAt
        ? { certificate: run.task.certificate, findings: NOTHING_FOUND }
        : await this.readAndPlan(run, progress);
      const complete = certificate ? isProven(certificate) : run.task.trigger === 'REVERT';
      if (run.task.mode === 'PREVIEW') return await this.finishPreview(run, complete);
      progress.update({ phase: 'APPLYING' });
      await progress.flush();
      const { status, counters } = await this.applyPlan(run, complete, findings, progress);
      await this.events.publish();
      const touched = counters.filter((c) => c.action !== 'NONE' && c.applied > 0);
      if (touched.some((c) => c.applied >= MANY)) await this.analyse();
      await tidy(this.dataSource, run.task);
      return status;
    } finally {
      await progress.flush();
    }
  }

  /** An edit or an event between plan and apply changes what is to be done: the plan is then made again from the same rows. */
  private async applyPlan(
    run: Run,
    complete: boolean,
    findings: Findings,
    progress: ProgressReporter,
  ): Promise<Applied> {
    for (let plans = 1; ; plans++) {
      try {
        return await apply(this.dataSource, run, complete, progress.current);
      } catch (error) {
        if (!(error instanceof PlanOutdated) || plans >= MAX_PLANS) throw error;
        if (run.task.originId) {
          throw new AppError('PREVIEW_STALE', 'Something changed here since the preview: make another one.');
        }
        await plan(this.dataSource, run, findings);
      }
    }
  }

  private async readAndPlan(run: Run, progress: ProgressReporter) {
    const { connector: real, notTold } = await this.openConnector(run.task.identitySourceId);
    const { snapshotTaskId } = run.task.settings;
    const connector = snapshotTaskId ? new SnapshotConnector(this.dataSource, snapshotTaskId, real) : real;
    const stage = (type: StagedType) => new Stage(this.dataSource, connector, run, type, notTold);
    if (run.task.trigger === 'EVENT') return this.readEvents(connector, stage, run, progress);
    const read = await this.read(connector, stage, run, progress);
    let certified = await storeCertificate(this.dataSource, connector, run, read);
    if (certified.certificate.complete && !certified.findings.same && !snapshotTaskId) {
      const types: StagedType[] = run.task.includesEmployees ? ['DEPARTMENT', 'EMPLOYEE'] : ['DEPARTMENT'];
      if (certified.certificate.groupsComplete) types.push('GROUP');
      await this.readMissing(types, connector, stage, run, progress);
      certified = await confirmAbsences(this.dataSource, connector, run, certified);
    }
    const { employeesRead } = certified.certificate;
    const people = run.task.includesEmployees ? { employeesDone: employeesRead, employeesTotal: employeesRead } : {};
    progress.update({ phase: 'PLANNING', sourceCalls: connector.statistics().calls, ...people });
    await plan(this.dataSource, run, certified.findings);
    await this.events.publish();
    return certified;
  }

  /** An event task reads only what callbacks named; nothing is concluded from what it does not read. */
  private async readEvents(
    connector: DirectoryConnector,
    stage: (type: StagedType) => Stage,
    run: Run,
    progress: ProgressReporter,
  ) {
    progress.update({ phase: 'FETCHING' });
    await claimEvents(this.dataSource, run);
    const types: StagedType[] = run.task.includesEmployees ? ['DEPARTMENT', 'EMPLOYEE'] : ['DEPARTMENT'];
    const called = () => progress.update({ sourceCalls: connector.statistics().calls });
    for (const type of types) {
      const named = stage(type);
      await named.open();
      await named.write(readNamed(this.dataSource, connector, run, type), called);
    }
    if (run.task.includesEmployees && hasGroups(connector) && (await groupsToRead(this.dataSource, run))) {
      const groups = stage('GROUP');
      await groups.open();
      await groups.write(readNamed(this.dataSource, connector, run, 'GROUP'), called);
    }
    const certified = await storeEventCertificate(this.dataSource, connector, run);
    progress.update({ phase: 'PLANNING', sourceCalls: connector.statistics().calls });
    await plan(this.dataSource, run, certified.findings);
    await this.events.publish();
    return certified;
  }

  private async read(
    connector: DirectoryConnector,
    stage: (type: StagedType) => Stage,
    run: Run,
    progress: ProgressReporter,
  ): Promise<WhatWasRead> {
    progress.update({ phase: 'FETCHING' });
    const extent = await connector.extent(run.signal);
    const departments = stage('DEPARTMENT');
    await departments.open();
    await departments.write(connector.departments(extent, departments.options()), () => undefined);
    const tree = await this.departmentsInScope(run);
    progress.update({ departmentsTotal: tree.length });
    if (!run.task.includesEmployees) {
      progress.update({ departmentsDone: tree.length, sourceCalls: connector.statistics().calls });
      return { extent, groups: false, groupsLeftAlone: undefined };
    }
    const employees = stage('EMPLOYEE');
    await employees.open();
    const ids = tree.map((d) => d.id);
    const onBatch = await this.reportBatches(connector, run, tree, progress);
    await employees.write(connector.employees(extent, ids, employees.options()), onBatch);
    progress.update({ departmentsDone: tree.length });
    return { extent, ...(await this.readGroups(connector, stage, progress)) };
  }

  /** After the people, so that whoever is in a group has been read. Without the permission everything else goes on. */
  private async readGroups(
    connector: DirectoryConnector,
    stage: (type: StagedType) => Stage,
    progress: ProgressReporter,
  ): Promise<Omit<WhatWasRead, 'extent'>> {
    if (!hasGroups(connector)) return { groups: false, groupsLeftAlone: undefined };
    const groups = stage('GROUP');
    await groups.open();
    try {
      await groups.write(connector.groups(groups.options()), () =>
        progress.update({ sourceCalls: connector.statistics().calls }),
      );
      return { groups: true, groupsLeftAlone: undefined };
    } catch (error) {
      if (!(error instanceof NotPermitted)) throw error;
      return { groups: true, groupsLeftAlone: `${error.message} ${error.advice}` };
    }
  }

  private async reportBatches(
    connector: DirectoryConnector,
    run: Run,
    tree: readonly { id: string; name: string }[],
    progress: ProgressReporter,
  ): Promise<(batch: StagedBatch) => void> {
    const [expected] = await this.dataSource.query(
      `SELECT count(*)::int AS total FROM link WHERE identity_source_id = $1 AND kind = 'EMPLOYEE' AND missing_since IS NULL`,
      [run.task.identitySourceId],
    );
    // What an interrupted attempt has read counts, too.
    const [read] = await this.dataSource.query(
      `SELECT count(*)::int AS pages, coalesce(sum(${COUNTED}), 0)::int AS people
         FROM task_page tp LEFT JOIN snapshot_page p ON p.id = tp.page_id WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'`,
      [run.task.id],
    );
    const names = new Map(tree.map((d) => [d.id, d.name]));
    const total = expected.total > 0 ? expected.total : null;
    progress.update({ employeesTotal: total });
    let { pages, people } = read;
    return (batch) => {
      pages += batch.pages;
      people += batch.objects;
      progress.update({
        departmentsDone: Math.min(pages, tree.length),
        employeesDone: people,
        employeesTotal: total === null ? null : Math.max(total, people),
        sourceCalls: connector.statistics().calls,
        throttledMs: connector.statistics().throttledMs,
        currentDepartment: names.get(batch.lastPageKey.split(':')[1] ?? '') ?? null,
      });
    };
  }

  private async readMissing(
    types: readonly StagedType[],
    connector: DirectoryConnector,
    stage: (type: StagedType) => Stage,
    run: Run,
    progress: ProgressReporter,
  ): Promise<void> {
    for (const type of types) {
      const again = stage(type);
      await again.open();
      await again.write(readMissingAgain(this.dataSource, connector, run, type), () =>
        progress.update({ sourceCalls: connector.statistics().calls }),
      );
    }
  }

  /** The departments whose people are to be read: all, or the chosen ones with what is below them. */
  private async departmentsInScope(run: Run): Promise<{ id: string; name: string }[]> {
    const { mode, departmentIds } = run.task.settings.scope;
    return this.dataSource.query(
      `WITH RECURSIVE staged AS MATERIALIZED (
         SELECT DISTINCT ON (s.external_key) s.external_key, s.external_id, s.parent_key, s.mapped ->> 'name' AS name
           FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
          WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' ORDER BY s.external_key
       ), chosen AS (
         SELECT staged.* FROM staged WHERE $2 = 'ALL' OR external_id = ANY ($3)
         UNION
         SELECT staged.* FROM staged JOIN chosen ON staged.parent_key = chosen.external_key
       )
       SELECT external_id AS id, name FROM chosen ORDER BY external_key`,
      [run.task.id, mode, departmentIds],
    );
  }

  private async finishPreview(run: Run, complete: boolean): Promise<SyncTaskStatusName> {
    const status: SyncTaskStatusName = complete ? 'SUCCEEDED' : 'PARTIALLY_SUCCEEDED';
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

  private beat(lease: Lease, interrupted: AbortController): NodeJS.Timeout {
    let beating = false;
    return setInterval(async () => {
      if (beating) return;
      beating = true;
      const state = await lease.heartbeat().catch(() => 'KEPT' as const);
      beating = false;
      if (state === 'CANCEL_REQUESTED') interrupted.abort(new AppError('TASK_CANCELED', 'The task was canceled.'));
      if (state === 'LOST') interrupted.abort(new AppError('LEASE_LOST', 'Another worker took the task over.'));
    }, this.leaseSeconds * HEARTBEAT_SHARE);
  }

  private async interruptedBy(error: unknown, run: Run, stopping: AbortSignal, log: Logger): Promise<RunOutcome> {
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
    if (isConnectionLost(error) && run.lease.fence < MAX_TAKES) {
      // The task goes on from where it stands, here or elsewhere: when it can be given back, or when its lease has run out.
      log.warn({ err: error }, 'sync.database-lost');
      await run.lease.handOn().catch(() => undefined);
      return 'HANDED_ON';
    }
    if (stopping.aborted) {
      log.info('sync.handed-on');
      await run.lease.handOn();
      return 'HANDED_ON';
    }
    log.error({ err: error }, 'sync.failed');
    await this.end(run, 'FAILED', failureOf(error));
    return 'FAILED';
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
      if (rowCount) await writeTaskEvent(client, run.task.id);
    });
  }
}

/** What a caller is told; a fault of our own keeps its details for the log. */
function failureOf(error: unknown): FailureState {
  if (error instanceof DirectoryError) {
    const code = error.thirdPartyCode ? ` (code ${error.thirdPartyCode})` : '';
    return { code: error.code, message: `${error.message}${code} ${error.advice}` };
  }
  if (error instanceof AppError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: 'An internal fault; the server log has it under this task’s id.' };
}
