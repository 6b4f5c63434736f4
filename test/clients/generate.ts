import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse } from 'graphql';

const GENERATED = path.join(__dirname, 'generated.ts');
const OPERATIONS = path.join(__dirname, 'operations.graphql');
const SCHEMA = path.join(__dirname, '..', '..', 'schema', 'schema.graphql');

/** How the API's own scalars look in JSON. */
const SCALARS = { ID: 'string', DateTime: 'string', SafeInt: 'number' };

/**
 * The types of the operations and the operations themselves, made of schema/schema.graphql; the same plugins and settings as in a
 * `codegen.ts` of @graphql-codegen/cli. Reads files only.
 */
async function generateClientTypes(): Promise<string> {
  const schema = readFileSync(SCHEMA, 'utf8');
  return codegen({
    filename: GENERATED,
    schema: parse(schema),
    schemaAst: buildSchema(schema),
    documents: [{ location: OPERATIONS, document: parse(readFileSync(OPERATIONS, 'utf8')) }],
    config: {
      scalars: SCALARS,
      enumsAsTypes: true,
      useTypeImports: true,
      onlyOperationTypes: true,
      skipTypename: true,
      documentMode: 'string',
    },
    plugins: [{ typescriptOperations: {} }, { typedDocumentNode: {} }],
    pluginMap: { typescriptOperations, typedDocumentNode },
  });
}

async function main(): Promise<void> {
  const text = await generateClientTypes();
  if (!process.argv.includes('--check')) writeFileSync(GENERATED, text);
  else if (readFileSync(GENERATED, 'utf8') !== text) {
    console.error(
      'test/clients/generated.ts is not what the schema says: run `npm run clients` and commit the result.',
    );
    process.exitCode = 1;
  }
}

void main();
