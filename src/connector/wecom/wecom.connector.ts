import {
  type ConnectorCheck,
  type DirectoryConnector,
  DirectoryError,
  type DirectoryExtent,
  type DirectoryPage,
  GoneUnlessListed,
  type HasGroups,
  type PageContent,
  type ReadOptions,
  type ReadStatistics,
  type ThirdPartyDepartment,
  type ThirdPartyEmployee,
  type ThirdPartyGroup,
} from '../directory-connector';
import { mapConcurrently } from '../map-concurrently';
import { UnreadableGuard } from '../unreadable-guard';
import { checkWecom } from './wecom.checks';
import {
  misshapen,
  type WecomAnswer,
  WecomClient,
  type WecomClientOptions,
  type WecomCredentials,
  wecomApp,
} from './wecom.client';
import {
  hasList,
  identifiers,
  integer,
  isObject,
  type Json,
  list,
  parseDepartment,
  parseGroup,
  parseMember,
  ROOT_DEPARTMENT,
  statusProblems,
} from './wecom.dto';
import { WecomError } from './wecom.errors';
import { isUnknownTag, mayNotReadTags, saysWhoIsIn, WecomGroups } from './wecom.groups';
import { wecomKey } from './wecom.ids';
import {
  type Member,
  parseAll,
  parseMembers,
  type Reading,
  readOneByOne,
  unlessListed,
  untoldProblems,
} from './wecom.pages';

