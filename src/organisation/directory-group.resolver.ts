import type { GraphQLResolveInfo } from 'graphql';
import { Args, Ctx, FieldResolver, Info, Int, Resolver, Root } from 'type-graphql';
import type { MaybePromise } from '../api/batches';
import type { RequestContext } from '../api/context';
import { badRequest } from '../api/errors';
import { type Page, PageArgs, readPage } from '../api/pagination';
import { selectionOfNodes } from '../api/selection';
import { IdentitySourceObject, toIdentitySource } from '../identity-source/identity-source.type';
import type { DirectoryGroup } from './directory-group.entity';
import { DirectoryGroupConnection, DirectoryGroupObject, toDirectoryGroup } from './directory-group.type';
import { listEmployees } from './organisation.list';
import { loadDepartment } from './organisation.resolver';
import { DepartmentObject, EmployeeConnection, EmployeeObject } from './organisation.type';

@Resolver(() => DirectoryGroupObject)
export class DirectoryGroupResolver {
  @FieldResolver(() => IdentitySourceObject, { description: 'The source it comes from.' })
  async identitySource(@Root() group: DirectoryGroupObject, @Ctx() ctx: RequestContext) {
    const source = await ctx.loaders.source.load(group.identitySourceId);
    return source && toIdentitySource(source);
  }

  @FieldResolver(() => String, { description: 'What the directory calls it (WeCom: tagid).' })
  async externalId(@Root() group: DirectoryGroupObject, @Ctx() ctx: RequestContext): Promise<string | null> {
    return (await ctx.loaders.externalId.load(group.uuid))[0]?.externalId ?? null;
  }

  @FieldResolver(() => EmployeeConnection, {
    description: 'Those present who are in it by themselves, not only by one of its departments.',
  })
  employees(
    @Root() group: DirectoryGroupObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Page<EmployeeObject>> {
    return listEmployees(ctx, { groupUuid: group.uuid }, undefined, page, { asked: selectionOfNodes(info) });
  }

  @FieldResolver(() => Int, { description: 'How many are present who are in it by themselves.' })
  employeeCount(@Root() group: DirectoryGroupObject, @Ctx() ctx: RequestContext): MaybePromise<number> {
    return ctx.loaders.directoryGroupCount.load(group.uuid);
  }

  @FieldResolver(() => [DepartmentObject], { description: 'The departments that are in it.' })
  async departments(@Root() group: DirectoryGroupObject, @Ctx() ctx: RequestContext) {
    const departments = await ctx.loaders.directoryGroupDepartments.load(group.uuid);
    return Promise.all(departments.map((department) => loadDepartment(ctx, department.id)));
  }
}

@Resolver(() => IdentitySourceObject)
export class SourceDirectoryGroupsResolver {
  @FieldResolver(() => DirectoryGroupConnection, {
    description: 'Groups that the directory keeps beside its tree, as they came.',
  })
  directoryGroups(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
  ): Promise<Page<DirectoryGroupObject>> {
    const list = {
      columns: 'g.id, g.identity_source_id AS "identitySourceId", g.name',
      from: 'directory_group g',
      where: ['g.identity_source_id = $1'],
      parameters: [source.uuid],
      sort: [{ sql: 'g.id', type: 'uuid' as const }],
    };
    return readPage<DirectoryGroup, DirectoryGroupObject>(ctx.dataSource, list, page, toDirectoryGroup);
  }
}

@Resolver(() => EmployeeObject)
export class EmployeeDirectoryGroupsResolver {
  @FieldResolver(() => [DirectoryGroupObject], {
    description: 'The directory groups that the person is in, not only by a department.',
  })
  async directoryGroups(@Root() employee: EmployeeObject, @Ctx() ctx: RequestContext) {
    if (employee.asOf)
      throw badRequest('Who was in a directory group is not kept: leave out either asOf or directoryGroups.');
    const groups = await ctx.loaders.employeeDirectoryGroups.load(employee.uuid);
    return Promise.all(groups.map((group) => loadDirectoryGroup(ctx, group.id)));
  }
}

export async function loadDirectoryGroup(
  ctx: RequestContext,
  uuid: string | null | undefined,
): Promise<DirectoryGroupObject | null> {
  const row = uuid ? await ctx.loaders.directoryGroup.load(uuid) : null;
  return row && toDirectoryGroup(row);
}
