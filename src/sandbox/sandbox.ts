import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Company, type CompanySettings, DEFAULT_COMPANY } from './company';
import { controlRequest } from './control';
import { type Answer, ENDPOINTS, OPEN_ENDPOINTS } from './endpoints';
import { errmsg, WecomRefusal } from './errors';
import { type Fault, Faults } from './faults';
import type { Organization } from './organization';

export interface SandboxOptions extends Partial<CompanySettings> {
  readonly organization: Organization;
  /** 0 takes a free one. */
  readonly port?: number;
}

/** A running stand-in for WeCom. */
export interface Sandbox {
  readonly url: string;
  readonly port: number;
  readonly company: Company;
  readonly faults: Faults;
  /** Calls so far, by path. */
  readonly calls: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

const PREFIX = '/cgi-bin/';

/** Serves one company as WeCom would, on the loopback address. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { organization, port = 0, ...settings } = options;
  const company = new Company({ ...DEFAULT_COMPANY, ...settings }, organization);
  const faults = new Faults();
  const calls = new Map<string, number>();
  const server = http.createServer((request, response) => {
    void handle(request, response, { company, faults, calls }).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    company,
    faults,
    calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface SandboxState {
  readonly company: Company;
  readonly faults: Faults;
  readonly calls: Map<string, number>;
}

async function handle(request: IncomingMessage, response: ServerResponse, state: SandboxState): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://sandbox');
  if (!url.pathname.startsWith(PREFIX)) return controlRequest(request, response, url, state);
  const path = url.pathname.slice(PREFIX.length);
  state.calls.set(path, (state.calls.get(path) ?? 0) + 1);
  const fault = state.faults.next(path, url.searchParams);
  if (fault?.kind === 'slow') await delay(fault.milliseconds);
  const answer = answerTo(path, url.searchParams, state.company, fault);
  send(response, answer, fault, request.socket.remoteAddress ?? '127.0.0.1');
}

/** Checks in the order token, limits, parameters, object and range; what fails is an answer too. */
function answerTo(
  path: string,
  query: URLSearchParams,
  company: Company,
  fault: Fault | undefined,
): Answer | WecomRefusal {
  try {
    if (fault?.kind === 'errcode') throw new WecomRefusal(fault.errcode ?? -1);
    const open = OPEN_ENDPOINTS[path];
    if (open) return open(company, query);
    const endpoint = ENDPOINTS[path];
    if (!endpoint) throw new WecomRefusal(48005);
    company.requireToken(query.get('access_token'));
    const leave = company.enter(path);
    try {
      const answer = endpoint(company, query);
      return fault?.kind === 'empty' ? emptied(answer) : answer;
    } finally {
      leave();
    }
  } catch (error) {
    if (error instanceof WecomRefusal) return error;
    throw error;
  }
}

/** The same keys, but every list empty. */
function emptied(answer: Answer): Answer {
  const object: Record<string, unknown> = typeof answer === 'string' ? JSON.parse(answer) : answer;
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, Array.isArray(value) ? [] : value]));
}

/** Errors come with HTTP status 200 and say so in headers. */
function send(response: ServerResponse, answer: Answer | WecomRefusal, fault: Fault | undefined, ip: string): void {
  if (fault?.kind === 'reset') {
    response.destroy();
    return;
  }
  if (fault?.kind === 'http500') {
    response.writeHead(500, { 'Content-Type': 'text/html' }).end('<html>Internal Server Error</html>');
    return;
  }
  const refusal = answer instanceof WecomRefusal ? answer : undefined;
  const code = refusal?.errcode ?? 0;
  const message = refusal ? errmsg(refusal, ip) : 'ok';
  const body = refusal
    ? JSON.stringify({ ...refusal.payload, errcode: code, errmsg: message })
    : typeof answer === 'string'
      ? answer
      : JSON.stringify({ errcode: 0, errmsg: 'ok', ...answer });
  const shown = fault?.kind === 'malformed' ? body.replaceAll('"', "'") : body;
  const bytes = Buffer.from(shown);
  response.writeHead(200, {
    'Content-Type': 'application/json; charset=UTF-8',
    'Content-Length': bytes.length,
    Server: 'nginx',
    'Error-Code': String(code),
    'Error-Msg': message,
    'X-W-No': '7',
  });
  if (fault?.kind !== 'truncated') {
    response.end(bytes);
    return;
  }
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)));
  setTimeout(() => response.destroy(), 10);
}
