/** A department's row `d` as the entity has it. */
export const DEPARTMENT_COLUMNS = `d.id, d.identity_source_id AS "identitySourceId", d.parent_id AS "parentId", d.name,
  d.english_name AS "englishName", d."order", d.extension_values AS "extensionValues", d.created_at AS "createdAt",
  d.updated_at AS "updatedAt"`;

/** An employee's row `e` as the entity has it. */
export const EMPLOYEE_COLUMNS = `e.id, e.identity_source_id AS "identitySourceId", e.username, e.display_name AS "displayName",
  e.english_name AS "englishName", e.position, e.email, e.mobile, e.telephone, e.address, e.gender,
  e.employment_status AS "employmentStatus", e.status, e.manager_id AS "managerId", e.main_department_id AS "mainDepartmentId",
  e.suspended_at AS "suspendedAt", e.removal_due_at AS "removalDueAt", e.created_at AS "createdAt", e.updated_at AS "updatedAt",
  e.blocked_at AS "blockedAt", e.blocked_reason AS "blockedReason", e.blocked_by AS "blockedBy", e.edited_fields AS "editedFields",
  e.extension_values AS "extensionValues"`;
