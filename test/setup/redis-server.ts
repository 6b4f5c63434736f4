import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** A Redis that a test can start and stop. */
export interface TestRedis {
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function testRedis(port: number): TestRedis {
  const program = process.env['ROLLCALL_TEST_REDIS'];
  return program ? new RealRedis(program, port) : new SmallRedis(port);
}

class RealRedis implements TestRedis {
  private child: ChildProcess | undefined;

  constructor(
    private readonly program: string,
    private readonly port: number,
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.child = spawn(this.program, ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '']);
    await once(this.child.stdout as NodeJS.ReadableStream, 'data');
  }

  async stop(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/**
 * As much of Redis as waking processes needs: HELLO, SUBSCRIBE, UNSUBSCRIBE and PUBLISH in the protocol's second version. It stands
 * in for a real one, which no package brings along, so that the tests need nothing installed; ROLLCALL_TEST_REDIS names a program
 * (redis-server) to run them against instead.
 */
class SmallRedis implements TestRedis {
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();
  private readonly subscribers = new Map<string, Set<Socket>>();

  constructor(readonly port: number) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const server = createServer((socket) => this.serve(socket));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => (this.server ? this.server.close(resolve) : resolve(undefined)));
    this.subscribers.clear();
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      for (const listeners of this.subscribers.values()) listeners.delete(socket);
    });
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
      for (let command = next(received); command; command = next(received)) {
        received = received.slice(command.length);
        socket.write(this.answer(socket, command.words));
      }
    });
  }

  private answer(socket: Socket, [name = '', ...words]: readonly string[]): string {
    const [channel = ''] = words;
    const listeners = this.subscribers.get(channel) ?? new Set();
    switch (name.toUpperCase()) {
      case 'HELLO':
        return '-NOPROTO unsupported protocol version\r\n';
      case 'SUBSCRIBE':
        this.subscribers.set(channel, listeners.add(socket));
        return `*3\r\n${bulk('subscribe')}${bulk(channel)}:1\r\n`;
      case 'UNSUBSCRIBE':
        listeners.delete(socket);
        return `*3\r\n${bulk('unsubscribe')}${bulk(channel)}:0\r\n`;
      case 'PUBLISH':
        for (const listener of listeners)
          listener.write(`*3\r\n${bulk('message')}${bulk(channel)}${bulk(words[1] ?? '')}`);
        return `:${listeners.size}\r\n`;
      case 'PING':
        return '+PONG\r\n';
      default:
        return '+OK\r\n';
    }
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** The first whole command of what was received: an array of texts, each with its length before it. */
function next(received: string): { words: string[]; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(received);
  if (!head) return undefined;
  let at = head[0].length;
  const words: string[] = [];
  for (let i = Number(head[1]); i > 0; i--) {
    const size = /^\$(\d+)\r\n/.exec(received.slice(at));
    if (!size) return undefined;
    const begin = at + size[0].length;
    at = begin + Number(size[1]) + 2;
    if (received.length < at) return undefined;
    words.push(received.slice(begin, at - 2));
  }
  return { words, length: at };
}
