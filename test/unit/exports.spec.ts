import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { write } from '../../src/api/exports';

/** More than the buffers of a connection hold, so that writing has to wait. */
const PIECE = 'x'.repeat(1_000_000);
const PIECES = 20;

describe('a file that is written piece by piece', () => {
  /** Serves one file, and gives its response and the client's. */
  async function serve(work: (response: ServerResponse, file: IncomingMessage) => Promise<void>): Promise<void> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const asked = request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }).end();
    const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
    response.flushHeaders();
    const [file] = (await once(asked, 'response')) as [IncomingMessage];
    await work(response, file).finally(() => {
      file.destroy();
      server.close();
    });
  }

  it('waits for who reads it, and leaves nothing waiting behind', () =>
    serve(async (response, file) => {
      const listeners = () =>
        response.listenerCount('close') + response.listenerCount('error') + response.listenerCount('drain');
      const before = listeners();
      let read = 0;
      file.on('data', (part: Buffer) => {
        read += part.length;
      });
      for (let i = 0; i < PIECES; i++) await write(response, PIECE);
      expect(listeners()).toBe(before);
      response.end();
      await once(file, 'end');
      expect(read).toBe(PIECES * PIECE.length);
    }));

  it('comes to its end when who reads it has gone', () =>
    serve(async (response, file) => {
      file.on('error', () => undefined);
      const writing = write(response, PIECE.repeat(10));
      file.destroy();
      await writing;
      expect(response.destroyed).toBe(true);
      await write(response, PIECE);
    }));
});
