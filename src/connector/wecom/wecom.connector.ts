import { createHash } from 'node:crypto';
import {
  type ConnectorCheck,
  type DirectoryConnector,
  DirectoryError,
  type DirectoryExtent,
  type DirectoryPage,
  type HasGroups,
  type PageContent,
  type ReadOptions,
  type ReadStatistics,
  type ThirdPartyDepartment,
  type ThirdPartyEmployee,
  type ThirdPartyGroup,
} from '../directory-connector';
import { mapConcurrently } from '../map-concurrently';
import { checkWecom } from './wecom.checks';
import {
  type WecomAnswer,
  WecomClient,
  type WecomClientOptions,
  type WecomCredentials,
  wecomApp,
} from './wecom.client';
import {
  identifiers,
  integer,
  isObject,
  type Json,
  list,
  parseDepartment,
  parseEmployee,
  parseGroup,
} from './wecom.dto';
import { WecomError } from './wecom.errors';
import { mayNotReadTags, saysWhoIsIn, WecomGroups } from './wecom.groups';
import { wecomKey } from './wecom.ids';

const CONCURRENCY = 8;
const EXTENT_KEYS = ['allow_userinfos', 'allow_partys', 'allow_tags'];
const TOO_LARGE = 45029;
const NOT_VISIBLE = 60011;
/** Unreadable answers in a row after which reading on only wastes calls. */
const GIVE_UP_AFTER = 5;
/** Members read one by one when a department is too large for one answer. */
const MEMBERS_AT_ONCE = 8;

type EmployeePage = DirectoryPage<ThirdPartyEmployee>;

/** Opens WeCom for one app, self-built or customised. Nothing is called before the first read. */
export function openWecomConnector(settings: WecomCredentials, options: WecomClientOptions): DirectoryConnector {
  return new WecomConnector(new WecomClient(wecomApp(settings), options), settings);
}

class WecomConnector implements DirectoryConnector, HasGroups {
  /** Known after `departments`: at most 30,000 short ids. */
  private readonly parents = new Map<string, string | null>();
  private readonly tags: WecomGroups;

  constructor(
    private readonly client: WecomClient,
    private readonly app: WecomCredentials,
  ) {
    this.tags = new WecomGroups(client);
  }

  keyOf(externalId: string): string {
    return wecomKey(this.app.corpId, this.app.mode ?? 'SELF_BUILT', externalId);
  }

  statistics(): ReadStatistics {
    return this.client.statistics();
  }

  check(signal: AbortSignal): Promise<ConnectorCheck[]> {
    return checkWecom(this.client, this.app.agentId, signal);
  }

  async extent(signal: AbortSignal): Promise<DirectoryExtent> {
    const body = await this.read('agent/get', { agentid: this.app.agentId }, signal);
    if (integer(body['close']) === 1) throw new WecomError(50003, 'agent/get', this.app.mode ?? 'SELF_BUILT');
    if (!EXTENT_KEYS.some((key) => isObject(body[key])))
      throw this.client.unusable('agent/get', 'an answer without the visible range');
    const within = (key: string): Json => (isObject(body[key]) ? (body[key] as Json) : {});
    const users = list(within('allow_userinfos'), 'user');
    const once = (values: readonly unknown[]) => this.unseen(identifiers(values).sort(), new Set());
    return {
      departmentIds: once(list(within('allow_partys'), 'partyid')),
      employeeIds: once(users.map((user) => (isObject(user) ? user['userid'] : undefined))),
      groupIds: once(list(within('allow_tags'), 'tagid')),
    };
  }

  async *departments(
    extent: DirectoryExtent,
    options: ReadOptions,
  ): AsyncIterable<DirectoryPage<ThirdPartyDepartment>> {
    const page = { key: 'departments', readAt: new Date() };
    let answer: WecomAnswer;
    try {
      // Parsed even when it is known: whose people can be seen depends on the tree.
      answer = await this.client.get('department/list', {}, options.signal);
    } catch (error) {
      // A range of members or tags only shows no department; whether as an empty list or so is not documented.
      if (!(error instanceof WecomError && error.errcode === NOT_VISIBLE && extent.departmentIds.length === 0))
        throw error;
      yield { ...page, content: { kind: 'read', digest: 'none', objects: [], problems: [] } };
      return;
    }
    const { objects, problems } = parseAll(answer.body, 'department', parseDepartment);
    for (const department of objects) this.parents.set(department.externalId, department.parentId);
    if (options.alreadyRead(page.key)) return;
    yield { ...page, content: { kind: 'read', digest: answer.digest, objects, problems } };
  }

