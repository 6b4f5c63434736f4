import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/config';
import { ApiClient } from '../demo/api-client';
import { createLogger } from '../platform/logger';
import { openOrganization } from '../sandbox/organization';
import { startSandbox } from '../sandbox/sandbox';
import { startServer } from '../server';
import { everyNth, replay } from './replay';

const TOLD_EVERY = 50;
const CREATE = `mutation ($input: CreateIdentitySourceInput!) {
  createIdentitySource(input: $input) { identitySource { id } userErrors { message } } }`;

/** Replays a history whole: `npm run replay -- --organization rust-team`, or a file's path. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      organization: { type: 'string', default: 'sourcegraph' },
      every: { type: 'string', default: '1' },
      until: { type: 'string' },
      'silent-every': { type: 'string', default: '10' },
    },
  });
  const dataDir = mkdtempSync(path.join(tmpdir(), 'rollcall-replay-'));
  const sandbox = await startSandbox({
    organization: openOrganization(values.organization),
    callsPerMinute: 1_000_000,
  });
  const token = randomBytes(24).toString('hex');
  const config = loadConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    ROLLCALL_DATA_DIR: dataDir,
    ROLLCALL_ADMIN_TOKEN: token,
    ROLLCALL_REQUESTS_PER_MINUTE: '10000000',
    WECOM_API_URL: sandbox.url,
    WECOM_CALLS_PER_MINUTE: '1000000',
    LOG_LEVEL: 'error',
  });
  const server = await startServer(config, createLogger(config.logLevel));
  const api = new ApiClient(`http://127.0.0.1:${server.port}/graphql`, token);
  try {
    const { corpId, agentId, secret } = sandbox.company.settings;
    const input = { type: 'WECOM', name: 'Replay', wecomSelfBuilt: { corpId, agentId, secret } };
    const { createIdentitySource: made } = await api.request<{
      createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
    }>(CREATE, { input });
    if (!made.identitySource) throw new Error(made.userErrors.map((error) => error.message).join('\n'));
    const last = Math.min(Number(values.until ?? Number.POSITIVE_INFINITY), sandbox.company.organization.lastRevision);
    const begun = Date.now();
    const totals = await replay({
      api,
      sandbox,
      sourceId: made.identitySource.id,
      revisions: everyNth(last, Number(values.every)),
      silentEvery: Number(values['silent-every']),
      onRevision: (revision, { revisions, wrong }) => {
        if (revisions % TOLD_EVERY === 0)
          console.log(`  revision ${revision}, ${seconds(begun)} s, ${wrong.length} wrong`);
      },
    });
    const { departments, users } = sandbox.company.organization;
    for (const what of totals.wrong.slice(0, 50)) console.log(`WRONG ${what}`);
    console.log(
      `${values.organization}: ${totals.revisions} revisions, to ${departments.size} departments and ${users.size} people; ${totals.compared} objects compared, ${totals.changes} changes, ${totals.held} runs approved, ${totals.silent} second runs, ${totals.wrong.length} wrong, ${seconds(begun)} s.`,
    );
    process.exitCode = totals.wrong.length === 0 ? 0 : 1;
  } finally {
    await api.close();
    await server.stop();
    await sandbox.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function seconds(begun: number): string {
  return ((Date.now() - begun) / 1000).toFixed(1);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
