import type { GraphQLResolveInfo } from 'graphql';
import { Arg, Args, Ctx, FieldResolver, ID, Info, Int, Query, Resolver, Root } from 'type-graphql';
import { Role } from '../access/role';
import { type MaybePromise, whenKnown } from '../api/batches';
import type { RequestContext } from '../api/context';
import { type Page, PageArgs } from '../api/pagination';
import { DateTime } from '../api/scalars';
import { selectionOfNodes } from '../api/selection';
import { IdentitySourceObject, toIdentitySource } from '../identity-source/identity-source.type';
import { fromTypedId } from '../platform/typed-id';
import { SyncTaskObject, toSyncTask } from '../sync/api/sync-task.type';
import type { AsOf } from './history';
import { listDepartments, listEmployees } from './organisation.list';
import {
  DepartmentConnection,
  DepartmentFilter,
  DepartmentObject,
  DepartmentOrder,
  EmployeeConnection,
  EmployeeFilter,
  EmployeeObject,
  EmployeeOrder,
  ExtensionValue,
  MembershipObject,
  toMembership,
} from './organisation.type';
import { readTimeline, TimelineConnection, TimelineEntry } from './timeline';

const AS_OF =
  'As it was at this moment by the database’s clock, with everything below it: synchronized, edited here and undone changes that had been committed by then. Now when absent. How far back goes is configured. Former names are found and sorted as they are written, not by pinyin.';

@Resolver(() => DepartmentObject)
export class DepartmentResolver {
  @Role('VIEWER')
  @Query(() => DepartmentObject, {
    nullable: true,
    description: 'One department; null when there is none with this id, or was none then.',
  })
  async department(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The department.' }) id: string,
    @Arg('asOf', () => DateTime, { nullable: true, description: AS_OF }) asOf?: Date | null,
  ): Promise<DepartmentObject | null> {
    return loadDepartment(ctx, fromTypedId('department', id), await momentAsked(ctx, asOf));
  }

