import {
  DirectoryError,
  type DirectoryPage,
  GROUP_LIST_PAGE,
  NotPermitted,
  type PageContent,
  type ReadOptions,
  type ThirdPartyGroup,
} from '../directory-connector';
import { mapConcurrently } from '../map-concurrently';
import { misshapen, type WecomAnswer, type WecomClient } from './wecom.client';
import { hasList, identifiers, isObject, type Json, list, parseGroup } from './wecom.dto';
import { WecomError } from './wecom.errors';

const CONCURRENCY = 8;
const UNKNOWN_TAG = 40068;
/** What WeCom answers an app that may not read tags, or not this one. */
const FORBIDDEN: ReadonlySet<number> = new Set([48001, 48002, 60011, 81011]);
/** Of these not even one tag is the reason: the app may not make the call. */
const CALL_FORBIDDEN: ReadonlySet<number> = new Set([48001, 48002]);
/** Unreadable tags in a row after which reading on only wastes calls. */
const GIVE_UP_AFTER = 5;

type GroupPage = DirectoryPage<ThirdPartyGroup>;

/** Tags, read one by one. Source: developer.work.weixin.qq.com/document/path/96281 */
export class WecomGroups {
  constructor(private readonly client: WecomClient) {}

  /** As {@link HasGroups.groups} says. */
  async *groups(options: ReadOptions): AsyncIterable<GroupPage> {
    if (options.alreadyRead(GROUP_LIST_PAGE)) return;
    const page = { key: GROUP_LIST_PAGE, readAt: new Date() };
    let answer: WecomAnswer;
    try {
      // Parsed even when it is known: which tags are to be read depends on it.
      answer = await this.client.get('tag/list', {}, options.signal);
    } catch (error) {
      yield { ...page, content: unreadable(error, FORBIDDEN, options.signal) };
      return;
    }
    const { ids, problems } = parseTags(answer.body ?? {});
    const wanted = ids.filter((id) => !options.alreadyRead(pageKey(id)));
    let inARow = 0;
    for await (const group of mapConcurrently(wanted, CONCURRENCY, (id) => this.page(id, options))) {
      yield group;
      inARow = group.content.kind === 'unreadable' ? inARow + 1 : 0;
      if (group.content.kind !== 'unreadable' || inARow < GIVE_UP_AFTER) continue;
      if (group.content.error.code === 'UPSTREAM_REFUSED') continue;
      yield { ...page, content: group.content };
      return;
    }
    yield { ...page, readAt: answer.readAt, content: { kind: 'read', digest: answer.digest, objects: [], problems } };
  }

  /** As {@link HasGroups.group} says. */
  async group(externalId: string, signal: AbortSignal): Promise<ThirdPartyGroup | undefined> {
    try {
      const { body } = await this.client.get('tag/get', { tagid: externalId }, signal);
      if (!saysWhoIsIn(body)) throw misshapen('tag/get', 'an answer without userlist and partylist');
      return parseGroup(externalId, body);
    } catch (error) {
      if (isUnknownTag(error)) return undefined;
      if (!(error instanceof WecomError && FORBIDDEN.has(error.errcode))) throw error;
      // Not to be read is not gone, unless WeCom lists tags for this app and no longer this one.
      const listed = await this.client.get('tag/list', {}, signal).catch(() => undefined);
      const { ids, problems } = parseTags(listed?.body ?? {});
      if (problems.length > 0 || ids.includes(externalId)) throw new NotPermitted(error);
      return undefined;
    }
  }

  private async page(id: string, options: ReadOptions): Promise<GroupPage> {
    const page = { key: pageKey(id), readAt: new Date() };
    const known = options.knownDigest(page.key);
    try {
      const { readAt, body, digest } = await this.client.get('tag/get', { tagid: id }, options.signal, known);
      return { ...page, readAt, content: body ? readContent(id, body, digest) : { kind: 'unchanged', digest } };
    } catch (error) {
      // Deleted since it was listed: seen no more.
      if (isUnknownTag(error))
        return { ...page, content: { kind: 'read', digest: `error ${UNKNOWN_TAG}`, objects: [], problems: [] } };
      return { ...page, content: unreadable(error, CALL_FORBIDDEN, options.signal) };
    }
  }
}

function readContent(id: string, body: Json, digest: string): PageContent<ThirdPartyGroup> {
  if (!saysWhoIsIn(body)) {
    const problems = ['The answer has neither a list "userlist" nor a list "partylist".'];
    return { kind: 'read', digest, objects: [], problems };
  }
  const group = parseGroup(id, body);
  const nameless = list(body, 'userlist').length - group.employeeIds.length;
  const problems = nameless > 0 ? [`${nameless} members without a userid`] : [];
  return { kind: 'read', digest, objects: [group], problems };
}

/** Without either list an answer says nothing, least of all that nobody is in the group. */
export function saysWhoIsIn(body: Json | undefined): body is Json {
  return hasList(body, 'userlist') || hasList(body, 'partylist');
}

/** @throws NotPermitted for these codes, and whatever no single page is the reason of */
function unreadable(error: unknown, forbidden: ReadonlySet<number>, signal: AbortSignal): PageContent<ThirdPartyGroup> {
  signal.throwIfAborted();
  if (!(error instanceof DirectoryError)) throw error;
  if (error instanceof WecomError && forbidden.has(error.errcode)) throw new NotPermitted(error);
  if (error.stopsReading) throw error;
  return { kind: 'unreadable', error };
}

/** The answer of tag/list: ids, and elements that have none. */
export function parseTags(body: Json): { ids: string[]; problems: string[] } {
  if (!hasList(body, 'taglist')) return { ids: [], problems: ['The answer has no list "taglist".'] };
  const tags = list(body, 'taglist');
  const ids = identifiers(tags.map((tag) => (isObject(tag) ? tag['tagid'] : undefined)));
  const nameless = tags.length - ids.length;
  return { ids: [...new Set(ids)], problems: nameless > 0 ? [`${nameless} elements of "taglist" without an id`] : [] };
}

/** Whether this is an answer to tag/list by which groups are left alone. */
export function mayNotListTags(error: unknown): boolean {
  return error instanceof WecomError && FORBIDDEN.has(error.errcode);
}

/** Whether the tag was deleted since it was listed. */
export function isUnknownTag(error: unknown): boolean {
  return error instanceof WecomError && error.errcode === UNKNOWN_TAG;
}

/** Whether the app may not read tags at all. */
export function mayNotReadTags(error: unknown): error is WecomError {
  return error instanceof WecomError && CALL_FORBIDDEN.has(error.errcode);
}

function pageKey(id: string): string {
  return `group:${id}`;
}
