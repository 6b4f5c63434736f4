import type { Organization, SandboxTag, SandboxUser } from '../sandbox/organization';
import type { ApiClient } from './api-client';

interface ApiDepartment {
  externalId: string;
  name: string;
  order: number | null;
  parent: { externalId: string } | null;
}

interface ApiEmployee {
  externalId: string;
  username: string;
  displayName: string;
  position: string | null;
  email: string | null;
  mobile: string | null;
  status: string;
  mainDepartment: { externalId: string } | null;
  memberships: { isLeader: boolean; department: { externalId: string } }[];
}

const DEPARTMENTS = `query Departments($source: ID!, $after: String) {
  departments(filter: { identitySourceId: $source }, first: 500, after: $after) {
    nodes { externalId name order parent { externalId } } pageInfo { hasNextPage endCursor }
  }
}`;

const EMPLOYEES = `query Employees($source: ID!, $after: String) {
  employees(filter: { identitySourceId: $source }, first: 500, after: $after) {
    nodes {
      externalId username displayName position email mobile status mainDepartment { externalId }
      memberships { isLeader department { externalId } }
    }
    pageInfo { hasNextPage endCursor }
  }
}`;

const GROUPS = `query Groups($source: ID!, $after: String) {
  identitySource(id: $source) { directoryGroups(first: 100, after: $after) {
    nodes { id externalId name departments { externalId } } pageInfo { hasNextPage endCursor }
  } }
}`;

const MEMBERS = `query Members($group: ID!, $after: String) {
  employees(filter: { directoryGroupId: $group }, first: 500, after: $after) {
    nodes { externalId } pageInfo { hasNextPage endCursor }
  }
}`;

interface ApiGroup {
  id: string;
  externalId: string;
  name: string;
  departments: { externalId: string }[];
}

const STATUSES: Readonly<Record<number, string>> = { 1: 'ACTIVE', 2: 'DISABLED', 4: 'INACTIVE' };

/** Every difference between what the API returns and the organisation's true state, in words; none when they are equal. */
export async function differences(api: ApiClient, sourceId: string, truth: Organization): Promise<string[]> {
  const told = toldFields(truth);
  const expected = new Map<string, string>();
  for (const d of truth.departments.values()) {
    expected.set(`department ${d.id}`, text([d.name, d.order, d.parentId === 0 ? null : String(d.parentId)]));
  }
  for (const user of truth.users.values())
    if (STATUSES[user.status]) expected.set(`employee ${user.userid}`, expectedEmployee(user, told));
  for (const tag of truth.tags.values()) expected.set(`group ${tag.id}`, expectedGroup(tag, truth));
  const found: string[] = [];
  const check = (key: string, actual: string) => {
    const wanted = expected.get(key);
    expected.delete(key);
    if (wanted === undefined) found.push(`${key} should not be here`);
    else if (wanted !== actual) found.push(`${key}: expected ${wanted}, found ${actual}`);
  };
  for await (const d of api.all<ApiDepartment>(DEPARTMENTS, { source: sourceId })) {
    check(`department ${d.externalId}`, text([d.name, d.order, d.parent?.externalId ?? null]));
  }
  for await (const e of api.all<ApiEmployee>(EMPLOYEES, { source: sourceId }))
    check(`employee ${e.externalId}`, actualEmployee(e, told));
  for await (const g of api.all<ApiGroup>(GROUPS, { source: sourceId }))
    check(`group ${g.externalId}`, await actualGroup(api, g));
  return [...found, ...[...expected.keys()].map((key) => `${key} is missing`)];
}

type Withholdable = 'position' | 'email' | 'mobile';

/** A field that nobody has counts as withheld, not as empty: it keeps whatever is here. */
function toldFields(truth: Organization): ReadonlySet<Withholdable> {
  const users = [...truth.users.values()];
  const names = ['position', 'email', 'mobile'] as const;
  return new Set(names.filter((name) => users.some((user) => filled(user[name]) !== null)));
}

function expectedEmployee(user: SandboxUser, told: ReadonlySet<Withholdable>): string {
  const places = user.departments.map((id, i) => `${id}${user.isLeaderInDept[i] === 1 ? ' leader' : ''}`).sort();
  const main = user.mainDepartment === undefined ? null : String(user.mainDepartment);
  const { userid, name, status } = user;
  const contact = [...told].map((field) => filled(user[field]));
  return text([userid, name, ...contact, STATUSES[status], main, places]);
}

function actualEmployee(e: ApiEmployee, told: ReadonlySet<Withholdable>): string {
  const places = e.memberships.map((m) => `${m.department.externalId}${m.isLeader ? ' leader' : ''}`).sort();
  const main = e.mainDepartment?.externalId ?? null;
  const contact = [...told].map((field) => e[field]);
  return text([e.username, e.displayName, ...contact, e.status, main, places]);
}

/** Who has left is in no group, and neither is what a tag names although it is not there. */
function expectedGroup(tag: SandboxTag, truth: Organization): string {
  const present = tag.users.filter((id) => STATUSES[truth.users.get(id)?.status ?? 0]);
  const departments = tag.departments.filter((id) => truth.departments.has(id)).map(String);
  return text([tag.name, present.sort(), departments.sort()]);
}

async function actualGroup(api: ApiClient, group: ApiGroup): Promise<string> {
  const people: string[] = [];
  for await (const e of api.all<{ externalId: string }>(MEMBERS, { group: group.id })) people.push(e.externalId);
  return text([group.name, people.sort(), group.departments.map((d) => d.externalId).sort()]);
}

function filled(value: string | undefined): string | null {
  return value === undefined || value.trim() === '' ? null : value;
}

function text(values: readonly unknown[]): string {
  return JSON.stringify(values);
}
