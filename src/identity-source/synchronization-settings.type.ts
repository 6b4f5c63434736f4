import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import { DateTime, JSONObject } from '../api/scalars';
import { UserError } from '../api/user-error';
import type { FieldMapping, FieldOwnerName, MappedObjectType } from '../field-mapping/field-mapping';
import { FIELD_TRANSFORM_KINDS, type FieldTransform, type FieldTransformKindName } from '../field-mapping/transforms';
import { SyncObjectTypeEnum } from '../sync/api/sync-task.type';
import { IdentitySourceObject } from './identity-source.type';
import { AutomaticSynchronizationInput } from './synchronization-settings.input';

const OWNER_DESCRIPTIONS: Readonly<Record<FieldOwnerName, string>> = {
  SOURCE: 'The source, always.',
  SOURCE_UNTIL_EDITED: 'The source, until somebody edits the field here; the edit can be taken back.',
  SET_ONCE: 'Whoever sets it first; the source never changes it afterwards.',
};
export const FieldOwnerEnum = {
  SOURCE: 'SOURCE',
  SOURCE_UNTIL_EDITED: 'SOURCE_UNTIL_EDITED',
  SET_ONCE: 'SET_ONCE',
} as const;
registerEnumType(FieldOwnerEnum, {
  name: 'FieldOwner',
  description: 'Who decides a mapped field’s value.',
  valuesConfig: Object.fromEntries(
    Object.entries(OWNER_DESCRIPTIONS).map(([owner, description]) => [owner, { description }]),
  ),
});

const TRANSFORM_DESCRIPTIONS: Readonly<Record<FieldTransformKindName, string>> = {
  TRIM: 'Without blanks at both ends.',
  LOWERCASE: 'In lower case.',
  UPPERCASE: 'In upper case.',
  REGEX_EXTRACT:
    'What `pattern` (RE2 syntax) finds: its first group, or else the whole match; nothing where it finds nothing.',
  TEMPLATE: '`template` with {value} and {<third-party field>} filled in; nothing where all of them are empty.',
  LOOKUP: 'The value in `table` under the value, or else under "*"; nothing where neither is there.',
  FALLBACK: 'Where there is no value, that of the first filled one of `fields`.',
  PHONE: 'A phone number as a plus sign and digits; mainland Chinese mobiles get +86. Anything else is no valid value.',
  EMAIL: 'An e-mail address in lower case. Anything else is no valid value.',
};
export const FieldTransformKindEnum = Object.fromEntries(FIELD_TRANSFORM_KINDS.map((kind) => [kind, kind])) as {
  [Kind in FieldTransformKindName]: Kind;
};
registerEnumType(FieldTransformKindEnum, {
  name: 'FieldTransformKind',
  description: 'What a transform does to a value.',
  valuesConfig: Object.fromEntries(
    Object.entries(TRANSFORM_DESCRIPTIONS).map(([kind, description]) => [kind, { description }]),
  ),
});

export const SyncScopeModeEnum = { ALL: 'ALL', PARTIAL: 'PARTIAL' } as const;
registerEnumType(SyncScopeModeEnum, {
  name: 'SyncScopeMode',
  description: 'Which part of the directory is synchronized.',
  valuesConfig: {
    ALL: { description: 'All that the directory shows.' },
    PARTIAL: { description: 'Chosen departments, each with its subtree.' },
  },
});

@ObjectType({ description: 'When a source synchronizes by itself.' })
export class AutomaticSynchronization {
  @Field(() => Boolean, { description: 'Whether it does.' })
  enabled: boolean;

  @Field(() => Boolean, { description: 'Whether people and directory groups are wanted, and not departments only.' })
  synchronizeUserInformation: boolean;

  @Field(() => Boolean, { description: 'False while `enabled` is false, whatever synchronizeUserInformation says.' })
  synchronizesUserInformation: boolean;

  @Field(() => Int, { description: 'Hours from one run to the next: 1 to 24.' })
  cycleHours: number;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the next run is due; null while it is off or the source closed.',
  })
  nextRunAt: Date | null;
}

@ObjectType({ description: 'When removals wait for approval, and how long leavers stay.' })
export class SyncSafeguards {
  @Field(() => Int, { description: 'More removals of one object type than this at once are held.' })
  maxRemovals: number;

  @Field(() => Float, { description: 'And so are more than this share of those known, in percent.' })
  maxRemovalPercent: number;

  @Field(() => Int, { description: 'Up to so many removals are never held.' })
  minimumObjects: number;

  @Field(() => Int, { description: 'Days from a leaver’s suspension to the removal.' })
  leaverGraceDays: number;
}

@ObjectType('FieldTransform', { description: 'One step from a third-party value to a local one: data, never code.' })
@InputType('FieldTransformInput', {
  description: 'One step from a third-party value to a local one: data, never code.',
})
export class FieldTransformObject {
  @Field(() => FieldTransformKindEnum, { description: 'What it does; the others are null unless it needs them.' })
  kind: FieldTransformKindName;

  @Field(() => String, { nullable: true, description: 'REGEX_EXTRACT: in RE2 syntax.' })
  pattern?: string | null;

