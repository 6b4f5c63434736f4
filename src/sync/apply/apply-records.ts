import type { PoolClient } from 'pg';
import { holdFieldsStill } from '../../extension-field/extension-field.service';
import { EXTENSION_PREFIX } from '../../field-mapping/field-mapping';
import { announceSearch, type RunQuery, refreshSearch } from '../../organisation/search-index';
import { ANY_CHANGES } from '../plan/changed-ids';
import type { Run } from '../task/lease';
import { APPLY_GROUPS, READ_GROUPS } from './groups';
import { REMEMBER_MISSING_MEMBERS, REMEMBER_UNRESOLVED } from './references';
import type { Step } from './statements';
import * as sql from './statements';

/** So many changed people can be searched for from the commit on; of more the search text is made afterwards. */
const FOUND_AT_ONCE = 2_000;

/** Applying is serial for a source: whoever else applies waits here, and a task then finds its lease gone. */
export async function beginApplying(client: PoolClient, identitySourceId: string): Promise<void> {
  await client.query(`SET LOCAL work_mem = '64MB'`);
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [identitySourceId]);
  await holdFieldsStill(client);
}

/** What a task's records do, in its order, but for the departments that go. */
function steps(run: Run, extensions: boolean, idsChange: boolean): Step[] {
  const undoing = run.task.trigger === 'REVERT';
  return [
    // Those of a reversal came first, since edges lead to them.
    ...(undoing ? [] : [sql.createDepartments(extensions)]),
    sql.updateDepartments(extensions),
    sql.createEmployees(extensions),
    sql.REMEMBER_GRACE,
    sql.updateEmployees(extensions),
    ...(undoing ? [sql.giveBackEmployees(extensions)] : []),
    sql.SUSPEND_EMPLOYEES,
    sql.REMOVE_EMPLOYEES,
    sql.DELETE_MEMBERSHIPS,
    sql.CREATE_MEMBERSHIPS,
    sql.WRITE_MEMBERSHIPS,
    sql.GIVE_UP_LINKS,
    ...(idsChange ? [sql.DISPLACE_LINKS] : []),
    sql.RENAME_LINKS,
    ...(undoing ? [sql.RESTORE_LINKS] : [sql.CREATE_LINKS, sql.WRITE_LINKS]),
    sql.MARK_MISSING,
    ...APPLY_GROUPS,
  ];
}

/**
 * Makes a task's records the local organisation.
 * @param after the ordinal up to which that was done ahead, if any was
 */
export async function applyRecords(client: PoolClient, run: Run, after?: number): Promise<void> {
  const open = await applySteps(client, run, after);
  if (sql.count(open, sql.DELETE_DEPARTMENTS) > 0) await deleteDepartments(client, run);
  await rememberUnresolved(client, run);
  const all = after === undefined ? open : await openRecords(client, run, 0);
  const renamed = sql.count(all, { objectType: 'EMPLOYEE', actions: ['CREATE', ...sql.CHANGES] });
  await renewSearch(client, run, renamed);
}

/**
 * What of it can be done for some records before others: all but what goes, and what is worked out from everything.
 * @param after only for records after this ordinal, and for none that come meanwhile; undefined: for all
 * @returns which records these are
 */
export async function applySteps(client: PoolClient, run: Run, after?: number): Promise<readonly sql.OpenRecords[]> {
  const open = await openRecords(client, run, after ?? 0);
  const extensions = await changesExtensions(client, run);
  const { rows } = await client.query(ANY_CHANGES, [run.task.identitySourceId]);
  for (const step of steps(run, extensions, rows[0].any)) {
    if (sql.count(open, step) === 0) continue;
    await execute(client, after === undefined ? sql.narrowed(open, step) : sql.bounded(open, step), run);
  }
  return open;
}

async function openRecords(client: PoolClient, run: Run, after: number): Promise<readonly sql.OpenRecords[]> {
  return (await client.query<sql.OpenRecords>(sql.COUNT_OPEN, [run.task.id, after])).rows;
}

/** Whether records may change extension fields: those that are mapped, or that are unique, since a taken value is left out. */
async function changesExtensions(client: PoolClient, { task }: Run): Promise<boolean> {
  if (task.trigger === 'REVERT') return true;
  if (task.mappings.some(({ localField }) => localField.startsWith(EXTENSION_PREFIX))) return true;
  const { rows } = await client.query('SELECT EXISTS (SELECT FROM extension_field WHERE is_unique) AS any');
  return rows[0].any;
}

/** A run that brings departments only has answers neither about people nor about groups. */
async function rememberUnresolved(client: PoolClient, run: Run): Promise<void> {
  if (!run.task.includesEmployees) return;
  await execute(client, REMEMBER_UNRESOLVED, run);
  const { rows } = await client.query(READ_GROUPS, [run.task.id]);
  if (rows[0].any) await execute(client, REMEMBER_MISSING_MEMBERS, run);
}

async function deleteDepartments(client: PoolClient, run: Run): Promise<void> {
  await execute(client, sql.REMEMBER_PLACES.sql, run);
  while ((await execute(client, sql.DELETE_DEPARTMENTS.sql, run)) > 0);
  const kept = await execute(client, sql.KEEP_FILLED_DEPARTMENTS.sql, run);
  if (kept > 0) await execute(client, sql.GIVE_UP_VALUES, run);
  await execute(client, sql.DELETE_DEPARTMENT_LINKS.sql, run);
}

/** @param people whose names and other searched values may have changed */
async function renewSearch(client: PoolClient, run: Run, people: number): Promise<void> {
  const query: RunQuery = async (text, parameters) => (await client.query(text, parameters)).rows;
  if (people > FOUND_AT_ONCE) await announceSearch(query, run.task.identitySourceId);
  else if (people > 0) await refreshSearch(query, { taskId: run.task.id });
}

/** Statements name $2 only where they need it; PostgreSQL refuses a parameter that none does. */
export async function execute(client: PoolClient, statement: string, run: Run): Promise<number> {
  const parameters = statement.includes('$2') ? [run.task.id, run.task.identitySourceId] : [run.task.id];
  const { rowCount } = await client.query(statement, parameters);
  return rowCount ?? 0;
}
