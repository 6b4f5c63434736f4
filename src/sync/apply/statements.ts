import type { SyncObjectTypeName } from '../../field-mapping/field-mapping';
import { EXTENSION_PREFIX } from '../../field-mapping/field-mapping';
import { PRESENT } from '../../organisation/organisation.entity';
import { NO_ID } from '../plan/changed-ids';
import type { SyncActionName } from '../task/sync-task.entity';

/**
 * The plan's records become the local organisation. Parameters: $1 task, $2 identity source. Every statement reads the
 * records whose result is still open, so what was shown is what happens.
 */

export const OPEN = `r.task_id = $1 AND r.result IS NULL`;

/** A statement about the open records of certain actions, left out where a task has none: each would look through all of them. */
export interface Step {
  /** Undefined: of every type. */
  readonly objectType: SyncObjectTypeName | undefined;
  readonly actions: readonly SyncActionName[];
  readonly sql: string;
}

/** How many open records a task has of a type and action. */
export interface OpenRecords {
  readonly objectType: SyncObjectTypeName;
  readonly action: SyncActionName;
  readonly total: number;
  /** Between which ordinals they are. */
  readonly first: number;
  readonly last: number;
}

type Aim = Pick<Step, 'objectType' | 'actions'>;

function aimedAt(open: readonly OpenRecords[], { objectType, actions }: Aim): readonly OpenRecords[] {
  return open.filter((r) => r.objectType === (objectType ?? r.objectType) && actions.includes(r.action));
}

/** How many of them a step is about. Pure. */
export function count(open: readonly OpenRecords[], aim: Aim): number {
  return aimedAt(open, aim).reduce((sum, r) => sum + r.total, 0);
}

/**
 * A step's statement, told between which ordinals its records are where that spares it most of the task's: a company's few groups
 * come after all its people. Pure.
 */
export function narrowed(open: readonly OpenRecords[], step: Step): string {
  const [ours, all] = [span(aimedAt(open, step)), span(open)];
  return (ours.last - ours.first) * 2 > all.last - all.first ? step.sql : bounded(open, step);
}

/** A step's statement about these records only, whatever others the task has. Pure. */
export function bounded(open: readonly OpenRecords[], step: Step): string {
  const { first, last } = span(aimedAt(open, step));
  return step.sql.replaceAll(OPEN, `${OPEN} AND r.ordinal BETWEEN ${first} AND ${last}`);
}

/** The last ordinal of these records; undefined where there are none. Pure. */
export function lastOf(open: readonly OpenRecords[]): number | undefined {
  return open.length > 0 ? span(open).last : undefined;
}

function span(records: readonly OpenRecords[]): { first: number; last: number } {
  return { first: Math.min(...records.map((r) => r.first)), last: Math.max(...records.map((r) => r.last)) };
}

/** @param sql makes the statement from the condition that picks the step's records, `r` */
export function step(
  objectType: SyncObjectTypeName | undefined,
  actions: readonly SyncActionName[],
  sql: (records: string) => string,
): Step {
  const ofType = objectType ? `AND r.object_type = '${objectType}' ` : '';
  return {
    objectType,
    actions,
    sql: sql(`${OPEN} ${ofType}AND r.action IN (${actions.map((a) => `'${a}'`).join(', ')})`),
  };
}

/** What is done to somebody or something that is here, or was, and stays. */
export const CHANGES: readonly SyncActionName[] = ['UPDATE', 'MOVE', 'RESTORE', 'RENAME_ID'];

/** The parts for extension fields, left out where no record may change one. */
interface ExtensionParts {
  readonly column: string;
  readonly value: string;
  readonly assignment: string;
}

function extensionParts(written: boolean): ExtensionParts {
  if (!written) return { column: '', value: '', assignment: '' };
  const value = 'extension_values(r.after)';
  return { column: ', extension_values', value: `, ${value}`, assignment: `, extension_values = ${value}` };
}

export const createDepartments = (extensions: boolean) =>
  step(
    'DEPARTMENT',
    ['CREATE'],
    (records) => `
INSERT INTO department (id, identity_source_id, parent_id, name, english_name, "order"${extensionParts(extensions).column})
SELECT r.local_id, $2, (r.edges ->> 'parent')::uuid, r.after ->> 'name', r.after ->> 'englishName', (r.after ->> 'order')::bigint${extensionParts(extensions).value}
  FROM sync_record r WHERE ${records} ORDER BY r.ordinal`,
  );

