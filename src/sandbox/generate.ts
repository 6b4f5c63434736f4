import {
  Organization,
  type OrganizationState,
  type SandboxDepartment,
  type SandboxTag,
  type SandboxUser,
} from './organization';

/** One answer of WeCom holds everybody who is directly in a department. */
const MAX_DIRECT = 2_000;
const MAX_DEPTH = 14;
const SURNAMES = '王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕';
const GIVEN = '伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂兰文辉玲健红宇琳鑫欣梅婷雪晨佳怡子轩浩然思源';
const POSITIONS = [
  '工程师',
  '高级工程师',
  '产品经理',
  '设计师',
  '销售经理',
  '客户经理',
  '会计',
  '人事专员',
  '主管',
  '总监',
];
const TAGS = ['管理层', '应届生', '党员', '羽毛球协会', '驻外人员', '安全员', '内训师', '值班组'];
const UNITS = ['研发', '市场', '销售', '财务', '人事', '行政', '运营', '客服', '法务', '采购', '质量', '物流'];

/** The same numbers for the same seed: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * A company of any size in the shape that companies have: department sizes by Zipf's law, up to 2,000 people directly in one,
 * up to 15 levels, one person in twenty in several departments, Chinese names, a few tags across it.
 */
export function generateOrganization(people: number, seed = 1): Organization {
  const random = seeded(seed);
  const departments = makeDepartments(Math.max(2, Math.ceil(people / 50)), random);
  const places = zipfPlaces(departments, people);
  const users: SandboxUser[] = [];
  for (let i = 0; i < people; i++) users.push(makeUser(i, places[i] ?? 1, departments.length, random));
  const state: OrganizationState = { departments, users, tags: makeTags(departments, users, seeded(seed + 1)) };
  return new Organization(state);
}

function makeDepartments(count: number, random: () => number): SandboxDepartment[] {
  const made: SandboxDepartment[] = [{ id: 1, parentId: 0, name: '示例集团', order: 0 }];
  const depths = [0];
  for (let id = 2; id <= count; id++) {
    // The newer half more often has children of its own, so that the tree grows deep as well as wide.
    let parent = Math.floor((1 - random() ** 2) * (id - 1) * 0.5) + Math.floor(random() * 3);
    parent = Math.min(made.length - 1, parent);
    while ((depths[parent] ?? 0) >= MAX_DEPTH) parent = Math.floor(parent / 2);
    depths.push((depths[parent] ?? 0) + 1);
    const name = `${UNITS[id % UNITS.length]}${id}部`;
    made.push({ id, parentId: parent + 1, name, order: id * 10 });
  }
  return made;
}

/** For each person the department they are in: the n-th largest has about 1/n of the largest's people. */
function zipfPlaces(departments: readonly SandboxDepartment[], people: number): number[] {
  const weights = departments.map((_, i) => 1 / (i + 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const places: number[] = [];
  for (const [i, weight] of weights.entries()) {
    const size = Math.min(MAX_DIRECT - 100, Math.max(1, Math.round((people * weight) / total)));
    for (let n = 0; n < size && places.length < people; n++) places.push(i + 1);
  }
  // What the largest could not hold is spread evenly.
  for (let i = 0; places.length < people; i++)
    places.push(1 + Math.floor(departments.length / 10) + (i % Math.ceil(departments.length * 0.9)));
  return places.map((id) => Math.min(id, departments.length));
}

function makeUser(i: number, place: number, departments: number, random: () => number): SandboxUser {
  const pick = (text: string) => text.charAt(Math.floor(random() * text.length));
  const second = random() < 0.05 ? 1 + Math.floor(random() * departments) : place;
  const places = second === place ? [place] : [place, second].sort((a, b) => a - b);
  return {
    userid: `user${i}`,
    name: `${pick(SURNAMES)}${pick(GIVEN)}${random() < 0.6 ? pick(GIVEN) : ''}`,
    departments: places,
    mainDepartment: place,
    isLeaderInDept: places.map((id) => (id === place && random() < 0.02 ? 1 : 0)),
    order: places.map(() => 0),
    position: POSITIONS[Math.floor(random() * POSITIONS.length)] ?? '',
    status: random() < 0.97 ? 1 : 4,
    extattr: [],
    email: `user${i}@example.com`,
    mobile: `138${String(i).padStart(8, '0')}`,
    gender: random() < 0.5 ? '1' : '2',
    direct_leader: i < 10 ? [] : [`user${Math.floor(i / 10)}`],
  };
}

/** One tag for every hundred people, eight at most, with up to fifty people and a department or two each. */
function makeTags(
  departments: readonly SandboxDepartment[],
  users: readonly SandboxUser[],
  random: () => number,
): SandboxTag[] {
  const pick = <T>(all: readonly T[], count: number) =>
    [...new Set(Array.from({ length: count }, () => all[Math.floor(random() * all.length)]))].filter(
      (one) => one !== undefined,
    );
  return TAGS.slice(0, Math.ceil(users.length / 100)).map((name, i) => ({
    id: i + 1,
    name,
    users: pick(users, Math.min(50, users.length)).map((user) => user.userid),
    departments: pick(departments, i % 3).map((department) => department.id),
  }));
}
