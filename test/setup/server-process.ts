import { pino } from 'pino';
import { loadConfig } from '../../src/config/config';
import { startServer } from '../../src/server';

/** A server in a process of its own, so that a test can kill it; tells its parent its port. */
void startServer(loadConfig(process.env), pino({ level: 'silent' })).then((server) =>
  process.send?.({ port: server.port }),
);
