import { badRequest } from '../api/errors';
import { type EventFilter, type EventLog, Listener, type StoredEvent } from './event-log';

/** The number that a subscriber resumes after. @throws GraphQLError BAD_USER_INPUT for a negative one */
export function sequence(given: unknown): number | undefined {
  if (given == null) return undefined;
  if (typeof given === 'number' && given >= 0) return given;
  throw badRequest('afterSequence is a number of an event: 0 or more.');
}

/**
 * Every event after a number, for as long as somebody listens.
 * @throws GraphQLError EVENTS_GONE when some of them are no longer kept, or there is no such number yet
 */
export async function* follow(
  from: { readonly events: EventLog },
  after: number,
  filter: EventFilter,
  listener: Listener,
): AsyncGenerator<StoredEvent> {
  let cursor = after;
  while (!listener.isGone && !from.events.isStopped) {
    const found = from.events.read(cursor, filter);
    // What is at hand is taken as it is: with thousands of listeners every promise counts.
    const { events, upTo, hasMore } = 'then' in found ? await found : found;
    // Also where there was nothing for this listener, so that what others caused is not looked through again.
    cursor = upTo;
    for (const event of events) yield event;
    if (!hasMore) await from.events.nextNews(listener, cursor);
  }
}

/** A stream that ends at once when its subscriber goes, also while it waits for news. */
export function abortable<T>(open: (listener: Listener) => AsyncGenerator<T>): AsyncIterableIterator<T> {
  const listener = new Listener();
  const generator = open(listener);
  return {
    next: () => generator.next(),
    return: (value) => {
      listener.leave();
      return generator.return(value);
    },
    throw: (error) => {
      listener.leave();
      return generator.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
