import { z } from 'zod';
import { addressSchema, type Handler, rangeSchema } from '../control-input';
import { PERMISSIONS } from './permissions';

const authorizeSchema = z.strictObject({
  url: z.string().optional(),
  state: z.string().optional(),
  company: z.strictObject({ corpId: z.string(), name: z.string() }).optional(),
  permissions: z.array(z.string()).optional(),
  plainIds: z.boolean().optional(),
  range: rangeSchema.optional(),
  sendState: z.boolean().optional(),
  again: z.boolean().optional(),
});

const corpSchema = z.strictObject({ corpId: z.string() });

const permissionsSchema = z.strictObject({ corpId: z.string(), permissions: z.array(z.string()) });

const templateSchema = z.strictObject({
  ...addressSchema.partial().shape,
  online: z.boolean().optional(),
  /** Addresses that may call; empty: all. */
  allowedAddresses: z.array(z.string()).optional(),
  /** Up to a week. */
  ticketSeconds: z.number().min(0.05).max(604_800).optional(),
  prefill: z.boolean().optional(),
  receiveId: z.enum(['encrypted', 'plain']).optional(),
  afterCancel: z.union([z.literal(40001), z.literal(40084)]).optional(),
  /** Of companies that authorize from now on. */
  idLength: z.number().int().min(4).max(62).optional(),
});

/** What the sandbox can be told of its service provider. */
export const PROVIDER_HANDLERS: Readonly<Record<string, Handler>> = {
  'GET /sandbox/template': {
    help: 'the provider and its template, with their secrets, and the address of the template’s own QR code',
    run: ({ provider }) => {
      const { template, settings, links } = provider;
      return {
        ...settings,
        online: template.online,
        url: template.callback?.url ?? null,
        qrcodeUrl: links.ofTemplate(settings.templateId),
      };
    },
  },
  'PUT /sandbox/template': {
    help: 'the template’s callback, checked as WeCom does, and switches: {"url", "token", "encodingAesKey", "online": true, "allowedAddresses": [], "ticketSeconds": 600, "prefill": true, "receiveId": "encrypted" | "plain", "afterCancel": 40001 | 40084, "idLength": 30}',
    run: async ({ provider }, body) => {
      const { url, token, encodingAesKey, online, allowedAddresses, ...switches } = templateSchema.parse(body);
      const isAddress = url !== undefined || token !== undefined || encodingAesKey !== undefined;
      if (isAddress) await provider.setTemplateCallback(addressSchema.parse({ url, token, encodingAesKey }));
      provider.configure(Object.fromEntries(Object.entries(switches).filter(([, value]) => value !== undefined)));
      if (online !== undefined) provider.template.online = online;
      provider.allowedAddresses = allowedAddresses ?? provider.allowedAddresses;
      const { ticketSeconds, prefill, receiveId, afterCancel, idLength } = provider.settings;
      const now = { online: provider.template.online, ticketSeconds, prefill, receiveId, afterCancel, idLength };
      return { url: provider.template.callback?.url ?? null, ...now };
    },
  },
  'POST /sandbox/suite-ticket': {
    help: 'pushes a suite ticket now',
    run: ({ provider }) => ({ suiteTicket: provider.sendTicket() }),
  },
  'POST /sandbox/authorize': {
    help: `authorizes as an administrator who scans a QR code: {"url": "<its link>"}, {"state": "<its state>"} or {} for the template’s own; with "company": {"corpId", "name"}, "permissions": [${Object.keys(
      PERMISSIONS,
    )
      .map((name) => `"${name}"`)
      .join(', ')}], "plainIds", "range", "sendState": false, "again": true`,
    run: ({ provider }, body) => provider.authorize(authorizeSchema.parse(body ?? {})),
  },
  'GET /sandbox/authorizations': {
    help: 'who has authorized the template',
    run: ({ provider }) =>
      provider.authorizations.map(({ corpId, company, app }) => ({
        corpId,
        plainCorpId: company.corpId,
        name: company.name,
        agentId: app.settings.agentId,
        permissions: app.permissions,
        plainIds: app.plainIds,
        range: app.range,
        closed: app.closed,
        publishStatus: app.publishStatus,
      })),
  },
  'PUT /sandbox/permissions': {
    help: 'what a customised app may be told: {"corpId", "permissions": ["contact:sensitive:user_name"]}',
    run: ({ provider }, body) => {
      const { corpId, permissions } = permissionsSchema.parse(body);
      provider.setPermissions(corpId, permissions);
      return provider.appOf(corpId).permissions;
    },
  },
  'POST /sandbox/cancel-authorization': {
    help: 'the company takes its authorization back: {"corpId"}, plain or encrypted',
    run: ({ provider }, body) => {
      provider.cancel(corpSchema.parse(body).corpId);
      return {};
    },
  },
  'POST /sandbox/reset-permanent-code': {
    help: 'asks for another permanent code: {"corpId"}; the former one ends when the new one was fetched',
    run: ({ provider }, body) => ({ authCode: provider.resetPermanentCode(corpSchema.parse(body).corpId) }),
  },
};
