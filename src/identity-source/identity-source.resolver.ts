import type { GraphQLResolveInfo } from 'graphql';
import { Arg, Args, Ctx, FieldResolver, ID, Info, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { Role } from '../access/role';
import type { MaybePromise } from '../api/batches';
import type { RequestContext } from '../api/context';
import { containing, type ListQuery, type Page, PageArgs, readPage } from '../api/pagination';
import { selectionOfNodes } from '../api/selection';
import { UserErrorCode } from '../api/user-error';
import { listDepartments, listEmployees } from '../organisation/organisation.list';
import {
  DepartmentConnection,
  type DepartmentObject,
  EmployeeConnection,
  EmployeeFilter,
  type EmployeeObject,
  EmployeeOrder,
} from '../organisation/organisation.type';
import { uuidOf } from '../platform/typed-id';
import { listTasks, SyncTaskConnection, SyncTaskFilter } from '../sync/api/sync-task.list';
import { SyncTaskObject, toSyncTask } from '../sync/api/sync-task.type';
import { IdentitySource } from './identity-source.entity';
import { schemaWarning, suggestedSchema } from './identity-source.rules';
import {
  CreateIdentitySourceInput,
  CreateIdentitySourcePayload,
  DisableIdentitySourceInput,
  DisableIdentitySourcePayload,
  EnableIdentitySourceInput,
  EnableIdentitySourcePayload,
  IdentitySourceConnection,
  IdentitySourceFilter,
  IdentitySourceObject,
  IdentitySourceOrder,
  IdentitySourceQuota,
  toIdentitySource,
  UpdateIdentitySourceInput,
  UpdateIdentitySourcePayload,
} from './identity-source.type';
import type { Refusal, SourceOutcome } from './source-change';
import { toAutomaticChange } from './synchronization-settings.input';

const COLUMNS = `id, type, name, description, status, schema, wecom_mode AS "wecomMode", corp_id AS "corpId", agent_id AS "agentId",
  secret_changed_at AS "secretChangedAt", version, created_at AS "createdAt", updated_at AS "updatedAt",
  automatic_enabled AS "automaticEnabled", automatic_user_information AS "automaticUserInformation", cycle_hours AS "cycleHours",
  next_run_at AS "nextRunAt", scope_mode AS "scopeMode", scope_department_ids AS "scopeDepartmentIds",
  field_mappings AS "fieldMappings", max_removals AS "maxRemovals", max_removal_percent AS "maxRemovalPercent",
  minimum_objects AS "minimumObjects", leaver_grace_days AS "leaverGraceDays", sealed_callback_token AS "sealedCallbackToken",
  appeared_at AS "appearedAt", plain_corp_id AS "plainCorpId", data_removal_due_at AS "dataRemovalDueAt"`;

@Resolver(() => IdentitySourceObject)
export class IdentitySourceResolver {
  @Role('VIEWER')
  @Query(() => IdentitySourceConnection, {
    description: 'All identity sources but those that are deleted or wait for their first authorization.',
  })
  async identitySources(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => IdentitySourceFilter, { nullable: true, description: 'Which ones.' })
    filter?: IdentitySourceFilter,
    @Arg('orderBy', () => IdentitySourceOrder, {
      nullable: true,
      description: 'In which order; by creation when absent.',
    })
    orderBy?: IdentitySourceOrder,
  ): Promise<Page<IdentitySourceObject>> {
    return readPage<IdentitySource, IdentitySourceObject>(
      ctx.dataSource,
      sourceList(filter, orderBy),
      page,
      toIdentitySource,
    );
  }

  @Role('VIEWER')
  @Query(() => IdentitySourceObject, {
    nullable: true,
    description: 'One identity source; null when there is none with this id.',
  })
  async identitySource(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The source.' }) id: string,
  ): Promise<IdentitySourceObject | null> {
    const row = await ctx.loaders.source.load(uuidOf('source', id));
    return row && !row.deletedAt ? toIdentitySource(row) : null;
  }

  @Role('VIEWER')
  @Query(() => IdentitySourceQuota, { description: 'How many sources are enabled, and how many may be.' })
  async identitySourceQuota(@Ctx() ctx: RequestContext): Promise<IdentitySourceQuota> {
    const [row] = await ctx.dataSource.query(
      `SELECT count(*)::int AS enabled, (count(*) FILTER (WHERE type = 'CUSTOM'))::int AS "customEnabled"
         FROM identity_source WHERE status = 'ENABLED' AND deleted_at IS NULL`,
    );
    const { enabled, customEnabled } = ctx.identitySources.limits;
    return { ...row, enabledLimit: enabled, customEnabledLimit: customEnabled };
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => CreateIdentitySourcePayload, {
    description:
      'Connects a directory. WeCom credentials are checked by a live call first; without them the source waits for startAuthorization.',
  })
  async createIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CreateIdentitySourceInput, { description: 'The new source.' }) input: CreateIdentitySourceInput,
  ): Promise<CreateIdentitySourcePayload> {
    const { description = null, wecomSelfBuilt = null, wecomCallback = null, idempotencyKey = null } = input;
    const automatic = toAutomaticChange(input.automaticSynchronization) ?? null;
    const request = { ...input, description, wecomSelfBuilt, wecomCallback, automatic, idempotencyKey };
    return payload(await ctx.identitySources.create(request, ctx.actor));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => UpdateIdentitySourcePayload, { description: 'Changes an identity source’s settings.' })
  async updateIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => UpdateIdentitySourceInput, { description: 'The changes.' }) input: UpdateIdentitySourceInput,
  ): Promise<UpdateIdentitySourcePayload> {
    const { description, schema, wecomCallback } = input;
    const id = uuidOf('source', input.id);
    const [version, name] = [input.version ?? undefined, input.name ?? undefined];
    const wecomSelfBuilt = input.wecomSelfBuilt ?? undefined;
    const request = { id, version, name, description, schema, wecomSelfBuilt, wecomCallback };
    return payload(await ctx.identitySources.update(request, ctx.actor));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => EnableIdentitySourcePayload, {
    description: 'Takes a source into use, within the limits of identitySourceQuota.',
  })
  async enableIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => EnableIdentitySourceInput, { description: 'Which one.' }) input: EnableIdentitySourceInput,
  ): Promise<EnableIdentitySourcePayload> {
    return payload(await ctx.identitySources.enable(uuidOf('source', input.id)));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => DisableIdentitySourcePayload, {
    description: 'Closes a source: its running task is canceled, its data stays.',
  })
  async disableIdentitySource(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DisableIdentitySourceInput, { description: 'Which one.' }) input: DisableIdentitySourceInput,
  ): Promise<DisableIdentitySourcePayload> {
    return payload(await ctx.identitySources.disable(uuidOf('source', input.id)));
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'What looks wrong with the Schema value; null when nothing does.',
  })
  schemaWarning(@Root() source: IdentitySourceObject): string | null {
    return schemaWarning(source.schema, source.row.plainCorpId ?? source.corpId, source.agentId) ?? null;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'The Schema value that follows from the ids; null where they are not known.',
  })
  suggestedSchema(@Root() source: IdentitySourceObject): string | null {
    return suggestedSchema(source.row.plainCorpId ?? source.corpId, source.agentId) ?? null;
  }

  @FieldResolver(() => Int, { description: 'Departments here.' })
  departmentCount(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): MaybePromise<number> {
    return ctx.loaders.sourceDepartmentCount.load(source.uuid);
  }

  @FieldResolver(() => Int, { description: 'Employees present: active, not activated or disabled.' })
  employeeCount(@Root() source: IdentitySourceObject, @Ctx() ctx: RequestContext): MaybePromise<number> {
    return ctx.loaders.sourceEmployeeCount.load(source.uuid);
  }

  @FieldResolver(() => DepartmentConnection, { description: 'The children of parentId; without it the top level.' })
  departments(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('parentId', () => ID, { nullable: true, description: 'Whose children.' }) parentId?: string,
  ): Promise<Page<DepartmentObject>> {
    const parent = parentId == null ? null : uuidOf('department', parentId);
    return listDepartments(ctx, { sourceId: source.uuid, parent }, page);
  }

  @FieldResolver(() => EmployeeConnection, {
    description: 'This source’s employees; those present unless the filter says otherwise.',
  })
  employees(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Info() info: GraphQLResolveInfo,
    @Arg('filter', () => EmployeeFilter, { nullable: true, description: 'Which ones.' }) filter?: EmployeeFilter,
    @Arg('orderBy', () => EmployeeOrder, { nullable: true, description: 'In which order; by creation when absent.' })
    orderBy?: EmployeeOrder,
  ): Promise<Page<EmployeeObject>> {
    const asked = selectionOfNodes(info);
    return listEmployees(ctx, { ...filter, sourceUuid: source.uuid }, orderBy, page, { asked });
  }

  @FieldResolver(() => SyncTaskObject, { nullable: true, description: 'The newest task; null before the first.' })
  async latestSyncTask(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
  ): Promise<SyncTaskObject | null> {
    const [latest] = await ctx.loaders.latestTask.load(source.uuid);
    const task = latest ? await ctx.loaders.task.load(latest.id) : null;
    return task && toSyncTask(task);
  }

  @FieldResolver(() => SyncTaskConnection, { description: 'This source’s tasks, newest first.' })
  syncTasks(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => SyncTaskFilter, { nullable: true, description: 'Which ones.' }) filter?: SyncTaskFilter,
  ): Promise<Page<SyncTaskObject>> {
    return listTasks(ctx, { ...filter, identitySourceId: source.id }, page);
  }
}

