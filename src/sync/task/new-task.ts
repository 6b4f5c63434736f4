import type { PoolClient } from 'pg';
import { CONNECTORS } from '../../connector/registry';
import { type FieldMapping, settingsVersion } from '../../field-mapping/field-mapping';
import type { IdentitySource } from '../../identity-source/identity-source.entity';
import { writeTaskEvent } from '../apply/apply';
import { NO_PROGRESS, type SyncTaskModeName, type SyncTaskTriggerName, type TaskSettings } from './sync-task.entity';
import { queueJobs } from './task-job';

/** The columns of a source that decide how it is synchronized. */
export const SETTINGS_COLUMNS = `id, type, status, scope_mode AS "scopeMode", scope_department_ids AS "scopeDepartmentIds",
  field_mappings AS "fieldMappings", max_removals AS "maxRemovals", max_removal_percent AS "maxRemovalPercent",
  minimum_objects AS "minimumObjects", leaver_grace_days AS "leaverGraceDays",
  automatic_enabled AS "automaticEnabled", automatic_user_information AS "automaticUserInformation"`;

export type SettingsRow = Pick<
  IdentitySource,
  | 'id'
  | 'type'
  | 'status'
  | 'scopeMode'
  | 'scopeDepartmentIds'
  | 'fieldMappings'
  | 'maxRemovals'
  | 'maxRemovalPercent'
  | 'minimumObjects'
  | 'leaverGraceDays'
  | 'automaticEnabled'
  | 'automaticUserInformation'
>;

/** Settings in the form that a task is run with. */
export interface EffectiveSettings {
  readonly mappings: readonly FieldMapping[];
  readonly settings: TaskSettings;
  readonly version: string;
}

/** A source's settings as they are now. */
export function effectiveSettings(source: SettingsRow): EffectiveSettings {
  if (source.type === 'CUSTOM') throw new Error('A custom source has no directory to read.');
  const mappings = source.fieldMappings ?? CONNECTORS[source.type].defaultMappings;
  const scope = { mode: source.scopeMode, departmentIds: source.scopeMode === 'ALL' ? [] : source.scopeDepartmentIds };
  const { maxRemovals, maxRemovalPercent, minimumObjects, leaverGraceDays } = source;
  const safeguards = { maxRemovals, maxRemovalPercent, minimumObjects, leaverGraceDays };
  return { mappings, settings: { scope, safeguards }, version: settingsVersion(mappings, scope) };
}

/** A task to be made. */
export interface NewTask {
  readonly identitySourceId: string;
  readonly mode: SyncTaskModeName;
  readonly trigger: SyncTaskTriggerName;
  /** The name of who asked; null for the scheduler and the directory itself. */
  readonly startedBy: string | null;
  readonly includesEmployees: boolean;
  /** The preview applied, or the task reverted. */
  readonly originId: string | null;
}

/** Makes a task and queues it, in the caller's transaction. @returns undefined when one is open for the source already */
export async function insertTask(
  client: PoolClient,
  task: NewTask,
  effective: EffectiveSettings,
): Promise<string | undefined> {
  const { rows } = await client.query(
    `INSERT INTO sync_task (identity_source_id, mode, trigger, started_by, includes_employees, origin_id, mappings,
                            settings_version, settings, progress)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (identity_source_id, (trigger = 'EVENT')) WHERE status IN ('QUEUED', 'RUNNING') DO NOTHING RETURNING id`,
    [
      task.identitySourceId,
      task.mode,
      task.trigger,
      task.startedBy,
      task.includesEmployees,
      task.originId,
      JSON.stringify(effective.mappings),
      effective.version,
      JSON.stringify(effective.settings),
      JSON.stringify(NO_PROGRESS),
    ],
  );
  const taskId: string | undefined = rows[0]?.id;
  if (!taskId) return undefined;
  if (task.mode === 'APPLY' && task.trigger !== 'EVENT') await moveNextRun(client, task.identitySourceId);
  await writeTaskEvent(client, taskId);
  await client.query(queueJobs('SELECT id, trigger FROM sync_task WHERE id = $1'), [taskId]);
  return taskId;
}

/** So that sources which were made together do not all run together: up to a twentieth of the cycle, at most five minutes. */
const CYCLE = `make_interval(hours => cycle_hours) + random() * least(make_interval(hours => cycle_hours) / 20, interval '5 minutes')`;

/** The next automatic run is a cycle after this start; none where automatic synchronization is off. */
export async function moveNextRun(client: Pick<PoolClient, 'query'>, identitySourceId: string): Promise<void> {
  await client.query(
    `UPDATE identity_source SET next_run_at = CASE WHEN automatic_enabled AND type <> 'CUSTOM' THEN now() + ${CYCLE} END WHERE id = $1`,
    [identitySourceId],
  );
}
