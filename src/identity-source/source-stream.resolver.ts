import { Arg, Ctx, FieldResolver, ID, Resolver, Root, Subscription } from 'type-graphql';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { SafeInt } from '../api/scalars';
import { abortable, sequence } from '../events/event-stream';
import { uuidOf } from '../platform/typed-id';
import { IdentitySourceObject, toIdentitySource } from './identity-source.type';
import { IdentitySourceEvent, sourceStream } from './source-stream';

@Resolver(() => IdentitySourceEvent)
export class SourceStreamResolver {
  @Role('VIEWER')
  @Subscription(() => IdentitySourceEvent, {
    description: 'Sources appearing, changing and going away, from now on; afterSequence resumes.',
    subscribe: ({ args, context }) => {
      const source = args['id'] == null ? undefined : uuidOf('source', args['id']);
      const after = sequence(args['afterSequence']);
      return abortable((listener) => sourceStream(context, source, after, listener)) as never;
    },
  })
  identitySourceChanged(
    @Root() event: IdentitySourceEvent,
    @Arg('id', () => ID, { nullable: true, description: 'Of this source only.' }) _id?: string,
    @Arg('afterSequence', () => SafeInt, {
      nullable: true,
      description:
        'Also what came after this number. Refused with EVENTS_GONE where something after it is no longer kept (ROLLCALL_EVENT_DAYS): subscribe without it, and read the sources again.',
    })
    _afterSequence?: number,
  ): IdentitySourceEvent {
    return event;
  }

  @FieldResolver(() => IdentitySourceObject, {
    nullable: true,
    description: 'The source as it is when the event is delivered; null once it was removed.',
  })
  async identitySource(
    @Root() event: IdentitySourceEvent,
    @Ctx() ctx: RequestContext,
  ): Promise<IdentitySourceObject | null> {
    const row = await ctx.loaders.source.load(event.uuid);
    return row && !row.deletedAt ? toIdentitySource(row) : null;
  }
}