  @Role('VIEWER')
  @Query(() => DepartmentConnection, { description: 'Departments of all sources; larger order first unless said.' })
  async departments(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => DepartmentFilter, { nullable: true, description: 'Which ones.' }) filter?: DepartmentFilter,
    @Arg('orderBy', () => DepartmentOrder, { nullable: true, description: 'In which order; as a tree when absent.' })
    orderBy?: DepartmentOrder,
    @Arg('asOf', () => DateTime, { nullable: true, description: AS_OF }) asOf?: Date | null,
  ): Promise<Page<DepartmentObject>> {
    const at = { filter: filter ?? null, orderBy: orderBy ?? null };
    return listDepartments(ctx, at, page, await momentAsked(ctx, asOf));
  }

  @FieldResolver(() => IdentitySourceObject, { description: 'The source it comes from, as it is now.' })
  async identitySource(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(department.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'What the directory calls it; null when it is kept here.',
  })
  async externalId(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<string | null> {
    return (await ctx.loaders.asOf(department.asOf).externalId.load(department.uuid))[0]?.externalId ?? null;
  }

  @FieldResolver(() => [String], { description: 'Names from the top level down to this one.' })
  async path(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<string[]> {
    return (await ctx.loaders.asOf(department.asOf).path.load(department.uuid)).map((step) => step.name);
  }

  @FieldResolver(() => [ExtensionValue], {
    description: 'Every extension field that departments have now, with its value.',
  })
  extensionValues(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): MaybePromise<ExtensionValue[]> {
    return extensionValuesOf(ctx, 'DEPARTMENT', department.extensionTexts);
  }

  @FieldResolver(() => DepartmentObject, {
    nullable: true,
    description: 'The department above; null at the top level.',
  })
  parent(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): MaybePromise<DepartmentObject | null> {
    return loadDepartment(ctx, department.parentId, department.asOf);
  }

  @FieldResolver(() => [EmployeeObject], { description: 'Those present who lead it.' })
  async leaders(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext) {
    const leaders = await ctx.loaders.asOf(department.asOf).leaders.load(department.uuid);
    return Promise.all(leaders.map((leader) => loadEmployee(ctx, leader.id, department.asOf)));
  }

  @FieldResolver(() => DepartmentConnection, { description: 'The departments directly below; larger order first.' })
  children(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext, @Args(() => PageArgs) page: PageArgs) {
    const below = { sourceId: department.identitySourceId, parent: department.uuid };
    return listDepartments(ctx, below, page, department.asOf);
  }

  @FieldResolver(() => EmployeeConnection, { description: 'Those present in it.' })
  employees(
    @Root() department: DepartmentObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('includeSubtree', () => Boolean, { defaultValue: false, description: 'Also those of the departments below.' })
    includeSubtree: boolean,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Page<EmployeeObject>> {
    const within = { departmentUuid: department.uuid, includeSubtree };
    return listEmployees(ctx, within, undefined, page, { asOf: department.asOf, asked: selectionOfNodes(info) });
  }

  @FieldResolver(() => Int, { description: 'How many are present in it.' })
  employeeCount(
    @Root() department: DepartmentObject,
    @Ctx() ctx: RequestContext,
    @Arg('includeSubtree', () => Boolean, {
      defaultValue: false,
      description: 'Also those of the departments below, each person once.',
    })
    includeSubtree: boolean,
  ): MaybePromise<number> {
    const { subtreeCount, directCount } = ctx.loaders.asOf(department.asOf);
    return (includeSubtree ? subtreeCount : directCount).load(department.uuid);
  }
}

@Resolver(() => EmployeeObject)
export class EmployeeResolver {
  @Role('VIEWER')
  @Query(() => EmployeeObject, {
    nullable: true,
    description: 'One employee of any status; null when there is none with this id, or was none then.',
  })
  async employee(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The employee.' }) id: string,
    @Arg('asOf', () => DateTime, { nullable: true, description: AS_OF }) asOf?: Date | null,
  ): Promise<EmployeeObject | null> {
    return loadEmployee(ctx, fromTypedId('employee', id), await momentAsked(ctx, asOf));
  }

  @Role('VIEWER')
  @Query(() => EmployeeConnection, {
    description: 'Employees of all sources; those present unless the filter says otherwise.',
  })
  async employees(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Info() info: GraphQLResolveInfo,
    @Arg('filter', () => EmployeeFilter, { nullable: true, description: 'Which ones.' }) filter?: EmployeeFilter,
    @Arg('orderBy', () => EmployeeOrder, { nullable: true, description: 'In which order; by creation when absent.' })
    orderBy?: EmployeeOrder,
    @Arg('asOf', () => DateTime, { nullable: true, description: AS_OF }) asOf?: Date | null,
  ): Promise<Page<EmployeeObject>> {
    const how = { asOf: await momentAsked(ctx, asOf), asked: selectionOfNodes(info) };
    return listEmployees(ctx, filter, orderBy, page, how);
  }

  @FieldResolver(() => IdentitySourceObject, { description: 'The source the person comes from, as it is now.' })
  async identitySource(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(employee.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description:
      'What the directory calls the person (WeCom: userid); null when kept here, and for somebody who has left and whose id is somebody else’s by now.',
  })
  async externalId(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<string | null> {
    return (await ctx.loaders.asOf(employee.asOf).externalId.load(employee.uuid))[0]?.externalId ?? null;
  }

  @FieldResolver(() => EmployeeObject, {
    nullable: true,
    description: 'Whom the person reports to; null where not told or not here.',
  })
  manager(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): MaybePromise<EmployeeObject | null> {
    return loadEmployee(ctx, employee.managerId, employee.asOf);
  }

  @FieldResolver(() => DepartmentObject, {
    nullable: true,
    description: 'The main department; null where there is none.',
  })
  mainDepartment(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): MaybePromise<DepartmentObject | null> {
    return loadDepartment(ctx, employee.mainDepartmentId, employee.asOf);
  }

  @FieldResolver(() => [ExtensionValue], {
    description: 'Every extension field that employees have now, with its value.',
  })
  extensionValues(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): MaybePromise<ExtensionValue[]> {
    return extensionValuesOf(ctx, 'EMPLOYEE', employee.extensionTexts);
  }

  @FieldResolver(() => TimelineConnection, { description: 'Every change of the person, newest first, up to now.' })
  timeline(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext, @Args(() => PageArgs) page: PageArgs) {
    return readTimeline(ctx, employee.uuid, page);
  }

  @FieldResolver(() => [MembershipObject], { description: 'The departments the person is in.' })
  memberships(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): MaybePromise<MembershipObject[]> {
    const rows = ctx.loaders.asOf(employee.asOf).memberships.load(employee.uuid);
    return whenKnown(rows, (known) => known.map((row) => toMembership(row, employee)));
  }
}

@Resolver(() => MembershipObject)
export class MembershipResolver {
  @FieldResolver(() => DepartmentObject, { description: 'The department.' })
  department(@Root() membership: MembershipObject, @Ctx() ctx: RequestContext): MaybePromise<DepartmentObject | null> {
    return loadDepartment(ctx, membership.departmentId, membership.asOf);
  }
}

@Resolver(() => TimelineEntry)
export class TimelineResolver {
  @FieldResolver(() => SyncTaskObject, {
    nullable: true,
    description: 'The task that changed it; null where somebody did here.',
  })
  async syncTask(@Root() entry: TimelineEntry, @Ctx() ctx: RequestContext): Promise<SyncTaskObject | null> {
    const task = entry.syncTaskId ? await ctx.loaders.task.load(entry.syncTaskId) : null;
    return task && toSyncTask(task);
  }
}

function extensionValuesOf(
  ctx: RequestContext,
  objectType: 'DEPARTMENT' | 'EMPLOYEE',
  texts: Readonly<Record<string, string>>,
): MaybePromise<ExtensionValue[]> {
  return whenKnown(ctx.loaders.extensionFields.load('all'), (fields) => {
    const values: ExtensionValue[] = [];
    for (const field of fields) {
      if (field.objectType === objectType) values.push({ field, value: texts[field.key] ?? null });
    }
    return values;
  });
}

async function momentAsked(ctx: RequestContext, asOf: Date | null | undefined): Promise<AsOf> {
  return asOf ? ctx.loaders.moment.load(asOf.getTime()) : null;
}

export function loadDepartment(
  ctx: RequestContext,
  uuid: string | null | undefined,
  asOf: AsOf = null,
): MaybePromise<DepartmentObject | null> {
  return uuid ? ctx.loaders.asOf(asOf).department.load(uuid) : null;
}

export function loadEmployee(
  ctx: RequestContext,
  uuid: string | null | undefined,
  asOf: AsOf = null,
): MaybePromise<EmployeeObject | null> {
  return uuid ? ctx.loaders.asOf(asOf).employee.load(uuid) : null;
}
