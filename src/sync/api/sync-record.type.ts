import { Field, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import type { RoleName } from '../../access/actor';
import { isPersonal, seesMasked, shown } from '../../access/masking';
import { Node } from '../../api/node';
import { connectionOf } from '../../api/pagination';
import { SafeInt } from '../../api/scalars';
import {
  EXTENSION_PREFIX,
  type FieldMapping,
  LOCAL_FIELDS,
  STRUCTURAL_FIELDS,
  type SyncObjectTypeName,
  supplyingField,
} from '../../field-mapping/field-mapping';
import { toTypedId } from '../../platform/typed-id';
import { SyncActionEnum, SyncObjectTypeEnum } from './sync-task.type';

export const SyncResultEnum = {
  PLANNED: 'PLANNED',
  APPLIED: 'APPLIED',
  HELD: 'HELD',
  SKIPPED: 'SKIPPED',
  FAILED: 'FAILED',
} as const;
registerEnumType(SyncResultEnum, {
  name: 'SyncResult',
  description: 'What became of a planned change.',
  valuesConfig: {
    PLANNED: { description: 'Not applied yet, or in a preview never.' },
    APPLIED: { description: 'Applied.' },
    HELD: { description: 'Waits for approval.' },
    SKIPPED: { description: 'Left alone; the reason says why.' },
    FAILED: { description: 'Could not be applied; the reason says why.' },
  },
});

/** Reasons with the plain words that go with them. */
const REASONS = {
  LEFT_SOURCE: 'No longer in the directory.',
  OUT_OF_SCOPE: 'Still in the directory, but outside the synchronization scope.',
  EXTENT_SHRANK: 'Less of the directory can be seen than the last time, so every removal waits for approval.',
  OVER_REMOVAL_LIMIT: 'More removals at once than the safeguards allow; they wait for approval.',
  GRACE_ENDED: 'Missing from the directory for longer than the grace period.',
  REJECTED: 'Kept by decision; not asked again before it is seen again.',
  LAPSED: 'Seen again by a later run, so there is nothing left to decide.',
  TAKEN_OVER: 'Still missing in a later run, which decides about it now.',
  CHANGED_SINCE_PLAN: 'Changed here after the plan was made.',
  NEWER_READ: 'Something read later was applied already.',
  INVALID_VALUE:
    'A told value is none of its field’s kind, or longer than 500 characters; that field keeps what is here. Correct it in the directory, or its mapping.',
  VALUE_TAKEN:
    'Another person who is present, or department, has this user name or unique value; it comes once it is free: with the next run, or where their removal waits for approval with that.',
  MANAGER_REFUSED: 'The manager is somebody new who was refused; they are linked once the manager comes.',
  PARENT_UNKNOWN: 'The parent department cannot be seen, so this one stands at the top level.',
  DEPARTMENT_CYCLE: 'The directory’s parents run in a circle, which was cut here: this one stands at the top level.',
  DEPARTMENT_NOT_EMPTY: 'Somebody present or another department is still in it; it goes once it is empty.',
} as const;
export type SyncReasonCodeName = keyof typeof REASONS;
export const SyncReasonCodeEnum = Object.fromEntries(Object.keys(REASONS).map((code) => [code, code])) as {
  [Code in SyncReasonCodeName]: Code;
};
registerEnumType(SyncReasonCodeEnum, {
  name: 'SyncReasonCode',
  description: 'Why a record is what it is.',
  valuesConfig: Object.fromEntries(Object.entries(REASONS).map(([code, description]) => [code, { description }])),
});

export const KeptReasonEnum = {
  EDITED_HERE: 'EDITED_HERE',
  SET_ONCE: 'SET_ONCE',
  WITHHELD: 'WITHHELD',
  INVALID: 'INVALID',
  TAKEN: 'TAKEN',
} as const;
registerEnumType(KeptReasonEnum, {
  name: 'KeptReason',
  description: 'Why a field keeps what is here.',
  valuesConfig: {
    EDITED_HERE: { description: 'It was edited here, and the mapping lets edits outlast the source.' },
    SET_ONCE: { description: 'The mapping sets it only where nothing is here.' },
    WITHHELD: { description: 'The directory shows it of nobody, so it is withheld rather than empty.' },
    INVALID: { description: 'The told value is none of the field’s kind.' },
    TAKEN: { description: 'Another present person has the told value, which must be unique.' },
  },
});

@ObjectType({
  description:
    'One field of one object: what came, what was here, what is here afterwards. Several values stand one per line; departments as paths.',
})
export class FieldComparison {
  @Field(() => String, { description: 'The local field.' })
  field: string;

  @Field(() => String, { description: 'What people call it.' })
  label: string;

  @Field(() => String, {
    nullable: true,
    description: 'The directory’s field that supplied it; null where the directory’s structure did.',
  })
  thirdPartyField: string | null;

  @Field(() => String, { nullable: true, description: 'As the directory told it; null where it did not.' })
  thirdPartyValue: string | null;

  @Field(() => String, { nullable: true, description: 'What was here before; null for nothing.' })
  saseValueBefore: string | null;

  @Field(() => String, { nullable: true, description: 'What is here afterwards, or will be; null for nothing.' })
  saseValueAfter: string | null;

  @Field(() => Boolean, { description: 'Whether the task changes it.' })
  changed: boolean;

  @Field(() => KeptReasonEnum, {
    nullable: true,
    description: 'Why what is here stays although the directory tells something else; null where it does not.',
  })
  kept: keyof typeof KeptReasonEnum | null;
}

/** A record's row with what belongs to its task. */
export interface SyncRecordRow {
  readonly id: string;
  readonly taskId: string;
  readonly ordinal: number;
  readonly objectType: SyncObjectTypeName;
  readonly externalId: string;
  readonly localId: string | null;
  readonly name: string;
  readonly action: string;
  readonly result: string;
  readonly reasonCode: SyncReasonCodeName | null;
  readonly thirdParty: Record<string, string | null> | null;
  readonly before: Record<string, string | null> | null;
  readonly after: Record<string, string | null> | null;
  readonly changed: readonly string[];
  readonly kept: Readonly<Record<string, keyof typeof KeptReasonEnum>> | null;
  readonly mappings: readonly FieldMapping[];
}

@ObjectType('SyncRecord', { implements: Node, description: 'What a task did, or would do, to one object.' })
export class SyncRecordObject extends Node {
  row: SyncRecordRow;

  @Field(() => SyncObjectTypeEnum, { description: 'What it is about.' })
  objectType: string;

  @Field(() => String, { description: 'What the directory calls the object.' })
  externalId: string;

  @Field(() => String, { description: 'The object’s name for people.' })
  name: string;

  @Field(() => SyncActionEnum, { description: 'What is done.' })
  action: string;

  @Field(() => SyncResultEnum, { description: 'What became of it.' })
  result: string;

  @Field(() => SyncReasonCodeEnum, { nullable: true, description: 'Why; null where the difference says it all.' })
  reasonCode: SyncReasonCodeName | null;

  @Field(() => String, { nullable: true, description: 'The reason in plain words; null without one.' })
  reason: string | null;

  @Field(() => [FieldComparison], {
    description: 'Every mapped field, changed or not, and those that always follow the source.',
  })
  comparison: FieldComparison[];
}

export const SyncRecordConnection = connectionOf(SyncRecordObject, 'SyncRecord');

@ObjectType({ description: 'A record that was planned, or whose result is known.' })
export class SyncRecordEvent {
  @Field(() => SafeInt, { description: 'The event’s number; send it as `afterSequence` to go on from here.' })
  sequence: number;

  @Field(() => Int, {
    description:
      'Which plan of the task it belongs to, as `SyncTask.plan`. A higher number than before says that the plan is made again: what was told of the former one no longer holds.',
  })
  plan: number;

  @Field(() => SyncRecordObject, { description: 'The record as it stood.' })
  record: SyncRecordObject;
}

@InputType({ description: 'Which records to list; all conditions together.' })
export class SyncRecordFilter {
  @Field(() => SyncObjectTypeEnum, { nullable: true, description: 'About this type only.' })
  objectType?: string | null;

  @Field(() => [SyncActionEnum], { nullable: true, description: 'Of one of these actions only.' })
  action?: string[] | null;

  @Field(() => [SyncResultEnum], { nullable: true, description: 'With one of these results only.' })
  result?: string[] | null;

  @Field(() => String, { nullable: true, description: 'Found anywhere in the name or external id, ignoring case.' })
  text?: string | null;

  @Field(() => String, { nullable: true, description: 'Only where this local field changed, such as "mobile".' })
  field?: string | null;
}

/** @param role viewers see personal values masked */
export function toSyncRecord(row: SyncRecordRow, role: RoleName): SyncRecordObject {
  return Object.assign(new SyncRecordObject(), {
    id: toTypedId('record', row.id),
    row,
    objectType: row.objectType,
    externalId: row.externalId,
    name: row.name,
    action: row.action,
    result: row.result,
    reasonCode: row.reasonCode,
    reason: row.reasonCode && REASONS[row.reasonCode],
    comparison: seesMasked(role) ? compare(row).map((c) => withMask(c, role)) : compare(row),
  });
}

/** A personal value is masked wherever it came from and wherever it went. */
function withMask(c: FieldComparison, role: RoleName): FieldComparison {
  const name = isPersonal(c.field) ? c.field : (c.thirdPartyField ?? c.field);
  return {
    ...c,
    thirdPartyValue: shown(name, c.thirdPartyValue, role),
    saseValueBefore: shown(name, c.saseValueBefore, role),
    saseValueAfter: shown(name, c.saseValueAfter, role),
  };
}

/** The record's fields in the order of the mappings, then what always follows the source. Pure. */
export function compare(row: SyncRecordRow): FieldComparison[] {
  const thirdParty = row.thirdParty ?? {};
  const mapped = row.mappings
    .filter((mapping) => mapping.objectType === row.objectType)
    .map((mapping) => {
      const from = supplyingField(mapping, thirdParty);
      const label =
        LOCAL_FIELDS[mapping.objectType][mapping.localField] ?? mapping.localField.slice(EXTENSION_PREFIX.length);
      return comparison(row, mapping.localField, label, from, thirdParty[from] ?? null);
    });
  const structural = Object.entries(STRUCTURAL_FIELDS[row.objectType]).map(([field, label]) =>
    comparison(row, field, label, null, thirdParty[field] ?? null),
  );
  return [...mapped, ...structural];
}

function comparison(
  row: SyncRecordRow,
  field: string,
  label: string,
  from: string | null,
  value: string | null,
): FieldComparison {
  const before = row.before?.[field] ?? null;
  return {
    field,
    label,
    thirdPartyField: from,
    thirdPartyValue: value,
    saseValueBefore: before,
    saseValueAfter: row.after?.[field] ?? null,
    changed: row.changed.includes(field),
    kept: row.kept?.[field] ?? null,
  };
}