/** PENDING where none was asked for yet: the source waits all the same. */
const LATEST_AUTHORIZATION = `coalesce((SELECT a.status FROM source_authorization a
  WHERE a.identity_source_id = identity_source.id ORDER BY a.id DESC LIMIT 1), CASE WHEN appeared_at IS NULL THEN 'PENDING' END)`;

function sourceList(filter: IdentitySourceFilter | undefined, orderBy: IdentitySourceOrder | undefined): ListQuery {
  const parameters: unknown[] = [];
  const where = ['deleted_at IS NULL'];
  if (filter?.authorization) where.push(`${LATEST_AUTHORIZATION} = $${parameters.push(filter.authorization)}`);
  else where.push('appeared_at IS NOT NULL');
  if (filter?.type) where.push(`type = $${parameters.push(filter.type)}`);
  if (filter?.status) where.push(`status = $${parameters.push(filter.status)}`);
  if (filter?.text) {
    const pattern = parameters.push(containing(filter.text));
    where.push(`(name ILIKE $${pattern} OR description ILIKE $${pattern})`);
  }
  const byId = { sql: 'id', type: 'uuid' } as const;
  const order = orderBy?.field ?? 'CREATED_AT';
  const sort = order === 'NAME' ? [{ sql: 'lower(name)', type: 'text' } as const, byId] : [byId];
  const descending = orderBy?.direction === 'DESC';
  return { columns: COLUMNS, from: 'identity_source', where, parameters, sort, descending, order };
}

/** What every mutation of a source answers. */
export function payload(outcome: SourceOutcome): CreateIdentitySourcePayload {
  if ('source' in outcome) return { identitySource: toIdentitySource(outcome.source), userErrors: [] };
  return { identitySource: null, userErrors: outcome.refusals.map(toUserError) };
}

export function toUserError(refusal: Refusal) {
  return { code: UserErrorCode[refusal.code], message: refusal.message, field: refusal.field };
}
