import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { Role } from '../access/role';
import { toAuthorization } from '../authorization/authorization.type';
import { toIdentitySource } from '../identity-source/identity-source.type';
import { loadDirectoryGroup } from '../organisation/directory-group.resolver';
import { loadDepartment, loadEmployee } from '../organisation/organisation.resolver';
import { fromTypedId, prefixOf } from '../platform/typed-id';
import { loadTask } from '../sync/api/sync.resolver';
import { findRecord } from '../sync/api/sync-record.list';
import type { RequestContext } from './context';
import { Node } from './node';

@Resolver()
export class NodeResolver {
  @Role('VIEWER')
  @Query(() => Node, { nullable: true, description: 'Any object by its id; null when there is none.' })
  async node(
    @Ctx() ctx: RequestContext,
    @Arg('id', () => ID, { description: 'The id of the object.' }) id: string,
  ): Promise<Node | null> {
    const prefix = prefixOf(id);
    const uuid = prefix && fromTypedId(prefix, id);
    if (!uuid) return null;
    switch (prefix) {
      case 'source': {
        const source = await ctx.loaders.source.load(uuid);
        return source && !source.deletedAt ? toIdentitySource(source) : null;
      }
      case 'authorization': {
        const row = await ctx.authorizations.find(uuid);
        return row ? toAuthorization(row) : null;
      }
      case 'department':
        return loadDepartment(ctx, uuid);
      case 'employee':
        return loadEmployee(ctx, uuid);
      case 'group':
        return loadDirectoryGroup(ctx, uuid);
      case 'task':
        return loadTask(ctx, uuid);
      case 'record':
        return findRecord(ctx, uuid);
      default:
        return null;
    }
  }
}