export const updateDepartments = (extensions: boolean) =>
  step(
    'DEPARTMENT',
    ['UPDATE', 'MOVE'],
    (records) => `
UPDATE department d SET parent_id = (r.edges ->> 'parent')::uuid, name = r.after ->> 'name', english_name = r.after ->> 'englishName',
       "order" = (r.after ->> 'order')::bigint, updated_at = now()${extensionParts(extensions).assignment}
  FROM sync_record r WHERE ${records} AND d.id = r.local_id`,
  );

export const createEmployees = (extensions: boolean) =>
  step(
    'EMPLOYEE',
    ['CREATE'],
    (records) => `
INSERT INTO employee (id, identity_source_id, username, display_name, english_name, position, email, mobile, telephone, address, gender,
                      employment_status, status, main_department_id, manager_id${extensionParts(extensions).column})
SELECT r.local_id, $2, r.after ->> 'username', r.after ->> 'displayName', r.after ->> 'englishName', r.after ->> 'position',
       r.after ->> 'email', r.after ->> 'mobile', r.after ->> 'telephone', r.after ->> 'address', r.after ->> 'gender',
       coalesce(r.after ->> 'employmentStatus', 'UNKNOWN'), r.after ->> 'status', (r.edges ->> 'main')::uuid,
       (r.edges ->> 'manager')::uuid${extensionParts(extensions).value}
  FROM sync_record r WHERE ${records} ORDER BY r.ordinal`,
  );

const writeEmployees = (records: string, extensions: boolean) => `
UPDATE employee e SET username = r.after ->> 'username', display_name = r.after ->> 'displayName',
       english_name = r.after ->> 'englishName', position = r.after ->> 'position', email = r.after ->> 'email',
       mobile = r.after ->> 'mobile', telephone = r.after ->> 'telephone', address = r.after ->> 'address',
       gender = r.after ->> 'gender', employment_status = coalesce(r.after ->> 'employmentStatus', 'UNKNOWN'),
       status = r.after ->> 'status', main_department_id = (r.edges ->> 'main')::uuid,
       manager_id = CASE WHEN 'manager' = ANY (r.changed) THEN (r.edges ->> 'manager')::uuid ELSE e.manager_id END,
       suspended_at = CASE r.after ->> 'status' WHEN 'SUSPENDED' THEN now() END,
       removal_due_at = CASE r.after ->> 'status' WHEN 'SUSPENDED' THEN now() END, updated_at = now()${extensionParts(extensions).assignment}
  FROM sync_record r
 WHERE ${records} AND e.id = r.local_id`;

export const updateEmployees = (extensions: boolean) =>
  step('EMPLOYEE', CHANGES, (records) => writeEmployees(records, extensions));

/** Who goes again, since their return is undone, is what they were before that: not only their status. */
export const giveBackEmployees = (extensions: boolean) =>
  step('EMPLOYEE', ['SUSPEND', 'REMOVE'], (records) =>
    writeEmployees(`${records} AND cardinality(r.changed) > 1`, extensions),
  );

/** When who comes back was suspended, and was to be removed, in case that is undone. */
export const REMEMBER_GRACE = step(
  'EMPLOYEE',
  ['RESTORE', 'RENAME_ID'],
  (records) => `
UPDATE sync_record r SET edges_before = coalesce(r.edges_before, '{}') || jsonb_strip_nulls(jsonb_build_object(
         'suspendedAt', e.suspended_at, 'removalDueAt', e.removal_due_at))
  FROM employee e WHERE ${records} AND e.id = r.local_id AND e.suspended_at IS NOT NULL`,
);

/** With the days of grace of the task's settings before the removal, or with those that were left of a return that is undone. */
export const SUSPEND_EMPLOYEES = step(
  'EMPLOYEE',
  ['SUSPEND'],
  (records) => `
UPDATE employee e SET status = 'SUSPENDED', suspended_at = coalesce((r.edges ->> 'suspendedAt')::timestamptz, now()), updated_at = now(),
       removal_due_at = coalesce((r.edges ->> 'removalDueAt')::timestamptz,
                                 now() + make_interval(days => (t.settings #>> '{safeguards,leaverGraceDays}')::int))
  FROM sync_record r JOIN sync_task t ON t.id = r.task_id WHERE ${records} AND e.id = r.local_id`,
);

