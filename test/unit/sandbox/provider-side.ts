import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseMessage, type WecomMessage } from '../../../src/callbacks/wecom-message';
import { decrypt, isSigned } from '../../../src/connector/wecom/wecom.callback-crypto';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../src/sandbox/sandbox';
import { smallCompany } from '../../setup/rollcall';

export const KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

export interface Received {
  readonly path: string;
  readonly receiveId: string;
  readonly envelope: WecomMessage;
  readonly message: WecomMessage;
  readonly xml: string;
  readonly query: string;
}

/** A callback address: answers the check, keeps what it is told, and refuses what is not signed. */
export async function startReceiver() {
  const received: Received[] = [];
  const checks: string[] = [];
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://receiver');
    let body = '';
    for await (const chunk of request) body += chunk;
    const envelope = request.method === 'POST' ? parseMessage(body) : {};
    const sealed = envelope['Encrypt'] ?? url.searchParams.get('echostr') ?? '';
    const [timestamp, nonce, signed] = ['timestamp', 'nonce', 'msg_signature'].map(
      (name) => url.searchParams.get(name) ?? '',
    ) as [string, string, string];
    if (!isSigned(KEYS, timestamp, nonce, sealed, signed)) {
      response.writeHead(403).end();
      return;
    }
    const { message, receiveId } = decrypt(KEYS, sealed);
    if (request.method === 'GET') {
      checks.push(receiveId);
      response.end(message);
      return;
    }
    const parsed = parseMessage(message);
    received.push({ path: url.pathname, receiveId, envelope, message: parsed, xml: message, query: url.search });
    response.end('success');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    received,
    /** Whom the checks were for. */
    checks,
    address: (path: string) => ({ ...KEYS, url: `http://127.0.0.1:${port}${path}` }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;

/** A sandbox whose template has an address, and the calls that its provider makes. */
export async function startProviderSide(options: Partial<SandboxOptions> = {}) {
  const receiver = await startReceiver();
  const sandbox = await startSandbox({ organization: smallCompany(), ...options });
  await sandbox.provider.setTemplateCallback(receiver.address('/template'));
  await sandbox.settled();
  const provider = sandbox.provider.settings;

  // biome-ignore lint/suspicious/noExplicitAny: an answer has whatever shape its test is about
  const call = async (path: string, body?: unknown, query: Record<string, string> = {}): Promise<any> => {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    return (await fetch(`${sandbox.url}/cgi-bin/${path}?${new URLSearchParams(query)}`, init)).json();
  };
  const ticket = () => receiver.received.findLast((one) => one.message['SuiteTicket'])?.message['SuiteTicket'];
  const suite = { suite_id: provider.templateId, suite_secret: provider.templateSecret, suite_ticket: ticket() };
  const { suite_access_token } = await call('service/get_suite_token', suite);
  const { provider_access_token } = await call('service/get_provider_token', {
    corpid: provider.corpId,
    provider_secret: provider.secret,
  });
  const exchange = (authCode: string) =>
    call('service/v2/get_permanent_code', { auth_code: authCode }, { suite_access_token });
  return {
    sandbox,
    receiver,
    call,
    suite,
    exchange,
    withSuite: (path: string, body: unknown) => call(path, body, { suite_access_token }),
    withProvider: (path: string, body: unknown) => call(path, body, { provider_access_token }),
    /** Authorizes, fetches the permanent code and a token, and returns what calls with it. */
    async connect(given: Parameters<Sandbox['provider']['authorize']>[0] = {}) {
      const authorized = sandbox.provider.authorize(given);
      const { permanent_code } = await exchange(authorized.authCode);
      const { access_token } = await call('gettoken', undefined, {
        corpid: authorized.corpId,
        corpsecret: permanent_code,
      });
      const ask = (path: string, query: Record<string, string> = {}, body?: unknown) =>
        call(path, body, { access_token, ...query });
      return { ...authorized, permanentCode: permanent_code as string, ask };
    },
    async control(method: string, path: string, body?: unknown) {
      const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      const response = await fetch(`${sandbox.url}/sandbox/${path}`, init);
      return { status: response.status, body: await response.json() };
    },
    /** What was received once all is delivered. */
    async messages(path?: string): Promise<Received[]> {
      await sandbox.settled();
      return receiver.received.filter((one) => path === undefined || one.path === path);
    },
    stop: async () => {
      await sandbox.close();
      await receiver.close();
    },
  };
}

export type ProviderSide = Awaited<ReturnType<typeof startProviderSide>>;
