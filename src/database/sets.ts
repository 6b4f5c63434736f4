/**
 * Conditions on lists, in SQL that is written in the code: no value that anybody sends is among it. The set is hashed, which IS TRUE sees
 * to; the operators of arrays go through one list for each element of the other.
 */

/**
 * Whether a list has any element of a set.
 * @param list an array of text without NULL
 * @param set a SELECT of one column without NULL, the same for every row
 */
export function hasAnyOf(list: string, set: string): string {
  return `EXISTS (SELECT FROM unnest(${list}) element WHERE (element IN (${set})) IS TRUE)`;
}

/** Whether a list has elements of a set only; so has an empty one. Parameters as above. */
export function hasOnly(list: string, set: string): string {
  return `NOT EXISTS (SELECT FROM unnest(${list}) element WHERE (element IN (${set})) IS NOT TRUE)`;
}
