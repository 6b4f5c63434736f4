import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../events/event-log';
import { openEventTask } from '../sync/task/event-task';
import type { NamedObject } from './wecom-message';

/** To the minute, and not while somebody changes the source: no callback waits for another, or for an undo that is being planned. */
const SEEN = `
UPDATE identity_source SET callback_seen_at = now()
 WHERE id = (SELECT id FROM identity_source
              WHERE id = $1 AND (callback_seen_at IS NULL OR callback_seen_at < now() - interval '1 minute') FOR NO KEY UPDATE SKIP LOCKED)`;

const NOTE = `
INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (identity_source_id, object_type, external_key, new_external_key, changed_at) WHERE task_id IS NULL
DO UPDATE SET received_at = now(), not_before = NULL`;

/**
 * A changed id keeps the moment in which it was first told, since the order of changes says who is who. Told once more it is none: the
 * former id may be somebody else's by now.
 */
const NOTE_CHANGED_ID = `
INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id, changed_at)
SELECT $1, $2, $3::text, $4, $5::text, $6, to_timestamp($7::bigint)
 WHERE NOT EXISTS (
   SELECT FROM directory_event told
    WHERE told.identity_source_id = $1 AND told.external_key = $3 AND told.new_external_key = $5
      AND told.changed_at IS NOT DISTINCT FROM to_timestamp($7::bigint))
ON CONFLICT (identity_source_id, object_type, external_key, new_external_key, changed_at) WHERE task_id IS NULL DO NOTHING`;

/** Stores what callbacks name and sees to it that a task reads it. */
export class DirectoryEvents {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /**
   * Notes an object, once however often it is named, and once with each id that it is said to have got, since an id may be given up,
   * got by somebody else and given up again before anybody reads it; and opens the source's event task if none is open.
   * @param keyOf how the directory's ids compare
   */
  async store(identitySourceId: string, object: NamedObject, keyOf: (id: string) => string): Promise<void> {
    await inTransaction(this.dataSource, (client) => this.storeIn(client, identitySourceId, object, keyOf));
    await this.events.publish();
  }

  /** The same, in the caller's transaction; the caller publishes. */
  async storeIn(
    client: PoolClient,
    identitySourceId: string,
    { objectType, externalId, newId }: NamedObject,
    keyOf: (id: string) => string,
  ): Promise<void> {
    const of = (id: string) => [identitySourceId, objectType, keyOf(id), id];
    const change = newId && [...of(externalId), keyOf(newId.externalId), newId.externalId, newId.changedAt];
    const noted = change && (await client.query(NOTE_CHANGED_ID, change)).rowCount === 1;
    const named = newId ? [externalId, newId.externalId] : [externalId];
    if (!noted) for (const id of named) await client.query(NOTE, of(id));
    await openEventTask(client, identitySourceId);
    await client.query(SEEN, [identitySourceId]);
  }
}
