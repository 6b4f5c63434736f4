import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import { type ExecutionArgs, type FormattedExecutionResult, GraphQLError, getOperationAST } from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Actor } from '../access/actor';
import { Documents } from './documents';
import { badRequest, NO_CREDENTIAL, presentErrors, unauthenticated } from './errors';
import type { RequestRate } from './limits';
import { createContext, guard, type HttpServerOptions, MAX_TOKENS } from './operations';
import { SharedSubscriptions } from './shared-subscriptions';

/** How soon a revoked or expired credential's connections end. */
const RECHECK_MS = 2_000;
/** How long a stop waits for a subscriber to answer that its connection closes. */
const CLOSE_LIMIT_MS = 1_000;
/** Close code of WebSocket: Try Again Later. Source: the IANA registry of WebSocket close codes */
const TRY_AGAIN_CLOSE = 1013;
/** Close code of graphql-transport-ws that clients do not answer by trying again. */
const UNAUTHORIZED_CLOSE = 4401;

interface SocketExtra {
  actor?: Actor;
  address: string | null;
  running: number;
}

/** graphql-transport-ws on the same path; the credential comes in connection_init. */
export function serveSubscriptions(options: HttpServerOptions, server: http.Server, rate: RequestRate) {
  const sockets = new WebSocketServer({ server, path: '/graphql', maxPayload: options.config.maxBodyBytes });
  const documents = new Documents(options.schema, MAX_TOKENS);
  const shared = new SharedSubscriptions();
  const open = new Map<WebSocket, Actor>();
  const recheck = setInterval(() => void closeEnded(options, open), RECHECK_MS);
  const extraOf = (connection: { extra: unknown }) =>
    connection.extra as SocketExtra & { socket: WebSocket; request: http.IncomingMessage };
  const served = useServer<Record<string, unknown>, SocketExtra & Record<PropertyKey, never>>(
    {
      onConnect: async (connection) => {
        const payload = connection.connectionParams ?? {};
        const given = Object.entries(payload).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
        const extra = extraOf(connection);
        let actor: Actor | undefined;
        try {
          actor = await options.authenticator.authenticate(typeof given === 'string' ? given : undefined);
        } catch (error) {
          options.log.error({ err: error }, 'api.connect-failed');
          // Not a refusal, after which clients give up: they come back later.
          extra.socket.close(TRY_AGAIN_CLOSE, 'Try again later.');
        }
        if (!actor) return false;
        Object.assign(extra, { actor, running: 0, address: addressOf(extra.request, options.config.trustProxy) });
        open.set(extra.socket, actor);
        return true;
      },
      onDisconnect: (connection) => {
        open.delete(extraOf(connection).socket);
      },
      onSubscribe: async (connection, _id, payload) => {
        const extra = extraOf(connection);
        try {
          return await prepare(options, documents, rate, extra, payload);
        } catch (error) {
          // What is none of GraphQL's own is presented, and logged, by onError.
          return [error instanceof GraphQLError ? error : new GraphQLError('', { originalError: error as Error })];
        }
      },
      subscribe: (args) => shared.subscribe(args),
      onComplete: (connection) => {
        extraOf(connection).running -= 1;
        options.metrics.subscriptions.dec();
      },
      onNext: (_connection, _id, _payload, _args, { errors, ...result }) =>
        errors && ({ ...result, errors: presentErrors(errors, randomUUID(), options.log) } as FormattedExecutionResult),
      onError: (_connection, _id, _payload, errors) => presentErrors(errors, randomUUID(), options.log),
      // The reason of a close is for the client, and never a fault of the server in its own words.
      isProd: true,
    },
    sockets,
  );
  return {
    /** Closes every connection as one that goes away, which clients answer by connecting again. No stream is told to be complete. */
    dispose: async () => {
      clearInterval(recheck);
      const cut = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, CLOSE_LIMIT_MS);
      await served.dispose();
      clearTimeout(cut);
    },
  };
}

/** Where a connection comes from, as Express tells it of a request. */
function addressOf({ headers, socket }: http.IncomingMessage, trustProxy: boolean): string | null {
  const forwarded = trustProxy
    ? String(headers['x-forwarded-for'] ?? '')
        .split(',')[0]
        ?.trim()
    : undefined;
  return forwarded || (socket.remoteAddress ?? null);
}

/** Parses, validates and guards one operation as an HTTP request would be. */
async function prepare(
  options: HttpServerOptions,
  documents: Documents,
  rate: RequestRate,
  extra: SocketExtra,
  payload: SubscribePayload,
): Promise<ExecutionArgs | GraphQLError[]> {
  const { actor } = extra;
  if (!actor || (await options.authenticator.ended([actor])).size > 0) throw unauthenticated(NO_CREDENTIAL);
  rate.take(actor.tokenId);
  const limit = options.config.maxSubscriptions;
  if (extra.running >= limit) {
    throw new GraphQLError(`This connection exceeds the limit of subscriptions: ${limit} at a time.`, {
      extensions: { code: 'LIMIT_EXCEEDED', limit: 'subscriptions', allowed: limit },
    });
  }
  const prepared = documents.prepare(payload.query);
  if ('problems' in prepared) return [...prepared.problems];
  const { document } = prepared;
  const operation = getOperationAST(document, payload.operationName);
  if (!operation) throw badRequest('Say in operationName which one of the document’s operations to run.');
  const context = createContext(options.services, actor, randomUUID(), extra.address, false);
  await guard(options, document, operation, payload.variables ?? {}, context);
  extra.running += 1;
  options.metrics.subscriptions.inc();
  return {
    schema: options.schema,
    document,
    operationName: payload.operationName ?? null,
    variableValues: payload.variables ?? null,
    contextValue: context,
  };
}

/** Ends the connections of credentials that were revoked or have expired, whichever process revoked them. */
async function closeEnded(options: HttpServerOptions, open: ReadonlyMap<WebSocket, Actor>): Promise<void> {
  if (open.size === 0) return;
  try {
    const ended = await options.authenticator.ended([...open.values()]);
    for (const [socket, actor] of open)
      if (ended.has(actor)) socket.close(UNAUTHORIZED_CLOSE, 'The credential has ended.');
  } catch (error) {
    options.log.warn({ err: error }, 'api.credential-recheck-failed');
  }
}
