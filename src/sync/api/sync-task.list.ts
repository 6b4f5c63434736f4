import { Field, ID, InputType } from 'type-graphql';
import type { RequestContext } from '../../api/context';
import { type Page, type PageArgs, readPage } from '../../api/pagination';
import { uuidOf } from '../../platform/typed-id';
import type { SyncTask, SyncTaskModeName, SyncTaskStatusName } from '../task/sync-task.entity';
import { SyncTaskModeEnum, type SyncTaskObject, SyncTaskStatusEnum, toSyncTask } from './sync-task.type';

export { SyncTaskConnection } from './sync-task.type';

@InputType({ description: 'Which tasks to list; all conditions together.' })
export class SyncTaskFilter {
  @Field(() => ID, { nullable: true, description: 'Of this identity source only.' })
  identitySourceId?: string | null;

  @Field(() => [SyncTaskStatusEnum], { nullable: true, description: 'Of one of these statuses only.' })
  status?: SyncTaskStatusName[] | null;

  @Field(() => SyncTaskModeEnum, { nullable: true, description: 'Of this mode only.' })
  mode?: SyncTaskModeName | null;
}

export const TASK_COLUMNS = `id, identity_source_id AS "identitySourceId", mode, trigger, status, started_by AS "startedBy",
  includes_employees AS "includesEmployees", queued_at AS "queuedAt", started_at AS "startedAt", finished_at AS "finishedAt",
  progress, counters, certificate, failure, last_sequence AS "lastSequence"`;

/** Newest first. */
export async function listTasks(
  ctx: RequestContext,
  filter: SyncTaskFilter,
  page: PageArgs,
): Promise<Page<SyncTaskObject>> {
  const parameters: unknown[] = [];
  const where: string[] = [];
  if (filter.identitySourceId != null) {
    const source = uuidOf('source', filter.identitySourceId);
    where.push(`identity_source_id = $${parameters.push(source)}`);
  }
  if (filter.status) where.push(`status = ANY ($${parameters.push(filter.status)})`);
  if (filter.mode) where.push(`mode = $${parameters.push(filter.mode)}`);
  const sort = [{ sql: 'id', type: 'uuid' } as const];
  const list = { columns: TASK_COLUMNS, from: 'sync_task', where, parameters, sort, descending: true };
  return readPage<SyncTask, SyncTaskObject>(ctx.dataSource, list, page, (row) => toSyncTask(row));
}
