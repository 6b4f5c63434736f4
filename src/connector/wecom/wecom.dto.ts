import { isStorable } from '../../platform/storable-text';
import type {
  HasFields,
  ThirdPartyDepartment,
  ThirdPartyEmployee,
  ThirdPartyGroup,
  ThirdPartyMembership,
  ThirdPartyStatus,
  ThirdPartyValue,
} from '../directory-connector';

/**
 * WeCom's JSON as our values. Lenient, since its pages disagree with each other: numbers may be texts, keys may be absent,
 * empty or null. Pure. Sources: developer.work.weixin.qq.com/document/path/96274 (departments), 96255 and 96260 (members),
 * 96281 (tags).
 */

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether an answer has a list under a key; null is one with nothing in it. */
export function hasList(body: Json | undefined, key: string): boolean {
  return body !== undefined && (Array.isArray(body[key]) || body[key] === null);
}

/** A list under a key; anything else is an empty one. */
export function list(body: Json, key: string): readonly unknown[] {
  const value = body[key];
  return Array.isArray(value) ? value : [];
}

/** Text that PostgreSQL can hold: NUL and halves of surrogate pairs become U+FFFD. Undefined for what is no text. */
export function text(value: unknown): string | null | undefined {
  if (value === null) return null;
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string') return undefined;
  return value.includes('\0') || hasLoneSurrogate(value)
    ? value.replaceAll('\0', '\uFFFD').replace(LONE, '\uFFFD')
    : value;
}

const LONE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

function hasLoneSurrogate(value: string): boolean {
  return /[\uD800-\uDFFF]/.test(value) && value.search(LONE) >= 0;
}

