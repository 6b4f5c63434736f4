import type { PoolClient } from 'pg';
import { CONNECTORS } from '../connector/registry';
import { holdFieldsStill } from '../extension-field/extension-field.service';
import {
  EXTENSION_PREFIX,
  type FieldMapping,
  LOCAL_FIELDS,
  type MappedObjectType,
  mappingSources,
  NEVER_EMPTY,
} from '../field-mapping/field-mapping';
import { transformProblem } from '../field-mapping/transforms';
import { moveNextRun, type SettingsRow } from '../sync/task/new-task';
import type { SafeguardState, ScopeState } from '../sync/task/sync-task.entity';
import type { Refusal } from './source-change';

/** Automatic synchronization; absent (undefined) is unchanged. */
export interface AutomaticChange {
  readonly enabled?: boolean | undefined;
  readonly cycleHours?: number | undefined;
  readonly synchronizeUserInformation?: boolean | undefined;
}

/** Changes to how a source is synchronized; absent (undefined) is unchanged. */
export interface SynchronizationChange {
  readonly automaticSynchronization?: AutomaticChange | undefined;
  readonly scope?: ScopeState | undefined;
  /** Null: back to the connector's defaults. */
  readonly fieldMappings?: readonly FieldMapping[] | null | undefined;
  readonly safeguards?: Partial<SafeguardState> | undefined;
}

const MAX_CHOSEN = 1_000;
const MAX_MAPPINGS = 200;
const MAX_TRANSFORMS = 20;
const MAX_CYCLE_HOURS = 24;

/** Extension fields that mappings can name, by object type. */
export type ExtensionKeys = Readonly<Record<MappedObjectType, ReadonlySet<string>>>;

/** Which extension fields mappings can name; in a transaction none of them goes before its end. */
export async function extensionKeys(client: Pick<PoolClient, 'query'>): Promise<ExtensionKeys> {
  await holdFieldsStill(client);
  const { rows } = await client.query('SELECT object_type AS "objectType", key FROM extension_field');
  const of = (type: MappedObjectType) => new Set(rows.filter((row) => row.objectType === type).map((row) => row.key));
  return { DEPARTMENT: of('DEPARTMENT'), EMPLOYEE: of('EMPLOYEE') };
}

/** What is wrong with a change, item by item; empty when nothing is. Pure. */
export function changeProblems(
  type: SettingsRow['type'],
  change: SynchronizationChange,
  extensionKeys: ExtensionKeys,
): Refusal[] {
  if (type === 'CUSTOM') {
    const message = 'A custom source has no directory to synchronize with.';
    return [{ code: 'SYNC_NOT_APPLICABLE', message, field: ['input', 'id'] }];
  }
  return [
    ...automaticProblems(change.automaticSynchronization),
    ...scopeProblems(change.scope),
    ...safeguardProblems(change.safeguards),
    ...(change.fieldMappings ? mappingProblems(type, change.fieldMappings, extensionKeys) : []),
  ];
}

export function automaticProblems(change: AutomaticChange | undefined): Refusal[] {
  const hours = change?.cycleHours;
  if (hours === undefined || (Number.isInteger(hours) && hours >= 1 && hours <= MAX_CYCLE_HOURS)) return [];
  const message = `A cycle has 1 to ${MAX_CYCLE_HOURS} hours; ${hours} was given.`;
  return [{ code: 'INVALID_INPUT', message, field: ['input', 'automaticSynchronization', 'cycleHours'] }];
}

function scopeProblems(scope: ScopeState | undefined): Refusal[] {
  if (scope?.mode !== 'PARTIAL') return [];
  const at = (message: string): Refusal[] => [
    { code: 'INVALID_INPUT', message, field: ['input', 'scope', 'departmentIds'] },
  ];
  if (scope.departmentIds.length === 0 || scope.departmentIds.some((id) => id.trim() === '')) {
    return at('A PARTIAL scope names at least one department: take ids from thirdPartyDepartments, or choose ALL.');
  }
  return scope.departmentIds.length > MAX_CHOSEN ? at(`At most ${MAX_CHOSEN} departments can be chosen.`) : [];
}

const ALWAYS_MAPPED: readonly (readonly [MappedObjectType, string])[] = [
  ['DEPARTMENT', 'name'],
  ['EMPLOYEE', 'username'],
  ['EMPLOYEE', 'displayName'],
];

const SAFEGUARD_RANGES: Readonly<Record<keyof SafeguardState, readonly [min: number, max: number, whole: boolean]>> = {
  maxRemovals: [0, 1_000_000, true],
  maxRemovalPercent: [0, 100, false],
  minimumObjects: [0, 1_000_000, true],
  leaverGraceDays: [0, 365, true],
};

function safeguardProblems(safeguards: Partial<SafeguardState> | undefined): Refusal[] {
  return Object.entries(safeguards ?? {}).flatMap(([name, value]) => {
    const [min, max, whole] = SAFEGUARD_RANGES[name as keyof SafeguardState];
    if (value === undefined || (value >= min && value <= max && (!whole || Number.isInteger(value)))) return [];
    const message = `${name} is ${whole ? 'a whole number' : 'a number'} from ${min} to ${max}; ${value} was given.`;
    return [{ code: 'INVALID_INPUT' as const, message, field: ['input', 'safeguards', name] }];
  });
}

