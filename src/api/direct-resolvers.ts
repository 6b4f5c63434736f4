import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from 'graphql';
import { getMetadataStorage } from 'type-graphql';

/**
 * The schema generator wraps every field in what its middleware, authorization and argument classes need, which costs more than
 * most fields themselves. This schema has no middleware, and roles are checked over the whole operation before any of it runs,
 * so that fields are read, and methods called, directly.
 */

/** Call before the schema is built: a field whose value is at hand is read as a property, without a promise. */
export function readPlainFields(): void {
  for (const field of getMetadataStorage().fields) if (field.name === field.schemaName) field.simple ??= true;
}

type Method = (...args: unknown[]) => unknown;

/** Call after it is built: a field's method that takes only the object and the context is called with them. */
export function callMethodsDirectly(schema: GraphQLSchema): GraphQLSchema {
  const { fieldResolvers, objectTypes } = getMetadataStorage();
  const instances = new Map<unknown, Record<string, Method>>();
  for (const { target, methodName, schemaName, params = [], middlewares = [], getObjectType } of fieldResolvers) {
    const order = [...params].sort((a, b) => a.index - b.index).map((param) => param.kind);
    const isPlain = params.every(
      (param) => (param.kind === 'root' || param.kind === 'context') && param.propertyName === undefined,
    );
    const type = objectTypes.find((known) => known.target === getObjectType?.());
    const field = type && typeNamed(schema, type.name)?.getFields()[schemaName];
    if (!field || !isPlain || middlewares.length > 0) continue;
    const instance = instances.get(target) ?? new (target as new () => Record<string, Method>)();
    instances.set(target, instance);
    field.resolve = caller(instance, methodName, order.join());
  }
  return schema;
}

function typeNamed(schema: GraphQLSchema, name: string) {
  const type = schema.getType(name);
  return isObjectType(type) ? type : undefined;
}

function caller(
  instance: Record<string, Method>,
  method: string,
  order: string,
): GraphQLFieldResolver<unknown, unknown> {
  if (order === 'root') return (root) => instance[method]?.(root);
  if (order === 'root,context') return (root, _args, context) => instance[method]?.(root, context);
  if (order === 'context,root') return (root, _args, context) => instance[method]?.(context, root);
  if (order === 'context') return (_root, _args, context) => instance[method]?.(context);
  return () => instance[method]?.();
}
