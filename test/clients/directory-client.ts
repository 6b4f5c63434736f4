import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import {
  type EmployeeFilter,
  type EmployeeOrder,
  ListPeopleDocument,
  type ListPeopleQuery,
  StartTaskDocument,
  type TypedDocumentString,
  WatchTaskDocument,
  type WatchTaskSubscription,
} from './generated';

/*
 * A client in TypeScript with generated types: what is asked and what is answered is checked by the compiler. fetch carries
 * queries and mutations, graphql-ws subscriptions.
 */

export type Person = ListPeopleQuery['employees']['nodes'][number];
export type WatchedTask = WatchTaskSubscription['syncTask']['task'];

/** A refusal of the API: `code` is for programs, the message says what to do. */
export class DirectoryRefusal extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export class DirectoryClient {
  private readonly authorization: string;
  private readonly socket;

  /** @param url of /graphql; http or https */
  constructor(
    private readonly url: string,
    token: string,
  ) {
    this.authorization = `Bearer ${token}`;
    this.socket = createClient({
      url: url.replace(/^http/, 'ws'),
      // Browsers, and Node 22 or newer, have their own and do not need this.
      webSocketImpl: WebSocket,
      connectionParams: { authorization: this.authorization },
      retryAttempts: Number.POSITIVE_INFINITY,
      // Also a connection that a server refuses while it starts again, not only one that was closed.
      shouldRetry: () => true,
    });
  }

  /** Everybody whom a filter finds, page by page, in a stable order. */
  async *people(filter: EmployeeFilter, orderBy?: EmployeeOrder): AsyncGenerator<Person> {
    for (let after: string | null = null; ; ) {
      const { employees }: ListPeopleQuery = await this.request(ListPeopleDocument, {
        filter,
        orderBy,
        first: 100,
        after,
      });
      yield* employees.nodes;
      if (!employees.pageInfo.hasNextPage) return;
      after = employees.pageInfo.endCursor;
    }
  }

  /**
   * Synchronizes a source and tells how it goes, to the end. A task that is running already is followed instead of a second one.
   * @returns the task as it ended; HELD when removals wait for approval
   */
  async synchronize(identitySourceId: string, onProgress: (task: WatchedTask) => void): Promise<WatchedTask> {
    const { startSyncTask } = await this.request(StartTaskDocument, { identitySourceId });
    const [refused] = startSyncTask.userErrors;
    if (!startSyncTask.syncTask) throw new DirectoryRefusal(refused?.code ?? 'INTERNAL', refused?.message ?? '');
    let last: WatchedTask | undefined;
    for await (const { data, errors } of this.socket.iterate<WatchTaskSubscription>({
      query: WatchTaskDocument.toString(),
      variables: { id: startSyncTask.syncTask.id },
    })) {
      if (!data) throw new Error(errors?.map(({ message }) => message).join('\n'));
      last = data.syncTask.task;
      onProgress(last);
      if (last.status === 'HELD') break;
    }
    if (!last) throw new Error('The subscription ended without an event.');
    return last;
  }

  async request<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: this.authorization },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
    const { data, errors } = (await response.json()) as { data?: Data; errors?: { message: string }[] };
    if (!data) throw new Error(errors?.map(({ message }) => message).join('\n') ?? `HTTP ${response.status}`);
    return data;
  }

  async close(): Promise<void> {
    await this.socket.dispose();
  }
}
