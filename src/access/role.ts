import { type GraphQLSchema, isObjectType } from 'graphql';
import { Extensions } from 'type-graphql';
import type { RoleName } from './actor';

/** The role that a schema field needs. Stands on the field itself, so that no resolver can forget it. */
export function Role(role: RoleName): MethodDecorator & PropertyDecorator {
  return Extensions({ role });
}

/**
 * Sees to it that every field says which role it needs. A query, mutation or subscription must have been given one; a field of
 * an object that was reached through them needs VIEWER unless it says more.
 * @throws Error that names a root field without a role
 */
export function completeRoles(schema: GraphQLSchema): GraphQLSchema {
  const roots = new Set([schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      if (field.extensions['role']) continue;
      if (roots.has(type)) throw new Error(`${type.name}.${field.name} does not say which role it needs.`);
      field.extensions = { ...field.extensions, role: 'VIEWER' };
    }
  }
  return describeRoles(schema);
}

/** Whoever reads the schema sees which role a field needs, where it is more than reading. */
function describeRoles(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    for (const field of Object.values(type.getFields())) {
      const role = field.extensions['role'];
      if (role !== 'VIEWER') field.description = `${field.description ?? ''} Needs the role ${role}.`.trim();
    }
  }
  return schema;
}
