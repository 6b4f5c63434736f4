import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Company, type CompanySettings, DEFAULT_COMPANY } from './company';
import { controlRequest, readJson } from './control';
import { type Answer, ENDPOINTS } from './endpoints';
import { errmsg, WecomRefusal } from './errors';
import { type Fault, Faults } from './faults';
import { appOfCredentials, getToken } from './gettoken';
import type { Organization } from './organization';
import { appEndpoints } from './provider/app-endpoints';
import { AUTHORIZE_PREFIX, authorizeRequest } from './provider/authorize-request';
import { Provider } from './provider/provider';
import { SERVICE_ENDPOINTS } from './provider/service-endpoints';
import { DEFAULT_PROVIDER, type ProviderSettings } from './provider/settings';

export interface SandboxOptions extends Partial<CompanySettings> {
  readonly organization: Organization;
  /** 0 takes a free one. */
  readonly port?: number;
  /** Of the service provider whose template companies can authorize. */
  readonly provider?: Partial<ProviderSettings>;
}

/** A running stand-in for WeCom. */
export interface Sandbox {
  readonly url: string;
  readonly port: number;
  /** The company with its self-built app. */
  readonly company: Company;
  /** The service provider, and the companies that have authorized its template. */
  readonly provider: Provider;
  readonly faults: Faults;
  /** Calls so far, by path. */
  readonly calls: ReadonlyMap<string, number>;
  /** Resolves when all callbacks were delivered or given up. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const PREFIX = '/cgi-bin/';

/** Serves a company, and a service provider, as WeCom would, on the loopback address. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { organization, port = 0, provider: providerSettings, ...settings } = options;
  const company = new Company({ ...DEFAULT_COMPANY, ...settings }, organization);
  let origin = '';
  const provider = new Provider({ ...DEFAULT_PROVIDER, ...providerSettings }, company, () => origin);
  const state: SandboxState = { company, provider, faults: new Faults(), calls: new Map() };
  const server = http.createServer((request, response) => {
    void handle(request, response, state).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  origin = `http://127.0.0.1:${bound}`;
  return {
    ...state,
    url: origin,
    port: bound,
    settled: () => company.deliveries.settled(),
    close: async () => {
      provider.stop();
      organization.unwatch(company);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface SandboxState {
  readonly company: Company;
  readonly provider: Provider;
  readonly faults: Faults;
  readonly calls: Map<string, number>;
}

async function handle(request: IncomingMessage, response: ServerResponse, state: SandboxState): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://sandbox');
  if (url.pathname.startsWith(AUTHORIZE_PREFIX)) return authorizeRequest(request, response, url, state.provider);
  if (!url.pathname.startsWith(PREFIX)) return controlRequest(request, response, url, state);
  const path = url.pathname.slice(PREFIX.length);
  state.calls.set(path, (state.calls.get(path) ?? 0) + 1);
  const fault = state.faults.next(path, url.searchParams);
  const address = addressOf(request);
  // WeCom half parses what is no JSON; here it counts as nothing.
  const body = request.method === 'POST' ? await readJson(request).catch(() => undefined) : undefined;
  const answer = await answerTo({ path, query: url.searchParams, body, address }, state, fault);
  send(response, answer, fault, request);
}

function addressOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '127.0.0.1').replace(/^::ffff:/, '');
}

interface Call {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly address: string;
}

/** Checks in the order token, address, limits, parameters, object and range; what fails is an answer too. */
async function answerTo(call: Call, state: SandboxState, fault: Fault | undefined): Promise<Answer | WecomRefusal> {
  const { path, query, body } = call;
  const { provider } = state;
  const company = appOfToken(query.get('access_token'), state);
  let leave: (() => void) | undefined;
  try {
    if (fault?.kind === 'errcode') throw new WecomRefusal(fault.errcode ?? -1);
    if (fault?.kind === 'tokenRevoked') for (const token of [company, provider]) token.revokeToken();
    if (fault?.kind === 'scopeShrunk') company.setRange({ departments: fault.departments ?? [], users: [], tags: [] });
    const service = SERVICE_ENDPOINTS[path];
    const isDebug = query.get('debug') === '1';
    if (service || path === 'gettoken') {
      const caller = service ? provider : appOfCredentials(state, query);
      if (!(caller instanceof Company) || caller.tokenNeedsAddress) caller.requireAddress(call.address);
      leave = caller.enter(path, isDebug);
      if (fault?.kind === 'slow') await delay(fault.milliseconds);
      return rewritten(service ? service(provider, query, body) : getToken(state, query), fault);
    }
    const endpoint = ENDPOINTS[path] ?? appEndpoints(provider.ids)[path];
    if (!endpoint) throw new WecomRefusal(48005);
    company.requireToken(query.get('access_token'));
    company.requireAddress(call.address);
    company.requireOpen(path);
    leave = company.enter(path, isDebug);
    // A slow call keeps its place among those that run at the same time.
    if (fault?.kind === 'slow') await delay(fault.milliseconds);
    const answer = endpoint(company, query, body);
    return rewritten(answer, fault);
  } catch (error) {
    if (error instanceof WecomRefusal) return error;
    throw error;
  } finally {
    leave?.();
  }
}

/** The app that a token was issued to; the self-built one where it was issued to none. */
function appOfToken(token: string | null, { company, provider }: SandboxState): Company {
  const app = provider.authorizations.find((one) => one.app.issued(token ?? ''))?.app;
  return app ?? company;
}

type Json = Record<string, unknown>;

function parsed(answer: Answer): Json {
  return typeof answer === 'string' ? JSON.parse(answer) : answer;
}

function mapValues(object: Json, map: (value: unknown) => unknown): Json {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}

/** Numbers as texts, however deep. */
function texts(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return value.map(texts);
  return typeof value === 'object' && value !== null ? mapValues(value as Json, texts) : value;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** Without empty lists, and without what they leave empty. */
function trimmed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(trimmed);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).map(([key, inner]) => [key, trimmed(inner)] as const);
  return Object.fromEntries(kept.filter(([, inner]) => !isEmpty(inner)));
}

