import { createSource, type TestRollcall, untilRow } from './rollcall';

export const CALLBACK_KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

/** What a server needs to be told where callbacks are sent. */
export const PUBLIC_URL = { ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com' };

/** A source whose callbacks come: what happens in the sandbox's company is told from now on. */
export async function connectWithCallbacks(rollcall: TestRollcall): Promise<string> {
  const { company } = rollcall.sandbox;
  const { corpId, agentId, secret } = company.settings;
  const wecomSelfBuilt = { corpId, agentId, secret };
  const input = { type: 'WECOM', name: 'WeCom', wecomSelfBuilt, wecomCallback: CALLBACK_KEYS };
  const { identitySource, userErrors } = await createSource(rollcall.api, input);
  if (!identitySource) throw new Error(JSON.stringify(userErrors));
  const address = { ...CALLBACK_KEYS, url: rollcall.url.replace('/graphql', `/callbacks/wecom/${identitySource.id}`) };
  await company.deliveries.verify(address, corpId);
  company.callback = { address, form: 'full' };
  return identitySource.id;
}

/** Waits until every callback has come, every event was read, and the tasks that did so have ended. */
export async function eventsSettled(rollcall: TestRollcall): Promise<void> {
  await rollcall.sandbox.company.deliveries.settled();
  await untilRow(
    rollcall,
    `SELECT WHERE NOT EXISTS (SELECT FROM directory_event WHERE task_id IS NULL)
       AND NOT EXISTS (SELECT FROM sync_task WHERE trigger = 'EVENT' AND status IN ('QUEUED', 'RUNNING'))`,
  );
}

/** Notes that somebody has got another id, as the callback that tells of it does. */
export async function tellNewId(rollcall: TestRollcall, from: string, to: string): Promise<void> {
  await rollcall.sql.query(
    `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id, changed_at)
     SELECT id, 'EMPLOYEE', lower($1), $1, lower($2), $2, now() FROM identity_source WHERE type = 'WECOM'`,
    [from, to],
  );
}
