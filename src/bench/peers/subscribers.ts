import { WebSocket } from 'ws';

/**
 * Many subscribers in a process of their own, each with a connection. Told by messages of the parent process:
 * `{ connect: { url, count, first } }` connects and sends each first message, and answers `{ connected }` once every one of them
 * had its first answers; `{ await: n }` answers `{ received, bytes }` once n messages more came. Only counts: what it costs is
 * the same for whoever sends.
 */
interface Connect {
  readonly url: string;
  readonly count: number;
  readonly protocol: string | null;
  /** Sent one after the other, each after the answer to the one before. */
  readonly messages: readonly string[];
}

let received = 0;
let awaited = Number.POSITIVE_INFINITY;
let bytes = 0;
let sample = '';
const sockets: WebSocket[] = [];

async function connect({ url, count, protocol, messages }: Connect): Promise<void> {
  const AT_ONCE = 50;
  for (let i = 0; i < count; i += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - i) }, () => one(url, protocol, messages)));
  }
}

function one(url: string, protocol: string | null, messages: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocol ?? [], { perMessageDeflate: false });
    sockets.push(socket);
    let sent = 0;
    const next = (answer?: Buffer) => {
      if (answer?.includes('"type":"error"')) reject(new Error(answer.toString()));
      const message = messages[sent++];
      if (message === undefined) {
        socket.off('message', next);
        socket.on('message', count);
        resolve();
      } else socket.send(message);
    };
    socket.on('message', next);
    socket.once('open', () => next());
    socket.once('error', reject);
    if (messages.length === 0) socket.once('open', () => resolve());
  });
}

function count(data: Buffer): void {
  received += 1;
  bytes = data.length;
  if (sample === '') sample = data.toString();
  if (received >= awaited) {
    process.send?.({ received, bytes, sample });
    awaited = Number.POSITIVE_INFINITY;
  }
}

process.on('message', async (message: { connect?: Connect; await?: number; close?: boolean }) => {
  if (message.connect) {
    await connect(message.connect).catch((error) => {
      console.error(error);
      process.exit(1);
    });
    process.send?.({ connected: sockets.length });
  } else if (message.await !== undefined) {
    received = 0;
    awaited = message.await;
    process.send?.({ waiting: true });
  } else if (message.close) process.exit(0);
});
