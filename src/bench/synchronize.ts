import { type Bench, connect, pause, untilSearchable, withClient, withServer } from './environment';
import type { Figure } from './figure';
import { copySameRows, fetchAndParse } from './limits';
import { MemorySampler } from './processes';

/** One synchronization, measured. */
export interface RunFigures {
  readonly milliseconds: number;
  readonly phases: Readonly<Record<string, number>>;
  /** Node's resident memory, MiB. */
  readonly memoryPeak: number;
  readonly memory: readonly number[];
  readonly statements: number;
  readonly rowsWritten: number;
}

/** A company's first synchronization and one with nothing changed, each beside its limit. Times in milliseconds. */
export interface SynchronizationFigures {
  readonly people: number;
  readonly departments: number;
  readonly fetch: number;
  readonly copy: number;
  readonly first: RunFigures;
  readonly unchanged: RunFigures;
}

export async function measureSynchronization(people: number): Promise<SynchronizationFigures> {
  return withServer(people, async (bench) => {
    const { wecomUrl, databaseUrl, emptyUrl } = bench;
    // The sandbox makes each answer once; that must not count for either side.
    await fetchAndParse(wecomUrl);
    const fetchBefore = await fetchAndParse(wecomUrl);
    const source = await connect(bench.api);
    const first = await measureRun(bench, source);
    // People's search text is made after a large run has ended; it must not count for the next one.
    await untilSearchable(databaseUrl, people);
    const unchanged = faster(await measureRun(bench, source), await measureRun(bench, source));
    const fetchAfter = await fetchAndParse(wecomUrl);
    const copy = await copySameRows(databaseUrl, emptyUrl);
    const departments = Math.max(2, Math.ceil(people / 50));
    return { people, departments, fetch: Math.min(fetchBefore, fetchAfter), copy, first, unchanged };
  });
}

/** Of two runs as of two reads of the pages: what else the machine did in one of them is neither's cost. */
function faster(one: RunFigures, other: RunFigures): RunFigures {
  const best = one.milliseconds <= other.milliseconds ? one : other;
  return { ...best, memoryPeak: Math.max(one.memoryPeak, other.memoryPeak) };
}

export function synchronizationFigures(all: readonly SynchronizationFigures[]): Figure[] {
  const found = all.flatMap((f): Figure[] => [
    {
      what: `first synchronization of ${f.people} people, beside its pages fetched and parsed and its rows copied`,
      measured: f.first.milliseconds,
      limit: f.fetch + f.copy,
      unit: 'ms',
      goal: { of: 'ratio', is: 'at most', value: 1.5 },
    },
    {
      what: `nothing changed, ${f.people} people, beside its pages fetched and parsed`,
      measured: f.unchanged.milliseconds,
      limit: f.fetch,
      unit: 'ms',
      goal: { of: 'ratio', is: 'at most', value: 1.3 },
    },
  ]);
  const peak = (f: SynchronizationFigures) => Math.max(f.first.memoryPeak, f.unchanged.memoryPeak);
  const [smallest, largest] = [all[0], all.at(-1)];
  if (smallest && largest && smallest !== largest) {
    found.push({
      what: `memory of the Node process, ${largest.people} people beside ${smallest.people}`,
      measured: peak(largest),
      limit: peak(smallest),
      unit: 'MiB',
      goal: { of: 'ratio', is: 'at most', value: 1.3 },
    });
  }
  const huge = all.find((f) => f.people >= 1_000_000);
  if (huge) {
    const what = `memory of the Node process, ${huge.people} people, beside 512 MiB`;
    found.push({ what, measured: peak(huge), limit: 512, unit: 'MiB', goal: { of: 'ratio', is: 'at most', value: 1 } });
  }
  return found;
}

/** What a run cost, for people. */
export function describeSynchronization({ fetch, copy, first, unchanged }: SynchronizationFigures): string {
  const runs = Object.entries({ first, unchanged }).map(([name, run]) => {
    const phases = Object.entries(run.phases).map(([phase, ms]) => `${phase.toLowerCase()} ${ms}`);
    return `  ${name}: ${Math.round(run.milliseconds)} ms (${phases.join(', ')}), ${run.memoryPeak} MiB at most, over time ${run.memory.join(' ')}; ${run.statements} statements, ${run.rowsWritten} rows written`;
  });
  return [
    `  limits: pages fetched and parsed ${Math.round(fetch)} ms, rows copied ${Math.round(copy)} ms`,
    ...runs,
  ].join('\n');
}

interface TaskEvent {
  syncTask: { task: { status: string; progress: { phase: string }; failure: { message: string } | null } };
}

/** Runs one task to its end and says what it cost. */
export async function measureRun(
  bench: Pick<Bench, 'api' | 'databaseUrl' | 'pid'>,
  sourceId: string,
): Promise<RunFigures> {
  const { api, databaseUrl, pid } = bench;
  const before = await databaseCounts(databaseUrl);
  const memory = new MemorySampler(pid);
  const begun = performance.now();
  const started = await api.request<{ startSyncTask: { syncTask: { id: string } } }>(
    `mutation ($id: ID!) { startSyncTask(input: { identitySourceId: $id }) { syncTask { id } userErrors { message } } }`,
    { id: sourceId },
  );
  const marks: [string, number][] = [];
  const watched = api.subscribe<TaskEvent>(
    `subscription ($id: ID!) { syncTask(id: $id) { task { status progress { phase } failure { message } } } }`,
    { id: started.startSyncTask.syncTask.id },
  );
  for await (const { syncTask } of watched) {
    const { status, progress, failure } = syncTask.task;
    if (failure) throw new Error(failure.message);
    if (marks.at(-1)?.[0] !== progress.phase) marks.push([progress.phase, performance.now()]);
    if (status === 'HELD') break;
  }
  const ended = performance.now();
  const { peak, samples } = memory.stop();
  const after = await databaseCounts(databaseUrl);
  const phases = Object.fromEntries(
    marks.slice(0, -1).map(([phase, at], i) => [phase, Math.round((marks[i + 1]?.[1] ?? ended) - at)]),
  );
  return {
    milliseconds: ended - begun,
    phases,
    memoryPeak: peak,
    memory: samples,
    statements: after.statements - before.statements,
    rowsWritten: after.rows - before.rows,
  };
}

async function databaseCounts(url: string): Promise<{ statements: number; rows: number }> {
  return withClient(url, async (client) => {
    // Sessions report their counts once idle for a moment.
    await pause(1_200);
    const { rows } = await client.query(
      `SELECT (SELECT sum(calls)::int FROM pg_stat_statements WHERE dbid = d.datid) AS statements,
              (tup_inserted + tup_updated + tup_deleted)::int AS rows
         FROM pg_stat_database d WHERE datname = current_database()`,
    );
    return rows[0];
  });
}
