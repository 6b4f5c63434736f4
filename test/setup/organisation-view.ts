import type { TestRollcall } from './rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
export type Answer = any;

const ALL = '{ status: [ACTIVE, INACTIVE, DISABLED, SUSPENDED, REMOVED] }';

const DEPARTMENT = `id name englishName order externalId path parent { id name } leaders { id displayName } employeeCount
  all: employeeCount(includeSubtree: true) children { totalCount nodes { id name } }
  employees { nodes { id position } } below: employees(includeSubtree: true) { totalCount nodes { id } }
  extensionValues { value field { key } }`;

const EMPLOYEE = `id username displayName englishName position email mobile telephone address gender status employmentStatus
  externalId suspendedAt removalDueAt blockedAt blockedReason blockedBy editedFields createdAt
  manager { id displayName manager { id } } mainDepartment { id path employeeCount }
  memberships { isLeader isMain order department { id name path } } extensionValues { value field { key } }`;

const VIEW = `query ($asOf: DateTime) {
  departments(first: 200, asOf: $asOf) { totalCount nodes { ${DEPARTMENT} } }
  employees(first: 200, asOf: $asOf, filter: ${ALL}) { totalCount nodes { ${EMPLOYEE} } }
  present: employees(first: 200, asOf: $asOf, orderBy: { field: USERNAME, direction: DESC }) { totalCount nodes { id } }
}`;

/** Everything that the API shows of the organisation, now or as of a moment, but when objects were last touched. */
export function organisationView(rollcall: TestRollcall, asOf?: string): Promise<Answer> {
  return rollcall.api.request<Answer>(VIEW, { asOf: asOf ?? null });
}

/** The first whole millisecond, by the database's clock, that lies after everything that has been committed. */
export async function momentNow(rollcall: TestRollcall): Promise<string> {
  const { rows } = await rollcall.sql.query(
    `SELECT date_trunc('milliseconds', clock_timestamp()) + interval '1 millisecond' AS at`,
  );
  const at: Date = rows[0].at;
  await rollcall.sql.query(`SELECT pg_sleep(greatest(0, extract(epoch FROM $1::timestamptz - clock_timestamp())))`, [
    at,
  ]);
  return at.toISOString();
}

/** A mutation by its name and input, with every user error. `shown` is what of its payload is asked for. */
export async function mutate(
  rollcall: TestRollcall,
  name: string,
  input: Record<string, unknown>,
  shown: string,
): Promise<Answer> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ${shown} userErrors { code message field } } }`;
  return (await rollcall.api.request<Answer>(query, { input }))[name];
}
