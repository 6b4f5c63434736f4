import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import type { Actor } from '../access/actor';
import { isStorable } from '../platform/storable-text';
import { type Changed, changeOrganisation, makeFindable, refuse, requireUnchanged } from './change';
import { type ExtensionValueInput, requireCustom, requireDepartment } from './department.service';
import { checkedExtensionValues } from './extension-values';
import { PRESENT } from './organisation.entity';
import { noteChanges, noteEach } from './timeline-note';

/** Somebody's place in a department, as it is entered. */
export interface MembershipInput {
  readonly departmentId: string;
  readonly isLeader: boolean;
  readonly isMain: boolean;
}

/** Built-in fields that can be entered, as text. */
export interface EmployeeFields {
  readonly username?: string | null | undefined;
  readonly displayName?: string | null | undefined;
  readonly englishName?: string | null | undefined;
  readonly position?: string | null | undefined;
  readonly email?: string | null | undefined;
  readonly mobile?: string | null | undefined;
  readonly telephone?: string | null | undefined;
  readonly address?: string | null | undefined;
  readonly gender?: string | null | undefined;
  readonly employmentStatus?: string | null | undefined;
}

/** Absent (undefined) is unchanged, null clears. */
export interface EmployeeChange extends EmployeeFields {
  readonly managerId?: string | null | undefined;
  readonly memberships?: readonly MembershipInput[] | undefined;
  readonly extensionValues?: readonly ExtensionValueInput[] | undefined;
  /** Edits of a synchronized person to give up: the source's value comes back with the next run. */
  readonly takeBack?: readonly string[] | undefined;
  /** When the person last changed, as the editor has seen them: a later change refuses this one. */
  readonly expectedUpdatedAt?: Date | null | undefined;
}

/** Columns by field. */
const COLUMNS: Readonly<Record<keyof EmployeeFields, string>> = {
  username: 'username',
  displayName: 'display_name',
  englishName: 'english_name',
  position: 'position',
  email: 'email',
  mobile: 'mobile',
  telephone: 'telephone',
  address: 'address',
  gender: 'gender',
  employmentStatus: 'employment_status',
};

/** What may be edited here although a source tells it. */
const EDITABLE = new Set(['position', 'employmentStatus']);
const NEVER_EMPTY = new Set(['username', 'displayName']);
const MAX_TEXT = 256;
const MAX_BLOCKED = 10_000;
const MAX_REASON = 500;
interface Held {
  readonly id: string;
  readonly sourceId: string;
  readonly sourceType: string;
  readonly updatedAt: Date;
  readonly extensionValues: Record<string, string>;
  readonly editedFields: string[];
}

/** What people change about people: everything in a custom source, position and employment status elsewhere. */
export class EmployeeService {
  constructor(private readonly dataSource: DataSource) {}

