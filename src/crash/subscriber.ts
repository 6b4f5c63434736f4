import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const RECONNECT_MS = 30;

const TASK = `subscription ($id: ID!, $after: SafeInt) {
  event: syncTask(id: $id, afterSequence: $after) { sequence task { status progress { phase } } } }`;
const RECORDS = `subscription ($id: ID!, $after: SafeInt) {
  event: syncRecords(taskId: $id, afterSequence: $after) { sequence plan record { externalId objectType action result } } }`;

interface Told {
  sequence: number;
  /** Of a record. */
  plan?: number;
  task?: { status: string };
}

/** Follows one task as a client would that loses its connection now and then: each time from the last number it has. */
export class Subscriber {
  private readonly events: Told[] = [];
  private stopped = false;
  private readonly done: Promise<void>;

  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly what: 'task' | 'records',
    private readonly taskId: string,
  ) {
    this.done = this.follow();
  }

  /** Every event that still holds, in words, in the order of arrival: a plan that was made again has made those of former ones void. */
  lines(): string[] {
    const { plan } = this.events.at(-1) ?? {};
    return this.events.filter((event) => event.plan === plan).map((event) => JSON.stringify(event));
  }

  /** Numbers that came twice, or not in their order, or of a plan after a later one. */
  outOfOrder(): number[] {
    return this.events
      .filter((event, i) => {
        const former = this.events[i - 1];
        return former && (event.sequence <= former.sequence || (event.plan ?? 0) < (former.plan ?? 0));
      })
      .map((event) => event.sequence);
  }

  /** Resolves once the server says that nothing more comes. */
  ended(): Promise<void> {
    return this.done;
  }

  stop(): void {
    this.stopped = true;
  }

  private async follow(): Promise<void> {
    while (!this.stopped) {
      const complete = await this.listen().catch(() => false);
      if (complete) return;
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  /** @returns whether the stream ended because the task did, and not with the connection */
  private async listen(): Promise<boolean> {
    const client = createClient({
      url: this.url.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { Authorization: `Bearer ${this.token}` },
    });
    try {
      const after = this.events.at(-1)?.sequence ?? 0;
      const query = this.what === 'task' ? TASK : RECORDS;
      for await (const result of client.iterate<{ event: Told }>({ query, variables: { id: this.taskId, after } })) {
        if (result.errors || !result.data) return false;
        this.events.push(result.data.event);
        if (this.stopped) return true;
      }
    } finally {
      await client.dispose();
    }
    return true;
  }
}
