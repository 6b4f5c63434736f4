import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { eventsGone } from '../api/errors';
import type { WakeUps } from './wake-ups';

/** How often unnumbered events are looked for: those whose writer was killed between its commit and numbering them. */
const SWEEP_MS = 1_000;
const READ_AT_ONCE = 500;

/** One event as stored: about a task, a run of its records, a source, or an authorization. */
export interface StoredEvent {
  /** The last of its numbers; the first is `sequence - size + 1`. */
  readonly sequence: number;
  readonly size: number;
  readonly kind: 'TASK' | 'RECORDS' | 'SOURCE' | 'AUTHORIZATION';
  readonly identitySourceId: string;
  /** Null for sources and authorizations. */
  readonly taskId: string | null;
  readonly firstOrdinal: number | null;
  readonly payload: unknown;
}

/** Which events somebody follows; all where nothing is said. */
export interface EventFilter {
  readonly taskId?: string;
  readonly identitySourceId?: string;
}

export interface EventsRead {
  /** Oldest first. */
  readonly events: readonly StoredEvent[];
  /** There is no other up to this number: the next read goes on after it. */
  readonly upTo: number;
  /** There may be more that are numbered already. */
  readonly hasMore: boolean;
}

/** Somebody who follows the log. */
export class Listener {
  isGone = false;
  /** Ends the wait for news that they are in. */
  wake: () => void = () => undefined;

  leave(): void {
    this.isGone = true;
    this.wake();
  }
}

const COLUMNS = `sequence, size, kind, identity_source_id AS "identitySourceId", task_id AS "taskId",
  first_ordinal AS "firstOrdinal", payload`;

/** The number after which every event is kept, since the oldest go first; `counter` is event_counter. */
export const LOG_BEGIN = `coalesce(
  (SELECT sequence - size FROM event WHERE sequence IS NOT NULL ORDER BY sequence LIMIT 1), counter.last)`;

/**
 * The one log that all subscriptions read. Events are rows; this numbers them after their commit and wakes the readers of
 * every process.
 */
export class EventLog {
  /** Whoever waits for news; thousands at a time. */
  private readonly waiting = new Set<() => void>();
  private sweep: NodeJS.Timeout | undefined;
  private stopped = false;
  /** Events just read, newest last, so that a thousand subscribers cost one query: every one from `recentAfter` to `readUpTo`. */
  private recent: StoredEvent[] = [];
  private recentAfter = 0;
  private readUpTo = 0;
  private reading: Promise<void> | undefined;

  constructor(
    private readonly dataSource: DataSource,
    private readonly wakeUps: WakeUps,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    this.recentAfter = this.readUpTo = await this.last();
    await this.wakeUps.start(() => void this.readNew());
    this.sweep = setInterval(() => void this.sweepUnnumbered(), SWEEP_MS);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.sweep);
    this.wake();
    await this.wakeUps.stop();
  }

  /** Numbers what was committed. Call it after the commit, outside any transaction. */
  async publish(): Promise<void> {
    await this.dataSource.query('SELECT number_events()');
    await this.wakeUps.announce();
  }

  /** The last number given. */
  async last(): Promise<number> {
    const [row] = await this.dataSource.query('SELECT last FROM event_counter');
    return row.last;
  }

  /**
   * What came after a number, of whatever passes the filter; from memory where it is recent.
   * @throws GraphQLError EVENTS_GONE when not everything that did is kept
   */
  read(after: number, filter: EventFilter): EventsRead | Promise<EventsRead> {
    const isRecent = after >= this.recentAfter && after <= this.readUpTo;
    return isRecent ? this.fromMemory(after, filter) : this.fromDatabase(after, filter);
  }

  private fromMemory(after: number, filter: EventFilter): EventsRead {
    const matches = (event: StoredEvent) =>
      (filter.taskId === undefined || event.taskId === filter.taskId) &&
      (filter.identitySourceId === undefined || event.identitySourceId === filter.identitySourceId);
    // Who listens has had all but the last few.
    let begin = this.recent.length;
    while (begin > 0 && (this.recent[begin - 1] as StoredEvent).sequence > after) begin -= 1;
    return { events: this.recent.slice(begin).filter(matches), upTo: this.readUpTo, hasMore: false };
  }

  /** In one statement, which sees every event from where the log begins to the last number. */
  private async fromDatabase(after: number, filter: EventFilter): Promise<EventsRead> {
    const rows = await this.dataSource.query(
      `SELECT counter.last, ${LOG_BEGIN} AS begin, found.* FROM event_counter counter LEFT JOIN (
         SELECT ${COLUMNS} FROM event
          WHERE sequence > $1 AND ($2::uuid IS NULL OR task_id = $2) AND ($3::uuid IS NULL OR identity_source_id = $3)
          ORDER BY sequence LIMIT ${READ_AT_ONCE}) found ON true ORDER BY found.sequence`,
      [after, filter.taskId ?? null, filter.identitySourceId ?? null],
    );
    if (after < rows[0].begin || after > rows[0].last) throw eventsGone();
    const events: StoredEvent[] = rows[0].sequence === null ? [] : rows;
    const hasMore = events.length === READ_AT_ONCE;
    return { events, upTo: hasMore ? rows.at(-1).sequence : rows[0].last, hasMore };
  }

  /** Resolves when there is news after a number, or when the log or the listener stops. */
  nextNews(listener: Listener, after: number): Promise<void> {
    if (this.stopped || listener.isGone || this.readUpTo > after) return Promise.resolve();
    this.waiting.delete(listener.wake);
    return new Promise((resolve) => {
      const wake = () => {
        this.waiting.delete(wake);
        resolve();
      };
      this.waiting.add(wake);
      listener.wake = wake;
    });
  }

  private wake(): void {
    const woken = [...this.waiting];
    this.waiting.clear();
    for (const wake of woken) wake();
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  private async readNew(): Promise<void> {
    // Whoever asks while a read is under way is served by the one after it.
    const previous = this.reading;
    this.reading = (async () => {
      await previous;
      await this.readOnce().catch((error) => this.log.warn({ err: error }, 'events.read-failed'));
    })();
    await this.reading;
  }

  private async readOnce(): Promise<void> {
    const events: StoredEvent[] = await this.dataSource.query(
      `SELECT ${COLUMNS} FROM event WHERE sequence > $1 ORDER BY sequence LIMIT ${READ_AT_ONCE}`,
      [this.readUpTo],
    );
    const last = events.at(-1);
    if (!last) return;
    this.readUpTo = last.sequence;
    this.recent = [...this.recent, ...events].slice(-READ_AT_ONCE);
    const [oldest] = this.recent as [StoredEvent];
    this.recentAfter = oldest.sequence - oldest.size;
    this.wake();
    if (events.length === READ_AT_ONCE) await this.readOnce();
  }

  private async sweepUnnumbered(): Promise<void> {
    try {
      const [row] = await this.dataSource.query('SELECT EXISTS (SELECT FROM event WHERE sequence IS NULL) AS pending');
      if (row.pending) await this.publish();
      await this.readNew();
    } catch (error) {
      if (!this.stopped) this.log.warn({ err: error }, 'events.sweep-failed');
    }
  }
}
