import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { GraphQLSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Actor } from '../access/actor';
import type { ApiTokenService } from '../access/api-token.service';
import type { Metrics } from '../platform/metrics';
import type { RequestContext, Services } from './context';
import { NO_CREDENTIAL, presentError, unauthenticated } from './errors';
import { explorer } from './explorer/explorer';
import { createLoaders } from './loaders';

/** The largest request body; GraphQL documents with their variables are far smaller. */
const BODY_LIMIT = '1mb';

export interface HttpServerOptions {
  readonly schema: GraphQLSchema;
  readonly services: Services;
  readonly tokens: ApiTokenService;
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
  const server = http.createServer(app);
  const sockets = serveSubscriptions(options, server);
  const apollo = new ApolloServer<RequestContext>({
    schema: options.schema,
    introspection: true,
    // The credential is a header that a browser never adds by itself, so another site's page cannot ride on it.
    csrfPrevention: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    plugins: [ApolloServerPluginLandingPageDisabled(), presentErrors(options.log)],
  });
  await apollo.start();
  addOperations(app, options);
  addGraphql(app, apollo, options);
  app.use(explorer({ graphqlPath: '/graphql' }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      await sockets.dispose();
      await apollo.stop();
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 5_000).unref();
      await closed;
    },
  };
}

function addGraphql(app: Express, apollo: ApolloServer<RequestContext>, options: HttpServerOptions): void {
  app.use('/graphql', (request, response, next) => {
    const requestId = randomUUID();
    const end = options.metrics.requests.startTimer();
    response.locals['requestId'] = requestId;
    response.setHeader('x-request-id', requestId);
    response.on('finish', () => {
      end({ status: String(response.statusCode) });
      options.log.debug({ requestId, method: request.method, status: response.statusCode }, 'api.request');
    });
    next();
  });
  app.use(
    '/graphql',
    express.json({ limit: BODY_LIMIT, type: ['application/json', 'application/graphql+json'] }),
    refuseUnreadableBody,
    expressMiddleware(apollo, {
      context: async ({ req, res }) => {
        const actor = await options.tokens.authenticate(req.headers.authorization);
        if (!actor) throw unauthenticated(NO_CREDENTIAL);
        return createContext(options.services, actor, res.locals['requestId'], true);
      },
    }),
  );
}

/** A body that is not JSON, or too large, is the caller's to mend: say so in GraphQL's form. */
const refuseUnreadableBody: ErrorRequestHandler = (error, _request, response, _next) => {
  const status = typeof error.status === 'number' ? error.status : 400;
  const message =
    status === 413 ? `The request body is larger than ${BODY_LIMIT}.` : 'The request body is not valid JSON.';
  response.status(status).json({ errors: [{ message, extensions: { code: 'BAD_REQUEST' } }] });
};

function createContext(services: Services, actor: Actor, requestId: string, cache: boolean): RequestContext {
  return { ...services, actor, requestId, loaders: createLoaders(services.dataSource, cache) };
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
  'BAD_USER_INPUT',
]);

function presentErrors(log: Logger): ApolloServerPlugin<RequestContext> {
  return {
    requestDidStart: async () => ({
      willSendResponse: async ({ request, response, errors, contextValue }) => {
        if (!errors || response.body.kind !== 'single') return;
        const codes = errors.map((error) => error.extensions?.['code']);
        const accepts = request.http?.headers.get('accept') ?? '';
        if (!accepts.includes('application/graphql-response+json') && codes.every((code) => WELL_FORMED.has(code))) {
          response.http.status = 200;
        }
        response.body.singleResult.errors = errors.map((error) => presentError(error, contextValue.requestId, log));
      },
    }),
  };
}

interface SocketExtra {
  actor?: Actor;
}

/** graphql-transport-ws on the same path; the credential comes in connection_init. */
function serveSubscriptions(options: HttpServerOptions, server: http.Server) {
  const sockets = new WebSocketServer({ server, path: '/graphql', maxPayload: 1024 * 1024 });
  return useServer<Record<string, unknown>, SocketExtra & Record<PropertyKey, never>>(
    {
      schema: options.schema,
      onConnect: async (connection) => {
        const payload = connection.connectionParams ?? {};
        const given = Object.entries(payload).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
        const actor = await options.tokens.authenticate(typeof given === 'string' ? given : undefined);
        if (actor) (connection.extra as SocketExtra).actor = actor;
        return actor !== undefined;
      },
      context: (connection) => {
        const { actor } = connection.extra as SocketExtra;
        if (!actor) throw unauthenticated(NO_CREDENTIAL);
        return createContext(options.services, actor, randomUUID(), false);
      },
      onSubscribe: () => {
        options.metrics.subscriptions.inc();
      },
      onComplete: () => {
        options.metrics.subscriptions.dec();
      },
      onError: (_connection, _id, _payload, errors) =>
        errors.map((error) => presentError(error, randomUUID(), options.log)),
    },
    sockets,
  );
}
