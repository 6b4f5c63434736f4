import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/config';
import { createLogger } from '../platform/logger';
import { openOrganization } from '../sandbox/organization';
import { type Sandbox, startSandbox } from '../sandbox/sandbox';
import { startServer } from '../server';
import { ApiClient } from './api-client';
import { differences } from './compare';
import { freePort } from './free-port';
import {
  enterTemplateCallback,
  providerEnvironment,
  scanned,
  sourceToScan,
  templateKeys,
  terminalQrCode,
} from './scan';
import { changesLine, drawProgress, type ShownTask } from './terminal';

/** How many later revisions are replayed, spread evenly over the recorded history. */
const REPLAYED = 12;
const COMPARISONS_SHOWN = 3;

const CREATE = `mutation ($input: CreateIdentitySourceInput!) {
  createIdentitySource(input: $input) { identitySource { id name status } userErrors { code message } }
}`;
const ENABLE = `mutation ($id: ID!) { enableIdentitySource(input: { id: $id }) { identitySource { status } userErrors { code message } } }`;
const START = `mutation ($id: ID!) {
  startSyncTask(input: { identitySourceId: $id }) { syncTask { id } userErrors { code message } }
}`;
const WATCH = `subscription ($id: ID!) {
  syncTask(id: $id) {
    task {
      status failure { message }
      progress { phase percent departmentsDone departmentsTotal employeesDone ratePerSecond }
      counters { objectType action planned applied held failed }
      certificate { complete reasons }
    }
  }
}`;

const APPROVE = `mutation ($id: ID!) {
  decideHeldRecords(input: { taskId: $id, approve: true }) {
    syncTask { status progress { phase percent departmentsDone departmentsTotal employeesDone ratePerSecond }
      counters { objectType action planned applied held failed } failure { message } }
    userErrors { message } }
}`;

const RECORDS = `query ($id: ID!, $first: Int) {
  syncTask(id: $id) { records(first: $first, filter: { action: [UPDATE, MOVE, RESTORE] }) { nodes {
    name action comparison { label thirdPartyValue saseValueBefore saseValueAfter changed }
  } } }
}`;

