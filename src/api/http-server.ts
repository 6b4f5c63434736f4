import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer, type ApolloServerPlugin, type GraphQLRequestListener, HeaderMap } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type Express, type Router } from 'express';
import {
  type DocumentNode,
  type ExecutionArgs,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationDefinitionNode,
} from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Actor } from '../access/actor';
import type { Authenticator } from '../access/authenticator';
import { requireRoles } from '../access/authorize';
import { CALLBACK_PATH } from '../callbacks/callback-server';
import type { AppConfig } from '../config/config';
import { employeeExport } from '../organisation/employee-export';
import { AppError } from '../platform/app-error';
import type { Metrics } from '../platform/metrics';
import { recordExport } from '../sync/api/record-export';
import { CompiledOperations } from './compiled-operations';
import type { RequestContext, Services } from './context';
import { Documents } from './documents';
import { badRequest, NO_CREDENTIAL, presentErrors, unauthenticated } from './errors';
import { explorer } from './explorer/explorer';
import { EXPORT_PATH } from './exports';
import { RequestRate, requireWithinLimits } from './limits';
import { createLoaders } from './loaders';
import { actorOf, refuseFault, refuseUnknownPath, refuseUnreadableBody, requireCredential } from './requests';
import { SharedSubscriptions } from './shared-subscriptions';

/** How soon a revoked or expired credential's connections end. */
const RECHECK_MS = 2_000;
/** How long a stop waits for a subscriber to answer that its connection closes. */
const CLOSE_LIMIT_MS = 1_000;
/** Far more than any real document has; parsing must not be the attack. */
const MAX_TOKENS = 20_000;
/** Close code of WebSocket: Try Again Later. Source: the IANA registry of WebSocket close codes */
const TRY_AGAIN_CLOSE = 1013;
/** Close code of graphql-transport-ws that clients do not answer by trying again. */
const UNAUTHORIZED_CLOSE = 4401;
const NOT_OVER_HTTP =
  'Subscriptions come over WebSocket, on the same path with the subprotocol graphql-transport-ws; schema/README.md has a client.';

export interface HttpServerOptions {
  readonly schema: GraphQLSchema;
  readonly services: Services;
  readonly authenticator: Authenticator;
  readonly config: Pick<
    AppConfig,
    'role' | 'trustProxy' | 'operationLimits' | 'maxBodyBytes' | 'requestsPerMinute' | 'maxSubscriptions'
  >;
  /** Receives the directories' callbacks. */
  readonly callbacks: Router;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Whether the server can do its work: database reachable, not stopping. */
  ready(): Promise<boolean>;
}

export interface HttpServer {
  /** The port that it listens on. */
  readonly port: number;
  close(): Promise<void>;
}

/** GraphQL over HTTP and WebSocket, the explorer, health and metrics on one port. */
export async function startHttpServer(options: HttpServerOptions, port: number, host: string): Promise<HttpServer> {
  const app = express();
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.locals['requestId'] = randomUUID();
    response.set({ 'x-request-id': response.locals['requestId'], 'x-content-type-options': 'nosniff' });
    next();
  });
  // An answer is made for its caller; nobody asks whether it is still the same.
  app.set('etag', false);
  app.set('trust proxy', options.config.trustProxy);
  const rate = new RequestRate(options.config.requestsPerMinute);
  const server = http.createServer(app);
  const isApi = options.config.role !== 'worker';
  const apollo = new ApolloServer<RequestContext>({
    schema: options.schema,
    introspection: true,
    // The credential is a header that a browser never adds by itself, so another site's page cannot ride on it.
    csrfPrevention: false,
    parseOptions: { maxTokens: MAX_TOKENS },
    // They would be kept in memory for whoever sends some.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    logger: options.log,
    stopOnTerminationSignals: false,
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      // It would wrap every field's resolver; that nothing may be cached is said for all answers below.
      ApolloServerPluginCacheControlDisabled(),
      guardOperations(options),
      runCompiled(options.schema),
      presentInAnswers(options.log),
    ],
  });
  await apollo.start();
  addOperations(app, options);
  if (isApi) {
    app.use(CALLBACK_PATH, options.callbacks);
    app.use(EXPORT_PATH, requireCredential(options, rate));
    app.use(EXPORT_PATH, recordExport(options.schema, options.services.dataSource, options.log));
    app.use(EXPORT_PATH, employeeExport({ ...options, createContext: exportContext(options) }));
    addGraphql(app, apollo, options, rate);
    app.use(explorer({ graphqlPath: '/graphql' }));
  }
  app.use(refuseUnknownPath, refuseFault(options.log));
  await listen(server, port, host);
  const sockets = isApi ? serveSubscriptions(options, server, rate) : undefined;
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      await sockets?.dispose();
      await apollo.stop();
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 5_000).unref();
      await closed;
    },
  };
}

