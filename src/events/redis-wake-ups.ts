import type { Logger } from 'pino';
import { CONNECT_MS, RECONNECT_MS, type WakeUps } from './wake-ups';

const CHANNEL = 'rollcall:event';
const LONGEST_RECONNECT_MS = 3_000;

async function openClient(url: string) {
  // Its client takes a while to load, and most have no Redis.
  const { createClient } = await import('@redis/client');
  const reconnectStrategy = (tries: number) => Math.min(LONGEST_RECONNECT_MS, 50 * 2 ** tries);
  const socket = { reconnectStrategy, connectTimeout: CONNECT_MS };
  // The second protocol version is spoken by every Redis, and by what stands in for one.
  return createClient({ url, socket, RESP: 2, disableOfflineQueue: true });
}

type RedisClient = Awaited<ReturnType<typeof openClient>>;

/** By Redis; while that cannot be reached, by PostgreSQL, which is told in any case. */
export class RedisWakeUps implements WakeUps {
  private onNews: () => void = () => undefined;
  /** Whether news comes by Redis; undefined before the first answer. */
  private reachable: boolean | undefined;
  private switching: Promise<void> = Promise.resolve();
  private stopped = false;

  private constructor(
    private readonly subscriber: RedisClient,
    private readonly publisher: RedisClient,
    private readonly fallback: WakeUps,
    private readonly log: Logger,
  ) {}

  /** Nothing is connected before `start`. */
  static async open(url: string, fallback: WakeUps, log: Logger): Promise<RedisWakeUps> {
    return new RedisWakeUps(await openClient(url), await openClient(url), fallback, log);
  }

  async start(onNews: () => void): Promise<void> {
    this.onNews = onNews;
    await this.fallback.start(onNews);
    this.subscriber.on('error', (error) => this.turn(false, error));
    this.subscriber.on('ready', () => void this.subscribe());
    this.publisher.on('error', () => undefined);
    // They go on trying by themselves until they are stopped.
    void this.subscriber.connect().catch(() => undefined);
    void this.publisher.connect().catch(() => undefined);
  }

  async announce(): Promise<void> {
    if (this.publisher.isReady) await this.publisher.publish(CHANNEL, '').catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.subscriber.destroy();
    this.publisher.destroy();
    await this.switching;
    await this.fallback.stop();
  }

  private async subscribe(): Promise<void> {
    try {
      await this.subscriber.unsubscribe(CHANNEL);
      await this.subscriber.subscribe(CHANNEL, () => this.onNews());
      this.turn(true);
    } catch (error) {
      this.turn(false, error);
    }
  }

  /** One after the other: the former way is left only once the new one is open. */
  private turn(reachable: boolean, error?: unknown): void {
    if (this.reachable === reachable || this.stopped) return;
    this.reachable = reachable;
    if (reachable) this.log.info('events.redis-ready');
    else this.log.warn({ err: error }, 'events.redis-lost: PostgreSQL wakes subscriptions meanwhile');
    this.switching = this.switching.then(() => this.follow(reachable));
  }

  private async follow(reachable: boolean): Promise<void> {
    while (this.reachable === reachable && !this.stopped) {
      try {
        await (reachable ? this.fallback.stop() : this.fallback.start(this.onNews));
        return this.onNews();
      } catch (error) {
        this.log.warn({ err: error }, 'events.listener-lost');
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    }
  }
}