interface Totals {
  tasks: number;
  objects: number;
  changes: number;
  wrong: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { exit: { type: 'boolean', default: false }, organization: { type: 'string', default: 'sourcegraph' } },
  });
  const begun = Date.now();
  const dataDir = mkdtempSync(path.join(tmpdir(), 'rollcall-demo-'));
  const organization = openOrganization(values.organization);
  const sandbox = await startSandbox({ organization });
  const token = randomBytes(24).toString('hex');
  const port = process.env['PORT'] ?? String(await freePort());
  const publicUrl = `http://127.0.0.1:${port}`;
  const keys = templateKeys();
  const config = loadConfig({
    ...providerEnvironment(keys, publicUrl),
    PORT: port,
    HOST: '127.0.0.1',
    ROLLCALL_DATA_DIR: dataDir,
    ROLLCALL_ADMIN_TOKEN: token,
    WECOM_API_URL: sandbox.url,
    LOG_LEVEL: 'error',
  });
  const server = await startServer(config, createLogger(config.logLevel));
  const api = new ApiClient(`http://127.0.0.1:${server.port}/graphql`, token);
  const stop = async () => {
    await api.close();
    await server.stop();
    await sandbox.close();
    rmSync(dataDir, { recursive: true, force: true });
  };
  console.log(
    `PostgreSQL, a WeCom sandbox with "${values.organization}" and Rollcall are running (${seconds(begun)} s).`,
  );
  try {
    await enterTemplateCallback(sandbox, keys, publicUrl);
    const totals = await replay(api, sandbox);
    console.log(
      `\n${totals.tasks} tasks, ${totals.objects} objects compared, ${totals.changes} changes, ${seconds(begun)} s. ${totals.wrong === 0 ? 'After every revision the API returned exactly the organisation.' : `${totals.wrong} DIFFERENCES.`}`,
    );
    const link = await sourceToScan(api, '扫码-Scan');
    const result = scanned(api, link).then((line) => console.log(`The QR code was scanned. ${line}`));
    if (values.exit) {
      sandbox.provider.authorize({ url: link.url });
      await result;
    } else {
      console.log(
        `\nA second source, "扫码-Scan", waits for an administrator to scan this code; here the page behind it plays WeCom:\n${await terminalQrCode(link.url)}\n${link.url}`,
      );
      result.catch(() => undefined);
    }
    if (values.exit || totals.wrong > 0) {
      await stop();
      process.exit(totals.wrong === 0 ? 0 : 1);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  console.log(`
GraphQL    http://127.0.0.1:${server.port}/graphql
Explorer   http://127.0.0.1:${server.port}/explorer
Sandbox    ${sandbox.url}/sandbox/
API token  ${token}

Everything stays up until Ctrl+C.`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().then(() => process.exit(0)));
}

async function replay(api: ApiClient, sandbox: Sandbox): Promise<Totals> {
  const { company } = sandbox;
  const { organization } = company;
  const sourceId = await connect(api, company.settings);
  const totals: Totals = { tasks: 0, objects: 0, changes: 0, wrong: 0 };
  const last = organization.lastRevision;
  const revisions = [...new Set(Array.from({ length: REPLAYED + 1 }, (_, i) => Math.round((i * last) / REPLAYED)))];
  for (const revision of revisions) {
    organization.advanceTo(revision);
    company.changed();
    const at = organization.revisedAt?.slice(0, 10) ?? 'today';
    const { departments, users } = organization;
    console.log(`\nRevision ${revision} (${at}): ${departments.size} departments, ${users.size} people`);
    const { task, taskId } = await synchronize(api, sourceId);
    const wrong = await differences(api, sourceId, organization);
    console.log(`  ${task.status}: ${changesLine(task)}`);
    if (revision > 0) await showComparisons(api, taskId);
    for (const difference of wrong.slice(0, 5)) console.log(`  DIFFERENT ${difference}`);
    totals.tasks += 1;
    totals.objects += departments.size + users.size + organization.tags.size;
    totals.changes += task.counters.reduce((sum, c) => sum + (c.action === 'NONE' ? 0 : c.applied), 0);
    totals.wrong += wrong.length + (task.status === 'SUCCEEDED' ? 0 : 1);
  }
  return totals;
}

async function connect(api: ApiClient, app: { corpId: string; agentId: string; secret: string }): Promise<string> {
  const { corpId, agentId, secret } = app;
  const input = { type: 'WECOM', name: 'Demo', status: 'CLOSED', wecomSelfBuilt: { corpId, agentId, secret } };
  const { createIdentitySource: created } = await api.request<{
    createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
  }>(CREATE, { input });
  if (!created.identitySource) throw new Error(created.userErrors.map((e) => e.message).join('\n'));
  await api.request(ENABLE, { id: created.identitySource.id });
  console.log('The identity source "Demo" is connected and enabled.');
  return created.identitySource.id;
}

async function synchronize(api: ApiClient, sourceId: string): Promise<{ task: ShownTask; taskId: string }> {
  const { startSyncTask: started } = await api.request<{
    startSyncTask: { syncTask: { id: string } | null; userErrors: { message: string }[] };
  }>(START, { id: sourceId });
  if (!started.syncTask) throw new Error(started.userErrors.map((e) => e.message).join('\n'));
  let task: (ShownTask & { failure: { message: string } | null }) | undefined;
  for await (const event of api.subscribe<{ syncTask: { task: NonNullable<typeof task> } }>(WATCH, {
    id: started.syncTask.id,
  })) {
    task = event.syncTask.task;
    drawProgress(task, !['QUEUED', 'RUNNING'].includes(task.status));
    if (task.status === 'HELD') break;
  }
  if (task?.status === 'HELD') task = await approve(api, started.syncTask.id, task);
  if (!task) throw new Error('The subscription told nothing.');
  if (task.failure) throw new Error(task.failure.message);
  return { task, taskId: started.syncTask.id };
}

/** More removals at once than the safeguards allow wait for a person; here the demo is that person. */
async function approve<Task extends ShownTask>(api: ApiClient, taskId: string, held: Task): Promise<Task> {
  const waiting = held.counters.reduce((sum, counter) => sum + counter.held, 0);
  console.log(`  HELD: ${waiting} removals are over the limits and wait; everything else is applied. Approving them.`);
  const { decideHeldRecords: decided } = await api.request<{
    decideHeldRecords: { syncTask: Task | null; userErrors: { message: string }[] };
  }>(APPROVE, { id: taskId });
  if (!decided.syncTask) throw new Error(decided.userErrors.map((e) => e.message).join('\n'));
  return decided.syncTask;
}

interface Comparison {
  label: string;
  thirdPartyValue: string | null;
  saseValueBefore: string | null;
  saseValueAfter: string | null;
  changed: boolean;
}

async function showComparisons(api: ApiClient, taskId: string): Promise<void> {
  const { syncTask } = await api.request<{
    syncTask: { records: { nodes: { name: string; action: string; comparison: Comparison[] }[] } };
  }>(RECORDS, { id: taskId, first: COMPARISONS_SHOWN });
  const inline = (value: string | null) => (value === null ? '(nothing)' : value.replaceAll('\n', '; '));
  for (const { name, action, comparison } of syncTask.records.nodes) {
    const changed = comparison.filter((c) => c.changed);
    const lines = changed.map((c) => `${c.label}: ${inline(c.saseValueBefore)} → ${inline(c.saseValueAfter)}`);
    console.log(`    ${name} (${action.toLowerCase()})  ${lines.join(' | ')}`);
  }
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1000).toFixed(1);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
