import type { Company } from './company';
import { WecomRefusal } from './errors';
import type { SandboxDepartment, SandboxUser } from './organization';
import { isRecord, text } from './request-body';

/** An answer: an object, or JSON text that was made before. */
export type Answer = Readonly<Record<string, unknown>> | string;
export type Endpoint = (company: Company, query: URLSearchParams, body: unknown) => Answer;

/** Endpoints of an app, by path. */
export const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  'agent/get': (company, query) => {
    const agentId = query.get('agentid');
    if (!agentId) throw new WecomRefusal(41011);
    if (agentId !== company.settings.agentId) throw new WecomRefusal(301002);
    return agentJson(company);
  },
  'agent/list': (company) => {
    const { agentid, name, square_logo_url } = agentJson(company);
    return { agentlist: [{ agentid, name, square_logo_url }] };
  },
  'department/list': (company, query) => ({
    department: tree(company, query).map((department) => company.visible.departmentJson(department)),
  }),
  'department/simplelist': (company, query) => ({
    department_id: tree(company, query, company.visible.structure).map(({ id, parentId, order }) => ({
      id,
      parentid: parentId,
      order,
    })),
  }),
  'department/get': (company, query) => ({
    department: company.visible.departmentJson(requireDepartment(company, query.get('id'), company.visible.structure)),
  }),
  'user/list': (company, query) => {
    const { id } = requireDepartment(company, query.get('department_id'));
    const { length } = company.visible.membersOf(id);
    if (length > company.settings.maxMembersPerAnswer) throw new WecomRefusal(45029, { userlist: [] });
    return company.visible.memberAnswer(id);
  },
  'user/simplelist': (company, query) => {
    const { id } = requireDepartment(company, query.get('department_id'));
    return { userlist: company.visible.membersOf(id).map((user) => company.visible.userSummary(user)) };
  },
  'user/get': (company, query) => {
    const userid = query.get('userid');
    if (!userid) throw new WecomRefusal(41009);
    const user = company.visible.userCalled(userid);
    if (!user) throw new WecomRefusal(company.visible.isOutside(userid) ? company.memberOutside : 60111);
    return company.visible.userJson(user);
  },
  /** Source: developer.work.weixin.qq.com/document/path/96267 */
  'user/getuserid': (company, _query, body) => {
    const mobile = text(body, 'mobile');
    if (!/^[+\d-]{5,32}$/.test(mobile)) throw new WecomRefusal(60103);
    return { userid: found(company, (user) => user.mobile === mobile, 46004) };
  },
  /** Source: developer.work.weixin.qq.com/document/path/96268 */
  'user/get_userid_by_email': (company, _query, body) => {
    const email = text(body, 'email').toLowerCase();
    const corporate = (isRecord(body) ? body['email_type'] : undefined) !== 2;
    const of = (user: SandboxUser) => (corporate ? user.biz_mail : user.email)?.toLowerCase();
    return { userid: found(company, (user) => of(user) === email, 46004) };
  },
  /** Source: developer.work.weixin.qq.com/document/path/96281 */
  'tag/list': (company) => ({
    taglist: [...company.organization.tags.values()].map(({ id, name }) => ({ tagid: id, tagname: name })),
  }),
  'tag/get': (company, query) => {
    const id = query.get('tagid');
    if (!id) throw new WecomRefusal(41017);
    const tag = company.organization.tags.get(Number(id));
    if (!tag) throw new WecomRefusal(40068);
    const users = tag.users.map((userid) => company.visible.user(userid)).filter((user) => user !== undefined);
    const userlist = users.map((user) => {
      const { userid, name } = company.visible.userSummary(user);
      return { userid, name };
    });
    const partylist = tag.departments.filter((department) => company.visible.departments.has(department));
    return { tagname: tag.name, userlist, partylist };
  },
  // A self-built app may not list ids; only the contacts-sync secret may. Source: developer.work.weixin.qq.com/document/path/96269
  'user/list_id': () => {
    throw new WecomRefusal(48002);
  },
  getcallbackip: () => ({ ip_list: ['127.0.0.1'] }),
  get_api_domain_ip: () => ({ ip_list: ['127.0.0.1'] }),
};

/** Source: developer.work.weixin.qq.com/document/path/96448 */
function agentJson(company: Company): Record<string, unknown> {
  const { departments, users, tags } = company.range;
  return {
    agentid: Number(company.settings.agentId),
    name: 'Rollcall',
    square_logo_url: '',
    description: 'Sandbox',
    allow_userinfos: { user: users.map((userid) => ({ userid: company.visible.view.memberId(userid) })) },
    allow_partys: { partyid: departments },
    allow_tags: { tagid: tags },
    close: company.closed ? 1 : 0,
    redirect_domain: '',
    report_location_flag: 0,
    isreportenter: 0,
    home_url: '',
    ...company.agentDetails(),
  };
}

/** The id of the visible member that fits. */
function found(company: Company, fits: (user: SandboxUser) => boolean, errcode: number): string {
  for (const user of company.organization.users.values()) {
    if (fits(user) && company.visible.user(user.userid)) {
      return company.visible.view.memberId(user.userid);
    }
  }
  throw new WecomRefusal(errcode);
}

type Departments = ReadonlyMap<number, SandboxDepartment>;

/** A department with all below it, as far as it can be seen, or everything that is shown unasked. */
function tree(company: Company, query: URLSearchParams, among: Departments = company.visible.departments) {
  const { visible } = company;
  const id = query.get('id');
  if (id) return visible.subtree(requireDepartment(company, id, among).id, among);
  const all = visible.view.wholeStructure || company.listsTaggedDepartments ? among : visible.listed;
  if (company.refusesWithoutDepartments && all.size === 0) throw new WecomRefusal(60011);
  return [...all.values()];
}

/** @throws WecomRefusal 40058, 60003 or 60123 where there is none, 60011 where it cannot be seen */
function requireDepartment(
  company: Company,
  id: string | null,
  among: Departments = company.visible.departments,
): SandboxDepartment {
  if (!id || !/^\d{1,10}$/.test(id)) throw new WecomRefusal(40058);
  if (!company.organization.departments.has(Number(id))) throw new WecomRefusal(company.unknownDepartment);
  const department = among.get(Number(id));
  if (!department) throw new WecomRefusal(60011);
  return department;
}
