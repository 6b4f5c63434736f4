import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../platform/app-error';

/**
 * PostgreSQL's codes for what passes: a connection that is gone or cannot be had (shut down, crashed, starting, too many), a
 * transaction that was idle for too long, a server that is read-only after a failover, a deadlock, or a statement that took too long
 * because its process was paused. Source: postgresql.org/docs/current/errcodes-appendix.html
 */
const PASSING = /^(08...|53300|57P0[1-5]|57014|25P0[34]|25006|40001|40P01)$/;
const NETWORK = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
/** What pg and its pool say without a code. */
const SAID =
  /^(Connection terminated|Client (has encountered a connection error|was closed)|timeout e(xceeded|xpired))/;

/**
 * Whether an error says that the database went away, or could not do just now what it was asked: nothing is known of the statement
 * that was under way, and the same may well succeed later.
 */
export function isPassingFault(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, driverError, syscall } = at as Error & { code?: unknown; driverError?: unknown; syscall?: unknown };
    if (typeof code === 'string' && (PASSING.test(code) || NETWORK.has(code))) return true;
    // The socket of a local server that is starting.
    if (code === 'ENOENT' && syscall === 'connect') return true;
    if (SAID.test(at.message)) return true;
    if (driverError instanceof Error && driverError !== at && isPassingFault(driverError)) return true;
  }
  return false;
}

const TRIES = 5;

/**
 * Tries again what the database interrupted, as where it fails over just then. What is wrong for good is told at once.
 * @param onPassing told before each further try
 */
export async function tryAgain<T>(
  work: () => Promise<T>,
  onPassing: (error: unknown) => void,
  pauseMs = 1_000,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AppError || !isPassingFault(error) || tries === TRIES) throw error;
      onPassing(error);
      await delay(pauseMs);
    }
  }
}