  async *employees(
    extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<EmployeePage> {
    const guard = new UnreadableGuard();
    const departments = departmentIds.filter((id) => !options.alreadyRead(departmentKey(id)));
    for await (const page of this.departmentPages(extent, departments, options)) yield guard.pass(page);
    const read = new Set<string>();
    const named = this.unseen(extent.employeeIds, read);
    for await (const page of this.employeePages(named, options)) yield guard.pass(page);
    const readDepartments = new Set(departmentIds.map((id) => this.keyOf(id)));
    for (const groupId of extent.groupIds) {
      const group = await this.visibleGroup(groupId, options.signal);
      if ('content' in group) {
        yield guard.pass(group);
        continue;
      }
      const members = this.unseen(group.employeeIds, read);
      for await (const page of this.employeePages(members, options)) yield guard.pass(page);
      const unseen = this.unseen(group.departmentIds, readDepartments);
      const more = unseen.filter((id) => !options.alreadyRead(departmentKey(id)));
      for await (const page of this.departmentPages(extent, more, options)) yield guard.pass(page);
    }
  }

  /** Those that are not in `seen` yet, each once; from now on they are. WeCom may name somebody twice, and in another case. */
  private unseen(ids: readonly string[], seen: Set<string>): string[] {
    return ids.filter((id) => {
      const key = this.keyOf(id);
      return !seen.has(key) && seen.add(key);
    });
  }

  async department(externalId: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    const body = await this.readOrGone('department/get', { id: externalId }, signal);
    return body && this.asked('department/get', externalId, parseDepartment(body['department']));
  }

  async employee(externalId: string, signal: AbortSignal): Promise<ThirdPartyEmployee | undefined> {
    const body = await this.readOrGone('user/get', { userid: externalId }, signal);
    return body && this.asked('user/get', externalId, parseEmployee(body));
  }

  /** An answer about nobody, or about somebody else, says nothing about who was asked for: least of all that they are gone. */
  private asked<T extends { readonly externalId: string }>(path: string, externalId: string, object: T | undefined): T {
    if (object && this.keyOf(object.externalId) === this.keyOf(externalId)) return object;
    throw this.client.unusable(path, 'an answer about something else than was asked for');
  }

  groups(options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyGroup>> {
    return this.tags.groups(options);
  }

  group(externalId: string, signal: AbortSignal): Promise<ThirdPartyGroup | undefined> {
    return this.tags.group(externalId, signal);
  }

  private departmentPages(extent: DirectoryExtent, ids: readonly string[], options: ReadOptions) {
    return mapConcurrently(ids, CONCURRENCY, (id) => {
      const key = departmentKey(id);
      return this.page(key, options, () => this.departmentMembers(id, key, extent, options));
    });
  }

  private employeePages(ids: readonly string[], options: ReadOptions) {
    const wanted = ids.filter((id) => !options.alreadyRead(`employee:${id}`));
    return mapConcurrently(wanted, CONCURRENCY, (id) =>
      this.page(`employee:${id}`, options, async () => {
        const employee = await this.employee(id, options.signal);
        const objects = employee ? [employee] : [];
        return { kind: 'read', digest: digestOf(JSON.stringify(objects)), objects, problems: [] };
      }),
    );
  }

  /** One page, whatever happens to it, unless going on makes no sense. */
  private async page(
    key: string,
    options: ReadOptions,
    read: () => Promise<PageContent<ThirdPartyEmployee>>,
  ): Promise<EmployeePage> {
    const page = { key, readAt: new Date() };
    try {
      return { ...page, content: await read() };
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof DirectoryError) || (error instanceof WecomError && error.reaction === 'STOP')) throw error;
      return { ...page, content: { kind: 'unreadable', error } };
    }
  }

