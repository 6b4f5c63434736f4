import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { EventLog } from '../../events/event-log';
import { writeTaskEvent } from '../apply/apply';
import type { Run } from './lease';
import { NO_PROGRESS, type ProgressState, type SyncPhaseName } from './sync-task.entity';

/** At most four updates a second. */
const INTERVAL_MS = 250;

/** Where each phase stands on the bar: what it begins at and how much it is worth, in percent. */
const PHASES: Readonly<Record<SyncPhaseName, readonly [start: number, span: number]>> = {
  WAITING: [0, 0],
  FETCHING: [0, 80],
  PLANNING: [80, 10],
  APPLYING: [90, 10],
  FINISHED: [100, 0],
};

/** Collects a run's progress and tells it, as rows and events, no more often than subscribers can use. */
export class ProgressReporter {
  private state: ProgressState;
  private startedAt = Date.now();
  private lastSent = 0;
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void> = Promise.resolve();

  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
    private readonly run: Run,
  ) {
    this.state = { ...NO_PROGRESS };
  }

  get current(): ProgressState {
    return this.state;
  }

  /** Takes the change; it is sent now, or with the next one that is due. */
  update(change: Partial<ProgressState>): void {
    this.state = this.derive({ ...this.state, ...change });
    const wait = this.lastSent + INTERVAL_MS - Date.now();
    if (this.timer) return;
    this.timer = setTimeout(() => void this.send(), Math.max(0, wait));
  }

  /** Sends what was not sent yet, and nothing afterwards. */
  async flush(): Promise<void> {
    if (this.timer) {
      clearTimeout(this.timer);
      await this.send();
    }
    await this.sending;
  }

  private send(): Promise<void> {
    this.timer = undefined;
    this.lastSent = Date.now();
    // One after the other; a lost update is followed by another, and the end is written by the apply step itself.
    this.sending = this.sending.then(() => this.write()).catch(() => undefined);
    return this.sending;
  }

  private async write(): Promise<void> {
    const written = await inTransaction(this.dataSource, (client) => this.writeState(client));
    if (written) await this.events.publish();
  }

  private async writeState(client: PoolClient): Promise<boolean> {
    const { rowCount } = await client.query(
      `UPDATE sync_task SET progress = $3 WHERE id = $1 AND fence = $2 AND status = 'RUNNING'`,
      [this.run.task.id, this.run.lease.fence, JSON.stringify(this.state)],
    );
    if (rowCount === 0) return false;
    await writeTaskEvent(client, this.run.task.id);
    return true;
  }

  private derive(state: ProgressState): ProgressState {
    const [start, span] = PHASES[state.phase];
    // On the first run nobody knows how many people there are; departments alone then tell how far the read is.
    const counted = state.employeesTotal === null ? 0 : state.employeesDone;
    const total = (state.departmentsTotal ?? 0) + (state.employeesTotal ?? 0);
    const done = state.departmentsDone + counted;
    const share = state.phase === 'FETCHING' && total > 0 ? Math.min(1, done / total) : 0;
    const seconds = (Date.now() - this.startedAt) / 1000;
    const rate = seconds > 0.2 ? (state.departmentsDone + state.employeesDone) / seconds : null;
    const left = done > 0 && total > done ? Math.ceil((seconds * (total - done)) / done) : null;
    return {
      ...state,
      percent: Math.round((start + span * share) * 10) / 10,
      ratePerSecond: rate === null ? null : Math.round(rate * 10) / 10,
      estimatedSecondsLeft: state.phase === 'FETCHING' ? left : null,
    };
  }
}
