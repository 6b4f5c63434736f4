import type { Router } from 'express';
import type { DocumentNode, GraphQLSchema, OperationDefinitionNode } from 'graphql';
import type { Logger } from 'pino';
import type { Actor } from '../access/actor';
import type { Authenticator } from '../access/authenticator';
import { requireRoles } from '../access/authorize';
import type { AppConfig } from '../config/config';
import type { Metrics } from '../platform/metrics';
import type { RequestContext, Services } from './context';
import { requireWithinLimits } from './limits';
import { createLoaders } from './loaders';

/** Far more than any real document has; parsing must not be the attack. */
export const MAX_TOKENS = 20_000;

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

/**
 * What every operation must pass before it is run, over HTTP and over WebSocket alike. A refused mutation is noted in the audit log.
 * @throws GraphQLError LIMIT_EXCEEDED or FORBIDDEN
 */
export async function guard(
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

/** @param cache whether loaders remember what they have loaded: not for streams, whose every event is to show how things are */
export function createContext(
  services: Services,
  actor: Actor,
  requestId: string,
  address: string | null,
  cache: boolean,
): RequestContext {
  return { ...services, actor, requestId, address, loaders: createLoaders(services, actor.role, cache) };
}
