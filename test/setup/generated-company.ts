import fc from 'fast-check';
import { organizationState } from '../../src/sandbox/organization';

/** Companies and what is done to them, made at random for the tests of exactness. */

export interface Person {
  userid: string;
  name: string;
  /** In any order, also twice, also none. */
  departments: number[];
  leader: boolean[];
  orders: number[];
  /** Any department's, also one that the person is not in. */
  main: number | undefined;
  position: string | undefined;
  mobile: string | undefined;
  email: string | undefined;
  status: number;
  /** Told by an attribute: also somebody who is not there, the person themselves, in another writing. */
  boss: string | undefined;
  /** Unique among those present, and swapped at will. */
  badge: string | undefined;
}

export interface Department {
  id: number;
  parentId: number;
  name: string;
  order: number;
}

export interface State {
  departments: Department[];
  users: Person[];
  tags: { id: number; name: string; users: string[]; departments: number[] }[];
  /** Who has another id from this state on, which the directory tells by an event each; also one after the other. */
  renamed: readonly (readonly [from: string, to: string])[];
  /** Whether somebody new has the ids that these had. */
  reused: boolean;
  /** Departments that the app may see, with what is below them; all where there are none. */
  visible: readonly number[];
  /** Chosen departments; all where there are none. `KEPT`: what the state before had chosen. */
  scope: readonly number[] | 'KEPT';
  /** Fields that the directory shows of nobody. */
  withheld: { fields: string[]; style: 'absent' | 'empty' | 'null' };
  /** Positions edited here before the run, by person; null takes the edit back. */
  edits: readonly (readonly [userid: string, position: string | null])[];
  /** Of whom and what callbacks tell before the run, whatever happened to them. */
  told: { users: string[]; departments: number[] };
  /** Whether the grace of those who have left ends. */
  graceEnds: boolean;
  /** Whether the badge is unique. */
  unique: boolean;
}

/** Somebody who is everywhere and has everything, so that no field counts as withheld: then events can bring changes in between. */
export const ANCHOR = 'zz-anchor';

const BADGES = ['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8'];
export const SPARE_BADGE = 'B9';
const NEW_IDS = ['Neu.1', 'neu-2', 'neu_3'];
const IDS = ['Ada', 'grace.h', 'lin-1', 'wang_2', 'zhang@x', 'q7', 'mile9', 'b'];
const DEPARTMENTS = [2, 3, 4, 5, 6, 7];
const UNKNOWN_DEPARTMENT = 77;

/** Empty, blank, long and too long, astral, combining, of two scripts, with NUL and half a surrogate pair. */
const awkward = fc.constantFrom(
  '',
  ' ',
  '\u3000',
  '张三',
  'e\u0301',
  'é',
  '𠮷野家',
  '👩‍👩‍👧',
  'x'.repeat(300),
  'a\0b',
  'half \ud800',
  "'; DROP TABLE employee; --",
  '\\N',
  'a\tb\nc',
  '中文全名'.repeat(80),
  '長'.repeat(501),
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('甲', '乙', '丙', '丁') },
  { weight: 1, arbitrary: awkward },
);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 3 });
const rarely = fc.integer({ min: 0, max: 7 }).map((n) => n === 0);
const order = fc.constantFrom(0, 1, 2, 3, 100, 4_294_967_295);

/** Mostly a tree, of any shape; now and then a parent that is not there, or a circle. */
const tree: fc.Arbitrary<Department[]> = fc
  .record({
    ids: fc.shuffledSubarray(DEPARTMENTS, { minLength: 1 }),
    picks: fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
    odd: fc.array(rarely, { minLength: 6, maxLength: 6 }),
    names: fc.array(text, { minLength: 6, maxLength: 6 }),
    orders: fc.array(order, { minLength: 6, maxLength: 6 }),
  })
  .map(({ ids, picks, odd, names, orders }) => [
    { id: 1, parentId: 0, name: '集团', order: 0 },
    ...ids.map((id, i) => {
      const pick = picks[i] ?? 0;
      const parents = odd[i] ? [UNKNOWN_DEPARTMENT, ...ids] : [1, ...ids.slice(0, i)];
      return { id, parentId: parents[pick % parents.length] ?? 1, name: names[i] ?? '', order: orders[i] ?? 0 };
    }),
  ]);

const person = (userid: string, ids: readonly number[]): fc.Arbitrary<Person> =>
  fc
    .record({
      departments: fc.shuffledSubarray([...ids], { minLength: 1 }),
      nowhere: rarely,
      twice: rarely,
      leader: fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
      orders: fc.array(fc.constantFrom(0, 0, 1, 7, 4_294_967_295, -5), { minLength: 9, maxLength: 9 }),
      main: fc.nat(),
      name: text,
      position: optional(text),
      mobile: optional(fc.constantFrom('13800000000', '138 0000 0000', '13900000000', '-')),
      email: optional(fc.constantFrom('a@example.com', 'A@example.com', 'b@example.com')),
      status: fc.constantFrom(1, 1, 1, 2, 4, 5),
      boss: optional(fc.constantFrom(...IDS, ...NEW_IDS, 'ADA', 'nobody')),
    })
    .map(({ nowhere, twice, ...p }) => {
      const departments = nowhere ? [] : twice ? [...p.departments, ...p.departments.slice(0, 1)] : p.departments;
      return { ...p, departments, userid, badge: undefined, main: [...ids, undefined][p.main % (ids.length + 1)] };
    });

const anchor = (ids: readonly number[]): Person => ({
  userid: ANCHOR,
  name: '锚',
  departments: [...ids],
  leader: [],
  orders: [],
  main: 1,
  position: '锚',
  mobile: '13000000000',
  email: 'anchor@example.com',
  status: 1,
  boss: 'nobody',
  badge: 'B0',
});

