/** Columns by what the API calls them, each with its expression. */
type Columns = Readonly<Record<string, string>>;

const DEPARTMENT: Columns = {
  id: 'd.id',
  identitySourceId: 'd.identity_source_id',
  parentId: 'd.parent_id',
  name: 'd.name',
  englishName: 'd.english_name',
  order: 'd."order"',
  extensionValues: 'd.extension_values',
  createdAt: 'd.created_at',
  updatedAt: 'd.updated_at',
};

const EMPLOYEE: Columns = {
  id: 'e.id',
  identitySourceId: 'e.identity_source_id',
  username: 'e.username',
  displayName: 'e.display_name',
  englishName: 'e.english_name',
  position: 'e.position',
  email: 'e.email',
  mobile: 'e.mobile',
  telephone: 'e.telephone',
  address: 'e.address',
  gender: 'e.gender',
  employmentStatus: 'e.employment_status',
  status: 'e.status',
  managerId: 'e.manager_id',
  mainDepartmentId: 'e.main_department_id',
  suspendedAt: 'e.suspended_at',
  removalDueAt: 'e.removal_due_at',
  createdAt: 'e.created_at',
  updatedAt: 'e.updated_at',
  blockedAt: 'e.blocked_at',
  blockedReason: 'e.blocked_reason',
  blockedBy: 'e.blocked_by',
  editedFields: 'e.edited_fields',
  extensionValues: 'e.extension_values',
};

/** Columns that the API's fields of an employee are worked out from, where they are no columns themselves. */
const EMPLOYEE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  __typename: [],
  identitySource: ['identitySourceId'],
  externalId: [],
  manager: ['managerId'],
  mainDepartment: ['mainDepartmentId'],
  memberships: ['mainDepartmentId'],
  timeline: [],
  directoryGroups: [],
};

function listed(columns: Columns, names: Iterable<string>): string {
  return [...names].map((name) => `${columns[name]} AS "${name}"`).join(', ');
}

/** A department's row `d` as the entity has it. */
export const DEPARTMENT_COLUMNS = listed(DEPARTMENT, Object.keys(DEPARTMENT));

/** An employee's row `e` as the entity has it. */
export const EMPLOYEE_COLUMNS = listed(EMPLOYEE, Object.keys(EMPLOYEE));

/** What of an employee's row `e` some fields of the API need: all of it where it is not known of one. Pure. */
export function employeeColumns(fields: Iterable<string>): string {
  const names = new Set(['id']);
  for (const field of fields) {
    const needed = field in EMPLOYEE ? [field] : EMPLOYEE_FIELDS[field];
    if (!needed) return EMPLOYEE_COLUMNS;
    for (const name of needed) names.add(name);
  }
  return listed(EMPLOYEE, names);
}
