import { Organization, organizationState, type SandboxUser } from '../sandbox/organization';
import type { Random } from './random';

const DEPARTMENTS = 24;
const PEOPLE = 150;
/** Fewer than the safeguards hold. */
const MOST_LEAVERS = 3;

/** A company large enough that every step of a run takes a while. */
export function firstOrganization(): Organization {
  const departments = Array.from({ length: DEPARTMENTS }, (_, i) => ({
    id: i + 1,
    parentId: i === 0 ? 0 : Math.floor((i + 1) / 2),
    name: `部门${i + 1}`,
    order: i,
  }));
  const users = Array.from({ length: PEOPLE }, (_, i) => person(i, 1 + (i % DEPARTMENTS)));
  return new Organization(organizationState.parse({ departments, users }));
}

function person(i: number, department: number): SandboxUser {
  return {
    userid: `u${i}`,
    name: `成员${i}`,
    departments: [department],
    mainDepartment: department,
    isLeaderInDept: [i < DEPARTMENTS ? 1 : 0],
    position: `职位${i % 7}`,
    status: 1,
    extattr: [],
    email: `u${i}@example.com`,
    ...(i > 0 ? { direct_leader: [`u${Math.floor(i / 5)}`] } : {}),
  };
}

type Change = (organization: Organization, random: Random) => void;

const patch = (organization: Organization, random: Random, set: (user: SandboxUser) => Partial<SandboxUser>) => {
  const user = random.pick([...organization.users.values()]);
  organization.users.set(user.userid, { ...user, ...set(user) });
};

const CHANGES: readonly Change[] = [
  (o, r) => patch(o, r, () => ({ position: `职位${r.below(20)}` })),
  (o, r) => patch(o, r, () => ({ name: `改名${r.below(1_000)}` })),
  (o, r) => patch(o, r, () => ({ status: r.pick([1, 1, 2, 4]) })),
  (o, r) =>
    patch(o, r, (user) => ({ mobile: `138${String(r.below(100_000_000)).padStart(8, '0')}`, position: user.position })),
  (o, r) => patch(o, r, () => place([r.pick([...o.departments.keys()])])),
  (o, r) => patch(o, r, () => place([...new Set([1, 2, 3].map(() => r.pick([...o.departments.keys()])))])),
  (o, r) => patch(o, r, () => ({ direct_leader: [r.pick([...o.users.keys()])] })),
  (o, r) => {
    const i = r.below(PEOPLE * 2);
    if (!o.users.has(`u${i}`)) o.users.set(`u${i}`, person(i, r.pick([...o.departments.keys()])));
  },
  (o, r) => {
    const department = o.departments.get(r.pick([...o.departments.keys()]));
    if (department) o.departments.set(department.id, { ...department, name: `更名${r.below(1_000)}` });
  },
  (o, r) => {
    const id = 100 + r.below(20);
    if (!o.departments.has(id))
      o.departments.set(id, {
        id,
        parentId: r.pick([...o.departments.keys()].filter((d) => d < 100)),
        name: `新部门${id}`,
        order: r.below(50),
      });
  },
  removeDepartment,
  moveDepartment,
];

function place(departments: number[]): Partial<SandboxUser> {
  return { departments, mainDepartment: departments[0], isLeaderInDept: departments.map((_, i) => (i === 1 ? 1 : 0)) };
}

/** One with nobody in it and nothing below. */
function removeDepartment(o: Organization, random: Random): void {
  const used = new Set([...o.users.values()].flatMap((user) => user.departments));
  const parents = new Set([...o.departments.values()].map((d) => d.parentId));
  const empty = [...o.departments.keys()].filter((id) => id !== 1 && !used.has(id) && !parents.has(id));
  if (empty.length > 0) o.departments.delete(random.pick(empty));
}

/** To anywhere that is not below itself. */
function moveDepartment(o: Organization, random: Random): void {
  const ids = [...o.departments.keys()];
  const id = random.pick(ids.filter((d) => d !== 1));
  const below = (at: number): boolean => {
    for (let d = at; d > 0; d = o.departments.get(d)?.parentId ?? 0) if (d === id) return true;
    return false;
  };
  const department = o.departments.get(id);
  if (department) o.departments.set(id, { ...department, parentId: random.pick(ids.filter((d) => !below(d))) });
}

/** Changes a company as the seed has it: a few to a few dozen things, and a few people leave. */
export function changeSomething(organization: Organization, random: Random): void {
  for (let left = 1 + random.below(40); left > 0; left--) random.pick(CHANGES)(organization, random);
  const leavers = random.below(MOST_LEAVERS + 1);
  for (let i = 0; i < leavers; i++) organization.users.delete(random.pick([...organization.users.keys()]));
  for (const user of organization.users.values()) {
    const leaders = user.direct_leader?.filter((id) => id !== user.userid && organization.users.has(id));
    if (leaders && leaders.length !== user.direct_leader?.length)
      organization.users.set(user.userid, { ...user, direct_leader: leaders });
  }
}
