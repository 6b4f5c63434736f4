import { type TypedDocumentString, WatchTasksDocument, type WatchTasksSubscription } from './generated';

/*
 * A dashboard in a browser, without any library: the WebSocket that browsers have, and the few messages of
 * graphql-transport-ws. Source: github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */

export type TaskEvent = WatchTasksSubscription['syncTasks'];

export interface DashboardOptions {
  /** Of /graphql; ws or wss. */
  readonly url: string;
  readonly token: string;
  /** Called with every change of every task. */
  onEvent(event: TaskEvent): void;
  /** Called when there will be no more events: the credential has ended, or the operation was refused. */
  onEnd(reason: string): void;
}

/** The server's answers to a credential that is unknown, and to one that has ended: trying again would not help. */
const REFUSED = [4403, 4401];
const RETRY_MS = 1_000;

/** What came after the last event is no longer kept, since the connection was lost for days: begin again with how things stand. */
const GONE = 'EVENTS_GONE';

/**
 * Shows every task of every source as it goes on. A lost connection is made again, and events go on after the last one that was
 * seen, so that none is missed and none comes twice.
 * @returns ends it
 */
export function watchTasks(options: DashboardOptions): () => void {
  let last: number | undefined;
  let socket: WebSocket | undefined;
  let ended = false;
  const connect = () => {
    if (ended) return;
    const current = new WebSocket(options.url, 'graphql-transport-ws');
    socket = current;
    const send = (message: unknown) => current.send(JSON.stringify(message));
    const subscribe = () =>
      send({ id: '1', type: 'subscribe', payload: operation(WatchTasksDocument, { afterSequence: last }) });
    current.onopen = () => send({ type: 'connection_init', payload: { authorization: `Bearer ${options.token}` } });
    current.onmessage = ({ data }) => {
      const message = JSON.parse(String(data));
      switch (message.type) {
        case 'connection_ack':
          subscribe();
          break;
        case 'ping':
          send({ type: 'pong' });
          break;
        case 'next':
          if (message.payload.errors) return end(message.payload.errors[0].message);
          last = message.payload.data.syncTasks.sequence;
          options.onEvent(message.payload.data.syncTasks);
          break;
        case 'error':
          if (message.payload[0].extensions?.code !== GONE) return end(message.payload[0].message);
          last = undefined;
          subscribe();
      }
    };
    current.onclose = ({ code, reason }) => {
      if (REFUSED.includes(code)) end(reason);
      else setTimeout(connect, RETRY_MS);
    };
  };
  const end = (reason: string) => {
    if (ended) return;
    ended = true;
    socket?.close(1000);
    options.onEnd(reason);
  };
  connect();
  return () => end('closed');
}

function operation<Variables>(document: TypedDocumentString<unknown, Variables>, variables: Variables) {
  return { query: document.toString(), variables };
}
