import { statementsOfRequests } from '../setup/request-statements';
import { createSource, startRollcall, type TestRollcall } from '../setup/rollcall';

// biome-ignore lint/suspicious/noExplicitAny: each test looks at another part of these answers.
type Answer = any;

describe('what a console’s lists ask at 100,000 people', () => {
  let rollcall: TestRollcall;
  let identitySourceId: string;
  let departmentId: string;

  beforeAll(async () => {
    rollcall = await startRollcall();
    const { sql, api } = rollcall;
    identitySourceId = String(
      (await createSource(api, { type: 'CUSTOM', name: 'Large', status: 'CLOSED' })).identitySource?.id,
    );
    const field = `mutation ($input: CreateExtensionFieldInput!) { createExtensionField(input: $input) { userErrors { message } } }`;
    for (const [key, type] of [
      ['badge', 'TEXT'],
      ['salary', 'NUMBER'],
      ['hired', 'DATE'],
    ])
      await api.request(field, { input: { key, displayName: key, type } });
    const create = `mutation ($input: CreateDepartmentInput!) { createDepartment(input: $input) { department { id } } }`;
    departmentId = (await api.request<Answer>(create, { input: { identitySourceId, name: '总部' } })).createDepartment
      .department.id;
    // Indexes are made in one go afterwards, and references are right by themselves: the test is about reading.
    const { rows: indexes } = await sql.query<{ name: string; definition: string }>(
      `SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename IN ('employee', 'employee_search', 'membership')
          AND indexname NOT IN (SELECT conname FROM pg_constraint)`,
    );
    for (const { name } of indexes) await sql.query(`DROP INDEX ${name}`);
    await sql.query('SET session_replication_role = replica').catch(() => undefined);
    // Without triggers nobody opens a change that the new rows stand since.
    await sql.query(`SELECT set_config('rollcall.change', '0', false)`);
    await sql.query(`
      INSERT INTO department (identity_source_id, parent_id, name) SELECT d.identity_source_id, d.id, '部门' || n FROM department d, generate_series(1, 500) n;
      INSERT INTO employee (identity_source_id, username, display_name, status, mobile, position, updated_at, blocked_at, extension_values)
      SELECT s.id, 'user' || n, '员工' || n, CASE WHEN n % 50 = 0 THEN 'SUSPENDED' WHEN n % 20 = 0 THEN 'INACTIVE' ELSE 'ACTIVE' END,
             '138' || lpad(n::text, 8, '0'), CASE WHEN n % 3 > 0 THEN '职位' || n % 40 END, now() - make_interval(secs => n),
             CASE WHEN n % 10000 = 0 THEN now() END,
             CASE WHEN n % 5 = 0 THEN jsonb_build_object('badge', 'B' || n, 'salary', (n % 1000)::text,
                                                         'hired', (date '2000-01-01' + n % 9000)::text) ELSE '{}' END
        FROM identity_source s, generate_series(1, 100000) n WHERE s.name = 'Large';
      INSERT INTO employee_search (employee_id, source, names, contacts, tokens, name_key)
      SELECT id, '', lower(display_name || chr(10) || username), mobile, ARRAY['员工', left(username, 2)], username FROM employee;
      INSERT INTO membership (employee_id, department_id)
      SELECT e.id, d.id FROM (SELECT id, row_number() OVER () % 501 AS place FROM employee) e
        JOIN (SELECT id, row_number() OVER (ORDER BY id) % 501 AS place FROM department) d USING (place);
    `);
    await sql.query('SET session_replication_role = DEFAULT').catch(() => undefined);
    for (const { definition } of indexes) await sql.query(definition);
    await sql.query('ANALYZE employee, employee_search, membership, department');
  }, 120_000);
  afterAll(() => rollcall.stop());

  const LIST = `query ($filter: EmployeeFilter, $orderBy: EmployeeOrder, $first: Int, $after: String, $last: Int, $before: String) {
    employees(filter: $filter, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
      nodes { username } pageInfo { endCursor } } }`;

  const PEOPLE = /Seq Scan on (employee|employee_search|membership)\b/;
  // For hundreds of people whom a filter finds the planner may read the narrow keys of names as a whole: it counts a page that is
  // looked up as four that are read on.
  const PEOPLE_BUT_KEYS = /Seq Scan on (employee|membership)\b/;

  /** Scans of whole tables of people in the plans of what a list asks. */
  const scans = async (variables: Record<string, unknown>, tables = PEOPLE): Promise<string[]> => {
    const asked = await statementsOfRequests(() => rollcall.api.request(LIST, variables));
    const sent = asked.filter(({ text }) => /LIMIT \$\d+$/.test(text));
    expect(sent).not.toEqual([]);
    const plans: string[] = [];
    for (const { text, values } of sent) {
      const { rows } = await rollcall.sql.query(`EXPLAIN ${text}`, [...values]);
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
    }
    return plans.filter((plan) => tables.test(plan));
  };

  const sorts: Record<string, unknown>[] = [
    ...['CREATED_AT', 'UPDATED_AT', 'DISPLAY_NAME', 'USERNAME', 'STATUS', 'POSITION'].map((field) => ({ field })),
    ...['badge', 'salary', 'hired'].map((extensionKey) => ({ field: 'EXTENSION_FIELD', extensionKey })),
  ];

  it.each(sorts)(
    'sorted by %j in both directions comes by index, from the front, from the middle and from the back',
    async (orderBy) => {
      for (const direction of ['ASC', 'DESC']) {
        for (const filter of [{}, { identitySourceId }]) {
          const list = { filter, orderBy: { ...orderBy, direction } };
          expect(await scans(list)).toEqual([]);
          const { employees } = await rollcall.api.request<Answer>(LIST, { ...list, first: 300 });
          const { endCursor } = employees.pageInfo;
          expect(await scans({ ...list, after: endCursor })).toEqual([]);
          expect(await scans({ ...list, last: 50, before: endCursor })).toEqual([]);
          expect(await scans({ ...list, last: 50 })).toEqual([]);
        }
      }
    },
  );

  it.each<[string, () => Record<string, unknown>, number]>([
    ['a text of letters', () => ({ text: 'user4242' }), 11],
    ['a number', () => ({ text: '13800004242' }), 1],
    ['a department', () => ({ departmentId }), 50],
    ['a department with its subtree', () => ({ departmentId, includeSubtree: true }), 50],
    ['a status', () => ({ status: ['SUSPENDED'] }), 50],
    ['those blocked', () => ({ blocked: true, status: ['ACTIVE', 'INACTIVE', 'SUSPENDED'] }), 10],
    ['a number of an extension field', () => ({ extensionValues: [{ key: 'salary', equals: '5.0' }] }), 50],
    [
      'a range of days',
      () => ({ extensionValues: [{ key: 'hired', atLeast: '2000-01-05', atMost: '2000-01-07' }] }),
      12,
    ],
    ['a beginning', () => ({ extensionValues: [{ key: 'badge', startsWith: 'B4242' }] }), 2],
    ['those without a value', () => ({ extensionValues: [{ key: 'badge', isEmpty: true }] }), 50],
  ])('filtered by %s comes by index', async (_what, more, expected) => {
    for (const field of ['CREATED_AT', 'DISPLAY_NAME', 'USERNAME']) {
      const list = { filter: { identitySourceId, ...more() }, orderBy: { field } };
      const { employees } = await rollcall.api.request<Answer>(LIST, list);
      expect(employees.nodes).toHaveLength(expected);
      const found = await scans(list, field === 'DISPLAY_NAME' ? PEOPLE_BUT_KEYS : PEOPLE);
      expect([field, found]).toEqual([field, []]);
    }
  });
});
