import { parseArgs } from 'node:util';
import { DEFAULT_COMPANY } from './company';
import { generateOrganization } from './generate';
import { type Organization, openOrganization, shippedOrganizations } from './organization';
import { DEFAULT_PROVIDER } from './provider/settings';
import { startSandbox } from './sandbox';

const USAGE = `Usage: npm run sandbox -- [--port 4100] [--organization <file or name>] [--corp-id <id>] [--agent-id <id>] [--secret <secret>]
  as a service provider: [--provider-corp-id <id>] [--provider-secret <secret>] [--template-id <dk...>] [--template-secret <secret>] [--template-name <name>] [--ticket-seconds 600]
Names: ${shippedOrganizations().join(', ')}; "generated:<people>" makes one of any size.`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '4100' },
      organization: { type: 'string', default: 'sourcegraph' },
      'corp-id': { type: 'string', default: DEFAULT_COMPANY.corpId },
      'agent-id': { type: 'string', default: DEFAULT_COMPANY.agentId },
      secret: { type: 'string', default: DEFAULT_COMPANY.secret },
      'calls-per-minute': { type: 'string', default: String(DEFAULT_COMPANY.callsPerMinute) },
      'provider-corp-id': { type: 'string', default: DEFAULT_PROVIDER.corpId },
      'provider-secret': { type: 'string', default: DEFAULT_PROVIDER.secret },
      'template-id': { type: 'string', default: DEFAULT_PROVIDER.templateId },
      'template-secret': { type: 'string', default: DEFAULT_PROVIDER.templateSecret },
      'template-name': { type: 'string', default: DEFAULT_PROVIDER.templateName },
      'ticket-seconds': { type: 'string', default: String(DEFAULT_PROVIDER.ticketSeconds) },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const organization = open(values.organization);
  const provider = {
    corpId: values['provider-corp-id'],
    secret: values['provider-secret'],
    templateId: values['template-id'],
    templateSecret: values['template-secret'],
    templateName: values['template-name'],
    ticketSeconds: Math.max(1, wholeNumber(values['ticket-seconds'], 604_800)),
  };
  const sandbox = await startSandbox({
    provider,
    organization,
    port: wholeNumber(values.port, 65_535),
    corpId: values['corp-id'],
    agentId: values['agent-id'],
    secret: values.secret,
    callsPerMinute: wholeNumber(values['calls-per-minute'], 100_000_000),
  });
  console.log(`WeCom sandbox at ${sandbox.url}: "${values.organization}", ${organization.departments.size} departments, ${organization.users.size} members, revision 0 of ${organization.lastRevision}.
Start Rollcall with WECOM_API_URL=${sandbox.url}; connect with corp id ${values['corp-id']}, agent id ${values['agent-id']}, secret ${values.secret}
  curl '${sandbox.url}/cgi-bin/gettoken?corpid=${values['corp-id']}&corpsecret=${values.secret}'
Or as a service provider: corp id ${provider.corpId}, secret ${provider.secret}, template ${provider.templateId}, template secret ${provider.templateSecret}
  the template's own QR code: ${sandbox.provider.links.ofTemplate(provider.templateId)}
  curl -X POST ${sandbox.url}/sandbox/revision -d '{"revision": 1}'
  curl ${sandbox.url}/sandbox/`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void sandbox.close());
}

function open(name: string): Organization {
  const people = /^generated:(\d{1,7})$/.exec(name)?.[1];
  return people ? generateOrganization(Number(people)) : openOrganization(name);
}

function wholeNumber(text: string, max: number): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > max)
    throw new Error(`Not a whole number up to ${max}: ${text}\n${USAGE}`);
  return number;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
