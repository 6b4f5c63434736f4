import { setTimeout as delay } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { Run } from '../task/lease';
import type { Applied } from './apply';
import { applySteps, beginApplying } from './apply-records';
import { lastOf } from './statements';

/** Whether anything of the source is here, or was. */
const ANYTHING = 'SELECT EXISTS (SELECT FROM link WHERE identity_source_id = $1) AS any';

/** The end of applying, with the ordinal up to which records have been applied. */
type Rest = (client: PoolClient, after: number) => Promise<Applied>;

/** What is done next: apply what has been planned since, the rest, or nothing at all. */
type Order = 'FOLLOW' | 'FORGET' | Rest;

/** It is not done ahead, as it is meant to be. */
class Forgotten extends Error {}

/** An open transaction that does nothing for as long as a lease is ended by PostgreSQL; so is a paused worker's. */
const LOOK_MS = 250;

/**
 * Applying that follows the plan while it is made, for a source of which nothing is here yet: part by part records become rows, in the
 * transaction that ends the task later. So two sessions of PostgreSQL have work at a time. Until the end nobody sees any of it, and
 * where the plan, or this, fails nothing of it stays. It is a short cut and no more: what cannot be done ahead is done when its turn
 * comes.
 *
 * Applying is serial: for a source with people, event tasks and edits would have to wait for the whole plan.
 */
export class ApplyAhead {
  private readonly orders: Order[] = [];
  private arrived: () => void = () => undefined;
  private transaction: Promise<Applied | undefined> | undefined;
  private committing = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly run: Run,
    private readonly log: Logger,
  ) {}

  /** Begins, without keeping the plan waiting. */
  begin(): void {
    this.transaction = inTransaction(this.dataSource, (client) => this.work(client)).catch((error: unknown) => {
      // Before, it is only not done ahead: what is at fault happens again, and is told, when it is done in its turn.
      if (this.committing) throw error;
      if (!(error instanceof Forgotten)) this.log.warn({ err: error, syncTaskId: this.run.task.id }, 'sync.not-ahead');
      return undefined;
    });
    // Whoever commits is told.
    this.transaction.catch(() => undefined);
  }

  /** Applies what has been planned and committed since, without keeping the plan waiting; nothing where it was not begun. */
  follow(): void {
    if (this.transaction) this.order('FOLLOW');
  }

  /**
   * Does the rest and commits, once: after that, whatever becomes of it, nothing has been applied ahead.
   * @returns undefined where nothing was applied ahead: everything remains to be done
   * @throws what `rest` and the commit throw; nothing is then written
   */
  async commit(rest: Rest): Promise<Applied | undefined> {
    const { transaction } = this;
    this.transaction = undefined;
    this.order(rest);
    return transaction;
  }

  /** Takes back whatever was applied; once more, or where nothing was begun, it does nothing. */
  async forget(): Promise<void> {
    this.order('FORGET');
    await this.transaction?.catch(() => undefined);
  }

  private async work(client: PoolClient): Promise<Applied> {
    const { run } = this;
    await beginApplying(client, run.task.identitySourceId);
    await run.lease.check(client);
    const { rows } = await client.query(ANYTHING, [run.task.identitySourceId]);
    if (rows[0].any) throw new Forgotten();
    // Somebody's manager may be of a later part.
    await client.query('SET CONSTRAINTS employee_manager_id_fkey DEFERRED');
    for (let after = 0; ; ) {
      const order = await this.next(client);
      if (order === 'FORGET') throw new Forgotten();
      if (order === 'FOLLOW') {
        after = lastOf(await applySteps(client, run, after)) ?? after;
        continue;
      }
      await run.lease.check(client);
      this.committing = true;
      // Now rather than at the commit, for which those of other sources wait.
      await client.query('SET CONSTRAINTS employee_manager_id_fkey IMMEDIATE');
      return order(client, after);
    }
  }

  private order(order: Order): void {
    if (order === 'FORGET') this.orders.length = 0;
    this.orders.push(order);
    this.arrived();
  }

  /** @throws AppError LEASE_LOST or TASK_CANCELED while there is nothing to do */
  private async next(client: PoolClient): Promise<Order> {
    for (;;) {
      const order = this.orders.shift();
      if (order) return order;
      const arrived = new Promise<void>((resolve) => {
        this.arrived = resolve;
      });
      await Promise.race([arrived, delay(LOOK_MS)]);
      if (this.orders.length === 0) await this.run.lease.check(client);
    }
  }
}
