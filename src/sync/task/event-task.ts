import type { PoolClient } from 'pg';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from './new-task';

/** What an automatic task reads of the events `e` of a source `s`: while it brings departments only, those about people and groups wait. */
const READABLE = `s.automatic_enabled AND (e.object_type = 'DEPARTMENT' OR s.automatic_user_information)`;

/** Events that an event task ($1) of a source ($2) takes up. */
export const CLAIM_EVENTS = `
UPDATE directory_event e SET task_id = $1 FROM identity_source s, sync_task t
 WHERE t.id = $1 AND s.id = $2 AND e.identity_source_id = $2 AND e.task_id IS NULL AND ${READABLE}
   AND (e.object_type = 'DEPARTMENT' OR t.includes_employees)`;

/**
 * Opens the one event task of a source that is enabled and synchronizes by itself, if it has anything to read; while it does
 * not, events wait.
 */
export async function openEventTask(client: PoolClient, identitySourceId: string): Promise<string | undefined> {
  const { rows } = await client.query<SettingsRow>(
    `SELECT ${SETTINGS_COLUMNS} FROM identity_source s
      WHERE id = $1 AND deleted_at IS NULL AND status = 'ENABLED' AND type <> 'CUSTOM'
        AND EXISTS (SELECT FROM directory_event e WHERE e.identity_source_id = s.id AND e.task_id IS NULL AND ${READABLE})`,
    [identitySourceId],
  );
  const source = rows[0];
  return source && insertEventTask(client, source, source.automaticUserInformation);
}

function insertEventTask(client: PoolClient, source: SettingsRow, includesEmployees: boolean) {
  const { id: identitySourceId } = source;
  const origin = { startedBy: null, originId: null } as const;
  const task = { identitySourceId, mode: 'APPLY', trigger: 'EVENT', includesEmployees, ...origin } as const;
  return insertTask(client, task, effectiveSettings(source));
}

/** People and departments that a task, or a later one, refused a value that was another's. */
const WAITING_FOR_VALUES = `
SELECT DISTINCT ON (r.object_type, r.external_key) t.identity_source_id, r.object_type, r.external_key, r.external_id
  FROM sync_task held JOIN sync_task t ON t.identity_source_id = held.identity_source_id AND t.id >= held.id AND t.applied_at IS NOT NULL
  JOIN sync_record r ON r.task_id = t.id AND r.reason_code = 'VALUE_TAKEN'
 WHERE held.id = $1 ORDER BY r.object_type, r.external_key, t.id DESC`;

/**
 * Reads again who or what waits for a value, now that a decision about the task's removals may have freed it: as an event about them
 * would, and also where events wait, since somebody has decided it. Where the source is closed, or another event task is under way,
 * they are noted like any event; a full run brings them in any case.
 */
export async function readWaitingForValues(
  client: PoolClient,
  heldTaskId: string,
  identitySourceId: string,
): Promise<void> {
  const { rows: waiting } = await client.query<{ id: string }>(
    `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id) ${WAITING_FOR_VALUES}
     ON CONFLICT (identity_source_id, object_type, external_key) WHERE task_id IS NULL DO UPDATE SET received_at = now()
     RETURNING id`,
    [heldTaskId],
  );
  if (waiting.length === 0) return;
  const { rows } = await client.query<SettingsRow>(
    `SELECT ${SETTINGS_COLUMNS} FROM identity_source WHERE id = $1 AND deleted_at IS NULL AND status = 'ENABLED'`,
    [identitySourceId],
  );
  const taskId = rows[0] && (await insertEventTask(client, rows[0], true));
  if (!taskId) return;
  const ids = waiting.map(({ id }) => id);
  await client.query('UPDATE directory_event SET task_id = $1 WHERE id = ANY ($2)', [taskId, ids]);
}

/** Sources whose events wait for a task that nobody has opened: the one that was to do it was killed, or a switch was turned. */
export const SOURCES_WITH_WAITING_EVENTS = `
SELECT DISTINCT e.identity_source_id AS id FROM directory_event e JOIN identity_source s ON s.id = e.identity_source_id
 WHERE e.task_id IS NULL AND ${READABLE} AND s.status = 'ENABLED' AND s.deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger = 'EVENT' AND t.status IN ('QUEUED', 'RUNNING'))`;
