import type { ApiClient } from '../demo/api-client';
import { differences } from '../demo/compare';
import type { Sandbox } from '../sandbox/sandbox';

const START = `mutation ($id: ID!) {
  startSyncTask(input: { identitySourceId: $id }) { syncTask { id } userErrors { code message } } }`;
const WATCH = `subscription ($id: ID!) { syncTask(id: $id) { task { ...end } } }`;
const APPROVE = `mutation ($id: ID!) {
  decideHeldRecords(input: { taskId: $id, approve: true }) { syncTask { ...end } userErrors { code message } } }`;
const END = `fragment end on SyncTask {
  status failure { message } certificate { reasons } counters { objectType action planned applied held failed } }`;

interface Counter {
  objectType: string;
  action: string;
  planned: number;
  applied: number;
  held: number;
  failed: number;
}

interface EndedTask {
  status: string;
  failure: { message: string } | null;
  certificate: { reasons: string[] } | null;
  counters: Counter[];
}

/** What a replay came to. */
export interface ReplayTotals {
  revisions: number;
  /** Departments and people that were compared with the truth, over all revisions. */
  compared: number;
  changes: number;
  /** Runs whose removals waited for approval, and got it. */
  held: number;
  /** Second runs with nothing changed, which have to be silent. */
  silent: number;
  /** What was not as it must be, in words, each with its revision. */
  wrong: string[];
}

export interface ReplayOptions {
  readonly api: ApiClient;
  readonly sandbox: Sandbox;
  readonly sourceId: string;
  /** Which revisions, ascending. */
  readonly revisions: readonly number[];
  /** After so many revisions a second run has to be silent. */
  readonly silentEvery: number;
  /** Told after each revision. */
  onRevision?(revision: number, totals: ReplayTotals): void;
}

/**
 * Replays an organisation's history through the API: each revision is synchronized, removals that wait are approved, and what
 * the API then returns is compared with the organisation. Stops at nothing; what is wrong is told at the end.
 */
export async function replay(options: ReplayOptions): Promise<ReplayTotals> {
  const { api, sandbox, sourceId, revisions, silentEvery } = options;
  const { company } = sandbox;
  const totals: ReplayTotals = { revisions: 0, compared: 0, changes: 0, held: 0, silent: 0, wrong: [] };
  for (const revision of revisions) {
    const say = (what: string) => totals.wrong.push(`revision ${revision}: ${what}`);
    company.change(() => company.organization.advanceTo(revision));
    const { task, held } = await synchronize(api, sourceId);
    if (task.status !== 'SUCCEEDED') say(`${task.status} ${describe(task)}`);
    for (const difference of await differences(api, sourceId, company.organization)) say(difference);
    totals.revisions += 1;
    totals.compared += company.organization.departments.size + company.organization.users.size;
    totals.changes += task.counters.reduce((sum, c) => sum + (c.action === 'NONE' ? 0 : c.applied), 0);
    totals.held += held ? 1 : 0;
    if (totals.revisions % silentEvery === 0) {
      const { task: second } = await synchronize(api, sourceId);
      const loud = second.counters.filter((counter) => counter.action !== 'NONE');
      if (loud.length > 0 || second.status !== 'SUCCEEDED') say(`a second run was not silent: ${JSON.stringify(loud)}`);
      totals.silent += 1;
    }
    options.onRevision?.(revision, totals);
  }
  return totals;
}

/** Every n-th revision, and the last. */
export function everyNth(last: number, n: number): number[] {
  const revisions = Array.from({ length: Math.floor(last / n) + 1 }, (_, i) => i * n);
  return revisions.at(-1) === last ? revisions : [...revisions, last];
}

async function synchronize(api: ApiClient, sourceId: string): Promise<{ task: EndedTask; held: boolean }> {
  const { startSyncTask } = await api.request<{
    startSyncTask: { syncTask: { id: string } | null; userErrors: { message: string }[] };
  }>(START, { id: sourceId });
  const id = startSyncTask.syncTask?.id;
  if (!id) throw new Error(startSyncTask.userErrors.map((error) => error.message).join('\n'));
  let task: EndedTask | undefined;
  for await (const event of api.subscribe<{ syncTask: { task: EndedTask } }>(WATCH + END, { id })) {
    task = event.syncTask.task;
    if (task.status === 'HELD') break;
  }
  if (!task) throw new Error('The subscription told nothing.');
  if (task.status !== 'HELD') return { task, held: false };
  const { decideHeldRecords } = await api.request<{ decideHeldRecords: { syncTask: EndedTask | null } }>(
    APPROVE + END,
    {
      id,
    },
  );
  return { task: decideHeldRecords.syncTask ?? task, held: true };
}

function describe(task: EndedTask): string {
  return [task.failure?.message ?? '', ...(task.certificate?.reasons ?? []), JSON.stringify(task.counters)].join(' ');
}
