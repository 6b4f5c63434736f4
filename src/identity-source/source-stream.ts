import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import type { DataSource } from 'typeorm';
import { SafeInt } from '../api/scalars';
import type { EventLog, Listener, StoredEvent } from '../events/event-log';
import { follow } from '../events/event-stream';
import { toTypedId } from '../platform/typed-id';

export const ChangeKindEnum = { ADDED: 'ADDED', CHANGED: 'CHANGED', REMOVED: 'REMOVED' } as const;
export type ChangeKindName = keyof typeof ChangeKindEnum;
registerEnumType(ChangeKindEnum, {
  name: 'ChangeKind',
  description: 'What happened to an object in a list.',
  valuesConfig: {
    ADDED: { description: 'It appeared: made, authorized or restored.' },
    CHANGED: { description: 'Its settings, status or next run changed.' },
    REMOVED: { description: 'It left the list: deleted.' },
  },
});

@ObjectType({ description: 'News of an identity source.' })
export class IdentitySourceEvent {
  uuid: string;

  @Field(() => SafeInt, { description: 'Its number; give the last one as afterSequence to go on from there.' })
  sequence: number;

  @Field(() => ChangeKindEnum, { description: 'What happened.' })
  kind: ChangeKindName;

  @Field(() => ID, { description: 'Which source.' })
  id: string;
}

/** Whether changes can be told of: of any source, or of one that there is, deleted ones included. */
export async function canBeFollowed(dataSource: DataSource, sourceId: string | undefined): Promise<boolean> {
  if (sourceId === undefined) return true;
  return (await dataSource.query('SELECT FROM identity_source WHERE id = $1', [sourceId])).length > 0;
}

/**
 * Every change of the list of sources after `after`, or from now on; ends by itself only where there is no such source.
 * @throws GraphQLError EVENTS_GONE when some event after the number is no longer kept
 */
export async function* sourceStream(
  from: { readonly events: EventLog; readonly dataSource: DataSource },
  sourceId: string | undefined,
  after: number | undefined,
  listener: Listener,
): AsyncGenerator<IdentitySourceEvent> {
  if (!(await canBeFollowed(from.dataSource, sourceId))) return;
  const start = after ?? (await from.events.last());
  const filter = sourceId === undefined ? {} : { identitySourceId: sourceId };
  for await (const event of follow(from, start, filter, listener)) {
    if (event.kind === 'SOURCE') yield toSourceEvent(event);
  }
}

function toSourceEvent(event: StoredEvent): IdentitySourceEvent {
  return Object.assign(new IdentitySourceEvent(), {
    uuid: event.identitySourceId,
    sequence: event.sequence,
    kind: (event.payload as { change: ChangeKindName }).change,
    id: toTypedId('source', event.identitySourceId),
  });
}
