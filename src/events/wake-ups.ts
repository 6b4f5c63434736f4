import { createClient } from '@redis/client';
import { Client } from 'pg';
import type { Logger } from 'pino';

/** Tells the other processes that there is news. It carries none itself: events are rows. */
export interface WakeUps {
  /** @param onNews called at every sign of news, and whenever signs may have been missed */
  start(onNews: () => void): Promise<void>;
  /** To be called after news was committed. */
  announce(): Promise<void>;
  stop(): Promise<void>;
}

const RECONNECT_MS = 500;
/** A server that is ending may take a connection and never say a word. */
const CONNECT_MS = 5_000;

/** By LISTEN; what is to be heard is sent by `number_events()` itself. */
export class PostgresWakeUps implements WakeUps {
  private listener: Client | undefined;
  private onNews: (() => void) | undefined;

  constructor(
    private readonly url: string,
    private readonly log: Logger,
  ) {}

  async start(onNews: () => void): Promise<void> {
    this.onNews = onNews;
    if (!this.listener) await this.listen();
  }

  async announce(): Promise<void> {}

  async stop(): Promise<void> {
    this.onNews = undefined;
    const { listener } = this;
    this.listener = undefined;
    await listener?.end().catch(() => undefined);
  }

  private async listen(): Promise<void> {
    const client = new Client({
      connectionString: this.url,
      application_name: 'rollcall events',
      connectionTimeoutMillis: CONNECT_MS,
    });
    client.on('error', () => void this.listenAgain(client));
    client.on('end', () => void this.listenAgain(client));
    client.on('notification', () => this.onNews?.());
    await client.connect();
    await client.query('LISTEN rollcall_event');
    if (this.onNews) this.listener = client;
    else await client.end();
  }

  /** A lost connection loses notifications, so whatever came meanwhile is read afterwards. */
  private async listenAgain(lost: Client): Promise<void> {
    if (this.listener !== lost) return;
    this.listener = undefined;
    this.log.warn('events.listener-lost');
    while (this.onNews && !this.listener) {
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      await this.listen().catch(() => undefined);
    }
    this.onNews?.();
  }
}

const CHANNEL = 'rollcall:event';
const LONGEST_RECONNECT_MS = 3_000;

/** By Redis; while that cannot be reached, by PostgreSQL, which is told in any case. */
export class RedisWakeUps implements WakeUps {
  private readonly subscriber;
  private readonly publisher;
  private onNews: () => void = () => undefined;
  /** Whether news comes by Redis; undefined before the first answer. */
  private reachable: boolean | undefined;
  private switching: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    url: string,
    private readonly fallback: WakeUps,
    private readonly log: Logger,
  ) {
    const reconnectStrategy = (tries: number) => Math.min(LONGEST_RECONNECT_MS, 50 * 2 ** tries);
    const socket = { reconnectStrategy, connectTimeout: CONNECT_MS };
    // The second protocol version is spoken by every Redis, and by what stands in for one.
    const options = { url, socket, RESP: 2, disableOfflineQueue: true } as const;
    this.subscriber = createClient(options);
    this.publisher = createClient(options);
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
