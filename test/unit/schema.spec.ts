import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type GraphQLSchema, isEnumType, isInputObjectType, isInterfaceType, isObjectType } from 'graphql';
import { ROLES, type RoleName } from '../../src/access/actor';
import { appSchema, printAppSchema } from '../../src/api/schema';
import { projectRoot } from '../../src/platform/project-root';

describe('the GraphQL schema', () => {
  const schema = appSchema();

  it('is what schema/schema.graphql says', () => {
    expect(printAppSchema(schema)).toBe(readFileSync(path.join(projectRoot(), 'schema', 'schema.graphql'), 'utf8'));
  });

  it('describes everything it offers', () => {
    expect(undescribed(schema)).toEqual([]);
  });

  it('says of every error code what to do about it', () => {
    const codes = schema.getType('UserErrorCode');
    const values = isEnumType(codes) ? codes.getValues() : [];
    const told = /(: \w|; the message|the message says|ask |try again)/i;
    expect(values.length).toBeGreaterThan(20);
    expect(values.filter(({ description }) => !told.test(description ?? '')).map(({ name }) => name)).toEqual([]);
  });

  it('says which role a mutation needs', () => {
    const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
    for (const { description, extensions } of mutations)
      expect(description).toContain(`Needs the role ${extensions['role']}.`);
  });

  it('has a role on every field', () => {
    const objects = Object.values(schema.getTypeMap())
      .filter(isObjectType)
      .filter((type) => !type.name.startsWith('__'));
    const fields = objects.flatMap((type) =>
      Object.values(type.getFields()).map((field) => [type.name, field] as const),
    );
    const without = fields.filter(([, field]) => !ROLES.includes(field.extensions['role'] as RoleName));
    expect(fields.length).toBeGreaterThan(200);
    expect(without.map(([type, field]) => `${type}.${field.name}`)).toEqual([]);
  });

  it('lets viewers change nothing', () => {
    const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});
    expect(mutations.filter((field) => field.extensions['role'] === 'VIEWER')).toEqual([]);
  });
});

function undescribed(schema: GraphQLSchema): string[] {
  const missing: string[] = [];
  const check = (name: string, element: { description?: string | null | undefined }) => {
    if (!element.description) missing.push(name);
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__')) continue;
    check(type.name, type);
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
