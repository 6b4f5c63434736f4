import { Arg, Args, Ctx, FieldResolver, ID, Int, Query, Resolver, Root } from 'type-graphql';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { type Page, PageArgs } from '../api/pagination';
import { IdentitySourceObject, toIdentitySource } from '../identity-source/identity-source.type';
import { fromTypedId } from '../platform/typed-id';
import { SyncTaskObject, toSyncTask } from '../sync/sync-task.type';
import { listDepartments, listEmployees } from './organisation.list';
import {
  DepartmentConnection,
  DepartmentFilter,
  DepartmentObject,
  EmployeeConnection,
  EmployeeFilter,
  EmployeeObject,
  EmployeeOrder,
  ExtensionValue,
  MembershipObject,
} from './organisation.type';
import { readTimeline, TimelineConnection, TimelineEntry } from './timeline';

@Resolver(() => DepartmentObject)
export class DepartmentResolver {
  @Role('VIEWER')
  @Query(() => DepartmentObject, {
    nullable: true,
    description: 'One department; null when there is none with this id.',
  })
  async department(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The department.' }) id: string,
  ): Promise<DepartmentObject | null> {
    return loadDepartment(ctx, fromTypedId('department', id));
  }

  @Role('VIEWER')
  @Query(() => DepartmentConnection, { description: 'Departments of all sources; larger order first.' })
  departments(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => DepartmentFilter, { nullable: true, description: 'Which ones.' }) filter?: DepartmentFilter,
  ): Promise<Page<DepartmentObject>> {
    return listDepartments(ctx, { filter: filter ?? null }, page);
  }

  @FieldResolver(() => IdentitySourceObject, { description: 'The source it comes from.' })
  async identitySource(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(department.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'What the directory calls it; null when it is kept here.',
  })
  async externalId(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<string | null> {
    return (await ctx.loaders.externalId.load(department.uuid))[0]?.externalId ?? null;
  }

  @FieldResolver(() => [String], { description: 'Names from the top level down to this one.' })
  async path(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<string[]> {
    return (await ctx.loaders.path.load(department.uuid)).map((step) => step.name);
  }

  @FieldResolver(() => [ExtensionValue], { description: 'Every extension field of departments, with its value.' })
  extensionValues(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<ExtensionValue[]> {
    return extensionValuesOf(ctx, 'DEPARTMENT', department.extensionTexts);
  }

  @FieldResolver(() => DepartmentObject, {
    nullable: true,
    description: 'The department above; null at the top level.',
  })
  parent(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext): Promise<DepartmentObject | null> {
    return loadDepartment(ctx, department.parentId);
  }

  @FieldResolver(() => [EmployeeObject], { description: 'Those present who lead it.' })
  async leaders(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext) {
    const leaders = await ctx.loaders.leaders.load(department.uuid);
    return Promise.all(leaders.map((leader) => loadEmployee(ctx, leader.id)));
  }

  @FieldResolver(() => DepartmentConnection, { description: 'The departments directly below; larger order first.' })
  children(@Root() department: DepartmentObject, @Ctx() ctx: RequestContext, @Args(() => PageArgs) page: PageArgs) {
    return listDepartments(ctx, { sourceId: department.identitySourceId, parent: department.uuid }, page);
  }

  @FieldResolver(() => EmployeeConnection, { description: 'Those present in it.' })
  employees(
    @Root() department: DepartmentObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('includeSubtree', () => Boolean, { defaultValue: false, description: 'Also those of the departments below.' })
    includeSubtree: boolean,
  ): Promise<Page<EmployeeObject>> {
    return listEmployees(ctx, { departmentUuid: department.uuid, includeSubtree }, undefined, page);
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
  ): Promise<number> {
    return (includeSubtree ? ctx.loaders.subtreeCount : ctx.loaders.directCount).load(department.uuid);
  }
}

@Resolver(() => EmployeeObject)
export class EmployeeResolver {
  @Role('VIEWER')
  @Query(() => EmployeeObject, {
    nullable: true,
    description: 'One employee of any status; null when there is none with this id.',
  })
  employee(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The employee.' }) id: string,
  ): Promise<EmployeeObject | null> {
    return loadEmployee(ctx, fromTypedId('employee', id));
  }

  @Role('VIEWER')
  @Query(() => EmployeeConnection, {
    description: 'Employees of all sources; those present unless the filter says otherwise.',
  })
  employees(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => EmployeeFilter, { nullable: true, description: 'Which ones.' }) filter?: EmployeeFilter,
    @Arg('orderBy', () => EmployeeOrder, { nullable: true, description: 'In which order; by creation when absent.' })
    orderBy?: EmployeeOrder,
  ): Promise<Page<EmployeeObject>> {
    return listEmployees(ctx, filter, orderBy, page);
  }

  @FieldResolver(() => IdentitySourceObject, { description: 'The source the person comes from.' })
  async identitySource(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(employee.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'What the directory calls the person (WeCom: userid); null when kept here.',
  })
  async externalId(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<string | null> {
    return (await ctx.loaders.externalId.load(employee.uuid))[0]?.externalId ?? null;
  }

  @FieldResolver(() => EmployeeObject, {
    nullable: true,
    description: 'Whom the person reports to; null where not told or not here.',
  })
  manager(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<EmployeeObject | null> {
    return loadEmployee(ctx, employee.managerId);
  }

  @FieldResolver(() => DepartmentObject, {
    nullable: true,
    description: 'The main department; null where there is none.',
  })
  mainDepartment(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<DepartmentObject | null> {
    return loadDepartment(ctx, employee.mainDepartmentId);
  }

  @FieldResolver(() => [ExtensionValue], { description: 'Every extension field of employees, with its value.' })
  extensionValues(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<ExtensionValue[]> {
    return extensionValuesOf(ctx, 'EMPLOYEE', employee.extensionTexts);
  }

  @FieldResolver(() => TimelineConnection, { description: 'Every change of the person, newest first.' })
  timeline(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext, @Args(() => PageArgs) page: PageArgs) {
    return readTimeline(ctx, employee.uuid, page);
  }

  @FieldResolver(() => [MembershipObject], { description: 'The departments the person is in.' })
  memberships(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext): Promise<MembershipObject[]> {
    return ctx.loaders.memberships.load(employee.uuid);
  }
}

@Resolver(() => MembershipObject)
export class MembershipResolver {
  @FieldResolver(() => DepartmentObject, { description: 'The department.' })
  department(@Root() membership: MembershipObject, @Ctx() ctx: RequestContext): Promise<DepartmentObject | null> {
    return loadDepartment(ctx, membership.departmentId);
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

async function extensionValuesOf(
  ctx: RequestContext,
  objectType: 'DEPARTMENT' | 'EMPLOYEE',
  texts: Readonly<Record<string, string>>,
): Promise<ExtensionValue[]> {
  const fields = await ctx.loaders.extensionFields.load('all');
  const values: ExtensionValue[] = [];
  for (const field of fields) {
    if (field.objectType === objectType) values.push({ field, value: texts[field.key] ?? null });
  }
  return values;
}

export async function loadDepartment(
  ctx: RequestContext,
  uuid: string | null | undefined,
): Promise<DepartmentObject | null> {
  return uuid ? ctx.loaders.department.load(uuid) : null;
}

export async function loadEmployee(
  ctx: RequestContext,
  uuid: string | null | undefined,
): Promise<EmployeeObject | null> {
  return uuid ? ctx.loaders.employee.load(uuid) : null;
}
