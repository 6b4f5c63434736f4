/** What a file of people can have: what an import takes and an export writes. */

/** Columns beside `extension.<key>`; the first two are required. */
export const IMPORT_COLUMNS = [
  'username',
  'displayName',
  'englishName',
  'position',
  'email',
  'mobile',
  'telephone',
  'address',
  'gender',
  'employmentStatus',
  'departments',
  'leaderOf',
  'manager',
] as const;

/** Columns that an export has for its readers; an import leaves them alone. */
export const READ_ONLY_COLUMNS = ['status', 'identitySource', 'externalId', 'blockedReason', 'updatedAt'] as const;

/** One file has at most so many people; more are imported in several. */
export const MAX_ROWS = 20_000;
