import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../../database/transaction';
import type { Run } from './lease';
import { effectiveSettings, insertTask, SETTINGS_COLUMNS, type SettingsRow } from './new-task';

/** For as long again as something has waited, a minute at least and an hour at most. */
const asLongAgain = (waited: string) => `least(interval '1 hour', greatest(interval '1 minute', ${waited}))`;

/**
 * What an automatic task reads of the events `e` of a source `s`: while it brings departments only, those about people and groups
 * wait; so does, for a while, what could not be read.
 */
const READABLE = `s.automatic_enabled AND (e.object_type = 'DEPARTMENT' OR s.automatic_user_information)
   AND (e.not_before IS NULL OR e.not_before <= now())`;

/**
 * Whether the last event task of a source `s` has failed, or was canceled, a short time ago: a source that cannot be read is not
 * asked every second. A change of its settings may be the remedy, and ends the pause.
 */
const PAUSES = `EXISTS (
  SELECT FROM (SELECT status, finished_at FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger = 'EVENT' ORDER BY t.id DESC LIMIT 1) last
   WHERE last.status IN ('FAILED', 'CANCELED') AND last.finished_at > s.updated_at
     AND last.finished_at + ${asLongAgain(
       `last.finished_at - (SELECT min(w.received_at) FROM directory_event w WHERE w.identity_source_id = s.id AND w.task_id IS NULL)`,
     )} > now())`;

/**
 * Whether a source `s` of which nothing is here yet is being read: what is told meanwhile is read once that is applied, since it would
 * wait for that in any case, and keep a worker's place.
 */
const COMES_FIRST = `EXISTS (
  SELECT FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger <> 'EVENT' AND t.mode = 'APPLY' AND t.status = 'RUNNING'
     AND NOT EXISTS (SELECT FROM sync_task done WHERE done.identity_source_id = s.id AND done.applied_at IS NOT NULL))`;

const CLAIM = `
UPDATE directory_event e SET task_id = $1 FROM identity_source s, sync_task t
 WHERE t.id = $1 AND s.id = $2 AND e.identity_source_id = $2 AND e.task_id IS NULL AND ${READABLE}
   AND (e.object_type = 'DEPARTMENT' OR t.includes_employees)`;

/**
 * Makes events of ended tasks wait again, as one where the same object waits already.
 * @param which the events `e`, with the word USING and what else they are found by
 * @param notBefore when they may be read
 */
const freeing = (which: string, notBefore: string) => `
WITH freed AS (DELETE FROM directory_event e ${which} RETURNING e.*)
INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id, changed_at, received_at, not_before)
SELECT identity_source_id, object_type, external_key, max(external_id), new_external_key, max(new_external_id), changed_at, max(received_at), ${notBefore}
  FROM freed GROUP BY identity_source_id, object_type, external_key, new_external_key, changed_at
ON CONFLICT (identity_source_id, object_type, external_key, new_external_key, changed_at) WHERE task_id IS NULL DO NOTHING`;

/** What tasks had taken up that have failed, or were canceled: the scheduler frees it, however and wherever a task has ended so. */
export const FREE_UNREAD_EVENTS = freeing(
  `USING sync_task t
    WHERE e.task_id = t.id AND t.trigger = 'EVENT' AND t.status IN ('FAILED', 'CANCELED') AND t.finished_at > now() - interval '1 hour'`,
  'NULL::timestamptz',
);

/** What could not be read for a day is left to the full runs. */
const FREE_UNREADABLE = freeing(
  `USING task_page p
    WHERE e.task_id = $1 AND p.task_id = $1 AND p.object_type = e.object_type AND p.page_key IN ('again:' || e.external_key, 'again:' || e.new_external_key)
      AND p.page_id IS NULL AND e.received_at > now() - interval '1 day'`,
  `now() + ${asLongAgain('now() - max(received_at)')}`,
);

/** An event task takes up what waits, as long as it is this worker's: nobody reads what is taken up for a task that has ended. */
export async function claimEvents(dataSource: DataSource, { task, lease }: Run): Promise<void> {
  await inTransaction(dataSource, async (client) => {
    await lease.confirm(client);
    await client.query(CLAIM, [task.id, task.identitySourceId]);
  });
}

/** What an event task could not read waits for a later one. */
export async function freeUnreadable(dataSource: DataSource, { task, lease }: Run): Promise<void> {
  await inTransaction(dataSource, async (client) => {
    await lease.confirm(client);
    await client.query(FREE_UNREADABLE, [task.id]);
  });
}

/**
 * Opens the one event task of a source that is enabled and synchronizes by itself, if it has anything to read; while it does
 * not, events wait. So they do while somebody changes the source, who may be closing it: the scheduler looks again in a second.
 */
export async function openEventTask(client: PoolClient, identitySourceId: string): Promise<string | undefined> {
  const { rows } = await client.query<SettingsRow>(
    `SELECT ${SETTINGS_COLUMNS} FROM identity_source s
      WHERE id = $1 AND deleted_at IS NULL AND status = 'ENABLED' AND type <> 'CUSTOM'
        AND EXISTS (SELECT FROM directory_event e WHERE e.identity_source_id = s.id AND e.task_id IS NULL AND ${READABLE})
        AND NOT ${PAUSES} AND NOT ${COMES_FIRST}
        FOR SHARE OF s SKIP LOCKED`,
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
     ON CONFLICT (identity_source_id, object_type, external_key, new_external_key, changed_at) WHERE task_id IS NULL DO UPDATE SET received_at = now()
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
   AND NOT ${PAUSES} AND NOT ${COMES_FIRST}
   AND NOT EXISTS (SELECT FROM sync_task t WHERE t.identity_source_id = s.id AND t.trigger = 'EVENT' AND t.status IN ('QUEUED', 'RUNNING'))`;