export const REMOVE_EMPLOYEES = step(
  'EMPLOYEE',
  ['REMOVE'],
  (records) => `
UPDATE employee e SET status = 'REMOVED', suspended_at = coalesce((r.edges ->> 'suspendedAt')::timestamptz, e.suspended_at),
       removal_due_at = NULL, main_department_id = NULL, manager_id = NULL, updated_at = now()
  FROM sync_record r WHERE ${records} AND e.id = r.local_id`,
);

/** Memberships as a difference of edges: what stays the same is not written. */
export const DELETE_MEMBERSHIPS = step(
  'EMPLOYEE',
  [...CHANGES, 'SUSPEND', 'REMOVE'],
  (records) => `
DELETE FROM membership m USING sync_record r
 WHERE ${records} AND m.employee_id = r.local_id
   AND (r.action = 'REMOVE' OR ('departments' = ANY (r.changed) AND NOT EXISTS (
     SELECT FROM jsonb_array_elements(CASE jsonb_typeof(r.edges -> 'departments') WHEN 'array' THEN r.edges -> 'departments' ELSE '[]' END) d
      WHERE (d ->> 0)::uuid = m.department_id)))`,
);

const toldMemberships = (records: string) => `
INSERT INTO membership (employee_id, department_id, is_leader, "order")
SELECT r.local_id, (d ->> 0)::uuid, (d ->> 1)::boolean, (d ->> 2)::bigint
  FROM sync_record r, jsonb_array_elements(r.edges -> 'departments') d
 WHERE ${records} AND 'departments' = ANY (r.changed) AND jsonb_typeof(r.edges -> 'departments') = 'array'
 ORDER BY r.ordinal`;

/** Who is new has none yet, so that nothing has to be looked for before it is written. */
export const CREATE_MEMBERSHIPS = step('EMPLOYEE', ['CREATE'], toldMemberships);

export const WRITE_MEMBERSHIPS = step(
  'EMPLOYEE',
  [...CHANGES, 'SUSPEND'],
  (records) => `${toldMemberships(records)}
ON CONFLICT (employee_id, department_id) DO UPDATE SET is_leader = excluded.is_leader, "order" = excluded."order"
 WHERE (membership.is_leader, membership."order") IS DISTINCT FROM (excluded.is_leader, excluded."order")`,
);

/** One may get the id that another gives up: each gives up theirs before any gets one. */
export const GIVE_UP_LINKS = step(
  'EMPLOYEE',
  ['RENAME_ID'],
  (records) => `
UPDATE link l SET external_key = ${NO_ID} || l.local_id FROM sync_record r WHERE ${records} AND l.local_id = r.local_id`,
);

/**
 * Who was here under an id that is somebody else's is found under the last one they were told to have, or under none. Whoever and
 * whatever was told to have that somebody as their manager or member is compared again. Whether the id is free is looked at once more:
 * an event task may have brought somebody under it since the plan.
 */
export const DISPLACE_LINKS = step(
  'EMPLOYEE',
  ['CREATE', 'RENAME_ID'],
  (records) => `
WITH displaced AS (
  UPDATE link l SET unresolved = NULL, read_at = greatest(l.read_at, r.read_at), external_id = CASE WHEN got.free THEN got.id ELSE l.external_id END,
         external_key = CASE WHEN got.free THEN got.key ELSE ${NO_ID} || l.local_id END
    FROM sync_record r
    CROSS JOIN LATERAL (SELECT r.edges #>> '{formerHolder,externalKey}' AS key, r.edges #>> '{formerHolder,externalId}' AS id) told
    CROSS JOIN LATERAL (
      SELECT told.key, told.id, told.key IS NOT NULL
             AND NOT EXISTS (SELECT FROM link t WHERE t.identity_source_id = $2 AND t.kind = 'EMPLOYEE' AND t.external_key = told.key)
             AND NOT EXISTS (SELECT FROM sync_record t WHERE t.task_id = $1 AND t.object_type = 'EMPLOYEE' AND t.external_key = told.key
                                AND t.action IN ('CREATE', 'RENAME_ID') AND t.result IS NULL) AS free) got
   WHERE ${records} AND r.edges ? 'formerHolder' AND l.local_id = (r.edges #>> '{formerHolder,localId}')::uuid AND l.external_key = r.external_key
  RETURNING l.local_id
), reached AS (
  SELECT e.id FROM displaced d JOIN employee e ON e.manager_id = d.local_id
  UNION
  SELECT m.group_id FROM displaced d JOIN directory_group_employee m ON m.employee_id = d.local_id
)
UPDATE link l SET hash = NULL FROM reached WHERE l.local_id = reached.id`,
);