  create(actor: Actor, identitySourceId: string, input: EmployeeChange): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, identitySourceId, async (client) => {
      await requireCustom(client, identitySourceId);
      const fields = checkedFields(input);
      for (const name of NEVER_EMPTY)
        if (!fields[name as keyof EmployeeFields]) refuse('INVALID_INPUT', `${name} cannot be empty.`, name);
      const values = await checkedExtensionValues(client, 'EMPLOYEE', {}, input.extensionValues ?? []);
      const names = Object.keys(fields) as (keyof EmployeeFields)[];
      const { rows } = await client.query(
        `INSERT INTO employee (identity_source_id, status, extension_values, ${names.map((name) => COLUMNS[name]).join(', ')})
         VALUES ($1, 'ACTIVE', $2, ${names.map((_, i) => `$${i + 3}`).join(', ')}) RETURNING id`,
        [identitySourceId, JSON.stringify(values), ...names.map((name) => fields[name])],
      );
      const id: string = rows[0].id;
      await writePlaces(client, id, identitySourceId, input.memberships ?? []);
      if (input.managerId) await writeManager(client, id, identitySourceId, input.managerId);
      await noteEach(client, [id], actor, { field: 'created', from: null, to: fields.displayName ?? null });
      await makeFindable(client, [id]);
      return id;
    });
  }

  async update(actor: Actor, id: string, change: EmployeeChange): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, await this.sourceOf(id), async (client) => {
      const held = await lockEmployee(client, id);
      requireUnchanged(held.updatedAt, change.expectedUpdatedAt);
      await noteChanges(client, actor, [id], () =>
        held.sourceType === 'CUSTOM' ? updateKept(client, held, change) : updateSynchronized(client, held, change),
      );
      await makeFindable(client, [id]);
      return id;
    });
  }

  /** Takes somebody out of a custom source; what was recorded of them stays. */
  async delete(actor: Actor, id: string): Promise<Changed<string>> {
    return changeOrganisation(this.dataSource, await this.sourceOf(id), async (client) => {
      const held = await lockEmployee(client, id);
      await requireCustom(client, held.sourceId, 'id');
      await noteChanges(client, actor, [id], async () => {
        await client.query(
          `UPDATE employee SET status = 'REMOVED', main_department_id = NULL, manager_id = NULL WHERE id = $1`,
          [id],
        );
        await client.query('DELETE FROM membership WHERE employee_id = $1', [id]);
      });
      return id;
    });
  }

  /** Refuses people every access, whatever their source says. Blocking somebody twice keeps the first time and takes the new reason. */
  async block(actor: Actor, ids: readonly string[], reason: string): Promise<Changed<readonly string[]>> {
    return changeOrganisation(this.dataSource, null, async (client) => {
      const text = reason.trim();
      if (text === '' || [...text].length > MAX_REASON)
        refuse('INVALID_INPUT', `A reason has 1 to ${MAX_REASON} characters.`, 'reason');
      await requireAll(client, ids);
      const { rows } = await client.query(
        `UPDATE employee SET blocked_at = coalesce(blocked_at, now()), blocked_reason = $2, blocked_by = $3
          WHERE id = ANY ($1) AND blocked_reason IS DISTINCT FROM $2 RETURNING id`,
        [ids, text, actor.name],
      );
      const blocked = rows.map((row) => row.id);
      await noteEach(client, blocked, actor, { field: 'blocked', from: null, to: text });
      return ids;
    });
  }

  async unblock(actor: Actor, ids: readonly string[]): Promise<Changed<readonly string[]>> {
    return changeOrganisation(this.dataSource, null, async (client) => {
      await requireAll(client, ids);
      await client.query(
        `WITH freed AS (
           UPDATE employee e SET blocked_at = NULL, blocked_reason = NULL, blocked_by = NULL FROM employee former
            WHERE e.id = ANY ($1) AND former.id = e.id AND e.blocked_at IS NOT NULL RETURNING e.id, former.blocked_reason AS reason
         ) INSERT INTO employee_change (employee_id, actor, field, value_from) SELECT id, $2, 'blocked', reason FROM freed`,
        [ids, actor.name],
      );
      return ids;
    });
  }

  private async sourceOf(id: string): Promise<string | null> {
    const [row] = await this.dataSource.query('SELECT identity_source_id AS id FROM employee WHERE id = $1', [id]);
    return row?.id ?? null;
  }
}

async function updateKept(client: PoolClient, held: Held, change: EmployeeChange): Promise<void> {
  if (change.takeBack && change.takeBack.length > 0)
    refuse('INVALID_INPUT', 'Nothing of somebody kept here can be taken back.', 'takeBack');
  await writeFields(client, held, checkedFields(change));
  if (change.extensionValues) {
    const values = await checkedExtensionValues(client, 'EMPLOYEE', held.extensionValues, change.extensionValues);
    await client.query('UPDATE employee SET extension_values = $2 WHERE id = $1', [held.id, JSON.stringify(values)]);
  }
  if (change.memberships) await writePlaces(client, held.id, held.sourceId, change.memberships);
  if (change.managerId !== undefined) await writeManager(client, held.id, held.sourceId, change.managerId);
}

async function updateSynchronized(client: PoolClient, held: Held, change: EmployeeChange): Promise<void> {
  const fields = checkedFields(change);
  const others = {
    managerId: change.managerId,
    memberships: change.memberships,
    extensionValues: change.extensionValues,
  };
  const foreign = [
    ...Object.keys(fields).filter((name) => !EDITABLE.has(name)),
    ...Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name])),
  ];
  if (foreign[0]) {
    const message = `${foreign.join(', ')}: the source decides; here only position and employmentStatus of a synchronized person can be edited.`;
    refuse('FIELD_MANAGED_BY_SOURCE', message, foreign[0]);
  }
  const takeBack = change.takeBack ?? [];
  const unedited = takeBack.find((name) => !held.editedFields.includes(name));
  if (unedited !== undefined) {
    const edited = held.editedFields.join(', ') || 'none';
    refuse('INVALID_INPUT', `${unedited} was not edited here. Edited are: ${edited}.`, 'takeBack');
  }
  const both = takeBack.find((name) => name in fields);
  if (both !== undefined) refuse('INVALID_INPUT', `Either edit ${both} or take it back.`, 'takeBack');
  await writeFields(client, held, fields);
  const edited = new Set([...held.editedFields, ...Object.keys(fields)].filter((name) => !takeBack.includes(name)));
  // A plan that was made before this does not know of it.
  await client.query('UPDATE employee SET edited_fields = $2, updated_at = now() WHERE id = $1', [
    held.id,
    [...edited].sort(),
  ]);
  // The next run compares the person again, with the edit or without it.
  await client.query('UPDATE link SET hash = NULL WHERE local_id = $1', [held.id]);
}