/** Also of people and departments that are not there, in any order and writing. */
const tags = fc.uniqueArray(
  fc.record({
    id: fc.integer({ min: 1, max: 4 }),
    name: text,
    users: fc.subarray([...IDS, 'B', 'nobody']),
    departments: fc.shuffledSubarray([1, ...DEPARTMENTS, 99]),
  }),
  { selector: (tag) => tag.id, maxLength: 4 },
);

const withholding: fc.Arbitrary<State['withheld']> = fc.record({
  fields: fc.oneof(
    { weight: 4, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.subarray(['mobile', 'email', 'position'], { minLength: 1 }) },
  ),
  style: fc.constantFrom('absent', 'empty', 'null'),
});

const state = (anchored: boolean): fc.Arbitrary<State> =>
  fc.tuple(tree, tags).chain(([departments, tagged]) => {
    const ids = departments.map((d) => d.id);
    return fc
      .record({
        // In any order, as the directory's answers come.
        users: fc
          .shuffledSubarray(IDS, { minLength: 1 })
          .chain((names) => fc.tuple(...names.map((name) => person(name, ids)))),
        badges: fc.shuffledSubarray(BADGES, { minLength: BADGES.length }),
        without: fc.array(fc.boolean(), { minLength: IDS.length, maxLength: IDS.length }),
        renamed: fc.array(renaming, { maxLength: 3 }).map((each) => each.flat()),
        reused: fc.boolean(),
        reversed: fc.boolean(),
        visible: fc.oneof(
          { weight: 4, arbitrary: fc.constant<number[]>([]) },
          { weight: 1, arbitrary: fc.subarray(ids, { minLength: 1 }) },
        ),
        scope: fc.oneof(
          { weight: 3, arbitrary: fc.constant<number[]>([]) },
          { weight: 1, arbitrary: fc.subarray(ids, { minLength: 1 }) },
          { weight: 1, arbitrary: fc.constant('KEPT' as const) },
        ),
        withheld: anchored ? fc.constant<State['withheld']>({ fields: [], style: 'absent' }) : withholding,
        edits: fc.array(fc.tuple(fc.constantFrom(...IDS), fc.constantFrom('改', null)), { maxLength: 2 }),
        told: anchored
          ? fc.record({ users: fc.subarray([...IDS, ...NEW_IDS]), departments: fc.subarray(DEPARTMENTS) })
          : fc.constant<State['told']>({ users: [], departments: [] }),
        graceEnds: rarely,
        unique: fc.boolean(),
      })
      .map(({ users, badges, without, reversed, ...more }) => ({
        ...more,
        departments: reversed ? [...departments].reverse() : departments,
        users: [
          ...users.map((u, i) => ({ ...u, badge: without[i] ? undefined : badges[i] })),
          ...(anchored ? [anchor(ids)] : []),
        ],
        tags: tagged,
      }));
  });

/** Of somebody, also one after the other. */
const renaming = fc
  .tuple(fc.constantFrom(...IDS), fc.shuffledSubarray(NEW_IDS, { minLength: 1 }))
  .map(([from, ids]) => ids.map((to, i) => [ids[i - 1] ?? from, to] as const));

/** States that follow each other. */
export const history: fc.Arbitrary<State[]> = fc
  .boolean()
  .chain((anchored) => fc.array(state(anchored), { minLength: 2, maxLength: 4 }));

/** The range that lets the app see that: all top departments, however oddly they hang, and who is in no department by themselves. */
export function rangeOf({ departments, users, visible }: State) {
  const hangs = above(departments, [1]);
  const tops = visible.length > 0 ? visible : [1, ...departments.map((d) => d.id).filter((id) => !hangs.has(id))];
  return {
    departments: tops,
    users: users.filter((u) => u.departments.length === 0).map((u) => u.userid),
    tags: [],
  };
}

/** Departments that are some of these, or below them. */
function above(departments: readonly Department[], tops: readonly number[]): Set<number> {
  const found = new Set(tops);
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const d of departments) if (found.has(d.parentId)) found.add(d.id);
  }
  return found;
}

/** The state as the app is told it. */
export function seen(now: State): State {
  const range = rangeOf(now);
  const within = above(now.departments, range.departments);
  const users = now.users
    .map((u) => {
      const places = u.departments.flatMap((id, i) => (within.has(id) ? [i] : []));
      return {
        ...u,
        departments: places.map((i) => u.departments[i] ?? 0),
        leader: places.map((i) => u.leader[i] ?? false),
        orders: places.map((i) => u.orders[i] ?? 0),
      };
    })
    .filter((u) => u.departments.length > 0 || range.users.includes(u.userid));
  return { ...now, departments: now.departments.filter((d) => within.has(d.id)), users };
}

export function toOrganization({ departments, users, tags: tagged }: State) {
  return organizationState.parse({
    departments,
    tags: tagged,
    users: users.map(({ departments: places, leader, orders, main, position, mobile, email, boss, badge, ...u }) => ({
      ...u,
      departments: places,
      isLeaderInDept: places.map((_, i) => (leader[i] ? 1 : 0)),
      order: places.map((_, i) => orders[i] ?? 0),
      ...(main === undefined ? {} : { mainDepartment: main }),
      position: position ?? '',
      ...(mobile === undefined ? {} : { mobile }),
      ...(email === undefined ? {} : { email }),
      extattr: [
        ...(badge === undefined ? [] : [{ name: '工牌', value: badge }]),
        ...(boss === undefined ? [] : [{ name: '上级', value: boss }]),
      ],
    })),
  });
}
