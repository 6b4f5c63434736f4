import { type Department, type Person, SPARE_BADGE, type State, seen } from './generated-company';

/** What must be here after a run, given what was here before it: a second, plainer telling of the rules. */

export type Row = Record<string, string | null>;
/** By external id. */
export type Model = Map<string, Row>;

const TOO_LONG = 500;
const STATUSES: Readonly<Record<number, string>> = { 1: 'ACTIVE', 2: 'DISABLED', 4: 'INACTIVE' };

/** How values compare: composed, trimmed, e-mail without case, numbers without blanks; what PostgreSQL cannot hold replaced. */
export function canonical(field: string, value: string | null | undefined): string | null {
  if (value == null) return null;
  const held = value
    .replaceAll('\0', '\ufffd')
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
    .normalize('NFC')
    .replace(/^[ \t\r\n\u3000]+|[ \t\r\n\u3000]+$/g, '');
  const form =
    field === 'email'
      ? held.toLowerCase()
      : field === 'mobile' && /[0-9]/.test(held)
        ? held.replace(/[^+0-9]/g, '')
        : held;
  return form === '' ? null : form;
}

function isTooLong(value: string | undefined): boolean {
  return (value?.length ?? 0) > TOO_LONG;
}

/** Which departments are synchronized: the chosen ones with whatever is told to be below them. */
export function departmentsInScope(departments: readonly Department[], scope: readonly number[]): Set<number> {
  const inScope = new Set(departments.map((d) => d.id).filter((id) => scope.length === 0 || scope.includes(id)));
  for (let before = -1; before < inScope.size; ) {
    before = inScope.size;
    for (const d of departments) if (inScope.has(d.parentId)) inScope.add(d.id);
  }
  return inScope;
}

/** One line for each department; circles are cut at their lowest id. */
export function expectedTree(
  { departments }: State,
  inScope: ReadonlySet<number>,
  former: ReadonlyMap<number, string>,
) {
  const parents = new Map(
    departments.filter((d) => inScope.has(d.id)).map((d) => [d.id, inScope.has(d.parentId) ? d.parentId : null]),
  );
  for (const id of [...parents.keys()].sort()) {
    let at = parents.get(id) ?? null;
    for (let steps = 0; at !== null && at !== id && steps < 9; steps++) at = parents.get(at) ?? null;
    if (at === id) parents.set(id, null);
  }
  const names = new Map<number, string>();
  const anybody = departments.some((d) => canonical('name', d.name) !== null);
  for (const d of departments) {
    if (!inScope.has(d.id)) continue;
    const here = former.get(d.id);
    const told = canonical('name', d.name) ?? String(d.id);
    names.set(d.id, isTooLong(d.name) || !anybody ? (here ?? String(d.id)) : told);
  }
  const lines = departments
    .filter((d) => inScope.has(d.id))
    .map((d) => `${d.id} ${parents.get(d.id) ?? '-'} ${d.order} ${names.get(d.id)}`);
  return { lines: lines.sort(), names };
}

/** Those whom a run reads: on the pages of departments in scope, and by themselves. */
export function peopleRead({ users }: State, inScope: ReadonlySet<number>): Person[] {
  return users.filter((u) => u.departments.length === 0 || u.departments.some((id) => inScope.has(id)));
}

/** Those of them who are here after it. */
export function comingPeople(now: State, scope: readonly number[], inScope: ReadonlySet<number>): Person[] {
  return peopleRead(now, inScope).filter(
    (u) => u.status !== 5 && (scope.length === 0 || u.departments.some((id) => inScope.has(id))),
  );
}

export interface Expectation {
  readonly present: Model;
  /** Whether somebody or something told is too long to be kept. */
  readonly invalid: boolean;
}

/**
 * @param known everybody who was ever here, as they were last
 * @param edited whose position was edited here
 */
