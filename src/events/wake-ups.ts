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

export const RECONNECT_MS = 500;
/** A server that is ending may take a connection and never say a word. */
export const CONNECT_MS = 5_000;

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