/** Every given field in its stored form. @throws Refused */
function checkedFields(change: EmployeeFields): Partial<Record<keyof EmployeeFields, string | null>> {
  const fields: Partial<Record<keyof EmployeeFields, string | null>> = {};
  for (const name of Object.keys(COLUMNS) as (keyof EmployeeFields)[]) {
    const given = change[name];
    if (given === undefined) continue;
    const text = given?.trim() ?? '';
    if (text.length > MAX_TEXT) refuse('INVALID_INPUT', `${name} has at most ${MAX_TEXT} characters.`, name);
    if (!isStorable(text)) refuse('INVALID_INPUT', `${name} has a character that cannot be stored.`, name);
    if (text === '' && NEVER_EMPTY.has(name)) refuse('INVALID_INPUT', `${name} cannot be empty.`, name);
    if (name === 'email' && text !== '' && !/^[^\s@]+@[^\s@]+$/.test(text))
      refuse('INVALID_INPUT', 'This is no e-mail address.', name);
    fields[name] = text === '' ? (name === 'employmentStatus' ? 'UNKNOWN' : null) : text;
  }
  return fields;
}

async function writeFields(
  client: PoolClient,
  held: Held,
  fields: Partial<Record<keyof EmployeeFields, string | null>>,
): Promise<void> {
  const names = Object.keys(fields) as (keyof EmployeeFields)[];
  if (names.length === 0) return;
  // The columns' names come from the table above, never from input.
  const assignments = names.map((name, i) => `${COLUMNS[name]} = $${i + 2}`);
  await client.query(`UPDATE employee SET ${assignments.join(', ')} WHERE id = $1`, [
    held.id,
    ...names.map((name) => fields[name] ?? null),
  ]);
}

async function writePlaces(
  client: PoolClient,
  id: string,
  sourceId: string,
  places: readonly MembershipInput[],
): Promise<void> {
  if (places.filter((place) => place.isMain).length > 1)
    refuse('INVALID_INPUT', 'At most one department is the main one.', 'memberships');
  if (new Set(places.map((place) => place.departmentId)).size < places.length) {
    refuse('INVALID_INPUT', 'A department is named twice.', 'memberships');
  }
  for (const [i, place] of places.entries()) {
    await requireDepartment(client, place.departmentId, sourceId, 'memberships', String(i), 'departmentId');
  }
  const ids = places.map((place) => place.departmentId);
  await client.query('DELETE FROM membership WHERE employee_id = $1 AND department_id <> ALL ($2)', [id, ids]);
  await client.query(
    `INSERT INTO membership (employee_id, department_id, is_leader) SELECT $1, * FROM unnest($2::uuid[], $3::boolean[])
     ON CONFLICT (employee_id, department_id) DO UPDATE SET is_leader = excluded.is_leader`,
    [id, ids, places.map((place) => place.isLeader)],
  );
  await client.query('UPDATE employee SET main_department_id = $2 WHERE id = $1', [
    id,
    places.find((place) => place.isMain)?.departmentId ?? null,
  ]);
}

async function writeManager(client: PoolClient, id: string, sourceId: string, managerId: string | null): Promise<void> {
  if (managerId === id) refuse('INVALID_INPUT', 'Nobody manages themselves.', 'managerId');
  if (managerId) {
    const { rows } = await client.query(
      `SELECT 1 FROM employee WHERE id = $1 AND identity_source_id = $2 AND status IN ${PRESENT}`,
      [managerId, sourceId],
    );
    if (!rows[0]) refuse('NOT_FOUND', 'There is no present person with this id in this source.', 'managerId');
  }
  await client.query('UPDATE employee SET manager_id = $2 WHERE id = $1', [id, managerId]);
}

async function lockEmployee(client: PoolClient, id: string): Promise<Held> {
  const { rows } = await client.query<Held>(
    `SELECT e.id, e.identity_source_id AS "sourceId", s.type AS "sourceType", e.updated_at AS "updatedAt",
            e.extension_values AS "extensionValues", e.edited_fields AS "editedFields"
       FROM employee e JOIN identity_source s ON s.id = e.identity_source_id
      WHERE e.id = $1 AND e.status <> 'REMOVED' AND s.deleted_at IS NULL FOR UPDATE OF e`,
    [id],
  );
  return rows[0] ?? refuse('NOT_FOUND', 'There is no employee with this id.', 'id');
}

async function requireAll(client: PoolClient, ids: readonly string[]): Promise<void> {
  if (ids.length === 0 || ids.length > MAX_BLOCKED)
    refuse('INVALID_INPUT', `Name 1 to ${MAX_BLOCKED} employees.`, 'ids');
  const { rows } = await client.query('SELECT count(*)::int AS found FROM employee WHERE id = ANY ($1)', [ids]);
  const missing = new Set(ids).size - rows[0].found;
  if (missing > 0) refuse('NOT_FOUND', `${missing} of these ids name no employee. Nobody was changed.`, 'ids');
}