/** The same person under another id: the link goes along, so that nobody leaves and nobody comes. */
export const RENAME_LINKS = step(
  'EMPLOYEE',
  ['RENAME_ID'],
  (records) => `
UPDATE link l SET external_key = r.external_key, external_id = r.external_id
  FROM sync_record r WHERE ${records} AND l.local_id = r.local_id`,
);

/** A value that could not be used, or is somebody else's, leaves no hash, so that the object is compared again. */
const toldLinks = (records: string) => `
INSERT INTO link (identity_source_id, kind, external_key, external_id, local_id, hash, read_at)
SELECT $2, r.object_type, r.external_key, r.external_id, r.local_id,
       CASE WHEN coalesce(r.reason_code, '') NOT IN ('INVALID_VALUE', 'VALUE_TAKEN') THEN r.hash END, r.read_at
  FROM sync_record r
 WHERE ${records}
 ORDER BY r.ordinal`;

/** What is new in a snapshot's plan has no link: that it still has none was looked at when applying began. */
export const CREATE_LINKS = step(undefined, ['CREATE'], toldLinks);

const replaceLinks = (records: string) => `${toldLinks(records)}
ON CONFLICT (identity_source_id, kind, external_key) DO UPDATE SET external_id = excluded.external_id, hash = excluded.hash,
       read_at = excluded.read_at, missing_since = NULL, rejected_at = NULL`;

export const WRITE_LINKS = step(undefined, CHANGES, replaceLinks);

/** A reversal brings back what may have kept its link. */
export const RESTORE_LINKS = step(undefined, ['CREATE', ...CHANGES], replaceLinks);

export const MARK_MISSING = step(
  'EMPLOYEE',
  ['SUSPEND'],
  (records) => `
UPDATE link l SET missing_since = now(), read_at = greatest(l.read_at, r.read_at) FROM sync_record r WHERE ${records} AND l.local_id = r.local_id`,
);

/** Who is suspended loses the place in a department that goes without a record of their own: the department's keeps it, in case that is undone. */
export const REMEMBER_PLACES = step(
  'DEPARTMENT',
  ['REMOVE'],
  (records) => `
UPDATE sync_record record SET edges_before = coalesce(record.edges_before, '{}') || jsonb_build_object('places', lost.places)
  FROM (
    SELECT r.id, (
             SELECT jsonb_agg(jsonb_build_array(m.employee_id, m.is_leader, m."order", e.is_main))
               FROM membership m
               CROSS JOIN LATERAL (SELECT e.main_department_id = r.local_id AS is_main FROM employee e
                                    WHERE e.id = m.employee_id AND e.status = 'SUSPENDED' OFFSET 0) e
              WHERE m.department_id = r.local_id) AS places
      FROM sync_record r WHERE ${records} OFFSET 0) lost
 WHERE record.id = lost.id AND lost.places IS NOT NULL`,
);

/** Such places, in departments that an undo brings back: for who is suspended still. */
const lostPlaces = (records: string) => `
  SELECT e.id AS employee_id, r.local_id AS department_id, (place ->> 1)::boolean AS is_leader, (place ->> 2)::bigint AS "order",
         (place ->> 3)::boolean AS is_main
    FROM sync_record r, jsonb_array_elements(CASE jsonb_typeof(r.edges -> 'places') WHEN 'array' THEN r.edges -> 'places' ELSE '[]' END) place
    JOIN employee e ON e.id = (place ->> 0)::uuid AND e.status = 'SUSPENDED'
   WHERE ${records}`;

