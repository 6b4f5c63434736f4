import type { DataSource } from 'typeorm';
import type { CallPace } from '../connector/call-pace';

/** The part of a minute's calls that may be made at once. */
const BURST_MS = 10_000;
/** How much of the pace a process takes at a time: one statement for so much of it. */
const SLICE_MS = 2_000;

/** Places for calls that this process has taken and not used: evenly apart, in milliseconds of its own clock. */
interface Slice {
  next: number;
  left: number;
  readonly step: number;
}

/**
 * Takes the next places that no process has, and never more than the burst from the past. What all processes together may do
 * thus stays what one may do. Parameters: $1 key, $2 burst, $3 length of the places taken, both in milliseconds.
 */
const TAKE_SLICE = `
INSERT INTO call_pace AS p (key, next_at) VALUES ($1, now() - make_interval(secs => ($2::float8 - $3::float8) / 1000))
ON CONFLICT (key) DO UPDATE
   SET next_at = greatest(p.next_at, now() - make_interval(secs => $2::float8 / 1000)) + make_interval(secs => $3::float8 / 1000)
RETURNING (extract(epoch FROM next_at - now()) * 1000)::float8 - $3::float8 AS "startsIn"`;

/** One pace for all processes, held by PostgreSQL. Its clock counts; those of the machines may differ. */
export class SharedPace implements CallPace {
  private readonly slices = new Map<string, Slice>();
  private readonly taking = new Map<string, Promise<void>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async take(key: string, perMinute: number): Promise<number> {
    for (;;) {
      const slice = this.slices.get(key);
      const wait = slice && this.use(slice);
      if (wait !== undefined) return wait;
      const taking = this.taking.get(key) ?? this.takeSlice(key, perMinute).finally(() => this.taking.delete(key));
      this.taking.set(key, taking);
      await taking;
    }
  }

  /** @returns how long to wait, or undefined when no place is left */
  private use(slice: Slice): number | undefined {
    const now = this.now();
    // Places that were not used are worth no more than the burst.
    const outlived = Math.max(0, Math.ceil((now - BURST_MS - slice.next) / slice.step));
    slice.next += outlived * slice.step;
    slice.left -= outlived;
    if (slice.left <= 0) return undefined;
    const wait = Math.max(0, Math.ceil(slice.next - now));
    slice.next += slice.step;
    slice.left -= 1;
    return wait;
  }

  private async takeSlice(key: string, perMinute: number): Promise<void> {
    const step = 60_000 / perMinute;
    const places = Math.max(1, Math.round(SLICE_MS / step));
    const [row] = await this.dataSource.query(TAKE_SLICE, [key, BURST_MS, places * step]);
    this.slices.set(key, { next: this.now() + row.startsIn, left: places, step });
  }
}
