import type { EventLog, Listener } from '../events/event-log';
import { follow } from '../events/event-stream';
import type { AuthorizationService } from './authorization.service';
import { type AuthorizationObject, toAuthorization } from './authorization.type';
import type { SourceAuthorization } from './source-authorization';

/** What the stream reads. */
export interface AuthorizationStreamSources {
  readonly events: EventLog;
  readonly authorizations: AuthorizationService;
}

/** An authorization as it is, then after every change, until it is no longer pending. */
export async function* authorizationStream(
  from: AuthorizationStreamSources,
  id: string,
  listener: Listener,
): AsyncGenerator<AuthorizationObject> {
  // The number is taken first, so that a change while the row is read is not missed.
  const start = await from.events.last();
  let shown: SourceAuthorization | undefined = await from.authorizations.find(id);
  if (!shown) return;
  yield toAuthorization(shown);
  if (shown.status !== 'PENDING') return;
  for await (const event of follow(from, start, { identitySourceId: shown.identitySourceId }, listener)) {
    if (event.kind !== 'AUTHORIZATION' || authorizationOf(event.payload) !== id) continue;
    const now: SourceAuthorization | undefined = await from.authorizations.find(id);
    if (!now || now.status === shown.status) continue;
    shown = now;
    yield toAuthorization(now);
    if (now.status !== 'PENDING') return;
  }
}

function authorizationOf(payload: unknown): unknown {
  return (payload as { authorizationId?: unknown } | null)?.authorizationId;
}
