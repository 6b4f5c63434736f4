import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type GraphQLSchema, isEnumType } from 'graphql';
import { projectRoot } from '../platform/project-root';
import { appSchema, printAppSchema } from './schema';

/** Codes of GraphQL errors: what is wrong with a request as a whole. */
const REQUEST_CODES: Readonly<Record<string, string>> = {
  UNAUTHENTICATED:
    'No credential, or one that is unknown, revoked or expired (HTTP 401): send `Authorization: Bearer <token>`, over WebSocket in `connection_init`.',
  FORBIDDEN:
    'The credential’s role does not allow a field; `role` says which one would (HTTP 403): ask with a credential of that role.',
  LIMIT_EXCEEDED:
    'A limit was exceeded: `limit` names it, `allowed` has its figure (HTTP 400, 413 or 429): ask for less at once, or later; ROLLCALL_MAX_* and ROLLCALL_REQUESTS_PER_MINUTE set the limits.',
  BAD_USER_INPUT: 'An argument does not fit its type, or a cursor is not one of its list; the message says what fits.',
  BAD_REQUEST:
    'The request is no GraphQL over HTTP: the body is not JSON in UTF-8, has no `query`, or is a batch (HTTP 400 or 415), or the method does not fit (HTTP 405).',
  OPERATION_RESOLUTION_FAILURE:
    '`operationName` names none of the document’s operations, or is missing although there are several.',
  NOT_FOUND: 'There is no file at this address (HTTP 404).',
  NOT_YET: 'The file is not whole yet (HTTP 409): the message says when to ask again.',
  EVENTS_GONE:
    'Of a subscription: what came after `afterSequence` is no longer kept (ROLLCALL_EVENT_DAYS), or there was never an event of that number, as after a backup was restored. Subscribe without it: that begins with how things stand, or with what happens from now on, for which lists are read again.',
  GRAPHQL_PARSE_FAILED: 'The document is not GraphQL; `locations` has the place.',
  GRAPHQL_VALIDATION_FAILED:
    'The document does not fit schema/schema.graphql; the message names the field or type. At most five are told.',
  UPSTREAM_RATE_LIMITED:
    'Of a field that is read live: the directory asked to slow down for longer than we wait. Try again later.',
  AUTHORIZATION_REQUIRED:
    'Of a field that is read live: no company has authorized the source. startAuthorization first.',
  SECRET_UNREADABLE:
    'Of a field that is read live: the source’s secret was sealed with another encryption key; see above.',
  UPSTREAM_UNREACHABLE: 'Of a field that is read live: the directory did not answer. Try again.',
  UPSTREAM_REFUSED: 'Of a field that is read live: the directory refused; the message says what to do.',
  INTERNAL_SERVER_ERROR:
    'A fault of the server; its log has it under `requestId`. Try again, and report it if it stays.',
};

/** The table of errors, made of the code list. */
function errorsTable(schema: GraphQLSchema): string {
  const codes = schema.getType('UserErrorCode');
  const values = isEnumType(codes) ? codes.getValues() : [];
  const rows = (entries: readonly (readonly [string, string | null | undefined])[]) =>
    entries.map(([code, meaning]) => `| \`${code}\` | ${meaning} |`).join('\n');
  return `# Errors

Made from the code by \`npm run schema\`.

## What a caller can act on: \`userErrors\` of a payload

| code | meaning, and what to do |
|---|---|
${rows(values.map((value) => [value.name, value.description]))}

## What is wrong with a request: \`errors[].extensions.code\`

| code | meaning, and what to do |
|---|---|
${rows(Object.entries(REQUEST_CODES))}
`;
}

const schema = appSchema();
const files = { 'schema.graphql': printAppSchema(schema), 'errors.md': errorsTable(schema) };
for (const [name, text] of Object.entries(files)) {
  const file = path.join(projectRoot(), 'schema', name);
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`schema/${name} is not what the code says: run \`npm run schema\` and commit the result.`);
    process.exitCode = 1;
  }
}
