import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { includesRole, type RoleName } from './actor';

/** Operations of kept documents that a role may run: what was looked through once is not looked through again. */
const allowed = new WeakMap<OperationDefinitionNode, Set<RoleName>>();

/**
 * Looks through the whole operation, fragments included, before any of it runs.
 * @throws GraphQLError FORBIDDEN that names the first field whose role the caller does not have
 */
export function requireRoles(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  held: RoleName,
): void {
  const roles = allowed.get(operation) ?? new Set();
  if (roles.has(held)) return;
  refuseOthers(schema, document, operation, held);
  allowed.set(operation, roles.add(held));
}

function refuseOthers(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  held: RoleName,
): void {
  const others = new Set(document.definitions.filter((d) => d.kind === 'OperationDefinition' && d !== operation));
  const types = new TypeInfo(schema);
  visit(
    document,
    visitWithTypeInfo(types, {
      OperationDefinition: (node) => (others.has(node) ? false : undefined),
      Field: (node) => {
        const needed = types.getFieldDef()?.extensions['role'] as RoleName | undefined;
        if (!needed || includesRole(held, needed)) return undefined;
        const parent = types.getParentType()?.name;
        const message = `${parent}.${node.name.value} needs the role ${needed}; this credential has ${held}.`;
        throw new GraphQLError(message, {
          nodes: node,
          extensions: { code: 'FORBIDDEN', role: needed, http: { status: 403 } },
        });
      },
    }),
  );
}
