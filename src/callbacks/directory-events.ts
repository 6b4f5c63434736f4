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
    object: NamedObject,
    keyOf: (id: string) => string,
  ): Promise<void> {
    await client.query(
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (identity_source_id, object_type, external_key, new_external_key) WHERE task_id IS NULL
         DO UPDATE SET received_at = now(), not_before = NULL`,
      [
        identitySourceId,
        object.objectType,
        keyOf(object.externalId),
        object.externalId,
        object.newExternalId && keyOf(object.newExternalId),
        object.newExternalId,
      ],
    );
    await openEventTask(client, identitySourceId);
    await client.query(SEEN, [identitySourceId]);
  }
}