async function listen(server: http.Server, port: number, host: string): Promise<void> {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something listens there already: stop it, or choose another PORT.',
    EACCES: 'this user may not: choose a PORT above 1023.',
    EADDRNOTAVAIL: 'this machine has no such address: choose another HOST.',
    ENOTFOUND: 'there is no such address: choose another HOST.',
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const reason = reasons[cause.code ?? ''] ?? cause.message;
      reject(new AppError('CONFIG_INVALID', `Cannot listen on ${host}:${port}: ${reason}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function addGraphql(
  app: Express,
  apollo: ApolloServer<RequestContext>,
  options: HttpServerOptions,
  rate: RequestRate,
): void {
  app.use('/graphql', (request, response, next) => {
    const requestId = response.locals['requestId'];
    const end = options.metrics.requests.startTimer();
    response.on('finish', () => {
      end({ status: String(response.statusCode) });
      options.log.debug({ requestId, method: request.method, status: response.statusCode }, 'api.request');
    });
    next();
  });
  app.use(
    '/graphql',
    requireCredential(options, rate),
    express.json({ limit: options.config.maxBodyBytes, type: ['application/json', 'application/graphql+json'] }),
    refuseUnreadableBody(options.config.maxBodyBytes),
    expressMiddleware(apollo, {
      context: async ({ req, res }) =>
        createContext(options.services, actorOf(res), res.locals['requestId'], req.ip ?? null, true),
    }),
  );
}

/** Refuses, before anything runs, what the caller may not do and what asks for too much. */
function guardOperations(options: HttpServerOptions): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ document, operation, request, contextValue }) => {
        if (!operation) return;
        if (operation.operation === 'subscription') throw badRequest(NOT_OVER_HTTP);
        await guard(options, document, operation, request.variables ?? {}, contextValue);
      },
    }),
  };
}

/**
 * Runs compiled what is asked again and again. How a fault looks is decided in one place: an answer with errors, or variables
 * that do not fit, is left to the ordinary execution, which repeats the query.
 */
function runCompiled(schema: GraphQLSchema): ApolloServerPlugin<RequestContext> {
  const operations = new CompiledOperations(schema);
  const responseForOperation: NonNullable<GraphQLRequestListener<RequestContext>['responseForOperation']> = async ({
    document,
    operation,
    request,
    contextValue,
  }) => {
    // None where operationName names none: the ordinary execution says so.
    const run = operation && operations.find(document, operation);
    if (!run) return null;
    const { data, errors } = await run(undefined, contextValue, request.variables ?? {});
    if (errors || !data) return null;
    // Without a status of its own the answer gets the usual one.
    return { http: { headers: new HeaderMap() }, body: { kind: 'single', singleResult: { data } } };
  };
  return { requestDidStart: async () => ({ responseForOperation }) };
}

async function guard(
  options: HttpServerOptions,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
  context: RequestContext,
): Promise<void> {
  requireWithinLimits(options.schema, document, operation, variables, options.config.operationLimits);
  try {
    requireRoles(options.schema, document, operation, context.actor.role);
  } catch (error) {
    if (operation.operation === 'mutation') {
      const names = operation.selectionSet.selections.map((s) => (s.kind === 'Field' ? s.name.value : '...'));
      await context.audit.write({
        actor: context.actor.name,
        address: context.address,
        mutation: names.join(', '),
        input: null,
        objectId: null,
        outcome: 'FORBIDDEN',
        errorCodes: ['FORBIDDEN'],
        before: null,
        after: null,
      });
    }
    throw error;
  }
}

/** Exports are read as a list over HTTP would be. */
function exportContext({ services }: HttpServerOptions) {
  return (actor: Actor) => createContext(services, actor, randomUUID(), null, true);
}

function createContext(
  services: Services,
  actor: Actor,
  requestId: string,
  address: string | null,
  cache: boolean,
): RequestContext {
  return { ...services, actor, requestId, address, loaders: createLoaders(services, actor.role, cache) };
}

function addOperations(app: Express, options: HttpServerOptions): void {
  app.get('/healthz', (_request, response) => {
    response.json({ status: 'ok' });
  });
  app.get('/readyz', async (_request, response) => {
    const ready = await options.ready();
    response.status(ready ? 200 : 503).json({ status: ready ? 'ready' : 'not ready' });
  });
  app.get('/metrics', async (_request, response) => {
    response.type(options.metrics.registry.contentType).send(await options.metrics.registry.metrics());
  });
}

/**
 * A request that was well-formed as HTTP, so that clients of `application/json` get 200 with the errors in the body; clients of
 * `application/graphql-response+json` get 400. Source: GraphQL over HTTP, sections 6.4.1 and 6.4.2.
 */
const WELL_FORMED: ReadonlySet<unknown> = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_USER_INPUT',
]);

function presentInAnswers(log: Logger): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: async () => ({
      willSendResponse: async ({ request, response, errors, contextValue }) => {
        if (!errors || response.body.kind !== 'single') return;
        const codes = errors.map((error) => error.extensions?.['code']);
        const accepts = request.http?.headers.get('accept') ?? '';
        if (!accepts.includes('application/graphql-response+json') && codes.every((code) => WELL_FORMED.has(code))) {
          response.http.status = 200;
        }
        response.body.singleResult.errors = presentErrors(errors, contextValue.requestId, log);
      },
    }),
  };
}

interface SocketExtra {
  actor?: Actor;
  address: string | null;
  running: number;
}

/** graphql-transport-ws on the same path; the credential comes in connection_init. */
function serveSubscriptions(options: HttpServerOptions, server: http.Server, rate: RequestRate) {
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
