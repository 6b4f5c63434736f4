import { setTimeout as delay } from 'node:timers/promises';

/** The part of a minute's calls that may be made at once. */
const BURST_SHARE = 1 / 6;

/** A polite pace: so many calls a minute, with a burst of ten seconds' worth. */
export class TokenBucket {
  private tokens: number;
  private filledAt: number;
  private readonly capacity: number;

  constructor(
    private readonly perMinute: number,
    private readonly now: () => number = Date.now,
  ) {
    this.capacity = Math.max(1, perMinute * BURST_SHARE);
    this.tokens = this.capacity;
    this.filledAt = now();
  }

  /** Takes one call's place. @returns milliseconds to wait before making it */
  take(): number {
    const now = this.now();
    this.tokens = Math.min(this.capacity, this.tokens + ((now - this.filledAt) * this.perMinute) / 60_000);
    this.filledAt = now;
    this.tokens -= 1;
    return this.tokens >= 0 ? 0 : Math.ceil((-this.tokens * 60_000) / this.perMinute);
  }
}

const buckets = new Map<string, TokenBucket>();

/** The one bucket of this process for a key and a pace, whoever asks. */
export function sharedBucket(key: string, perMinute: number): TokenBucket {
  const name = `${perMinute}/${key}`;
  const bucket = buckets.get(name) ?? new TokenBucket(perMinute);
  buckets.set(name, bucket);
  return bucket;
}

/** Waits, and ends with the signal's reason when it is aborted meanwhile. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (ms > 0) {
    await delay(ms, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}
