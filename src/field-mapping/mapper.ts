import { MAX_TEXT } from '../extension-field/extension-value';
import { type FieldMapping, isFilled, NEVER_EMPTY, type SyncObjectTypeName } from './field-mapping';
import { compileTransform, INVALID, type Told, type Transformed } from './transforms';

/** What the mappings make of one object. */
export interface Mapped {
  /** Local values by field. A mapped field that is not in it is empty. */
  readonly values: Readonly<Record<string, string>>;
  /** Mapped fields whose told value is none of their kind, or of none that a field can have, or too long: they keep what is here. */
  readonly invalid: readonly string[];
}

/** Checks a local field's text and gives it the form it is stored in. */
export type ValueCheck = (text: string) => Transformed;

/** Turns third-party values into local ones. */
export type Mapper = (externalId: string, told: Told) => Mapped;

const GENDERS: Readonly<Record<string, string>> = { '0': 'UNKNOWN', '1': 'MALE', '2': 'FEMALE' };
const EMPLOYMENT = new Set(['REGULAR', 'PROBATION', 'INTERN', 'CONTRACTOR', 'ON_LEAVE', 'LEFT', 'UNKNOWN']);

const BUILT_IN_CHECKS: Readonly<Record<string, ValueCheck>> = {
  gender: (text) => GENDERS[text] ?? (/^(MALE|FEMALE|UNKNOWN)$/i.test(text) ? text.toUpperCase() : INVALID),
  employmentStatus: (text) => (EMPLOYMENT.has(text.trim().toUpperCase()) ? text.trim().toUpperCase() : INVALID),
  // Only the first of several leaders is kept here.
  manager: (text) =>
    text
      .split('\n')
      .find((id) => id.trim() !== '')
      ?.trim() ?? null,
};

/**
 * The mappings of one object type, made ready once for many objects. Total: absent, empty and null all leave a field empty, and
 * a field that cannot be empty gets the id.
 * @param checks by local field, for extension fields
 */
export function compileMapper(
  objectType: SyncObjectTypeName,
  mappings: readonly FieldMapping[],
  checks: Readonly<Record<string, ValueCheck>> = {},
): Mapper {
  const compiled = mappings
    .filter((mapping) => mapping.objectType === objectType)
    .map(({ thirdPartyField, localField, transforms }) => ({
      thirdPartyField,
      localField,
      steps: transforms.map(compileTransform),
      check: BUILT_IN_CHECKS[localField] ?? checks[localField],
    }));
  return (externalId, told) => {
    const values: Record<string, string> = {};
    const invalid: string[] = [];
    for (const { thirdPartyField, localField, steps, check } of compiled) {
      let value: Transformed = told[thirdPartyField] ?? null;
      for (const step of steps) if (value !== INVALID) value = step(value, told);
      if (check && value !== INVALID && isFilled(value)) value = check(value);
      if (isFilled(value) && value.length > MAX_TEXT) value = INVALID;
      if (value === INVALID) invalid.push(localField);
      if (isFilled(value)) values[localField] = value;
      else if (NEVER_EMPTY.has(localField)) values[localField] = externalId;
    }
    return { values, invalid };
  };
}
