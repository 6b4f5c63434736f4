import type { Pool, PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { AppError } from '../../platform/app-error';
import type { SyncTask } from './sync-task.entity';
import { queueJobs } from './task-job';

/**
 * A worker's claim on one task. The fence number grows with every claim, so a worker that was paused for longer than its
 * lease finds its number old and can commit nothing.
 */
export class Lease {
  private constructor(
    private readonly dataSource: DataSource,
    readonly taskId: string,
    /** How often the task was taken up. */
    readonly fence: number,
    private readonly seconds: number,
    /** How far this process's clock is ahead of the database's, in milliseconds; negative where it is behind. */
    private readonly clockAhead: number,
  ) {}

  /**
   * Claims the task, or undefined where it has ended or another worker holds it.
   * @param seconds how long the claim lasts without a heartbeat
   */
  static async take(dataSource: DataSource, taskId: string, seconds: number): Promise<Lease | undefined> {
    const [rows] = await dataSource.query(
      `UPDATE sync_task SET fence = fence + 1, status = 'RUNNING', started_at = coalesce(started_at, now()),
              lease_until = now() + make_interval(secs => $2)
        WHERE id = $1 AND (status = 'QUEUED' OR (status = 'RUNNING' AND (lease_until IS NULL OR lease_until < now())))
        RETURNING fence, (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "databaseTime"`,
      [taskId, seconds],
    );
    if (!rows[0]) return undefined;
    // What is read from now on is read after that moment by the database's clock, too.
    return new Lease(dataSource, taskId, rows[0].fence, seconds, Date.now() - rows[0].databaseTime);
  }

  /**
   * A moment by this process's clock as the database's has it, which every other moment is told by: that of a task's start, of an
   * event, of what another machine has read.
   */
  byDatabaseClock(moment: Date): Date {
    return new Date(moment.getTime() - this.clockAhead);
  }

  /**
   * Prolongs the claim.
   * @param pool whose connections nobody else takes for long: a claim must not be lost because requests wait
   * @returns what the task's owner must know: somebody asked to cancel, or the claim is gone
   */
  async heartbeat(pool: Pick<Pool, 'query'>): Promise<'KEPT' | 'CANCEL_REQUESTED' | 'LOST'> {
    const { rows } = await pool.query(
      `UPDATE sync_task SET lease_until = now() + make_interval(secs => $3)
        WHERE id = $1 AND fence = $2 AND status = 'RUNNING' RETURNING cancel_requested_at`,
      [this.taskId, this.fence, this.seconds],
    );
    if (!rows[0]) return 'LOST';
    return rows[0].cancel_requested_at ? 'CANCEL_REQUESTED' : 'KEPT';
  }

  /**
   * Whether going on makes sense, without keeping anybody from taking the claim over.
   * @throws AppError LEASE_LOST or TASK_CANCELED
   */
  async check(client: PoolClient): Promise<void> {
    await this.require(client, '');
  }

  /**
   * The last statement before a commit: it fails when the claim was lost, and keeps it from being taken until the commit.
   * @throws AppError LEASE_LOST or TASK_CANCELED
   */
  async confirm(client: PoolClient): Promise<void> {
    await this.require(client, 'FOR SHARE');
  }

  private async require(client: PoolClient, lock: '' | 'FOR SHARE'): Promise<void> {
    const { rows } = await client.query(
      `SELECT cancel_requested_at FROM sync_task WHERE id = $1 AND fence = $2 AND status = 'RUNNING' ${lock}`,
      [this.taskId, this.fence],
    );
    if (!rows[0]) throw new AppError('LEASE_LOST', 'Another worker took the task over.');
    if (rows[0].cancel_requested_at) throw new AppError('TASK_CANCELED', 'The task was canceled.');
  }

  /**
   * Gives the task back unfinished.
   * @param atOnce any other worker goes on with it now; else one does in a few seconds, when what disturbed it may have passed
   */
  async handOn(atOnce: boolean): Promise<void> {
    const parameters = [this.taskId, this.fence];
    await this.dataSource.query(
      atOnce ? `WITH given AS (${GIVE_BACK}) ${queueJobs('SELECT * FROM given')}` : GIVE_BACK,
      parameters,
    );
  }
}

const GIVE_BACK = `
UPDATE sync_task SET status = 'QUEUED', lease_until = NULL WHERE id = $1 AND fence = $2 AND status = 'RUNNING' RETURNING id, trigger`;

/** What every step of a run is given. */
export interface Run {
  readonly task: SyncTask;
  readonly lease: Lease;
  readonly signal: AbortSignal;
}
