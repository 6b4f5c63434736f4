import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { isEncodingAesKey } from '../connector/wecom/wecom.callback-crypto';
import { faultSchema } from './faults';
import { organizationState } from './organization';
import type { SandboxState } from './sandbox';

const MAX_BODY_BYTES = 256 * 1024 * 1024;

const rangeSchema = z.strictObject({
  departments: z.array(z.number().int()).default([]),
  users: z.array(z.string()).default([]),
  tags: z.array(z.number().int()).default([]),
});

const callbackSchema = z.strictObject({
  url: z.url(),
  token: z.string().regex(/^[A-Za-z0-9]{1,32}$/),
  encodingAesKey: z.string().refine(isEncodingAesKey, 'must be 43 letters and digits'),
  form: z.enum(['full', 'ids']).default('full'),
});

const eventsSchema = z.strictObject({
  events: z.array(
    z.strictObject({ changeType: z.string(), fields: z.record(z.string(), z.union([z.string(), z.number()])) }),
  ),
});

const switchesSchema = z.strictObject({
  duplicate: z.boolean().default(false),
  delay: z.number().int().min(0).max(60_000).default(0),
  reorder: z.boolean().default(false),
  dropEvery: z.number().int().min(0).default(0),
});

const withholdingSchema = z.strictObject({
  fields: z.array(z.string()).default([]),
  style: z.enum(['absent', 'empty', 'null']).default('absent'),
});

const appSchema = z.strictObject({
  closed: z.boolean().optional(),
  /** Addresses that may call; empty: all. */
  allowedAddresses: z.array(z.string()).optional(),
  refusesWithoutDepartments: z.boolean().optional(),
});

interface Handler {
  readonly help: string;
  run(state: SandboxState, body: unknown): unknown;
}

/** What the sandbox can be told while it runs. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  'GET /sandbox/': {
    help: 'this list',
    run: () => Object.fromEntries(Object.entries(HANDLERS).map(([name, { help }]) => [name, help])),
  },
  'GET /sandbox/organization': {
    help: 'the organisation as it is',
    run: ({ company }) => company.organization.state(),
  },
  'PUT /sandbox/organization': {
    help: 'replaces it: {departments, users, tags}',
    run: ({ company }, body) => {
      const state = organizationState.parse(body);
      company.change(() => company.organization.replace(state));
      return summary(company.organization);
    },
  },
  'GET /sandbox/revision': {
    help: 'which revision of its history it is at',
    run: ({ company }) => summary(company.organization),
  },
  'POST /sandbox/revision': {
    help: 'moves it forward: {"revision": 7}',
    run: ({ company }, body) => {
      const { revision } = z.strictObject({ revision: z.number().int() }).parse(body);
      company.change(() => company.organization.advanceTo(revision));
      return summary(company.organization);
    },
  },
  'PUT /sandbox/visible-range': {
    help: 'what the app may see: {"departments": [1], "users": [], "tags": []}',
    run: ({ company }, body) => {
      company.setRange(rangeSchema.parse(body));
      return company.range;
    },
  },
  'PUT /sandbox/withheld': {
    help: 'fields that the app is not told: {"fields": ["mobile"], "style": "absent" | "empty" | "null"}',
    run: ({ company }, body) => {
      company.withhold(withholdingSchema.parse(body));
      return company.withheld;
    },
  },
  'PUT /sandbox/callback': {
    help: 'where changes are pushed, checked as WeCom does: {"url", "token", "encodingAesKey", "form": "full" | "ids"}',
    run: async ({ company }, body) => {
      const { form, ...address } = callbackSchema.parse(body);
      await company.deliveries.verify(address, company.settings.corpId);
      company.callback = { address, form };
      return { form, url: address.url };
    },
  },
  'DELETE /sandbox/callback': {
    help: 'pushes no more',
    run: ({ company }) => {
      company.callback = undefined;
      return {};
    },
  },
  'POST /sandbox/events': {
    help: 'pushes events as they are: {"events": [{"changeType": "update_user", "fields": {"UserID": "zhangsan"}}]}',
    run: ({ company }, body) => {
      company.push(eventsSchema.parse(body).events);
      return {};
    },
  },
  'PUT /sandbox/deliveries': {
    help: 'how deliveries go wrong: {"duplicate", "delay" in ms, "reorder", "dropEvery"}',
    run: ({ company }, body) => {
      company.deliveries.switches = switchesSchema.parse(body);
      return company.deliveries.switches;
    },
  },
  'GET /sandbox/deliveries': {
    help: 'what was delivered and how it was answered, once all that is queued is',
    run: async ({ company }) => {
      await company.deliveries.settled();
      return company.deliveries.log;
    },
  },
  'GET /sandbox/faults': { help: 'the faults that are switched on', run: ({ faults }) => faults.list() },
  'POST /sandbox/faults': {
    help: 'switches one on: {"kind": "errcode", "errcode": 45009, "path": "user/list", "query": {"department_id": "7"}, "skip": 0, "times": 1}',
    run: ({ faults }, body) => {
      faults.add(faultSchema.parse(body));
      return faults.list();
    },
  },
  'DELETE /sandbox/faults': {
    help: 'switches all off',
    run: ({ faults }) => {
      faults.clear();
      return [];
    },
  },
  'POST /sandbox/revoke-token': {
    help: 'ends the access token early',
    run: ({ company }) => {
      company.revokeToken();
      return {};
    },
  },
  'PUT /sandbox/app': {
    help: 'the app itself: {"closed": false, "allowedAddresses": [], "refusesWithoutDepartments": false}',
    run: ({ company }, body) => {
      Object.assign(company, appSchema.parse(body));
      const { closed, allowedAddresses, refusesWithoutDepartments } = company;
      return { closed, allowedAddresses, refusesWithoutDepartments };
    },
  },
  'GET /sandbox/calls': { help: 'calls so far, by path', run: ({ calls }) => Object.fromEntries(calls) },
};

/** Answers a request under /sandbox/; a wrong one is told what is wrong. */
export async function controlRequest(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  state: SandboxState,
): Promise<void> {
  const handler = HANDLERS[`${request.method} ${url.pathname}`];
  if (!handler) return json(response, 404, { error: `Unknown: see GET /sandbox/.` });
  try {
    json(response, 200, await handler.run(state, await readJson(request)));
  } catch (error) {
    const message = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    json(response, 400, { error: message });
  }
}

function summary(organization: SandboxState['company']['organization']) {
  const { revision, lastRevision, revisedAt, departments, users } = organization;
  return { revision, lastRevision, revisedAt, departments: departments.size, users: users.size };
}

/** A request's body as JSON; undefined where there is none. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error('The body is too large.');
    chunks.push(chunk);
  }
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body));
}
