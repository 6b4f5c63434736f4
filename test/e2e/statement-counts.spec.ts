import { generateOrganization } from '../../src/sandbox/generate';
import { momentNow } from '../setup/organisation-view';
import { statementsOfRequests } from '../setup/request-statements';
import { connectSource, startRollcall, synchronize, type TestRollcall } from '../setup/rollcall';

describe('the number of statements does not grow with the page', () => {
  let rollcall: TestRollcall;
  let source: string;
  let task: string;
  let then: string;
  let group: string;

  beforeAll(async () => {
    rollcall = await startRollcall({ organization: generateOrganization(300) });
    source = await connectSource(rollcall);
    const field =
      'mutation ($input: CreateExtensionFieldInput!) { createExtensionField(input: $input) { userErrors { code } } }';
    await rollcall.api.request(field, { input: { key: 'badge', displayName: 'Badge' } });
    await rollcall.api.request(field, { input: { key: 'floor', displayName: 'Floor', objectType: 'DEPARTMENT' } });
    task = (await synchronize(rollcall, source)).id;
    // So that two people lead to whatever a hundred lead to: a manager, and departments beside the main one.
    await rollcall.sql.query(`UPDATE employee SET manager_id = (SELECT id FROM employee ORDER BY id DESC LIMIT 1)`);
    await rollcall.sql.query(
      `INSERT INTO membership (employee_id, department_id) SELECT e.id, d.id FROM employee e,
         (SELECT id FROM department WHERE id IN ((SELECT id FROM department ORDER BY id LIMIT 1), (SELECT id FROM department ORDER BY id DESC LIMIT 1))) d
       ON CONFLICT DO NOTHING`,
    );
    then = await momentNow(rollcall);
    await rollcall.sql.query(`UPDATE employee SET position = 'later'`);
    await rollcall.sql.query(`UPDATE department SET english_name = 'later'`);
    const { identitySource } = await rollcall.api.request<{
      identitySource: { directoryGroups: { nodes: { id: string }[] } };
    }>('query ($id: ID!) { identitySource(id: $id) { directoryGroups { nodes { id } } } }', { id: source });
    group = identitySource.directoryGroups.nodes[0]?.id ?? '';
  });
  afterAll(() => rollcall.stop());

  const employee = `id username email status externalId createdAt manager { username } mainDepartment { name path }
    memberships { isLeader department { name path } } extensionValues { value field { key } } identitySource { name }`;
  const department = `id name path externalId order parent { name } leaders { username } employeeCount
    all: employeeCount(includeSubtree: true) extensionValues { value } identitySource { name }`;

  it.each<[string, number, (first: number) => string]>([
    ['employees', 10, (first) => `{ employees(first: ${first}) { totalCount nodes { ${employee} } } }`],
    [
      'employees sorted by name',
      11,
      (first) =>
        `{ employees(first: ${first}, orderBy: { field: DISPLAY_NAME }) { totalCount nodes { ${employee} } } }`,
    ],
    [
      'employees sorted and filtered by extension fields',
      11,
      (first) =>
        `{ employees(first: ${first}, filter: { extensionValues: [{ key: "badge", isEmpty: true }] }, orderBy: { field: EXTENSION_FIELD, extensionKey: "badge", direction: DESC }) { totalCount nodes { ${employee} } } }`,
    ],
    [
      'departments sorted by an extension field',
      12,
      (first) =>
        `{ departments(first: ${first}, orderBy: { field: EXTENSION_FIELD, extensionKey: "floor" }) { nodes { ${department} } } }`,
    ],
    ['extension fields with their uses', 3, () => '{ extensionFields { key usedBy } }'],
    ['departments', 11, (first) => `{ departments(first: ${first}) { nodes { ${department} } } }`],
    [
      'employees as of a moment',
      11,
      (first) => `{ employees(first: ${first}, AS_OF) { totalCount nodes { ${employee} } } }`,
    ],
    [
      'departments as of a moment',
      12,
      (first) => `{ departments(first: ${first}, AS_OF) { nodes { ${department} } } }`,
    ],
    [
      'directory groups',
      9,
      (first) =>
        `{ identitySource(id: "SOURCE") { directoryGroups(first: ${first}) { totalCount nodes {
          name externalId employeeCount departments { name path } identitySource { name } } } } }`,
    ],
    [
      'employees of a directory group, with theirs',
      4,
      (first) =>
        `{ employees(filter: { directoryGroupId: "GROUP" }, first: ${first}) { nodes { username directoryGroups { name } } } }`,
    ],
    [
      'identity sources',
      6,
      (first) =>
        `{ identitySources(first: ${first}) { nodes { name departmentCount employeeCount latestSyncTask { status } automaticSynchronization { nextRunAt } } } }`,
    ],
    [
      'tasks',
      3,
      (first) => `{ syncTasks(first: ${first}) { nodes { id status identitySource { name } origin { id } } } }`,
    ],
    [
      'records',
      5,
      (first) =>
        `{ syncTask(id: "TASK") { records(first: ${first}) { nodes { name comparison { field } employee { username } department { name } directoryGroup { name } task { status } } } } }`,
    ],
    ['the audit log', 2, (first) => `{ auditLog(first: ${first}) { nodes { mutation actor } } }`],
    ['API tokens', 2, (first) => `{ apiTokens(first: ${first}) { nodes { name role } } }`],
  ])('of %s', async (_what, most, query) => {
    const asked = (first: number) =>
      query(first)
        .replace('TASK', task)
        .replace('SOURCE', source)
        .replace('GROUP', group)
        .replace('AS_OF', `asOf: "${then}"`);
    const ask = async (first: number) => (await statementsOfRequests(() => rollcall.api.request(asked(first)))).length;
    await ask(1);
    const [few, many] = [await ask(2), await ask(100)];
    expect(few).toBeGreaterThan(0);
    expect(many).toBeLessThanOrEqual(few + 2);
    expect(many).toBeLessThanOrEqual(most);
  });
});
