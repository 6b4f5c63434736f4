import {
  type ConnectorCheck,
  type DirectoryConnector,
  type DirectoryExtent,
  type DirectoryPage,
  GoneUnlessListed,
  type HasGroups,
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
  ABOUT_ANOTHER,
  misshapen,
  type WecomAnswer,
  WecomClient,
  type WecomClientOptions,
  type WecomCredentials,
  wecomApp,
} from './wecom.client';
import { isNotVisible, isUnknownDepartment, NOT_VISIBLE, WecomDepartments } from './wecom.departments';
import { hasList, identifiers, isObject, list, parseMember, statusProblems } from './wecom.dto';
import { WecomError } from './wecom.errors';
import { WecomGroups } from './wecom.groups';
import { uniqueIds, wecomKey } from './wecom.ids';
import {
  type Member,
  parseMembers,
  type Reading,
  readOneByOne,
  unlessListed,
  unreadable,
  untoldProblems,
} from './wecom.pages';
import { WecomRange } from './wecom.range';

const CONCURRENCY = 8;
const TOO_LARGE = 45029;
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
  private readonly range: WecomRange;
  private readonly tree: WecomDepartments;
  private readonly tags: WecomGroups;

  constructor(
    private readonly client: WecomClient,
    private readonly app: WecomCredentials,
  ) {
    this.range = new WecomRange(client, app, (id) => this.keyOf(id));
    this.tree = new WecomDepartments(client, app, this.range);
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

  extent(signal: AbortSignal): Promise<DirectoryExtent> {
    return this.range.extent(signal);
  }

  departments(extent: DirectoryExtent, options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyDepartment>> {
    return this.tree.pages(extent, options);
  }

  async *employees(
    extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<EmployeePage> {
    const guard = new UnreadableGuard(() => this.extent(options.signal));
    const tags = await this.range.tagsOf(extent, options.signal);
    for (const page of tags.unread) yield await guard.pass(page);
    this.tree.noteRange(extent, tags);
    for await (const page of this.departmentPages(departmentIds, options)) yield await guard.pass(page);
    const readDepartments = new Set(departmentIds.map((id) => this.keyOf(id)));
    for (const id of this.unseen(tags.departmentIds, new Set(readDepartments))) {
      const below = await this.withAllBelow(id, options.signal);
      if ('content' in below) yield await guard.pass(below);
      const ids = this.unseen('content' in below ? [id] : below, readDepartments);
      for await (const page of this.departmentPages(ids, options)) yield await guard.pass(page);
    }
    const named = this.unseen([...extent.employeeIds, ...tags.employeeIds]);
    for await (const page of this.employeePages(named, options)) yield await guard.pass(page);
  }

  private unseen(ids: readonly string[], seen?: Set<string>): string[] {
    return uniqueIds(ids, (id) => this.keyOf(id), seen);
  }

  department(externalId: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    return this.tree.one(externalId, signal);
  }

  async employee(externalId: string, signal: AbortSignal): Promise<ThirdPartyEmployee | undefined> {
    return (await this.member(externalId, signal))?.employee;
  }

  private async member(externalId: string, signal: AbortSignal): Promise<Member | undefined> {
    let answer: WecomAnswer;
    try {
      answer = await this.client.get('user/get', { userid: externalId }, signal);
    } catch (error) {
      if (!(error instanceof WecomError)) throw error;
      if (GONE_MEMBER.has(error.errcode)) return undefined;
      throw error.errcode === INVALID_MEMBER ? new GoneUnlessListed(error) : error;
    }
    const employee = parseMember(answer.body);
    // An answer about nobody, or about somebody else, says nothing about who was asked for: least of all that they are gone.
    if (!employee || this.keyOf(employee.externalId) !== this.keyOf(externalId))
      throw misshapen('user/get', ABOUT_ANOTHER);
    return { readAt: answer.readAt, employee, problems: statusProblems([answer.body]) };
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

  /** A tag's department with all below it, or why these are not known. */
  private async withAllBelow(id: string, signal: AbortSignal): Promise<readonly string[] | EmployeePage> {
    const page = { key: `departments-below:${id}`, readAt: new Date() };
    try {
      return await this.tree.idsBelow(id, signal);
    } catch (error) {
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
      const outside = isNotVisible(error) && !this.tree.isWithin(id);
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
}

function departmentKey(id: string): string {
  return `employees-of:${id}`;
}