  @Field(() => String, { nullable: true, description: 'TEMPLATE: text with {value} and {<third-party field>}.' })
  template?: string | null;

  @Field(() => JSONObject, { nullable: true, description: 'LOOKUP: texts by text; "*" stands for any other.' })
  table?: Record<string, unknown> | null;

  @Field(() => [String], { nullable: true, description: 'FALLBACK: third-party fields, tried in order.' })
  fields?: string[] | null;
}

@ObjectType('FieldMapping', { description: 'One third-party field becomes one local field.' })
export class FieldMappingObject {
  @Field(() => SyncObjectTypeEnum, { description: 'Of departments or of employees.' })
  objectType: MappedObjectType;

  @Field(() => String, { description: 'The directory’s field, such as "mobile" or "extattr.工号".' })
  thirdPartyField: string;

  @Field(() => String, { description: 'A built-in local field, or "extension.<key>".' })
  localField: string;

  @Field(() => [FieldTransformObject], { description: 'Applied in their order.' })
  transforms: FieldTransform[];

  @Field(() => FieldOwnerEnum, { description: 'Who decides the value.' })
  owner: FieldOwnerName;
}

@InputType({ description: 'One third-party field becomes one local field.' })
export class FieldMappingInput {
  @Field(() => SyncObjectTypeEnum, { description: 'Of departments or of employees.' })
  objectType: MappedObjectType;

  @Field(() => String, { description: 'The directory’s field, such as "mobile" or "extattr.工号".' })
  thirdPartyField: string;

  @Field(() => String, { description: 'A built-in local field, or "extension.<key>".' })
  localField: string;

  @Field(() => [FieldTransformObject], { nullable: true, description: 'Applied in their order; none when absent.' })
  transforms?: FieldTransform[] | null;

  @Field(() => FieldOwnerEnum, {
    nullable: true,
    description: 'Who decides the value; the field’s default when absent.',
  })
  owner?: FieldOwnerName | null;
}

@InputType({ description: 'Which part of the directory is synchronized.' })
export class SyncScopeInput {
  @Field(() => SyncScopeModeEnum, { description: 'All, or chosen departments.' })
  mode: 'ALL' | 'PARTIAL';

  @Field(() => [String], {
    nullable: true,
    description: 'With PARTIAL: ids of thirdPartyDepartments, each with its subtree.',
  })
  departmentIds?: string[] | null;
}

@InputType({ description: 'When removals wait for approval, and how long leavers stay; absent is unchanged.' })
export class SyncSafeguardsInput {
  @Field(() => Int, { nullable: true, description: '0 to 1,000,000.' })
  maxRemovals?: number | null;

  @Field(() => Float, { nullable: true, description: '0 to 100.' })
  maxRemovalPercent?: number | null;

  @Field(() => Int, { nullable: true, description: '0 to 1,000,000.' })
  minimumObjects?: number | null;

  @Field(() => Int, { nullable: true, description: '0 to 365.' })
  leaverGraceDays?: number | null;
}

@InputType({ description: 'How a source is synchronized; absent is unchanged.' })
export class ConfigureSynchronizationInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;

  @Field(() => Int, {
    nullable: true,
    description: 'The version that the caller has read; another one now refuses the change.',
  })
  version?: number | null;

  @Field(() => AutomaticSynchronizationInput, { nullable: true, description: 'When it synchronizes by itself.' })
  automaticSynchronization?: AutomaticSynchronizationInput | null;

  @Field(() => SyncScopeInput, { nullable: true, description: 'Which part of the directory.' })
  scope?: SyncScopeInput | null;

  @Field(() => [FieldMappingInput], {
    nullable: true,
    description: 'All mappings, in place of the former ones; null brings the connector’s defaults back.',
  })
  fieldMappings?: FieldMappingInput[] | null;

  @Field(() => SyncSafeguardsInput, { nullable: true, description: 'When removals wait.' })
  safeguards?: SyncSafeguardsInput | null;
}

@InputType({ description: 'The switch of automatic synchronization.' })
export class SetAutomaticSynchronizationInput {
  @Field(() => ID, { description: 'The source.' })
  id: string;

  @Field(() => Boolean, { description: 'On or off.' })
  enabled: boolean;

  @Field(() => Int, {
    nullable: true,
    description: 'The version that the caller has read; another one now refuses the change.',
  })
  version?: number | null;
}

@ObjectType({ description: 'What became of configureSynchronization.' })
export class ConfigureSynchronizationPayload {
  @Field(() => IdentitySourceObject, { nullable: true, description: 'The source as it is now; null when refused.' })
  identitySource: IdentitySourceObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of setAutomaticSynchronization.' })
export class SetAutomaticSynchronizationPayload {
  @Field(() => IdentitySourceObject, { nullable: true, description: 'The source as it is now; null when refused.' })
  identitySource: IdentitySourceObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

/** A stored mapping as the API shows it. */
export function toFieldMapping(mapping: FieldMapping): FieldMappingObject {
  return Object.assign(new FieldMappingObject(), { ...mapping, transforms: [...mapping.transforms] });
}
