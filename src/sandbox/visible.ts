import type { Withholding } from './company';
import type { Organization, SandboxDepartment, SandboxUser } from './organization';

/** What a WeCom app may see; the company's administrator sets it. */
export interface VisibleRange {
  readonly departments: readonly number[];
  readonly users: readonly string[];
  readonly tags: readonly number[];
}

/** How members and departments are told to one app. */
export interface AppView {
  /** The id that the app knows a member by. */
  memberId(userid: string): string;
  /** Whether those ids are encrypted: then they compare exactly, and plain ones are not known. */
  readonly encryptsIds: boolean;
  /** Fields of members that are left out, and how. */
  readonly withheld: Withholding;
  /** Fields of departments that are left out, in the same style. */
  readonly withheldOfDepartments: readonly string[];
  /** Whether ids and parents of departments outside the range are told too. */
  readonly wholeStructure: boolean;
}

export const PLAIN_VIEW: AppView = {
  memberId: (userid) => userid,
  encryptsIds: false,
  withheld: { fields: [], style: 'absent' },
  withheldOfDepartments: [],
  wholeStructure: false,
};

/** An organisation cut to a visible range, with its answers ready to send. Made anew when either changes. */
export class VisibleOrganization {
  readonly departments = new Map<number, SandboxDepartment>();
  /** Those that department/list shows unasked: what the range names itself, with all below it. */
  readonly listed: ReadonlyMap<number, SandboxDepartment>;
  /** Departments of which the app may know that they exist. */
  readonly structure: ReadonlyMap<number, SandboxDepartment>;
  private readonly users = new Map<string, SandboxUser>();
  private shownIds: ReadonlyMap<string, SandboxUser> | undefined;
  /** Ids of all members, in the range or not, as they compare. */
  private everybody: ReadonlySet<string> | undefined;
  private readonly members = new Map<number, SandboxUser[]>();
  private readonly leaders = new Map<number, string[]>();
  private readonly memberAnswers = new Map<number, string>();

  constructor(
    private readonly organization: Organization,
    readonly range: VisibleRange,
    readonly view: AppView = PLAIN_VIEW,
  ) {
    const named = new Set(range.departments);
    const chosen = new Set(range.departments);
    const tagged = range.tags.map((id) => organization.tags.get(id)).filter((tag) => tag !== undefined);
    for (const tag of tagged) for (const id of tag.departments) chosen.add(id);
    for (const department of organization.departments.values()) {
      if (this.isBelow(department, chosen)) this.departments.set(department.id, department);
    }
    this.listed = new Map([...this.departments].filter(([, department]) => this.isBelow(department, named)));
    this.structure = view.wholeStructure ? new Map(organization.departments) : this.departments;
    const people = new Set([...range.users, ...tagged.flatMap((tag) => tag.users)].map((id) => id.toLowerCase()));
    for (const user of organization.users.values()) this.admit(user, people);
  }

  /** By the plain id, ignoring case, as WeCom compares them. */
  user(userid: string): SandboxUser | undefined {
    return this.users.get(userid.toLowerCase());
  }

  /** By the id that the app knows the member by. */
  userCalled(id: string): SandboxUser | undefined {
    if (!this.view.encryptsIds) return this.user(id);
    this.shownIds ??= new Map([...this.users.values()].map((user) => [this.view.memberId(user.userid), user]));
    return this.shownIds.get(id);
  }

  /** Whether there is a member of that id whom the app does not see. */
  isOutside(id: string): boolean {
    const { encryptsIds, memberId } = this.view;
    this.everybody ??= new Set(
      [...this.organization.users.values()].map(({ userid }) =>
        encryptsIds ? memberId(userid) : userid.toLowerCase(),
      ),
    );
    return this.userCalled(id) === undefined && this.everybody.has(encryptsIds ? id : id.toLowerCase());
  }

  /** All members in the range. */
  allUsers(): IterableIterator<SandboxUser> {
    return this.users.values();
  }

  membersOf(departmentId: number): readonly SandboxUser[] {
    return this.members.get(departmentId) ?? [];
  }