const CONCURRENCY = 8;
const EXTENT_KEYS = ['allow_userinfos', 'allow_partys', 'allow_tags'];
const TOO_LARGE = 45029;
const NOT_VISIBLE = 60011;
/** Which of the two an unknown department has is not documented. */
const UNKNOWN_DEPARTMENT: ReadonlySet<number> = new Set([60003, 60123]);
const GONE_DEPARTMENT: ReadonlySet<number> = new Set([...UNKNOWN_DEPARTMENT, NOT_VISIBLE]);
/** Unknown, left, or outside the visible range, in the words of different pages. */
const GONE_MEMBER: ReadonlySet<number> = new Set([60111, NOT_VISIBLE, 60021, 46004, 50002]);
/** Said of who has left too, and of an id that WeCom does not like. Source: developer.work.weixin.qq.com/document/path/90313 */
const INVALID_MEMBER = 40003;
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
  /** Departments that are in the visible range, by themselves or by a tag, with all below them. */
  private range: ReadonlySet<string> = new Set();
  /** The same, once somebody has to know it of a department that was asked for by itself. */
  private visible: Promise<ReadonlySet<string> | undefined> | undefined;
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
    // An empty range may be told by nothing at all; an answer that is not about the app tells none.
    if (![...EXTENT_KEYS, 'agentid', 'name'].some((key) => (body[key] ?? null) !== null))
      throw misshapen('agent/get', 'an answer without the visible range');
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
    yield { ...page, readAt: answer.readAt, content: { kind: 'read', digest: answer.digest, objects, problems } };
  }

  async *employees(
    extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<EmployeePage> {
    const guard = new UnreadableGuard(() => this.extent(options.signal));
    const groups: ThirdPartyGroup[] = [];
    for (const id of extent.groupIds) {
      const group = await this.visibleGroup(id, options.signal);
      if ('content' in group) yield await guard.pass(group);
      else groups.push(group);
    }
    const tagged = groups.flatMap((group) => group.departmentIds ?? []);
    this.range = new Set([...extent.departmentIds, ...tagged]);
    for await (const page of this.departmentPages(departmentIds, options)) yield await guard.pass(page);
    const readDepartments = new Set(departmentIds.map((id) => this.keyOf(id)));
    for (const id of this.unseen(tagged, new Set(readDepartments))) {
      const below = await this.withAllBelow(id, options.signal);
      if ('content' in below) yield await guard.pass(below);
      const ids = this.unseen('content' in below ? [id] : below, readDepartments);
      for await (const page of this.departmentPages(ids, options)) yield await guard.pass(page);
    }
    const named = [...extent.employeeIds, ...groups.flatMap((group) => group.employeeIds)];
    for await (const page of this.employeePages(this.unseen(named, new Set()), options)) yield await guard.pass(page);
  }

  /** Those that are not in `seen` yet, each once; from now on they are. WeCom may name somebody twice, and in another case. */
  private unseen(ids: readonly string[], seen: Set<string>): string[] {
    return ids.filter((id) => {
      const key = this.keyOf(id);
      return !seen.has(key) && seen.add(key);
    });
  }

  async department(externalId: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    const department = await this.departmentOfCompany(externalId, signal);
    return department && (await this.isVisible(department, signal)) ? department : undefined;
  }

  private async departmentOfCompany(id: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    const answer = await this.readOrGone('department/get', { id }, GONE_DEPARTMENT, signal);
    return answer && this.asked('department/get', id, parseDepartment(answer.body?.['department']));
  }

  /**
   * A customised app with the permission corp_arch:base:base is told of every department of the company: it sees those in its range,
   * and those below them. Source: developer.work.weixin.qq.com/document/path/96276
   */
  private async isVisible(department: ThirdPartyDepartment, signal: AbortSignal): Promise<boolean> {
    if (this.app.mode !== 'SERVICE_PROVIDER') return true;
    this.visible ??= this.visibleDepartments(signal).catch((error) => {
      this.visible = undefined;
      throw error;
    });
    const visible = await this.visible;
    if (!visible || visible.has(ROOT_DEPARTMENT)) return true;
    const above = new Set<string>();
    for (let at: ThirdPartyDepartment | undefined = department; ; ) {
      if (visible.has(at.externalId) || this.parents.has(at.externalId)) return true;
      above.add(at.externalId);
      if (at.parentId === null || above.has(at.parentId)) return false;
      at = await this.departmentOfCompany(at.parentId, signal);
      // Without the permission what is above the range is told of no more than anything else outside it.
      if (!at) return true;
    }
  }

  /** Departments that the range names, by themselves or by a tag; undefined where a tag cannot be read. */
  private async visibleDepartments(signal: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    const { departmentIds, groupIds } = await this.extent(signal);
    const visible = new Set(departmentIds);
    for (const id of groupIds) {
      const group = await this.visibleGroup(id, signal);
      if ('content' in group) return undefined;
      for (const department of group.departmentIds ?? []) visible.add(department);
    }
    return visible;
  }

  async employee(externalId: string, signal: AbortSignal): Promise<ThirdPartyEmployee | undefined> {
    return (await this.member(externalId, signal))?.employee;
  }

  private async member(externalId: string, signal: AbortSignal): Promise<Member | undefined> {
    const answer = await this.readOrGone('user/get', { userid: externalId }, GONE_MEMBER, signal).catch((error) => {
      throw error instanceof WecomError && error.errcode === INVALID_MEMBER ? new GoneUnlessListed(error) : error;
    });
    if (!answer) return undefined;
    const employee = this.asked('user/get', externalId, parseMember(answer.body));
    return { readAt: answer.readAt, employee, problems: statusProblems([answer.body]) };
  }

  /** An answer about nobody, or about somebody else, says nothing about who was asked for: least of all that they are gone. */
  private asked<T extends { readonly externalId: string }>(path: string, externalId: string, object: T | undefined): T {
    if (object && this.keyOf(object.externalId) === this.keyOf(externalId)) return object;
    throw misshapen(path, 'an answer about something else than was asked for');
  }

  groups(options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyGroup>> {
    return this.tags.groups(options);
  }

  group(externalId: string, signal: AbortSignal): Promise<ThirdPartyGroup | undefined> {
    return this.tags.group(externalId, signal);
  }

  private departmentPages(ids: readonly string[], options: ReadOptions) {
    const wanted = ids.filter((id) => !options.alreadyRead(departmentKey(id)));
    return mapConcurrently(wanted, CONCURRENCY, (id) => {
      const key = departmentKey(id);
      return this.page(key, options, () => this.departmentMembers(id, key, options));
    });
  }

  /**
   * A tag's department with all below it. They may be in no list of departments, since the visible range names the tag alone; one
   * that was listed was read with those below it, as far as the scope has them.
   */
  private async withAllBelow(id: string, signal: AbortSignal): Promise<string[] | EmployeePage> {
    if (this.parents.has(id)) return [id];
    const page = { key: `departments-below:${id}`, readAt: new Date() };
    try {
      const body = await this.read('department/simplelist', { id }, signal);
      const below = list(body, 'department_id')
        .map(parseDepartment)
        .filter((department) => department !== undefined);
      for (const department of below) this.parents.set(department.externalId, department.parentId);
      const ids = below.map((department) => department.externalId);
      if (!ids.includes(id)) throw misshapen('department/simplelist', `an answer without department ${id}`);
      return ids;
    } catch (error) {
      if (isUnknownDepartment(error)) return [];
      return { ...page, content: unreadable(error, signal) };
    }
  }

  private employeePages(ids: readonly string[], options: ReadOptions) {
    const wanted = ids.filter((id) => !options.alreadyRead(`employee:${id}`));
    return mapConcurrently(wanted, CONCURRENCY, (id) =>
      this.page(`employee:${id}`, options, async () => {
        const askedAt = new Date();
        const member = await this.member(id, options.signal);
        return readOneByOne(member?.readAt ?? askedAt, member ? [member] : []);
      }),
    );
  }

  /** One page, whatever happens to it, unless going on makes no sense. */
  private async page(key: string, options: ReadOptions, read: () => Promise<Reading>): Promise<EmployeePage> {
    const askedAt = new Date();
    try {
      return { key, ...(await read()) };
    } catch (error) {
      return { key, readAt: askedAt, content: unreadable(error, options.signal) };
    }
  }

  private async departmentMembers(id: string, key: string, options: ReadOptions): Promise<Reading> {
    const known = options.knownDigest(key);
    const askedAt = new Date();
    try {
      const answer = await this.client.get('user/list', { department_id: id }, options.signal, known);
      const { readAt, body, digest } = answer;
      return {
        readAt,
        content: body ? { kind: 'read', digest, ...parseMembers(body) } : { kind: 'unchanged', digest },
      };
    } catch (error) {
      if (!(error instanceof WecomError)) throw error;
      if (error.errcode === TOO_LARGE) return this.membersOneByOne(id, options.signal);
      // Outside the visible range there is nothing to see; a department that went away meanwhile has nobody.
      const outside = error.errcode === NOT_VISIBLE && !this.isWithin(id);
      const gone = isUnknownDepartment(error) && (await this.department(id, options.signal)) === undefined;
      if (!outside && !gone) throw error;
      const digest = `error ${error.errcode}`;
      return { readAt: askedAt, content: { kind: 'read', digest, objects: [], problems: [] } };
    }
  }

  /** For a department whose answer WeCom calls too large. Who is still listed, and not told of, is no leaver. */
  private async membersOneByOne(departmentId: string, signal: AbortSignal): Promise<Reading> {
    const { readAt, ids, problems } = await this.memberIds(departmentId, signal);
    const members: Member[] = [];
    const untold = new Set<string>();
    const read = async (id: string) => ({ id, member: await this.member(id, signal).catch(unlessListed) });
    for await (const { id, member } of mapConcurrently(ids, MEMBERS_AT_ONCE, read)) {
      if (member) members.push(member);
      else untold.add(this.keyOf(id));
    }
    members.sort((a, b) => (a.employee.externalId < b.employee.externalId ? -1 : 1));
    if (untold.size === 0) return readOneByOne(readAt, members, problems);
    const again = await this.memberIds(departmentId, signal);
    const listed = again.ids.filter((id) => untold.has(this.keyOf(id)));
    return readOneByOne(readAt, members, [...problems, ...untoldProblems(listed)]);
  }

  private async memberIds(departmentId: string, signal: AbortSignal) {
    const { readAt, body = {} } = await this.client.get('user/simplelist', { department_id: departmentId }, signal);
    if (!hasList(body, 'userlist')) throw misshapen('user/simplelist', 'an answer without userlist');
    const elements = list(body, 'userlist');
    const ids = identifiers(elements.map((member) => (isObject(member) ? member['userid'] : undefined))).sort();
    const nameless = elements.length - ids.length;
    return { readAt, ids, problems: nameless > 0 ? [`${nameless} members without a userid`] : [] };
  }

  /** A tag that the visible range names: who is in it can be seen although no department of theirs may be. */
  private async visibleGroup(id: string, signal: AbortSignal): Promise<EmployeePage | ThirdPartyGroup> {
    const page = { key: `group:${id}`, readAt: new Date() };
    try {
      const body = await this.read('tag/get', { tagid: id }, signal);
      if (!saysWhoIsIn(body)) throw misshapen('tag/get', 'an answer without userlist and partylist');
      return parseGroup(id, body);
    } catch (error) {
      // Deleted, although the range still names it: nobody is in it any more.
      if (isUnknownTag(error)) return parseGroup(id, {});
      const content = mayNotReadTags(error) ? ({ kind: 'unreadable', error } as const) : unreadable(error, signal);
      return { ...page, content };
    }
  }

  private isWithin(departmentId: string): boolean {
    const seen = new Set<string>();
    let at: string | null | undefined = departmentId;
    while (at && !seen.has(at)) {
      if (this.range.has(at)) return true;
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
    gone: ReadonlySet<number>,
    signal: AbortSignal,
  ): Promise<WecomAnswer | undefined> {
    try {
      return await this.client.get(path, query, signal);
    } catch (error) {
      if (error instanceof WecomError && gone.has(error.errcode)) return undefined;
      throw error;
    }
  }
}

/** @throws the error, where reading on makes no sense */
function unreadable(error: unknown, signal: AbortSignal): PageContent<ThirdPartyEmployee> {
  signal.throwIfAborted();
  if (!(error instanceof DirectoryError) || error.stopsReading) throw error;
  return { kind: 'unreadable', error };
}

function isUnknownDepartment(error: unknown): boolean {
  return error instanceof WecomError && UNKNOWN_DEPARTMENT.has(error.errcode);
}

function departmentKey(id: string): string {
  return `employees-of:${id}`;
}
