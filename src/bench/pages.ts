import { Pool } from 'undici';
import { type Bench, connect, untilSearchable, withClient, withServer } from './environment';
import type { Figure } from './figure';
import { freePort, startProgram } from './processes';
import { measureRun } from './synchronize';

/** Pages of 100 employees with their departments and extension fields, a second. */
export interface PageFigures {
  readonly people: number;
  readonly rollcall: number;
  readonly bare: number;
  /** Of one page. */
  readonly bytes: { readonly rollcall: number; readonly bare: number };
  /** That a page takes, sign-in included. */
  readonly statements: number;
}

const AT_ONCE = 8;
const ROUND_MS = 3_000;
const ROUNDS = 5;

const PAGE = `query ($after: String) { employees(first: 100, after: $after) {
  nodes { id username displayName position email mobile status createdAt mainDepartment { id name }
    memberships { isLeader department { id name } } extensionValues { value field { key displayName } } }
  pageInfo { hasNextPage endCursor } } }`;

export async function measurePages(people: number): Promise<PageFigures> {
  return withServer(people, async (bench) => {
    await measureRun(bench, await connect(bench.api));
    await untilSearchable(bench.databaseUrl, people);
    await fillExtensionFields(bench);
    const port = await freePort();
    const bareUrl = `http://127.0.0.1:${port}`;
    const bare = await startProgram('bench/peers/bare-pages.js', [String(port), bench.databaseUrl], {}, bareUrl);
    try {
      return { people, ...(await compare(bench, bareUrl)) };
    } finally {
      await bare.stop();
    }
  });
}

export function pageFigures({ people, rollcall, bare }: PageFigures): Figure[] {
  return [
    {
      what: `page of 100 employees with departments and extension fields, of ${people}, beside the same SQL through pg and JSON.stringify`,
      measured: rollcall,
      limit: bare,
      unit: 'pages/s',
      goal: { of: 'ratio', is: 'at least', value: 0.5 },
    },
  ];
}

/** Three fields, filled for everybody. */
async function fillExtensionFields({ api, databaseUrl }: Bench): Promise<void> {
  for (const [key, displayName] of [
    ['cost_centre', '成本中心'],
    ['office', '办公地点'],
    ['badge', '工牌号'],
  ]) {
    await api.request(
      'mutation ($input: CreateExtensionFieldInput!) { createExtensionField(input: $input) { userErrors { message } } }',
      { input: { key, displayName } },
    );
  }
  await withClient(databaseUrl, async (client) => {
    await client.query(`UPDATE employee SET extension_values = jsonb_build_object('cost_centre', 'CC-' || (hashtext(username) % 90),
      'office', '北京', 'badge', username)`);
    await client.query('VACUUM ANALYZE employee');
  });
}

async function compare(bench: Bench, bareUrl: string): Promise<Omit<PageFigures, 'people'>> {
  const starts = await pageStarts(bench);
  const rollcall = requests(
    bench.url,
    starts.map(({ cursor }) => ({
      method: 'POST' as const,
      path: '/graphql',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bench.token}` },
      body: JSON.stringify({ query: PAGE, variables: { after: cursor } }),
    })),
  );
  const bare = requests(
    bareUrl,
    starts.map(({ id }) => ({ method: 'GET' as const, path: `/?after=${id}` })),
  );
  const best = { rollcall: 0, bare: 0 };
  let bytes = { rollcall: 0, bare: 0 };
  // By turns, so that what else the machine does falls on both; the first round warms both up.
  for (let round = 0; round <= ROUNDS; round++) {
    const [a, b] = [await rollcall.run(), await bare.run()];
    bytes = { rollcall: a.bytes, bare: b.bytes };
    // An error comes with status 200 as well, and quickly.
    if (a.bytes < b.bytes / 2)
      throw new Error(`Rollcall answered ${a.bytes} bytes where the bare page has ${b.bytes}.`);
    if (round === 0) continue;
    best.rollcall = Math.max(best.rollcall, a.perSecond);
    best.bare = Math.max(best.bare, b.perSecond);
  }
  const before = await statementCount(bench);
  const { count } = await rollcall.run();
  const statements = Math.round(((await statementCount(bench)) - before) / count);
  await Promise.all([rollcall.close(), bare.close()]);
  return { ...best, bytes, statements };
}

const STARTS = `query ($after: String) { employees(first: 97, after: $after) { pageInfo { hasNextPage endCursor } } }`;

/** Where pages begin, all over the list: for Rollcall its own cursors, for the bare server the ids of the same people. */
async function pageStarts({ databaseUrl, api }: Bench): Promise<{ id: string; cursor: string }[]> {
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string }>(
      `SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM employee
                        WHERE status IN ('ACTIVE', 'INACTIVE', 'DISABLED')) e WHERE n % 97 = 0 ORDER BY id`,
    ),
  );
  const starts: { id: string; cursor: string }[] = [];
  for (const { id } of rows) {
    const after: string | null = starts.at(-1)?.cursor ?? null;
    const { employees } = await api.request<{
      employees: { pageInfo: { hasNextPage: boolean; endCursor: string | null } };
    }>(STARTS, { after });
    // The last page is not a whole one.
    if (!employees.pageInfo.hasNextPage || !employees.pageInfo.endCursor) break;
    starts.push({ id, cursor: employees.pageInfo.endCursor });
  }
  return starts.slice(0, -1);
}

async function statementCount({ databaseUrl }: Bench): Promise<number> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query(
      `SELECT sum(calls)::int AS calls FROM pg_stat_statements WHERE query LIKE '%employee e%' OR query LIKE '%membership m%'
          OR query LIKE '%FROM extension_field%' OR query LIKE '%FROM api_token%' OR query LIKE '%"department"%' OR query LIKE '%department d%'`,
    );
    return rows[0].calls;
  });
}

type Request = Omit<Parameters<Pool['request']>[0], 'origin'>;

/** Several requests at a time over kept connections. */
function requests(url: string, all: readonly Request[]) {
  const pool = new Pool(new URL(url).origin, { connections: AT_ONCE });
  let next = 0;
  const run = async () => {
    const begun = performance.now();
    let count = 0;
    let bytes = 0;
    const one = async () => {
      while (performance.now() - begun < ROUND_MS) {
        const { statusCode, body } = await pool.request(all[next++ % all.length] as Request);
        bytes = (await body.arrayBuffer()).byteLength;
        if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}.`);
        count += 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    return { count, bytes, perSecond: (count * 1_000) / (performance.now() - begun) };
  };
  return { run, close: () => pool.close() };
}
