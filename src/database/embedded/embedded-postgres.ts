import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { Logger } from 'pino';
import { AppError } from '../../platform/app-error';
import { type Cluster, environment, prepareCluster } from './cluster';
import { serverSettings } from './server-settings';

export interface EmbeddedPostgresOptions {
  /** Folder for everything that must survive; made when missing. */
  readonly dataDir: string;
  readonly log?: Logger;
}

export interface EmbeddedPostgres {
  /** Address of the database, with its password. */
  readonly url: string;
  stop(): Promise<void>;
}

const DATABASE = 'rollcall';
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;
const LOG_TAIL = 2_000;

/**
 * Starts the PostgreSQL of a data folder, or takes over what a killed server left behind.
 * @throws AppError CONFIG_INVALID when the folder is in use by another Rollcall, or this machine cannot run it
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = folderOf(options.dataDir);
  const lock = await lockFolder(dataDir);
  try {
    const cluster = prepareCluster(dataDir);
    await stopLeftover(cluster, options.log);
    const { child, port } = await startOnFreePort(cluster);
    const running = keepRunning(cluster, child, port, options.log);
    const url = (database: string) => `postgres://rollcall:${cluster.password}@127.0.0.1:${port}/${database}`;
    await createDatabase(url('postgres'));
    options.log?.info({ port }, 'postgres.started');
    const killLeftover = () => running.child().kill('SIGINT');
    process.once('exit', killLeftover);
    return {
      url: url(DATABASE),
      stop: async () => {
        process.off('exit', killLeftover);
        await running.stop();
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

function folderOf(dataDir: string): string {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return realpathSync(dataDir);
  } catch (cause) {
    const message = `ROLLCALL_DATA_DIR cannot be used: ${(cause as Error).message}`;
    throw new AppError('CONFIG_INVALID', message, { cause });
  }
}

/**
 * One server for each data folder. The lock is a listening socket, which the system closes with the process, however that
 * ends. On Linux its name is abstract, so that nothing is left in a folder.
 */
async function lockFolder(dataDir: string): Promise<Server> {
  const name = `rollcall-${createHash('sha256').update(dataDir).digest('hex').slice(0, 24)}`;
  const address =
    process.platform === 'linux' ? `\0${name}` : process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : undefined;
  const server = createServer();
  // Elsewhere there is no name that goes with the process, so a port that follows from the folder stands in.
  const target = address ?? { port: 40_000 + (Number.parseInt(name.slice(-6), 16) % 20_000), host: '127.0.0.1' };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      const message = `Another Rollcall uses the data folder ${dataDir}: stop it, choose another ROLLCALL_DATA_DIR, or set DATABASE_URL to share one database.`;
      reject(new AppError('CONFIG_INVALID', message));
    });
    server.listen(target, resolve);
  });
  server.unref();
  return server;
}

/** A PostgreSQL that outlived its killed server is stopped cleanly; the lock says that nobody uses it. */
async function stopLeftover(cluster: Cluster, log: Logger | undefined): Promise<void> {
  const pidFile = path.join(cluster.folder, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
  if (!isPostgres(pid, cluster)) return;
  log?.warn({ pid }, 'postgres.stopping-leftover');
  process.kill(pid, 'SIGINT');
  const limit = Date.now() + STOP_LIMIT_MS;
  while (isPostgres(pid, cluster)) {
    if (Date.now() > limit) process.kill(pid, 'SIGQUIT');
    await delay(50);
  }
}

/** Whether the process is a PostgreSQL of this folder; its number may long be another's. */
function isPostgres(pid: number, cluster: Cluster): boolean {
  if (!Number.isInteger(pid) || pid <= 1) return false;
  try {
    process.kill(pid, 0);
    if (process.platform !== 'linux') return true;
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
    return state !== 'Z' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(cluster.folder);
  } catch {
    return false;
  }
}

const PORT_TRIES = 5;
/** The longest between two tries to start what ended by itself. */
const RESTART_LIMIT_MS = 10_000;

async function startOnFreePort(cluster: Cluster): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const child = spawnServer(cluster, port);
    try {
      await waitUntilReady(cluster, child, port);
      return { child, port };
    } catch (error) {
      await stopChild(child);
      if (attempt === PORT_TRIES || error instanceof AppError) throw error;
    }
  }
}

interface Running {
  /** Today's process. */
  child(): ChildProcess;
  stop(): Promise<void>;
}

/** Starts PostgreSQL again, at the same address, whenever it ends without having been told to: killed, or out of memory. */
function keepRunning(cluster: Cluster, first: ChildProcess, port: number, log: Logger | undefined): Running {
  let child = first;
  let stopping = false;
  let restarting: Promise<void> | undefined;
  const ended = (code: number | null, signal: NodeJS.Signals | null) => {
    if (stopping) return;
    log?.error({ code, signal }, 'postgres.ended');
    restarting = restart();
  };
  const watch = () => {
    // It may have ended again before anybody watched it.
    if (child.exitCode === null && child.signalCode === null) child.once('exit', ended);
    else ended(child.exitCode, child.signalCode);
  };
  const restart = async () => {
    for (let attempt = 1; !stopping; attempt++) {
      child = spawnServer(cluster, port);
      try {
        await waitUntilReady(cluster, child, port);
        log?.info({ port }, 'postgres.started-again');
        watch();
        return;
      } catch (error) {
        log?.error({ err: error }, 'postgres.start-failed');
        await stopChild(child);
        await delay(Math.min(RESTART_LIMIT_MS, 100 * 2 ** attempt));
      }
    }
  };
  watch();
  return {
    child: () => child,
    stop: async () => {
      stopping = true;
      await stopChild(child);
      await restarting;
      await stopChild(child);
    },
  };
}

function spawnServer(cluster: Cluster, port: number): ChildProcess {
  const settings = Object.entries(serverSettings(port)).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // Begun anew at each start, so that it cannot fill the disk.
  const output = openSync(cluster.logFile, 'w', 0o600);
  if (existsSync(cluster.logFile)) chmodSync(cluster.logFile, 0o600);
  // In a session of its own, so that Ctrl+C in the terminal reaches Rollcall first.
  const child = spawn(path.join(cluster.binaries, 'bin', 'postgres'), ['-D', cluster.folder, ...settings], {
    ...cluster.user.ids,
    cwd: '/',
    env: environment(cluster),
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  child.on('error', () => undefined);
  return child;
}

async function waitUntilReady(cluster: Cluster, child: ChildProcess, port: number): Promise<void> {
  const limit = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      throw new Error(`PostgreSQL did not start:\n${readFileSync(cluster.logFile, 'utf8').slice(-LOG_TAIL)}`);
    }
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'rollcall',
      password: cluster.password,
      database: 'postgres',
      // A server that is ending may take a connection and never say a word.
      connectionTimeoutMillis: 2_000,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (Date.now() > limit) throw error;
      await delay(30);
    }
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

/** Fast shutdown, and after a while an immediate one, from which the next start recovers. */
async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGQUIT'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No free port.');
  return address.port;
}
