import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

/** A small client of the public API: requests over HTTP, subscriptions over WebSocket. */
export class ApiClient {
  private readonly socket: Client;

  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {
    this.socket = createClient({
      url: url.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${token}` },
    });
  }

  /** @throws Error with the API's messages */
  async request<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await response.json()) as { data?: T; errors?: { message: string }[] };
    if (body.errors || !body.data)
      throw new Error((body.errors ?? []).map((e) => e.message).join('\n') || `HTTP ${response.status}`);
    return body.data;
  }

  async *subscribe<T>(query: string, variables: Record<string, unknown>): AsyncGenerator<T> {
    for await (const result of this.socket.iterate<T>({ query, variables })) {
      if (result.errors || !result.data) throw new Error((result.errors ?? []).map((e) => e.message).join('\n'));
      yield result.data;
    }
  }

  /** All nodes of the one connection that a query asks for, at the top or within other objects, page by page. */
  async *all<T>(query: string, variables: Record<string, unknown>): AsyncGenerator<T> {
    for (let after: string | null = null; ; ) {
      const page: Connection<T> | undefined = connectionIn(await this.request(query, { ...variables, after }));
      if (!page) return;
      yield* page.nodes;
      if (!page.pageInfo.hasNextPage) return;
      after = page.pageInfo.endCursor;
    }
  }

  async close(): Promise<void> {
    await this.socket.dispose();
  }
}

interface Connection<T> {
  readonly nodes: T[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

function connectionIn<T>(data: unknown): Connection<T> | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  return 'pageInfo' in data ? (data as Connection<T>) : connectionIn(Object.values(data)[0]);
}
