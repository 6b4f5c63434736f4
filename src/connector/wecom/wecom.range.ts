import type { DirectoryExtent, DirectoryPage, ThirdPartyEmployee, ThirdPartyGroup } from '../directory-connector';
import { misshapen, type WecomClient, type WecomCredentials } from './wecom.client';
import { identifiers, integer, isObject, type Json, list, parseGroup } from './wecom.dto';
import { WecomError } from './wecom.errors';
import { isUnknownTag, mayNotReadTags, saysWhoIsIn } from './wecom.groups';
import { uniqueIds } from './wecom.ids';
import { unreadable } from './wecom.pages';

const EXTENT_KEYS = ['allow_userinfos', 'allow_partys', 'allow_tags'];

type UnreadTag = DirectoryPage<ThirdPartyEmployee>;

/** Who and what is in the tags of a range. */
export interface RangeTags {
  readonly departmentIds: readonly string[];
  readonly employeeIds: readonly string[];
  /** Those that could not be read. */
  readonly unread: readonly UnreadTag[];
}

/** What an app's console lets it see: departments, members and tags. */
export class WecomRange {
  private readonly tags = new Map<string, UnreadTag | ThirdPartyGroup>();

  constructor(
    private readonly client: WecomClient,
    private readonly app: WecomCredentials,
    private readonly keyOf: (id: string) => string,
  ) {}

  async extent(signal: AbortSignal): Promise<DirectoryExtent> {
    const { body = {} } = await this.client.get('agent/get', { agentid: this.app.agentId }, signal);
    if (integer(body['close']) === 1) throw new WecomError(50003, 'agent/get', this.app.mode ?? 'SELF_BUILT');
    // An empty range may be told by nothing at all; an answer that is not about the app tells none.
    if (![...EXTENT_KEYS, 'agentid', 'name'].some((key) => (body[key] ?? null) !== null))
      throw misshapen('agent/get', 'an answer without the visible range');
    const within = (key: string): Json => (isObject(body[key]) ? (body[key] as Json) : {});
    const users = list(within('allow_userinfos'), 'user');
    const once = (values: readonly unknown[]) => uniqueIds(identifiers(values).sort(), this.keyOf);
    return {
      departmentIds: once(list(within('allow_partys'), 'partyid')),
      employeeIds: once(users.map((user) => (isObject(user) ? user['userid'] : undefined))),
      groupIds: once(list(within('allow_tags'), 'tagid')),
    };
  }

  /** The tags that a range names, each asked for once. Who is in one can be seen although no department of theirs may be. */
  async tagsOf({ groupIds }: DirectoryExtent, signal: AbortSignal): Promise<RangeTags> {
    const groups: ThirdPartyGroup[] = [];
    const unread: UnreadTag[] = [];
    for (const id of groupIds) {
      const tag = this.tags.get(id) ?? (await this.tag(id, signal));
      this.tags.set(id, tag);
      if ('content' in tag) unread.push(tag);
      else groups.push(tag);
    }
    return {
      departmentIds: groups.flatMap((group) => group.departmentIds ?? []),
      employeeIds: groups.flatMap((group) => group.employeeIds),
      unread,
    };
  }

  private async tag(id: string, signal: AbortSignal): Promise<UnreadTag | ThirdPartyGroup> {
    const page = { key: `group:${id}`, readAt: new Date() };
    try {
      const { body = {} } = await this.client.get('tag/get', { tagid: id }, signal);
      if (!saysWhoIsIn(body)) throw misshapen('tag/get', 'an answer without userlist and partylist');
      return parseGroup(id, body);
    } catch (error) {
      // Deleted, although the range still names it: nobody is in it any more.
      if (isUnknownTag(error)) return parseGroup(id, {});
      const content = mayNotReadTags(error) ? ({ kind: 'unreadable', error } as const) : unreadable(error, signal);
      return { ...page, content };
    }
  }
}
