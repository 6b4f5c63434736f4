/** A permission that a company's administrator can give a customised app, and the fields that it lets the app be told. */
interface Permission {
  readonly chinese: string;
  readonly english: string;
  readonly member: readonly string[];
  readonly department: readonly string[];
}

/** Source: developer.work.weixin.qq.com/document/path/99108, its appendix, and 98980 */
export const PERMISSIONS: Readonly<Record<string, Permission>> = {
  'contact:sensitive:user_name': {
    chinese: '成员姓名',
    english: 'Names of members',
    member: ['name'],
    department: [],
  },
  'contact:sensitive:department_name': {
    chinese: '部门名称',
    english: 'Names of departments',
    member: [],
    department: ['name', 'name_en'],
  },
  'contact:sensitive:position': { chinese: '职务', english: 'Positions', member: ['position'], department: [] },
  'contact:sensitive:telephone': { chinese: '座机', english: 'Land lines', member: ['telephone'], department: [] },
  'contact:sensitive:extattr': {
    chinese: '扩展属性',
    english: 'Extension attributes',
    member: ['extattr'],
    department: [],
  },
  'contact:sensitive:external_position': {
    chinese: '对外职务',
    english: 'External positions',
    member: ['external_position'],
    department: [],
  },
  'corp_arch:base:base': {
    chinese: '组织架构信息',
    english: 'Structure of the whole company, leaders of departments',
    member: ['is_leader_in_dept'],
    department: ['department_leader'],
  },
  'corp_arch:member:direct_leader': {
    chinese: '直属上级',
    english: 'Direct leaders',
    member: ['direct_leader'],
    department: [],
  },
};

export const WHOLE_STRUCTURE = 'corp_arch:base:base';

/** Told by nobody but the member, at logon. Source: developer.work.weixin.qq.com/document/path/96255 */
const NEVER_TOLD = ['mobile', 'email', 'biz_mail', 'gender', 'avatar', 'thumb_avatar', 'qr_code', 'address'];

/** Fields of members that an app with these permissions is not told. */
export function withheldOfMembers(granted: readonly string[]): string[] {
  return [...NEVER_TOLD, ...withheld(granted).flatMap((permission) => permission.member)];
}

/** Fields of departments that an app with these permissions is not told. */
export function withheldOfDepartments(granted: readonly string[]): string[] {
  return withheld(granted).flatMap((permission) => permission.department);
}

/** @throws Error that names those that there are */
export function requirePermissions(names: readonly string[]): void {
  const unknown = names.filter((name) => !Object.hasOwn(PERMISSIONS, name));
  if (unknown.length === 0) return;
  throw new Error(`Unknown permission ${unknown.join(', ')}: there are ${Object.keys(PERMISSIONS).join(', ')}.`);
}

function withheld(granted: readonly string[]): Permission[] {
  return Object.entries(PERMISSIONS)
    .filter(([name]) => !granted.includes(name))
    .map(([, permission]) => permission);
}