  /** The answer of user/list as JSON text, made once. */
  memberAnswer(departmentId: number): string {
    const made = this.memberAnswers.get(departmentId);
    if (made !== undefined) return made;
    const userlist = this.membersOf(departmentId).map((user) => this.userJson(user));
    const answer = JSON.stringify({ errcode: 0, errmsg: 'ok', userlist });
    this.memberAnswers.set(departmentId, answer);
    return answer;
  }

  /** One member as user/get tells them. Source: developer.work.weixin.qq.com/document/path/96255 */
  userJson(user: SandboxUser): Record<string, unknown> {
    const places = user.departments.map((id, i) => ({
      id,
      leader: user.isLeaderInDept[i] ?? 0,
      order: user.order?.[i] ?? 0,
    }));
    const visible = places.filter((place) => this.structure.has(place.id));
    const main = user.mainDepartment;
    const told = {
      userid: this.view.memberId(user.userid),
      name: user.name,
      department: visible.map((place) => place.id),
      order: visible.map((place) => place.order),
      position: user.position,
      mobile: user.mobile ?? '',
      gender: user.gender ?? '0',
      email: user.email ?? '',
      biz_mail: user.biz_mail ?? '',
      is_leader_in_dept: visible.map((place) => place.leader),
      direct_leader: (user.direct_leader ?? []).filter((id) => this.user(id)).map((id) => this.view.memberId(id)),
      avatar: '',
      thumb_avatar: '',
      telephone: user.telephone ?? '',
      alias: user.alias ?? '',
      address: user.address ?? '',
      ...(main !== undefined && this.structure.has(main) ? { main_department: main } : {}),
      extattr: { attrs: user.extattr.map(({ name, value }) => ({ type: 0, name, text: { value } })) },
      status: user.status,
      qr_code: '',
      external_position: '',
    };
    return this.withhold(told, this.view.withheld.fields);
  }

  /** A member as lists of ids and names tell them. */
  userSummary(user: SandboxUser): Record<string, unknown> {
    const { userid, name, department } = this.userJson(user);
    return { userid, name, department };
  }

  /** A withheld gender is always "0"; of other fields the style says how they look. */
  private withhold(told: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> {
    const { style } = this.view.withheld;
    for (const field of fields) {
      if (field === 'gender') told[field] = '0';
      else if (style === 'absent') delete told[field];
      else if (field in told) told[field] = style === 'empty' ? '' : null;
    }
    return told;
  }

  /** Source: developer.work.weixin.qq.com/document/path/96274 */
  departmentJson(department: SandboxDepartment): Record<string, unknown> {
    const leaders = this.leaders.get(department.id) ?? [];
    const told = {
      id: department.id,
      name: department.name,
      ...(department.name_en === undefined ? {} : { name_en: department.name_en }),
      department_leader: leaders.map((id) => this.view.memberId(id)),
      parentid: department.parentId,
      order: department.order,
    };
    return this.withhold(told, this.view.withheldOfDepartments);
  }

  /** A department with all below it. @param departments {@link departments} or {@link structure} */
  subtree(id: number, departments: ReadonlyMap<number, SandboxDepartment>): SandboxDepartment[] {
    return [...departments.values()].filter((department) => this.isBelow(department, new Set([id])));
  }

  private admit(user: SandboxUser, named: ReadonlySet<string>): void {
    const places = user.departments.filter((id) => this.departments.has(id));
    if (places.length === 0 && !named.has(user.userid.toLowerCase())) return;
    this.users.set(user.userid.toLowerCase(), user);
    for (const id of places) {
      append(this.members, id, user);
      if (user.isLeaderInDept[user.departments.indexOf(id)] === 1) {
        append(this.leaders, id, user.userid);
      }
    }
  }

  private isBelow(department: SandboxDepartment, tops: ReadonlySet<number>): boolean {
    let at: SandboxDepartment | undefined = department;
    for (let steps = 0; at && steps < 64; steps++) {
      if (tops.has(at.id)) return true;
      at = this.organization.departments.get(at.parentId);
    }
    return false;
  }
}

function append<T>(lists: Map<number, T[]>, key: number, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
