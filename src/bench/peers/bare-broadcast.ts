import http from 'node:http';
import { WebSocketServer } from 'ws';

/**
 * The limit of telling many subscribers: a bare `ws` server that sends the same bytes to every connection.
 * Argument: port. What is posted to it is broadcast.
 */
const server = http.createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const message = Buffer.concat(chunks).toString();
    if (message !== '') for (const client of sockets.clients) client.send(message);
    response.end();
  });
});
const sockets = new WebSocketServer({ server });
server.listen(Number(process.argv[2]), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
