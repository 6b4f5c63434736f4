import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { faultSchema } from './faults';
import { organizationState } from './organization';
import type { SandboxState } from './sandbox';

const MAX_BODY_BYTES = 256 * 1024 * 1024;

const rangeSchema = z.strictObject({
  departments: z.array(z.number().int()).default([]),
  users: z.array(z.string()).default([]),
  tags: z.array(z.number().int()).default([]),
});

type Handler = (state: SandboxState, body: unknown) => unknown;

/** What the sandbox can be told while it runs. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  'GET /sandbox/': () => ({ operations: Object.keys(HANDLERS) }),
  'GET /sandbox/organization': ({ company }) => company.organization.state(),
  'PUT /sandbox/organization': ({ company }, body) => {
    company.organization.replace(organizationState.parse(body));
    company.changed();
    return summary(company.organization);
  },
  'GET /sandbox/revision': ({ company }) => summary(company.organization),
  'POST /sandbox/revision': ({ company }, body) => {
    company.organization.advanceTo(z.strictObject({ revision: z.number().int() }).parse(body).revision);
    company.changed();
    return summary(company.organization);
  },
  'PUT /sandbox/visible-range': ({ company }, body) => {
    company.setRange(rangeSchema.parse(body));
    return company.range;
  },
  'GET /sandbox/faults': ({ faults }) => faults.list(),
  'POST /sandbox/faults': ({ faults }, body) => {
    faults.add(faultSchema.parse(body));
    return faults.list();
  },
  'DELETE /sandbox/faults': ({ faults }) => {
    faults.clear();
    return [];
  },
  'POST /sandbox/revoke-token': ({ company }) => {
    company.revokeToken();
    return {};
  },
  'PUT /sandbox/app': ({ company }, body) => {
    company.closed = z.strictObject({ closed: z.boolean() }).parse(body).closed;
    return { closed: company.closed };
  },
  'GET /sandbox/calls': ({ calls }) => Object.fromEntries(calls),
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
    json(response, 200, handler(state, await readJson(request)));
  } catch (error) {
    const message = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    json(response, 400, { error: message });
  }
}

function summary(organization: SandboxState['company']['organization']) {
  const { revision, lastRevision, revisedAt, departments, users } = organization;
  return { revision, lastRevision, revisedAt, departments: departments.size, users: users.size };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
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
