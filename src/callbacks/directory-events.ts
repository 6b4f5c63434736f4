import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import type { EventLog } from '../sync/event-log';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from '../sync/new-task';
import type { NamedObject } from './wecom-message';

/** Stores what callbacks name and sees to it that a task reads it. */
export class DirectoryEvents {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /**
   * Notes an object, once however often it is named, and opens the source's event task if none is open.
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
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (identity_source_id, object_type, external_key) WHERE task_id IS NULL
         DO UPDATE SET received_at = now(), new_external_key = coalesce(excluded.new_external_key, directory_event.new_external_key)`,
      [
        identitySourceId,
        object.objectType,
        keyOf(object.externalId),
        object.externalId,
        object.newExternalId && keyOf(object.newExternalId),
      ],
    );
    if (object.newExternalId) {
      const renamed = { ...object, externalId: object.newExternalId, newExternalId: null };
      await client.query(
        `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id) VALUES ($1, $2, $3, $4)
           ON CONFLICT (identity_source_id, object_type, external_key) WHERE task_id IS NULL DO UPDATE SET received_at = now()`,
        [identitySourceId, renamed.objectType, keyOf(renamed.externalId), renamed.externalId],
      );
    }
    await client.query('UPDATE identity_source SET callback_seen_at = now() WHERE id = $1', [identitySourceId]);
    await openEventTask(client, identitySourceId);
  }
}

/** What an automatic task reads: while it brings departments only, events about people and groups wait. */
const READABLE = `(e.object_type = 'DEPARTMENT' OR s.automatic_user_information)`;

/**
 * Opens the one event task of a source that is enabled and synchronizes by itself, if it has anything to read; while it does
 * not, events wait.
 */
export async function openEventTask(client: PoolClient, identitySourceId: string): Promise<string | undefined> {
  const { rows } = await client.query<SettingsRow>(
    `SELECT ${SETTINGS_COLUMNS} FROM identity_source s
      WHERE id = $1 AND deleted_at IS NULL AND status = 'ENABLED' AND automatic_enabled AND type <> 'CUSTOM'
        AND EXISTS (SELECT FROM directory_event e WHERE e.identity_source_id = s.id AND e.task_id IS NULL AND ${READABLE})`,
    [identitySourceId],
  );
  const source = rows[0];
  if (!source) return undefined;
  const task = {
    identitySourceId,
    mode: 'APPLY',
    trigger: 'EVENT',
    startedBy: null,
    includesEmployees: source.automaticUserInformation,
    originId: null,
  } as const;
  return insertTask(client, task, effectiveSettings(source));
}

/** Sources whose events wait for a task that nobody has opened: the one that was to do it was killed, or a switch was turned. */
export const SOURCES_WITH_WAITING_EVENTS = `
SELECT DISTINCT e.identity_source_id AS id FROM directory_event e JOIN identity_source s ON s.id = e.identity_source_id
 WHERE e.task_id IS NULL AND ${READABLE} AND s.status = 'ENABLED' AND s.automatic_enabled AND s.deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger = 'EVENT' AND t.status IN ('QUEUED', 'RUNNING'))`;
