import type { PoolClient } from 'pg';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from './new-task';

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
