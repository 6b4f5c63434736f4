import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer, type ApolloServerPlugin, type GraphQLRequestListener, HeaderMap } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type Express } from 'express';
import { type GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Actor } from '../access/actor';
import { CALLBACK_PATH } from '../callbacks/callback-server';
import { employeeExport } from '../organisation/employee-export';
import { AppError } from '../platform/app-error';
import { recordExport } from '../sync/api/record-export';
import { CompiledOperations } from './compiled-operations';
import type { RequestContext } from './context';
import { badRequest, presentErrors } from './errors';
import { explorer } from './explorer/explorer';
import { EXPORT_PATH } from './exports';
import { RequestRate } from './limits';
import { createContext, guard, type HttpServerOptions, MAX_TOKENS } from './operations';
import { actorOf, refuseFault, refuseUnknownPath, refuseUnreadableBody, requireCredential } from './requests';
import { serveSubscriptions } from './subscription-server';

const NOT_OVER_HTTP =
  'Subscriptions come over WebSocket, on the same path with the subprotocol graphql-transport-ws; schema/README.md has a client.';

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

/** Exports are read as a list over HTTP would be. */
function exportContext({ services }: HttpServerOptions) {
  return (actor: Actor) => createContext(services, actor, randomUUID(), null, true);
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