export const GIVE_BACK_PLACES = [
  step(
    'DEPARTMENT',
    ['CREATE'],
    (records) => `
INSERT INTO membership (employee_id, department_id, is_leader, "order")
SELECT employee_id, department_id, is_leader, "order" FROM (${lostPlaces(records)}) lost ON CONFLICT DO NOTHING`,
  ),
  step(
    'DEPARTMENT',
    ['CREATE'],
    (records) => `
UPDATE employee e SET main_department_id = lost.department_id
  FROM (${lostPlaces(records)}) lost WHERE e.id = lost.employee_id AND lost.is_main AND e.main_department_id IS NULL`,
  ),
];

/**
 * Leaf first, and only where nobody present and no other department is left; run until nothing more goes. A group that a
 * department is still in is compared again by the next run.
 */
export const DELETE_DEPARTMENTS = step(
  'DEPARTMENT',
  ['REMOVE'],
  (records) => `
WITH gone AS (
  DELETE FROM department d USING sync_record r
   WHERE ${records} AND d.id = r.local_id
     AND NOT EXISTS (SELECT FROM department c WHERE c.parent_id = d.id)
     AND NOT EXISTS (SELECT FROM membership m JOIN employee e ON e.id = m.employee_id
                      WHERE m.department_id = d.id AND e.status IN ${PRESENT})
  RETURNING d.id
), reached AS (
  UPDATE link l SET hash = NULL FROM gone JOIN directory_group_department m ON m.department_id = gone.id WHERE l.local_id = m.group_id
)
SELECT id FROM gone`,
);

/** Where the people in it are leavers who wait for approval, the department waits with them. */
export const KEEP_FILLED_DEPARTMENTS = step(
  'DEPARTMENT',
  ['REMOVE'],
  (records) => `
UPDATE sync_record r
   SET result = CASE WHEN EXISTS (SELECT FROM sync_record h WHERE h.task_id = $1 AND h.result = 'HELD') THEN 'HELD' ELSE 'SKIPPED' END,
       reason_code = 'DEPARTMENT_NOT_EMPTY',
       edges_before = coalesce(r.edges_before, '{}') || jsonb_build_object('reason', r.reason_code)
 WHERE ${records} AND EXISTS (SELECT FROM department d WHERE d.id = r.local_id)`,
);

/** A department that stays, since it is not empty, loses the unique values that others were given because it was to go. */
export const GIVE_UP_VALUES = `
WITH lost AS MATERIALIZED (
  SELECT r.id, r.local_id, array_agg(held.field_key) AS keys
    FROM sync_record r JOIN extension_unique_value held ON held.object_id = r.local_id
   WHERE r.task_id = $1 AND r.object_type = 'DEPARTMENT' AND r.action = 'REMOVE' AND r.reason_code = 'DEPARTMENT_NOT_EMPTY'
     AND EXISTS (SELECT FROM extension_unique_value other
                  WHERE (other.identity_source_id, other.field_key, other.value_key) = (held.identity_source_id, held.field_key, held.value_key)
                    AND other.object_id <> held.object_id)
   GROUP BY r.id, r.local_id
), given_up AS (
  UPDATE department d SET extension_values = d.extension_values - lost.keys FROM lost WHERE d.id = lost.local_id
)
UPDATE sync_record r SET changed = r.changed || ARRAY(SELECT '${EXTENSION_PREFIX}' || key FROM unnest(lost.keys) key)
  FROM lost WHERE r.id = lost.id`;

export const DELETE_DEPARTMENT_LINKS = step(
  'DEPARTMENT',
  ['REMOVE'],
  (records) => `
DELETE FROM link l USING sync_record r WHERE ${records} AND l.local_id = r.local_id`,
);

/** A task's open records after the ordinal $2, counted. */
export const COUNT_OPEN = `
SELECT r.object_type AS "objectType", r.action, count(*)::int AS total, min(r.ordinal) AS first, max(r.ordinal) AS last
  FROM sync_record r WHERE ${OPEN} AND r.ordinal > $2 GROUP BY r.object_type, r.action`;

/** What became of the records, by object type and action. */
export const COUNT_RESULTS = `
SELECT object_type AS "objectType", action, count(*)::int AS planned, (count(*) FILTER (WHERE result IS NULL))::int AS applied,
       (count(*) FILTER (WHERE result = 'HELD'))::int AS held, (count(*) FILTER (WHERE result = 'SKIPPED'))::int AS skipped,
       (count(*) FILTER (WHERE result = 'FAILED'))::int AS failed
  FROM sync_record WHERE task_id = $1 GROUP BY object_type, action ORDER BY 1, 2`;
