import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type GraphQLSchema, isEnumType, isInputObjectType, isInterfaceType, isObjectType } from 'graphql';
import { buildAppSchema, printAppSchema } from '../../src/api/schema';
import { projectRoot } from '../../src/platform/project-root';

describe('the GraphQL schema', () => {
  const schema = buildAppSchema();

  it('is what schema/schema.graphql says', () => {
    expect(printAppSchema(schema)).toBe(readFileSync(path.join(projectRoot(), 'schema', 'schema.graphql'), 'utf8'));
  });

  it('describes everything it offers', () => {
    expect(undescribed(schema)).toEqual([]);
  });

  it('demands a role on every query, mutation and subscription', () => {
    const { queries, mutations, subscriptions, authorizedFields } = globalThis.TypeGraphQLMetadataStorage;
    const guarded = new Set(authorizedFields.map((field) => `${field.target.name}.${field.fieldName}`));
    const all = [...queries, ...mutations, ...subscriptions].map(
      (handler) => `${handler.target.name}.${handler.methodName}`,
    );
    expect(all.length).toBeGreaterThan(15);
    expect(all.filter((name) => !guarded.has(name))).toEqual([]);
  });
});

function undescribed(schema: GraphQLSchema): string[] {
  const missing: string[] = [];
  const check = (name: string, element: { description?: string | null | undefined }) => {
    if (!element.description) missing.push(name);
  };
  const builtIn = /^(__|Query$|Mutation$|Subscription$)/;
  for (const type of Object.values(schema.getTypeMap())) {
    if (!builtIn.test(type.name)) check(type.name, type);
    if (type.name.startsWith('__')) continue;
    if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value);
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field);
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      check(`${type.name}.${field.name}`, field);
      for (const argument of field.args) check(`${type.name}.${field.name}(${argument.name})`, argument);
    }
  }
  return missing;
}
