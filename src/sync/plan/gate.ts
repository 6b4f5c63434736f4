import type { PoolClient } from 'pg';
import type { Run } from '../task/lease';
import type { CounterState, SafeguardState } from '../task/sync-task.entity';
import { openOf } from './counters';

/**
 * How many removals of one object type go through without approval. Pure.
 * @param known objects of that type that are here and not missing
 */
export function removalLimit(safeguards: SafeguardState, known: number): number {
  const share = Math.floor((known * safeguards.maxRemovalPercent) / 100);
  return Math.max(safeguards.minimumObjects, Math.min(safeguards.maxRemovals, share));
}

/** What takes somebody or something out of the organisation: a leaver's suspension, a department's or a group's end. */
const REMOVALS = {
  EMPLOYEE: 'SUSPEND',
  DEPARTMENT: 'REMOVE',
  GROUP: 'REMOVE',
} as const;

/** Told apart again when a held removal is approved. */
const HOLD = `
UPDATE sync_record SET result = 'HELD', reason_code = $4, edges_before = coalesce(edges_before, '{}') || jsonb_build_object('reason', reason_code)
 WHERE task_id = $1 AND object_type = $2 AND action = $3 AND result IS NULL AND ordinal > $5`;

/** A department waits with the people in it, or below it, who are leavers that wait for approval. */
const HOLD_FILLED = `
WITH RECURSIVE removal AS MATERIALIZED (
  SELECT id, local_id FROM sync_record WHERE task_id = $1 AND object_type = 'DEPARTMENT' AND action = 'REMOVE' AND result IS NULL
), filled AS (
  SELECT removal.local_id
    FROM removal JOIN membership m ON m.department_id = removal.local_id
   WHERE (m.employee_id IN (SELECT local_id FROM sync_record
                             WHERE task_id = $1 AND object_type = 'EMPLOYEE' AND action = 'SUSPEND' AND result = 'HELD')) IS TRUE
  UNION
  SELECT removal.local_id FROM filled JOIN department d ON d.id = filled.local_id JOIN removal ON removal.local_id = d.parent_id
)
UPDATE sync_record SET result = 'HELD', reason_code = 'DEPARTMENT_NOT_EMPTY',
       edges_before = coalesce(edges_before, '{}') || jsonb_build_object('reason', reason_code)
 WHERE id IN (SELECT removal.id FROM removal JOIN filled ON filled.local_id = removal.local_id)`;

const KNOWN = `SELECT count(*)::int AS known FROM link WHERE identity_source_id = $1 AND kind = $2 AND missing_since IS NULL`;

/** Removals by events since the last full run: they count together with the next ones. */
const BY_EVENTS = `
SELECT count(*)::int AS before FROM sync_record r JOIN sync_task t ON t.id = r.task_id
 WHERE t.identity_source_id = $1 AND t.trigger = 'EVENT' AND r.object_type = $2 AND r.action = $3 AND r.result IS NULL
   AND t.applied_at > coalesce((SELECT max(f.applied_at) FROM sync_task f WHERE f.identity_source_id = $1 AND f.trigger NOT IN ('EVENT', 'REVERT')
                                   AND f.applied_at IS NOT NULL), '-infinity')`;

export type RemovableType = keyof typeof REMOVALS;

/**
 * The fourth step: removals over a limit wait for approval; so does every removal when what can be seen shrank.
 * @param lost what could be seen the last time and no longer can
 * @param type whose removals have been planned and are to be judged now
 * @param planned the records that they are among
 * @param after the ordinal that these come after
 * @returns whether any of them are held
 */
export async function gate(
  client: PoolClient,
  run: Run,
  lost: readonly string[],
  type: RemovableType,
  planned: readonly CounterState[],
  after: number,
): Promise<boolean> {
  const { id, identitySourceId, settings, trigger } = run.task;
  const action = REMOVALS[type];
  const total = openOf(planned, type, action);
  if (total === 0) return false;
  const [{ known }] = (await client.query(KNOWN, [identitySourceId, type])).rows;
  const earlier =
    trigger === 'EVENT' ? (await client.query(BY_EVENTS, [identitySourceId, type, action])).rows[0].before : 0;
  const over = total + earlier > removalLimit(settings.safeguards, known + earlier);
  if (lost.length === 0 && !over)
    return type === 'DEPARTMENT' && ((await client.query(HOLD_FILLED, [id])).rowCount ?? 0) > 0;
  const reason = lost.length > 0 ? 'EXTENT_SHRANK' : 'OVER_REMOVAL_LIMIT';
  await client.query(HOLD, [id, type, action, reason, after]);
  return true;
}
