/**
 * PostgreSQL's codes for a connection that is gone or cannot be had: shut down, crashed, starting, or a transaction that was idle
 * for too long. Source: postgresql.org/docs/current/errcodes-appendix.html
 */
const LOST = /^(08...|57P0[1-5]|25P0[34])$/;
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH']);

/** Whether an error says that the database went away, so that nothing is known of the statement that was under way. */
export function isConnectionLost(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, driverError } = at as Error & { code?: unknown; driverError?: unknown };
    if (typeof code === 'string' && (LOST.test(code) || NETWORK.has(code))) return true;
    if (/^Connection terminated|^Client has encountered a connection error/.test(at.message)) return true;
    if (driverError instanceof Error && driverError !== at && isConnectionLost(driverError)) return true;
  }
  return false;
}
