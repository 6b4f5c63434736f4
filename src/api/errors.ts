import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from 'pino';
import { ArgumentValidationError } from 'type-graphql';

/** A request that cannot be answered as it was made; the message says what to change. */
export function badRequest(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** An address of a file that is not there. */
export function notFound(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'NOT_FOUND', http: { status: 404 } } });
}

/** A file that is not whole yet. */
export function notYet(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'NOT_YET', http: { status: 409 } } });
}

/** A number to go on from whose next events are no longer kept, or that was never given. */
export function eventsGone(): GraphQLError {
  return new GraphQLError(
    'What came after this number is no longer kept: subscribe without afterSequence, and go on from what that tells.',
    { extensions: { code: 'EVENTS_GONE' } },
  );
}

/** @param message what to do about the missing or refused credential */
export function unauthenticated(message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401, headers: new Map([['www-authenticate', 'Bearer']]) } },
  });
}

export const NO_CREDENTIAL =
  'This needs a valid API token: send "Authorization: Bearer <token>", over WebSocket in the connection_init payload. The administrator’s token was printed at the first start, or is the one in ROLLCALL_ADMIN_TOKEN.';

/** So many tell what is wrong with a document; more would only make a long answer of a short request. */
export const MAX_DOCUMENT_ERRORS = 5;

/** What is wrong with a request, as the caller sees it. */
export function presentErrors(
  errors: readonly (GraphQLError | GraphQLFormattedError)[],
  requestId: string,
  log: Logger,
): GraphQLFormattedError[] {
  const isInvalid = errors.some((error) => error.extensions?.['code'] === 'GRAPHQL_VALIDATION_FAILED');
  const told = isInvalid ? errors.slice(0, MAX_DOCUMENT_ERRORS) : errors;
  return told.map((error) => presentError(error, requestId, log));
}

/** PostgreSQL: the text has a character that no text of it can have. Source: its manual, appendix A */
const UNSTORABLE_TEXT = '22021';

/**
 * An error as the caller sees it. GraphQL's own errors and those raised on purpose pass; an internal fault is logged and shows
 * nothing but the request's id.
 */
function presentError(
  error: GraphQLError | GraphQLFormattedError,
  requestId: string,
  log: Logger,
): GraphQLFormattedError {
  const original = error instanceof GraphQLError ? error.originalError : undefined;
  const raised = original === undefined || original === null || original instanceof GraphQLError;
  const code = error.extensions?.['code'];
  const isKnown = code !== undefined && code !== 'INTERNAL_SERVER_ERROR';
  if (raised || isKnown || original instanceof ArgumentValidationError) return forCaller(error);
  const path = error.path ? { path: error.path } : {};
  if ((original as { code?: unknown }).code === UNSTORABLE_TEXT) {
    const message = 'A text has the character U+0000, which can be neither stored nor found: leave it out.';
    return { message, ...path, extensions: { code: 'BAD_USER_INPUT' } };
  }
  log.error({ err: original, requestId, path: error.path }, 'api.internal-fault');
  const message = `An internal fault. The server log has it under request id ${requestId}.`;
  return { message, ...path, extensions: { code: 'INTERNAL_SERVER_ERROR', requestId } };
}

/** Without what is for the server alone (stack, HTTP status and headers), and never without a code. */
function forCaller(error: GraphQLError | GraphQLFormattedError): GraphQLFormattedError {
  const formatted = error instanceof GraphQLError ? error.toJSON() : error;
  // What GraphQL itself says before anything has a path is about variables that do not fit.
  const { stacktrace: _stack, http: _http, ...extensions } = formatted.extensions ?? {};
  return { ...formatted, extensions: { code: 'BAD_USER_INPUT', ...extensions } };
}
