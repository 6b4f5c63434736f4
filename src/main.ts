import { setFlagsFromString } from 'node:v8';
import { loadConfig } from './config/config';
import { tryAgain } from './database/passing-fault';
import { AppError } from './platform/app-error';
import { createLogger } from './platform/logger';
import { startServer } from './server';

/** The longest that stopping may take before the process ends anyway. */
const STOP_LIMIT_MS = 30_000;

/**
 * How much the heap may grow beyond what is in use before it is collected as a whole. By itself V8 lets it grow far beyond that while
 * a machine has memory, so that a run's answers and rows, which are soon done with, stay until hundreds of megabytes are full of them.
 * Not on the command line, where a later Node that did not know it would not start.
 */
const HEAP_GROWTH = '--heap-growing-percent=50';

async function main(): Promise<void> {
  setFlagsFromString(HEAP_GROWTH);
  const config = loadConfig(process.env);
  const log = createLogger(config.logLevel);
  const server = await tryAgain(
    () => startServer(config, log),
    (error) => log.warn({ err: error }, 'server.starting-again'),
  );
  const address = `http://localhost:${server.port}`;
  if (server.newAdministratorToken) {
    // Once, and on standard error: log collectors read standard output.
    console.error(`\nAdministrator token, shown only this once: ${server.newAdministratorToken}\n`);
  }
  log.info({ graphql: `${address}/graphql`, explorer: `${address}/explorer` }, 'server.started');
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info({ signal }, 'server.stopping');
      setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
      void server.stop().then(() => process.exit(0));
    });
  }
}

main().catch((error: unknown) => {
  const message = error instanceof AppError ? error.message : error instanceof Error ? error.stack : String(error);
  console.error(`Rollcall cannot start:\n${message}`);
  process.exit(1);
});