function mappingProblems(
  type: Exclude<SettingsRow['type'], 'CUSTOM'>,
  mappings: readonly FieldMapping[],
  extensionKeys: ExtensionKeys,
): Refusal[] {
  const at = (i: number | null, message: string): Refusal => ({
    code: 'MAPPING_INVALID',
    message,
    field: i === null ? ['input', 'fieldMappings'] : ['input', 'fieldMappings', String(i)],
  });
  if (mappings.length > MAX_MAPPINGS) return [at(null, `At most ${MAX_MAPPINGS} fields can be mapped.`)];
  const problems: Refusal[] = [];
  const seen = new Set<string>();
  for (const [i, mapping] of mappings.entries()) {
    const key = `${mapping.objectType} ${mapping.localField}`;
    if (seen.has(key)) problems.push(at(i, `The local field ${mapping.localField} is mapped twice.`));
    seen.add(key);
    const problem = mappingProblem(type, mapping, extensionKeys);
    if (problem) problems.push(at(i, problem));
  }
  for (const [objectType, localField] of ALWAYS_MAPPED) {
    if (seen.has(`${objectType} ${localField}`)) continue;
    problems.push(at(null, `The field ${localField} of ${objectType.toLowerCase()}s cannot be left unmapped.`));
  }
  return problems;
}

function mappingProblem(
  type: Exclude<SettingsRow['type'], 'CUSTOM'>,
  mapping: FieldMapping,
  extensionKeys: ExtensionKeys,
): string | undefined {
  const { objectType, localField, transforms, owner } = mapping;
  // The API's enum has groups too, which always follow the source.
  if (!(objectType in LOCAL_FIELDS)) return 'Only fields of departments and employees are mapped.';
  const builtIn = LOCAL_FIELDS[objectType];
  const extension = localField.startsWith(EXTENSION_PREFIX) ? localField.slice(EXTENSION_PREFIX.length) : undefined;
  if (extension === undefined && !(localField in builtIn)) {
    return `There is no local field "${localField}": built-in ones are ${Object.keys(builtIn).join(', ')}; an extension field is "${EXTENSION_PREFIX}<key>".`;
  }
  if (extension !== undefined && !extensionKeys[objectType].has(extension)) {
    return `There is no extension field "${extension}" of ${objectType.toLowerCase()}s: create it first.`;
  }
  if (NEVER_EMPTY.has(localField) && owner !== 'SOURCE')
    return `The source owns ${localField}; no other owner is possible.`;
  const fields = CONNECTORS[type].fields.filter((field) => field.objectType === objectType).map((field) => field.name);
  for (const source of mappingSources(mapping)) {
    const custom = objectType === 'EMPLOYEE' && /^extattr\..{1,128}$/su.test(source);
    if (!custom && !fields.includes(source)) {
      return `The directory has no field "${source}": it has ${fields.join(', ')}, and custom attributes as "extattr.<name>".`;
    }
  }
  if (transforms.length > MAX_TRANSFORMS) return `A mapping has at most ${MAX_TRANSFORMS} transforms.`;
  return transforms.map(transformProblem).find((problem) => problem !== undefined);
}

/** The settings as they would be after a change. */
export function withChange(source: SettingsRow, change: SynchronizationChange): SettingsRow {
  const { scope, safeguards, fieldMappings } = change;
  const given = Object.fromEntries(Object.entries(safeguards ?? {}).filter(([, value]) => value !== undefined));
  return {
    ...source,
    ...given,
    ...(scope ? { scopeMode: scope.mode, scopeDepartmentIds: [...new Set(scope.departmentIds)] } : {}),
    ...(fieldMappings === undefined ? {} : { fieldMappings: fieldMappings && [...fieldMappings] }),
  };
}

/** Stores a change that has no problems, in the caller's transaction, and counts the version on. */
export async function storeChange(
  client: PoolClient,
  source: SettingsRow,
  change: SynchronizationChange,
): Promise<void> {
  const after = withChange(source, change);
  await client.query(
    `UPDATE identity_source SET scope_mode = $2, scope_department_ids = $3, field_mappings = $4, max_removals = $5,
            max_removal_percent = $6, minimum_objects = $7, leaver_grace_days = $8, version = version + 1, updated_at = now()
      WHERE id = $1`,
    [
      source.id,
      after.scopeMode,
      after.scopeDepartmentIds,
      after.fieldMappings && JSON.stringify(after.fieldMappings),
      after.maxRemovals,
      after.maxRemovalPercent,
      after.minimumObjects,
      after.leaverGraceDays,
    ],
  );
  if (change.automaticSynchronization) await storeAutomatic(client, source.id, change.automaticSynchronization);
}

/** The one place that switches automatic synchronization and moves its due time. */
export async function storeAutomatic(client: PoolClient, id: string, change: AutomaticChange): Promise<void> {
  const { rows } = await client.query(
    `UPDATE identity_source s
        SET automatic_enabled = coalesce($2, s.automatic_enabled), cycle_hours = coalesce($3, s.cycle_hours),
            automatic_user_information = coalesce($4, s.automatic_user_information)
       FROM identity_source former WHERE former.id = s.id AND s.id = $1
     RETURNING s.automatic_enabled AS enabled, former.automatic_enabled AS was, s.cycle_hours <> former.cycle_hours AS moved`,
    [id, change.enabled ?? null, change.cycleHours ?? null, change.synchronizeUserInformation ?? null],
  );
  const [after] = rows;
  if (after.enabled !== after.was) await moveNextRun(client, id);
  else if (after.moved) {
    // The next run is the new cycle after the last one, at once where that is past.
    await client.query(
      `UPDATE identity_source SET next_run_at = greatest(now(), coalesce(
                (SELECT max(started_at) FROM sync_task WHERE identity_source_id = $1 AND mode = 'APPLY' AND trigger <> 'EVENT'),
                created_at) + make_interval(hours => cycle_hours)) WHERE id = $1 AND automatic_enabled`,
      [id],
    );
  }
}