/** A whole number, also when it comes as text. */
export function integer(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

/** Four times as long as WeCom's longest; an index entry of PostgreSQL has room for it in any script. */
const MAX_ID = 256;

/** An id as text: numbers, and texts that are neither empty nor too long and can be stored as they are. */
export function identifier(value: unknown): string | undefined {
  const id = typeof value === 'number' ? String(value) : value;
  return typeof id === 'string' && id !== '' && id.length <= MAX_ID && isStorable(id) ? id : undefined;
}

export function identifiers(values: readonly unknown[]): string[] {
  return values.map(identifier).filter((id) => id !== undefined);
}

/** Every company's department at the top. */
export const ROOT_DEPARTMENT = '1';
const DEPARTMENT_FIELDS = ['name', 'name_en'];
const EMPLOYEE_FIELDS = [
  'userid',
  'name',
  'alias',
  'english_name',
  'position',
  'mobile',
  'gender',
  'email',
  'biz_mail',
  'telephone',
  'address',
  'external_position',
];

/** @returns undefined when the element names no department */
export function parseDepartment(element: unknown): ThirdPartyDepartment | undefined {
  if (!isObject(element)) return undefined;
  const externalId = identifier(element['id']);
  if (externalId === undefined) return undefined;
  const parent = identifier(element['parentid']);
  return {
    externalId,
    // The root's parent is printed as 0, or not at all.
    parentId: externalId === ROOT_DEPARTMENT || parent === undefined || parent === '0' ? null : parent,
    order: integer(element['order']) ?? null,
    ...new FieldCollector().texts(element, DEPARTMENT_FIELDS).all(),
    leaderIds: Array.isArray(element['department_leader']) ? identifiers(element['department_leader']) : undefined,
  };
}

/**
 * The answer of user/get. It may leave out the departments of somebody who is in none that the app can see; where a main one is
 * told, it was cut.
 * @returns undefined as {@link parseEmployee} does
 */
export function parseMember(body: unknown): ThirdPartyEmployee | undefined {
  const isNowhere = isObject(body) && (body['department'] ?? body['main_department'] ?? null) === null;
  return parseEmployee(isNowhere ? { ...body, department: [] } : body);
}

/**
 * An element of a list of a department's members.
 * @returns undefined when the element names no member, or does not say where the member is: WeCom always does, so an answer
 * without it was cut, and must not look like somebody who is in no department
 */
export function parseEmployee(element: unknown): ThirdPartyEmployee | undefined {
  if (!isObject(element) || !Array.isArray(element['department'])) return undefined;
  const externalId = identifier(element['userid']);
  if (externalId === undefined) return undefined;
  const memberships = parseMemberships(element);
  const main = identifier(element['main_department']);
  const told = new FieldCollector().texts(element, EMPLOYEE_FIELDS).ids(element, 'direct_leader').custom(element);
  return {
    externalId,
    status: parseStatus(element),
    ...told.all(),
    memberships,
    mainDepartmentId: memberships.some((m) => m.departmentId === main) ? (main ?? null) : null,
  };
}

/** The answer of tag/get, which does not repeat the tag's id, and of two lists may tell one. */
export function parseGroup(externalId: string, body: Json): ThirdPartyGroup {
  const name = text(body['tagname']);
  const users = list(body, 'userlist').map((user) => (isObject(user) ? user['userid'] : undefined));
  return {
    externalId,
    fields: name === undefined ? {} : { name },
    employeeIds: identifiers(users),
    departmentIds: hasList(body, 'partylist') ? identifiers(list(body, 'partylist')) : undefined,
  };
}

const STATUSES: Readonly<Record<number, ThirdPartyStatus>> = { 1: 'ACTIVE', 2: 'DISABLED', 4: 'INACTIVE', 5: 'LEFT' };

/**
 * Old answers have `enable` instead of `status`. A status that is withheld is that of most people; one that is not known must not
 * open anything to anybody.
 */
function parseStatus(element: Json): ThirdPartyStatus {
  const status = STATUSES[integer(element['status']) ?? 0];
  if (status) return status;
  if (integer(element['enable']) === 0) return 'DISABLED';
  return isTold(element['status']) ? 'INACTIVE' : 'ACTIVE';
}

function isTold(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** How many members one list spells out. */
export const PROBLEMS_SHOWN = 3;

/** What is to be told of members whose status is none that WeCom documents. */
export function statusProblems(members: readonly unknown[]): string[] {
  const unknown = members.filter(isObject).filter(({ status }) => isTold(status) && !STATUSES[integer(status) ?? 0]);
  const shown = unknown
    .slice(0, PROBLEMS_SHOWN)
    .map(
      ({ userid, status }) =>
        `The status of ${identifier(userid)} is none that WeCom documents (${text(status)}); they count as not activated.`,
    );
  return unknown.length > shown.length ? [...shown, `And ${unknown.length - shown.length} more such.`] : shown;
}

/**
 * `department`, `order` and `is_leader_in_dept` run parallel. Of another length – cut to other departments than these – the latter
 * two would lead somewhere else, so that nothing is told.
 */
function parseMemberships(element: Json): ThirdPartyMembership[] {
  const departments = list(element, 'department');
  const parallel = (key: string) => {
    const values = list(element, key);
    return values.length === departments.length ? values : [];
  };
  const [orders, leaders] = [parallel('order'), parallel('is_leader_in_dept')];
  const found = new Map<string, ThirdPartyMembership>();
  for (const [i, value] of departments.entries()) {
    const departmentId = identifier(value);
    if (departmentId === undefined || found.has(departmentId)) continue;
    const leader = integer(leaders[i]);
    found.set(departmentId, {
      departmentId,
      isLeader: leader === undefined ? undefined : leader === 1,
      order: integer(orders[i]) ?? null,
    });
  }
  return [...found.values()];
}

/** How much is shown of a value that cannot be used. */
const MAX_SHOWN = 200;

/** Collects what is told of somebody's or something's fields. What is absent is not told. */
class FieldCollector {
  private readonly fields: Record<string, ThirdPartyValue> = {};
  private readonly unusable: string[] = [];

  texts(element: Json, names: readonly string[]): this {
    for (const name of names) this.note(name, element[name]);
    return this;
  }

  /** Several ids; a list of other things only is none. */
  ids(element: Json, name: string): this {
    const value = element[name];
    const ids = Array.isArray(value) ? identifiers(value) : [];
    if (Array.isArray(value) && (ids.length > 0 || value.length === 0)) this.fields[name] = ids;
    else if (isTold(value)) this.refuse(name, value);
    return this;
  }

  /** `extattr.<name>`: the text, or for a link its address. Source: developer.work.weixin.qq.com/document/path/100111 */
  custom(element: Json): this {
    const attributes = element['extattr'];
    for (const attribute of isObject(attributes) ? list(attributes, 'attrs') : []) {
      if (!isObject(attribute)) continue;
      const name = text(attribute['name']);
      if (!name) continue;
      const [plain, link] = [attribute['text'], attribute['web']];
      const value = isObject(plain) ? plain['value'] : isObject(link) ? link['url'] : attribute['value'];
      this.note(`extattr.${name}`, value);
    }
    return this;
  }

  all(): HasFields {
    const { fields, unusable } = this;
    return unusable.length > 0 ? { fields, unusable } : { fields };
  }

  private note(name: string, value: unknown): void {
    const known = text(value);
    if (known !== undefined) this.fields[name] = known;
    else if (value !== undefined) this.refuse(name, value);
  }

  private refuse(name: string, value: unknown): void {
    this.fields[name] = shownAs(value);
    this.unusable.push(name);
  }
}

function shownAs(value: unknown): string {
  try {
    return text(JSON.stringify(value).slice(0, MAX_SHOWN)) ?? '';
  } catch {
    // Nested deeper than can be written.
    return Array.isArray(value) ? '[…]' : '{…}';
  }
}
