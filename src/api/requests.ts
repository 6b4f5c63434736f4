import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from 'pino';
import type { Actor } from '../access/actor';
import type { Authenticator } from '../access/authenticator';
import { NO_CREDENTIAL, presentErrors, unauthenticated } from './errors';
import type { RequestRate } from './limits';

/** What every path that needs a credential is given. */
export interface CredentialOptions {
  readonly authenticator: Authenticator;
  readonly log: Logger;
}

/** Finds out who is calling before anything of the body is read; nobody else gets any further. */
export function requireCredential({ authenticator, log }: CredentialOptions, rate: RequestRate): RequestHandler {
  const identify = async (authorization: string | undefined): Promise<Actor> => {
    const actor = await authenticator.authenticate(authorization);
    if (!actor) throw unauthenticated(NO_CREDENTIAL);
    rate.take(actor.tokenId);
    return actor;
  };
  return async (request, response, next) => {
    // What is told to one caller is nobody else's.
    response.set('cache-control', 'no-store');
    try {
      response.locals['actor'] = await identify(request.headers.authorization);
    } catch (error) {
      refuse(response, error, log);
      return;
    }
    next();
  };
}

/** Who is calling, behind {@link requireCredential}. */
export function actorOf(response: Response): Actor {
  return response.locals['actor'];
}

/** Answers in the form of GraphQL's errors, on every path: one that was raised on purpose as it is, a fault by its request id alone. */
export function refuse(response: Response, error: unknown, log: Logger): void {
  const raised = error instanceof GraphQLError ? error : new GraphQLError('', { originalError: error as Error });
  const { status = error === raised ? 400 : 500, headers = new Map<string, string>() } = httpOf(raised);
  for (const [name, value] of headers) response.set(name, value);
  response.status(status).json({ errors: presentErrors([raised], response.locals['requestId'], log) });
}

function httpOf(error: GraphQLError): { status?: number; headers?: ReadonlyMap<string, string> } {
  return error.extensions['http'] ?? {};
}

/** A body that is not JSON, or too large, is the caller's to mend. */
export function refuseUnreadableBody(limit: number): ErrorRequestHandler {
  return (error, _request, response, _next) => {
    const status = typeof error.status === 'number' ? error.status : 400;
    answer(response, status, {
      message:
        status === 413
          ? `The request body exceeds the limit of ${limit} bytes.`
          : 'The request body is not valid JSON, or not in UTF-8.',
      extensions:
        status === 413 ? { code: 'LIMIT_EXCEEDED', limit: 'bodyBytes', allowed: limit } : { code: 'BAD_REQUEST' },
    });
  };
}

/** The last answer there is: for an address that nothing serves. */
export const refuseUnknownPath: RequestHandler = (_request, response) => {
  answer(response, 404, {
    message: 'There is nothing at this address.',
    extensions: { code: 'NOT_FOUND' },
  });
};

/** A request that cannot be read, or a fault, on a path that does not answer errors by itself; never with a stack. */
export function refuseFault(log: Logger): ErrorRequestHandler {
  return (error, _request, response, _next) => {
    if (response.headersSent) response.destroy();
    else if (typeof error.status === 'number' && error.status < 500) {
      answer(response, error.status, { message: 'The request cannot be read.', extensions: { code: 'BAD_REQUEST' } });
    } else refuse(response, error, log);
  };
}

function answer(response: Response, status: number, error: GraphQLFormattedError): void {
  response.status(status).json({ errors: [error] });
}
