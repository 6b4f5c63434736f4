import type { DataSource } from 'typeorm';
import type { RequestContext } from '../../api/context';
import { containing, type ListQuery, type Page, type PageArgs, readPage } from '../../api/pagination';
import { type SyncRecordFilter, type SyncRecordObject, type SyncRecordRow, toSyncRecord } from './sync-record.type';

/** A record without a result of its own has its task's: planned, and once that was applied, applied. */
const RESULT = `coalesce(r.result, CASE WHEN t.applied_at IS NULL THEN 'PLANNED' ELSE 'APPLIED' END)`;

const COLUMNS = `r.id, r.task_id AS "taskId", r.ordinal, r.object_type AS "objectType", r.external_id AS "externalId",
  r.local_id AS "localId", r.name, r.action, ${RESULT} AS result, r.reason_code AS "reasonCode", r.third_party AS "thirdParty",
  r.before, r.after, r.changed, r.kept, t.mappings`;

const FROM = 'sync_record r JOIN sync_task t ON t.id = r.task_id';

/** A task's records in the order of the plan. */
export function listRecords(
  { dataSource, actor }: RequestContext,
  taskUuid: string,
  filter: SyncRecordFilter | undefined,
  page: PageArgs,
): Promise<Page<SyncRecordObject>> {
  const parameters: unknown[] = [taskUuid];
  const where = ['r.task_id = $1', ...conditions(filter, parameters)];
  const list: ListQuery = {
    columns: COLUMNS,
    from: FROM,
    where,
    parameters,
    sort: [{ sql: 'r.ordinal', type: 'bigint' }],
  };
  return readPage<SyncRecordRow, SyncRecordObject>(dataSource, list, page, (row) => toSyncRecord(row, actor.role));
}

export async function findRecord(ctx: RequestContext, uuid: string): Promise<SyncRecordObject | null> {
  const [row] = await ctx.dataSource.query(`SELECT ${COLUMNS} FROM ${FROM} WHERE r.id = $1`, [uuid]);
  return row ? toSyncRecord(row, ctx.actor.role) : null;
}

/**
 * Records of a task from one place of its plan to another, both included.
 * @param plan which of its plans: of one that was made again there are none
 */
export async function recordsBetween(
  dataSource: DataSource,
  taskUuid: string,
  [first, last]: readonly [number, number],
  plan: number,
  filter: SyncRecordFilter | undefined,
): Promise<SyncRecordRow[]> {
  const parameters: unknown[] = [taskUuid, first, last, plan];
  const where = ['r.task_id = $1', 'r.ordinal BETWEEN $2 AND $3', 't.plan = $4', ...conditions(filter, parameters)];
  return dataSource.query(`SELECT ${COLUMNS} FROM ${FROM} WHERE ${where.join(' AND ')} ORDER BY r.ordinal`, parameters);
}

function conditions(filter: SyncRecordFilter | undefined, parameters: unknown[]): string[] {
  const where: string[] = [];
  if (filter?.objectType) where.push(`r.object_type = $${parameters.push(filter.objectType)}`);
  if (filter?.action) where.push(`r.action = ANY ($${parameters.push(filter.action)})`);
  if (filter?.result) where.push(`${RESULT} = ANY ($${parameters.push(filter.result)})`);
  if (filter?.field) where.push(`$${parameters.push(filter.field)} = ANY (r.changed)`);
  if (filter?.text) {
    const pattern = parameters.push(containing(filter.text));
    where.push(`(r.name ILIKE $${pattern} OR r.external_id ILIKE $${pattern})`);
  }
  return where;
}