export function expected(
  known: Model,
  now: State,
  scope: readonly number[],
  inScope: ReadonlySet<number>,
  edited: ReadonlySet<string>,
): Expectation {
  const shown = (u: Person) => withholding(u, now.withheld.fields);
  const told = peopleRead(now, inScope).map(shown);
  const anybody = (field: 'position' | 'mobile' | 'email' | 'boss' | 'name') =>
    told.some((u) => canonical(field, u[field]) !== null);
  const coming = comingPeople(now, scope, inScope).map(shown);
  const ids = new Map([...known.keys(), ...coming.map((u) => u.userid)].map((id) => [id.toLowerCase(), id]));
  const present: Model = new Map();
  for (const u of coming) {
    const former = known.get(u.userid);
    const value = (field: 'position' | 'mobile' | 'email') =>
      anybody(field) && !isTooLong(u[field]) ? canonical(field, u[field]) : (former?.[field] ?? null);
    const name = anybody('name') && !isTooLong(u.name) ? (canonical('name', u.name) ?? u.userid) : former?.['name'];
    const boss = u.boss?.toLowerCase() === u.userid.toLowerCase() ? undefined : u.boss?.toLowerCase();
    const places = new Map(u.departments.map((id, i) => [id, i] as const).reverse());
    present.set(u.userid, {
      name: name ?? u.userid,
      position: edited.has(u.userid) ? (former?.['position'] ?? null) : value('position'),
      mobile: value('mobile'),
      email: value('email'),
      manager: anybody('boss') ? (ids.get(boss ?? '') ?? null) : (former?.['manager'] ?? null),
      status: STATUSES[u.status] ?? null,
      username: u.userid,
      badge: u.badge ?? null,
      places: [...places]
        .filter(([id]) => inScope.has(id))
        .map(([id, i]) => `${id}${u.leader[i] ? ' leader' : ''} ${u.orders[i] ?? 0}`)
        .sort()
        .join(','),
      main: u.main !== undefined && places.has(u.main) && inScope.has(u.main) ? String(u.main) : null,
    });
  }
  const departments = now.departments.filter((d) => inScope.has(d.id));
  const invalid =
    departments.some((d) => isTooLong(d.name)) || coming.some((u) => isTooLong(u.name) || isTooLong(u.position));
  return { present, invalid };
}

function withholding(u: Person, fields: readonly string[]): Person {
  return { ...u, ...Object.fromEntries(fields.map((field) => [field, undefined])) };
}

/** Somebody who is read has a badge always: a field that nobody has counts as withheld, and kept values would clash. */
export function withBadge(now: State, inScope: ReadonlySet<number>): State {
  const read = peopleRead(seen(now), inScope);
  const [first] = read;
  if (!first || read.some((u) => u.badge !== undefined)) return now;
  return { ...now, users: now.users.map((u) => (u.userid === first.userid ? { ...u, badge: SPARE_BADGE } : u)) };
}

/** @param names that groups have kept or were given before: one that is not told stays */
export function expectedGroups(
  now: State,
  present: Model,
  inScope: ReadonlySet<number>,
  names: Map<number, string>,
): string[] {
  const here = new Map([...present.keys()].map((id) => [id.toLowerCase(), id]));
  for (const id of [...names.keys()]) if (!now.tags.some((tag) => tag.id === id)) names.delete(id);
  return now.tags
    .map((tag) => {
      const name = canonical('name', tag.name) ?? names.get(tag.id) ?? String(tag.id);
      names.set(tag.id, name);
      const users = [...new Set(tag.users.map((id) => here.get(id.toLowerCase())).filter((id) => id !== undefined))];
      return groupLine(tag.id, name, users, tag.departments.filter((id) => inScope.has(id)).map(String));
    })
    .sort();
}

export function groupLine(id: number | string, name: string | null, users: string[], departments: string[]): string {
  return JSON.stringify([String(id), name, users.sort(), departments.sort()]);
}
