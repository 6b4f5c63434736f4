import { AsyncLocalStorage } from 'node:async_hooks';
import { channel } from 'node:diagnostics_channel';
import { Client } from 'pg';

export interface SentStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** What answering the HTTP request that is under way has sent; jobs and timers of the server have none. */
const answering = new AsyncLocalStorage<SentStatement[]>();

/**
 * The statements that this process, which is the server's too, sends to PostgreSQL to answer the HTTP requests that begin while
 * something runs. Node says when it begins with a request (https://nodejs.org/api/diagnostics_channel.html#http); what follows
 * from that carries its context, so that background work of the server, whenever it comes, is told apart.
 */
export async function statementsOfRequests(work: () => Promise<unknown>): Promise<SentStatement[]> {
  const sent: SentStatement[] = [];
  const begin = () => answering.enterWith(sent);
  const query = Client.prototype.query;
  Client.prototype.query = function (this: Client, ...args: unknown[]) {
    const [first, second] = args as [string | { text: string; values?: unknown[] }, unknown];
    const statement = typeof first === 'string' ? { text: first, values: second } : first;
    const values = Array.isArray(statement.values) ? statement.values : [];
    answering.getStore()?.push({ text: statement.text, values });
    return (query as (...a: unknown[]) => unknown).apply(this, args);
  } as typeof query;
  channel('http.server.request.start').subscribe(begin);
  try {
    await work();
  } finally {
    channel('http.server.request.start').unsubscribe(begin);
    Client.prototype.query = query;
  }
  return sent;
}
