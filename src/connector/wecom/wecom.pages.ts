import { createHash } from 'node:crypto';
import {
  DirectoryError,
  type DirectoryPage,
  GoneUnlessListed,
  type PageContent,
  type ThirdPartyEmployee,
} from '../directory-connector';
import { hasList, type Json, list, PROBLEMS_SHOWN, parseEmployee, statusProblems } from './wecom.dto';

/** What was read, by the answer that counts: others may have been asked for while it was tried again. */
export type Reading = Omit<DirectoryPage<ThirdPartyEmployee>, 'key'>;

/** Somebody read by themselves. */
export interface Member {
  readonly readAt: Date;
  readonly employee: ThirdPartyEmployee;
  readonly problems: readonly string[];
}

/** The objects of an answer's list, and what is wrong with it in words. Pure. */
export function parseAll<T>(body: Json | undefined, key: string, parse: (element: unknown) => T | undefined) {
  if (!body || !hasList(body, key)) {
    return { objects: [], problems: [`The answer has no list "${key}".`] };
  }
  const elements = list(body, key);
  const objects = elements.map(parse).filter((object) => object !== undefined);
  const nameless = elements.length - objects.length;
  return { objects, problems: nameless > 0 ? [`${nameless} elements of "${key}" that are not whole`] : [] };
}

/** The people of an answer's list. Pure. */
export function parseMembers(body: Json) {
  const { objects, problems } = parseAll(body, 'userlist', parseEmployee);
  return { objects, problems: [...problems, ...statusProblems(list(body, 'userlist'))] };
}

/** Nothing, where it is to be seen whether the member is listed. @throws any other error */
export function unlessListed(error: unknown): undefined {
  if (!(error instanceof GoneUnlessListed)) throw error;
}

/** What a page has that could not be read. @throws the error, where reading on makes no sense */
export function unreadable(error: unknown, signal: AbortSignal): PageContent<never> {
  signal.throwIfAborted();
  if (!(error instanceof DirectoryError) || error.stopsReading) throw error;
  return { kind: 'unreadable', error };
}

/** Of people whom a list names, and who are not told of. Pure. */
export function untoldProblems(ids: readonly string[]): string[] {
  if (ids.length === 0) return [];
  const shown = ids.slice(0, PROBLEMS_SHOWN);
  const names = ids.length > shown.length ? [...shown, `${ids.length - shown.length} more`] : shown;
  return [`WeCom lists ${names.join(', ')}, and does not tell of them by themselves.`];
}

/** A page of people of whom each had an answer. @param readAt of the first answer that counts */
export function readOneByOne(readAt: Date, members: readonly Member[], problems: readonly string[] = []): Reading {
  const objects = members.map(({ employee }) => employee);
  const all = [...problems, ...members.flatMap((member) => member.problems)];
  return { readAt, content: { kind: 'read', digest: digestOf(JSON.stringify(objects)), objects, problems: all } };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
