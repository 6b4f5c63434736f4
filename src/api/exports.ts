import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Response } from 'express';
import { coerceInputValue, type GraphQLSchema, isInputType } from 'graphql';
import type { Logger } from 'pino';
import { badRequest } from './errors';
import { refuse } from './requests';

/** Where files are; not GraphQL, because a file can be larger than any answer. */
export const EXPORT_PATH = '/exports';

/** A query parameter as the GraphQL input of that type. @throws GraphQLError with the places that do not fit */
export function inputOf<T>(schema: GraphQLSchema, typeName: string, given: unknown): T | undefined {
  if (given === undefined || given === '') return undefined;
  const type = schema.getType(typeName);
  if (typeof given !== 'string' || !isInputType(type)) throw badRequest(`Give one ${typeName}, as JSON.`);
  const problems: string[] = [];
  const value = coerceInputValue(parsed(typeName, given), type, (path, _value, error) =>
    problems.push([path.join('.'), error.message].filter((part) => part !== '').join(': ')),
  );
  if (problems.length > 0) throw badRequest(problems.join(' '));
  return (value as T | null) ?? undefined;
}

function parsed(typeName: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(`This is not the JSON of ${/^[AEIOU]/.test(typeName) ? 'an' : 'a'} ${typeName}.`);
  }
}

/** Sends a file; what goes wrong before its first byte is answered as such. */
export async function sendFile(response: Response, log: Logger, send: () => Promise<void>): Promise<void> {
  try {
    await send();
    response.end();
  } catch (error) {
    if (!response.headersSent) return refuse(response, error, log);
    log.warn({ err: error }, 'export.failed');
    // What was sent cannot be taken back; a cut connection tells that the file is not whole.
    response.destroy();
  }
}

/** Writes as fast as the other side reads; nothing once it has gone. */
export async function write(response: ServerResponse, text: string): Promise<void> {
  if (text === '' || response.destroyed || response.write(text) || response.destroyed) return;
  // What waits for the other of the two would stay with the response until its end, once for each piece of the file.
  const settled = new AbortController();
  const { signal } = settled;
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  } finally {
    settled.abort();
  }
}