  private async departmentMembers(
    id: string,
    key: string,
    extent: DirectoryExtent,
    options: ReadOptions,
  ): Promise<PageContent<ThirdPartyEmployee>> {
    const known = options.knownDigest(key);
    try {
      const { body, digest } = await this.client.get('user/list', { department_id: id }, options.signal, known);
      return body
        ? { kind: 'read', digest, ...parseAll(body, 'userlist', parseEmployee) }
        : { kind: 'unchanged', digest };
    } catch (error) {
      if (!(error instanceof WecomError)) throw error;
      if (error.errcode === TOO_LARGE) return this.membersOneByOne(id, options.signal);
      // Outside the visible range there is nothing to see; a department that went away meanwhile has nobody.
      const outside = error.errcode === NOT_VISIBLE && !this.isWithin(extent, id);
      const gone = error.reaction === 'GONE' && error.errcode !== NOT_VISIBLE;
      if (!outside && !gone) throw error;
      return { kind: 'read', digest: `error ${error.errcode}`, objects: [], problems: [] };
    }
  }

  /** For a department whose answer WeCom calls too large. */
  private async membersOneByOne(departmentId: string, signal: AbortSignal): Promise<PageContent<ThirdPartyEmployee>> {
    const body = await this.read('user/simplelist', { department_id: departmentId }, signal);
    if (!Array.isArray(body['userlist'])) throw this.client.unusable('user/simplelist', 'an answer without userlist');
    const elements = list(body, 'userlist');
    const ids = identifiers(elements.map((member) => (isObject(member) ? member['userid'] : undefined))).sort();
    const objects: ThirdPartyEmployee[] = [];
    for await (const employee of mapConcurrently(ids, MEMBERS_AT_ONCE, (id) => this.employee(id, signal))) {
      if (employee) objects.push(employee);
    }
    objects.sort((a, b) => (a.externalId < b.externalId ? -1 : 1));
    const nameless = elements.length - ids.length;
    const problems = nameless > 0 ? [`${nameless} members without a userid`] : [];
    return { kind: 'read', digest: digestOf(JSON.stringify(objects)), objects, problems };
  }

  /** A tag that the visible range names: who is in it can be seen although no department of theirs may be. */
  private async visibleGroup(id: string, signal: AbortSignal): Promise<EmployeePage | ThirdPartyGroup> {
    const page = { key: `group:${id}`, readAt: new Date() };
    try {
      const body = await this.read('tag/get', { tagid: id }, signal);
      if (!saysWhoIsIn(body)) throw this.client.unusable('tag/get', 'an answer without userlist and partylist');
      return parseGroup(id, body);
    } catch (error) {
      signal.throwIfAborted();
      const stops = error instanceof WecomError && error.reaction === 'STOP' && !mayNotReadTags(error);
      if (!(error instanceof DirectoryError) || stops) throw error;
      return { ...page, content: { kind: 'unreadable', error } };
    }
  }

  private isWithin(extent: DirectoryExtent, departmentId: string): boolean {
    const chosen = new Set(extent.departmentIds);
    const seen = new Set<string>();
    let at: string | null | undefined = departmentId;
    while (at && !seen.has(at)) {
      if (chosen.has(at)) return true;
      seen.add(at);
      at = this.parents.get(at);
    }
    return false;
  }

  private async read(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Json> {
    return (await this.client.get(path, query, signal)).body ?? {};
  }

  private async readOrGone(
    path: string,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Json | undefined> {
    try {
      return await this.read(path, query, signal);
    } catch (error) {
      if (error instanceof WecomError && error.reaction === 'GONE') return undefined;
      throw error;
    }
  }
}

/** Ends the read after several unreadable pages in a row: then it is not the page that is at fault. */
class UnreadableGuard {
  private inARow = 0;

  pass(page: EmployeePage): EmployeePage {
    if (page.content.kind !== 'unreadable') {
      this.inARow = 0;
      return page;
    }
    this.inARow += 1;
    if (this.inARow >= GIVE_UP_AFTER && page.content.error.code !== 'UPSTREAM_REFUSED') throw page.content.error;
    return page;
  }
}

function departmentKey(id: string): string {
  return `employees-of:${id}`;
}

function parseAll<T>(body: Json | undefined, key: string, parse: (element: unknown) => T | undefined) {
  if (!body || !Array.isArray(body[key])) {
    return { objects: [], problems: [`The answer has no list "${key}".`] };
  }
  const elements = list(body, key);
  const objects = elements.map(parse).filter((object) => object !== undefined);
  const nameless = elements.length - objects.length;
  return { objects, problems: nameless > 0 ? [`${nameless} elements of "${key}" that are not whole`] : [] };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
