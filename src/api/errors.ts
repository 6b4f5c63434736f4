import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from 'pino';
import { ArgumentValidationError } from 'type-graphql';

/** A request that cannot be answered as it was made; the message says what to change. */
export function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** @param message what to do about the missing or refused credential */
export function unauthenticated(message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401, headers: new Map([['www-authenticate', 'Bearer']]) } },
  });
}

export const NO_CREDENTIAL =
  'This needs a valid API token: send "Authorization: Bearer <token>", over WebSocket in the connection_init payload. The administrator’s token was printed at the first start, or is the one in ROLLCALL_ADMIN_TOKEN.';

/**
 * An error as the caller sees it. GraphQL's own errors and those raised on purpose pass; an internal fault is logged and shows
 * nothing but the request's id.
 */
export function presentError(error: GraphQLError | GraphQLFormattedError, requestId: string, log: Logger) {
  const original = error instanceof GraphQLError ? error.originalError : undefined;
  const raised = original === undefined || original === null || original instanceof GraphQLError;
  const code = error.extensions?.['code'];
  if (
    raised ||
    original instanceof ArgumentValidationError ||
    (code !== undefined && code !== 'INTERNAL_SERVER_ERROR')
  ) {
    return withoutStack(error);
  }
  log.error({ err: original, requestId, path: error.path }, 'api.internal-fault');
  return new GraphQLError(`An internal fault. The server log has it under request id ${requestId}.`, {
    ...(error.path ? { path: error.path } : {}),
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
  }).toJSON();
}

function withoutStack(error: GraphQLError | GraphQLFormattedError): GraphQLFormattedError {
  const formatted = error instanceof GraphQLError ? error.toJSON() : error;
  if (!formatted.extensions || !('stacktrace' in formatted.extensions)) return formatted;
  const { stacktrace: _, ...extensions } = formatted.extensions;
  return { ...formatted, extensions };
}
