import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Company } from './company';
import { addressSchema, type Handler, rangeSchema } from './control-input';
import { faultSchema } from './faults';
import { organizationState } from './organization';
import { PROVIDER_HANDLERS } from './provider/control';
import { CustomizedApp } from './provider/customized-app';
import type { SandboxState } from './sandbox';

const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** Names the company whose customised app is meant, by its corp id, plain or encrypted; without it the self-built app is. */
const app = { corpId: z.string().optional() };

const appRangeSchema = z.strictObject({ ...rangeSchema.shape, ...app });

const callbackSchema = z.strictObject({
  ...addressSchema.shape,
  ...app,
  form: z.enum(['full', 'ids']).default('full'),
  receiveId: z.enum(['encrypted', 'plain']).optional(),
});

const eventsSchema = z.strictObject({
  ...app,
  events: z.array(
    z.strictObject({ changeType: z.string(), fields: z.record(z.string(), z.union([z.string(), z.number()])) }),
  ),
});

const switchesSchema = z.strictObject({
  duplicate: z.boolean().default(false),
  sameNonce: z.boolean().default(false),
  delay: z.number().int().min(0).max(60_000).default(0),
  reorder: z.boolean().default(false),
  dropEvery: z.number().int().min(0).default(0),
});

const withholdingSchema = z.strictObject({
  ...app,
  fields: z.array(z.string()).default([]),
  style: z.enum(['absent', 'empty', 'null']).default('absent'),
});

const appSchema = z.strictObject({
  ...app,
  closed: z.boolean().optional(),
  /** Addresses that may call; empty: all. */
  allowedAddresses: z.array(z.string()).optional(),
  /** Whether gettoken looks at the address as well. */
  tokenNeedsAddress: z.boolean().optional(),
  refusesWithoutDepartments: z.boolean().optional(),
  listsTaggedDepartments: z.boolean().optional(),
  unknownDepartment: z.literal([60003, 60123]).optional(),
  memberOutside: z.literal([60111, 60011]).optional(),
  /** Of a customised app: 0 to be developed, 1 in development, 2 online, 3 online with a newer version. */
  publishStatus: z.number().int().min(0).max(3).optional(),
  /** Of a customised app: how it is refused while its publishStatus is 0 or 1; null: not at all. */
  untilOnline: z.literal([48002, 60011, 50003]).nullable().optional(),
});

const tokenSchema = z.strictObject({ ...app }).default({});

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
  'POST /sandbox/rename-user': {
    help: 'gives a member another userid: {"userid", "newUserid"}',
    run: ({ company }, body) => {
      const { userid, newUserid } = z.strictObject({ userid: z.string(), newUserid: z.string().min(1) }).parse(body);
      company.change(() => company.organization.renameUser(userid, newUserid));
      return company.organization.users.get(newUserid);
    },
  },
  'PUT /sandbox/visible-range': {
    help: 'what the app may see: {"departments": [1], "users": [], "tags": []}; here and where told below "corpId" names a customised app',
    run: (state, body) => {
      const { corpId, ...range } = appRangeSchema.parse(body);
      const company = appFor(state, corpId);
      company.setRange(range);
      return company.range;
    },
  },
  'PUT /sandbox/withheld': {
    help: 'fields that the app is not told: {"fields": ["mobile"], "style": "absent" | "empty" | "null", "corpId"}',
    run: (state, body) => {
      const { corpId, ...withholding } = withholdingSchema.parse(body);
      const company = appFor(state, corpId);
      company.withhold(withholding);
      return company.withheld;
    },
  },
  'PUT /sandbox/callback': {
    help: 'where changes are pushed, checked as WeCom does: {"url", "token", "encodingAesKey", "form": "full" | "ids", "corpId", "receiveId": "encrypted" | "plain"}',
    run: async (state, body) => {
      const { corpId, form, receiveId, ...address } = callbackSchema.parse(body);
      const company = appFor(state, corpId);
      // Addresses of a provider's are checked with the provider's own corp id.
      const owner = company instanceof CustomizedApp ? state.provider : company;
      await company.deliveries.verify(address, owner.settings.corpId);
      company.callback = { address, form };
      if (company instanceof CustomizedApp) company.receives = receiveId;
      return { form, url: address.url };
    },
  },
  'DELETE /sandbox/callback': {
    help: 'pushes no more: {"corpId"} or nothing',
    run: (state, body) => {
      const company = appFor(state, tokenSchema.parse(body).corpId);
      company.callback = undefined;
      if (company instanceof CustomizedApp) company.isPrefilled = false;
      return {};
    },
  },
  'POST /sandbox/events': {
    help: 'pushes events as they are: {"events": [{"changeType": "update_user", "fields": {"UserID": "zhangsan"}}], "corpId"}',
    run: (state, body) => {
      const { corpId, events } = eventsSchema.parse(body);
      appFor(state, corpId).push(events);
      return {};
    },
  },
  'PUT /sandbox/deliveries': {
    help: 'how deliveries go wrong: {"duplicate", "sameNonce", "delay" in ms, "reorder", "dropEvery"}',
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
    help: 'ends the access token early: {"corpId"} or nothing',
    run: (state, body) => {
      appFor(state, tokenSchema.parse(body).corpId).revokeToken();
      return {};
    },
  },
  'PUT /sandbox/app': {
    help: 'the app itself: {"closed": false, "allowedAddresses": [], "tokenNeedsAddress": false, "refusesWithoutDepartments": false, "listsTaggedDepartments": false, "unknownDepartment": 60003 | 60123, "memberOutside": 60111 | 60011, "corpId", "publishStatus": 0 to 3, "untilOnline": 48002 | 60011 | 50003 | null}',
    run: (state, body) => {
      const { corpId, publishStatus, untilOnline, ...changes } = appSchema.parse(body);
      const company = appFor(state, corpId);
      if (publishStatus !== undefined || untilOnline !== undefined) {
        if (!(company instanceof CustomizedApp)) throw new Error('Only a customised app has to be put online.');
        company.publishStatus = publishStatus ?? company.publishStatus;
        if (untilOnline !== undefined) company.untilOnline = untilOnline ?? undefined;
      }
      Object.assign(company, changes);
      const { closed, allowedAddresses, refusesWithoutDepartments, listsTaggedDepartments } = company;
      const { unknownDepartment, memberOutside } = company;
      const lists = { refusesWithoutDepartments, listsTaggedDepartments };
      return { closed, allowedAddresses, ...lists, unknownDepartment, memberOutside };
    },
  },
  'GET /sandbox/calls': { help: 'calls so far, by path', run: ({ calls }) => Object.fromEntries(calls) },
  ...PROVIDER_HANDLERS,
};

/** @throws Error where the company has not authorized */
function appFor({ company, provider }: SandboxState, corpId: string | undefined): Company {
  return corpId === undefined ? company : provider.appOf(corpId);
}

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