/** With null for each empty list. */
function nulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(nulls);
  return typeof value === 'object' && value !== null ? mapValues(value as Json, nulls) : value;
}

/** Faults that change what a successful answer says. */
const REWRITES: Readonly<Record<string, (answer: Answer) => Answer>> = {
  empty: (answer) => mapValues(parsed(answer), (value) => (Array.isArray(value) ? [] : value)),
  listless: (answer) => Object.fromEntries(Object.entries(parsed(answer)).filter(([, value]) => !Array.isArray(value))),
  bare: () => ({}),
  shortened: (answer) => mapValues(parsed(answer), (value) => (Array.isArray(value) ? value.slice(0, -1) : value)),
  nulls: (answer) => nulls(parsed(answer)) as Json,
  trimmed: (answer) => trimmed(parsed(answer)) as Json,
  texts: (answer) => ({ errcode: '0', ...mapValues(parsed(answer), texts) }),
};

function rewritten(answer: Answer, fault: Fault | undefined): Answer {
  return REWRITES[fault?.kind ?? '']?.(answer) ?? answer;
}

/** Faults of whatever stands between WeCom and its caller: answers without any of WeCom's. */
const FOREIGN: Readonly<Record<string, (response: ServerResponse, fault: Fault) => unknown>> = {
  reset: (response) => response.destroy(),
  http500: (response) =>
    response.writeHead(500, { 'Content-Type': 'text/html' }).end('<html>Internal Server Error</html>'),
  html: (response) =>
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html><body>Log on to the network</body></html>'),
  redirect: (response) => response.writeHead(302, { Location: 'http://127.0.0.1:9/logon' }).end(),
  dripping: (response, { milliseconds }) => {
    response.writeHead(200, { 'Content-Type': 'application/json; charset=UTF-8' });
    const drip = setInterval(() => response.write(' '), milliseconds);
    response.on('close', () => clearInterval(drip));
  },
  // Said, not sent: a caller that believes it stops at once.
  huge: (response) => response.writeHead(200, { 'Content-Length': 2 ** 31 }).write('{"errcode":0,"errmsg":"'),
};

/** Errors come with HTTP status 200 and say so in headers. */
function send(
  response: ServerResponse,
  answer: Answer | WecomRefusal,
  fault: Fault | undefined,
  to: IncomingMessage,
): void {
  const foreign = FOREIGN[fault?.kind ?? ''];
  if (foreign && fault) {
    foreign(response, fault);
    return;
  }
  const refusal = answer instanceof WecomRefusal ? answer : undefined;
  const code = refusal?.errcode ?? 0;
  const message = refusal ? errmsg(refusal, addressOf(to)) : 'ok';
  const body = refusal
    ? JSON.stringify({ ...refusal.payload, errcode: code, errmsg: message })
    : typeof answer === 'string'
      ? answer
      : JSON.stringify({ errcode: 0, errmsg: 'ok', ...answer });
  const shown = fault?.kind === 'malformed' ? body.replaceAll('"', "'") : body;
  const isCompressed = fault?.kind === 'compressed' && to.headers['accept-encoding'] !== 'identity';
  const plain = Buffer.from(fault?.kind === 'marked' ? `\uFEFF${shown}` : shown);
  const bytes = isCompressed ? gzipSync(plain) : plain;
  response.writeHead(200, {
    ...(isCompressed ? { 'Content-Encoding': 'gzip' } : {}),
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
