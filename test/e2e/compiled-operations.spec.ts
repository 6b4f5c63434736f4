import { connectSource, startRollcall, synchronize, type TestRollcall, TOKEN } from '../setup/rollcall';

/** More often than an operation is run before it is compiled. */
const TIMES = 5;

describe('an operation that is asked again and again', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    await synchronize(rollcall, source);
  });
  afterAll(() => rollcall.stop());

  const ask = async (query: string, variables: Record<string, unknown> = {}) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const response = await fetch(rollcall.url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
    const body = (await response.json()) as { data?: unknown; errors?: unknown[] };
    return { status: response.status, cache: response.headers.get('cache-control'), body };
  };
  /** The first answer is executed, the last one compiled; both and all between must be the same. */
  const askAgain = async (query: string, variables: Record<string, unknown> = {}) => {
    const answers: Awaited<ReturnType<typeof ask>>[] = [];
    for (let i = 0; i < TIMES; i++) answers.push(await ask(query, variables));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    return answers[0] as (typeof answers)[number];
  };

  it('answers the same: aliases, fragments, directives, interfaces, cursors, null and dates', async () => {
    const answer = await askAgain(
      `query Everything($with: Boolean!, $without: Boolean!, $source: ID!) {
        people: employees(first: 3, orderBy: { field: USERNAME }) {
          totalCount edges { cursor node { ...person } } pageInfo { hasNextPage startCursor endCursor }
        }
        nobody: employees(filter: { text: "nobody at all" }) { nodes { id } pageInfo { startCursor } }
        node(id: $source) { __typename id ... on IdentitySource { name employeeCount } }
        departments { nodes { name order parent { name } leaders { username } children { nodes { name } } } }
        syncTasks { nodes { status queuedAt progress { percent } records { nodes { name comparison { field } } } } }
      }
      fragment person on Employee {
        __typename id username createdAt manager { displayName } email @include(if: $with) mobile @skip(if: $without)
        memberships { isMain isLeader order department { path } } extensionValues { value }
      }`,
      { with: true, without: true, source },
    );
    expect(answer).toMatchObject({ status: 200, cache: 'no-store' });
    expect(answer.body).toMatchObject({
      data: {
        people: {
          totalCount: 4,
          edges: [
            { node: { username: 'lisi', manager: { displayName: '张三' }, email: 'lisi@example.com' } },
            { node: { username: 'wangwu', memberships: [{ isMain: true }, { isMain: false }] } },
            { node: { username: 'zhangsan', memberships: [{ isLeader: true }] } },
          ],
          pageInfo: { hasNextPage: true },
        },
        nobody: { nodes: [], pageInfo: { startCursor: null } },
        node: { __typename: 'IdentitySource', id: source, name: 'WeCom' },
      },
    });
    expect(JSON.stringify(answer.body)).not.toContain('"mobile":"');
  });

  it('refuses the same: variables that do not fit, and arguments that make no sense', async () => {
    const query = 'query ($first: Int!) { employees(first: $first) { nodes { username } } }';
    for (let i = 0; i < TIMES; i++) expect((await ask(query, { first: 1 })).body.errors).toBeUndefined();
    expect((await askAgain(query, { first: 'many' })).body).toMatchObject({
      errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
    });
    expect((await askAgain(query, {})).body).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    expect((await askAgain(query, { first: 501 })).body).toMatchObject({
      errors: [{ message: 'A page has 0 to 500 elements; 501 were asked for.', path: ['employees'] }],
    });
    expect((await ask(query, { first: 2 })).body).toMatchObject({ data: { employees: { nodes: [{}, {}] } } });
  });
});
