import { z } from 'zod';
import { ROLES } from '../access/actor';
import type { OidcSettings } from '../access/oidc';
import type { OperationLimits } from '../api/limits';
import { isEncodingAesKey } from '../connector/wecom/wecom.callback-crypto';
import { AppError } from '../platform/app-error';
import type { RetentionSettings } from '../sync/task/retention';

/** A value that must not be printed: it shows as `[secret]` in logs, JSON and string interpolation. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The value itself, for the one place that needs it. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '[secret]';
  }
  toJSON(): string {
    return '[secret]';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

const integer = (min: number, max: number, fallback: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(fallback);

const ENCRYPTION_KEY_BYTES = 32;

/** 32 bytes, as 64 hexadecimal digits or base64. */
const encryptionKey = z
  .string()
  .refine((text) => decodeKey(text) !== undefined, 'must be 32 bytes, as 64 hexadecimal digits or as base64')
  .transform((text) => new Secret(text))
  .optional();

const httpUrl = z.string().refine(isHttpUrl, 'must be an http or https address without user name, query or fragment');

const wecomSecret = z
  .string()
  .regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable characters without spaces')
  .transform((text) => new Secret(text))
  .optional();

const environment = z.object({
  PORT: integer(0, 65_535, 4000),
  HOST: z.string().min(1).default('0.0.0.0'),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must begin with postgres:// or postgresql://')
    .transform((url) => new Secret(url))
    .optional(),
  ROLLCALL_DATA_DIR: z.string().min(1).default('.rollcall'),
  ROLLCALL_ENCRYPTION_KEY: encryptionKey,
  ROLLCALL_FORMER_ENCRYPTION_KEYS: z
    .string()
    .refine(
      (text) => text.split(',').every((key) => decodeKey(key.trim())),
      'must be keys as in ROLLCALL_ENCRYPTION_KEY, separated by commas',
    )
    .transform((text) => text.split(',').map((key) => new Secret(key.trim())))
    .default([]),
  ROLLCALL_ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,256}$/, 'must be 16 to 256 printable characters without spaces')
    .transform((token) => new Secret(token))
    .optional(),
  ROLLCALL_ENABLED_SOURCE_LIMIT: integer(1, 1000, 5),
  ROLLCALL_CUSTOM_SOURCE_LIMIT: integer(0, 1000, 1),
  ROLLCALL_ROLE: z.enum(['all', 'api', 'worker']).default('all'),
  ROLLCALL_LEASE_SECONDS: integer(1, 600, 8),
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'must begin with redis:// or rediss://')
    .transform((url) => new Secret(url))
    .optional(),
  ROLLCALL_EVENT_DAYS: integer(1, 3_650, 7),
  ROLLCALL_RECORD_DAYS: integer(1, 36_500, 365),
  ROLLCALL_HISTORY_DAYS: integer(1, 36_500, 365),
  ROLLCALL_PUBLIC_URL: httpUrl.optional(),
  ROLLCALL_TRUST_PROXY: z.enum(['true', 'false']).default('false'),
  ROLLCALL_MAX_DEPTH: integer(3, 100, 16),
  ROLLCALL_MAX_COST: integer(100, 1_000_000_000, 250_000),
  ROLLCALL_MAX_ALIASES: integer(0, 10_000, 60),
  ROLLCALL_MAX_ROOT_FIELDS: integer(1, 1_000, 20),
  ROLLCALL_MAX_BODY_BYTES: integer(1_000, 100_000_000, 5_000_000),
  ROLLCALL_REQUESTS_PER_MINUTE: integer(1, 10_000_000, 12_000),
  ROLLCALL_MAX_SUBSCRIPTIONS: integer(1, 1_000_000, 1_000),
  ROLLCALL_OIDC_ISSUER: httpUrl.optional(),
  ROLLCALL_OIDC_AUDIENCE: z.string().min(1).optional(),
  ROLLCALL_OIDC_ROLE_CLAIM: z.string().min(1).default('roles'),
  ROLLCALL_OIDC_ROLES: z
    .string()
    .transform((text, context) => roleTable(text) ?? context.addIssue({ code: 'custom', message: ROLE_TABLE }))
    .pipe(z.record(z.string(), z.enum(ROLES)))
    .default({}),
  WECOM_PROVIDER_CORP_ID: z
    .string()
    .regex(/^[A-Za-z0-9_-]{4,64}$/, 'must be a corp id, such as wwac6ffb259ff6f66a')
    .optional(),
  WECOM_PROVIDER_SECRET: wecomSecret,
  WECOM_TEMPLATE_ID: z
    .string()
    .regex(/^[A-Za-z0-9_-]{4,64}$/, 'must be the template’s id, such as dk0123456789abcdef')
    .optional(),
  WECOM_TEMPLATE_SECRET: wecomSecret,
  WECOM_CALLBACK_TOKEN: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/, 'must be 1 to 32 letters and digits')
    .transform((text) => new Secret(text))
    .optional(),
  WECOM_CALLBACK_ENCODING_AES_KEY: z
    .string()
    .refine(isEncodingAesKey, 'must be 43 letters and digits')
    .transform((text) => new Secret(text))
    .optional(),
  ROLLCALL_CANCELED_DATA_DAYS: integer(0, 365, 7),
  WECOM_API_URL: httpUrl.default('https://qyapi.weixin.qq.com'),
  WECOM_CALLS_PER_MINUTE: integer(1, 1_000_000, 6000),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

const ROLE_TABLE = 'must be JSON such as {"it-admins": "ADMINISTRATOR", "helpdesk": "OPERATOR"}';

function roleTable(text: string): Record<string, unknown> | undefined {
  try {
    const table: unknown = JSON.parse(text);
    return typeof table === 'object' && table !== null && !Array.isArray(table) ? { ...table } : undefined;
  } catch {
    return undefined;
  }
}

/** The service provider's own account with WeCom, its one template, and what signs and encrypts WeCom's calls to it. */
export interface WecomProviderConfig {
  readonly corpId: string;
  readonly secret: Secret;
  /** Also called suite id. */
  readonly templateId: string;
  readonly templateSecret: Secret;
  readonly callbackToken: Secret;
  readonly callbackEncodingAesKey: Secret;
}

/** Everything the server can be told from outside; read once, by {@link loadConfig}. */
export interface AppConfig {
  /** TCP port of the API; 0 takes a free one. */
  readonly port: number;
  /** Address that the API listens on. */
  readonly host: string;
  /** Undefined: an embedded PostgreSQL is started below `dataDir`. */
  readonly databaseUrl: Secret | undefined;
  /** Folder of the embedded database and what is made beside it. */
  readonly dataDir: string;
  readonly encryptionKey: Secret | undefined;
  /** Keys that still open what they sealed; see `npm run rotate-secrets`. */
  readonly formerEncryptionKeys: readonly Secret[];
  /** The administrator's API token; undefined: one is made on the first start. */
  readonly adminToken: Secret | undefined;
  readonly enabledSourceLimit: number;
  readonly customSourceLimit: number;
  readonly wecomApiUrl: string;
  /** Calls a minute to one WeCom path by one app. */
  readonly wecomCallsPerMinute: number;
  /** This server as a WeCom service provider; undefined: companies connect their own apps only. */
  readonly wecomProvider: WecomProviderConfig | undefined;
  /** A company that cancels its authorization has its data removed after so many days. */
  readonly canceledDataDays: number;
  readonly logLevel: string;
  /** What this process does: serve the API, work on tasks, or both. Health and metrics are served in any case. */
  readonly role: 'all' | 'api' | 'worker';
  /** How long a worker that shows no sign of life keeps its task; its open transactions end then too. */
  readonly leaseSeconds: number;
  /** Undefined: processes wake each other through PostgreSQL. */
  readonly redisUrl: Secret | undefined;
  readonly retention: RetentionSettings;
  /** Where directories and browsers reach this server; undefined: nowhere from outside. */
  readonly publicUrl: string | undefined;
  /** Whether X-Forwarded-For may be believed: only behind a proxy that sets it. */
  readonly trustProxy: boolean;
  readonly operationLimits: OperationLimits;
  readonly maxBodyBytes: number;
  /** By one credential. */
  readonly requestsPerMinute: number;
  /** Over one WebSocket connection at a time. */
  readonly maxSubscriptions: number;
  /** Undefined: API tokens only. */
  readonly oidc: OidcSettings | undefined;
}

/**
 * Reads the environment.
 * @throws AppError CONFIG_INVALID that lists every problem, one a line
 */
export function loadConfig(env: NodeJS.ProcessEnv): AppConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  const problems = parsed.success ? [] : parsed.error.issues.map((i) => `${i.path.join('.')} ${i.message}`);
  if (given['DATABASE_URL'] && !given['ROLLCALL_ENCRYPTION_KEY']) {
    problems.push(
      'ROLLCALL_ENCRYPTION_KEY is required with DATABASE_URL: 32 random bytes, for instance from `openssl rand -hex 32`',
    );
  }
  if (Boolean(given['ROLLCALL_OIDC_ISSUER']) !== Boolean(given['ROLLCALL_OIDC_AUDIENCE'])) {
    problems.push('ROLLCALL_OIDC_ISSUER and ROLLCALL_OIDC_AUDIENCE go together: give both, or neither');
  }
  const missing = PROVIDER_VARIABLES.filter((name) => !given[name]);
  if (missing.length > 0 && PROVIDER_VARIABLES.some((name) => name.startsWith('WECOM_') && given[name])) {
    problems.push(
      `A WeCom service provider needs ${PROVIDER_VARIABLES.join(', ')}, all of them; missing: ${missing.join(', ')}`,
    );
  }
  if (!parsed.success || problems.length > 0) throw new AppError('CONFIG_INVALID', problems.join('\n'));
  const e = parsed.data;
  return Object.freeze({
    port: e.PORT,
    host: e.HOST,
    databaseUrl: e.DATABASE_URL,
    dataDir: e.ROLLCALL_DATA_DIR,
    encryptionKey: e.ROLLCALL_ENCRYPTION_KEY,
    formerEncryptionKeys: e.ROLLCALL_FORMER_ENCRYPTION_KEYS,
    adminToken: e.ROLLCALL_ADMIN_TOKEN,
    enabledSourceLimit: e.ROLLCALL_ENABLED_SOURCE_LIMIT,
    customSourceLimit: e.ROLLCALL_CUSTOM_SOURCE_LIMIT,
    wecomApiUrl: e.WECOM_API_URL,
    wecomCallsPerMinute: e.WECOM_CALLS_PER_MINUTE,
    wecomProvider: providerOf(e),
    canceledDataDays: e.ROLLCALL_CANCELED_DATA_DAYS,
    logLevel: e.LOG_LEVEL,
    role: e.ROLLCALL_ROLE,
    leaseSeconds: e.ROLLCALL_LEASE_SECONDS,
    redisUrl: e.REDIS_URL,
    retention: {
      eventDays: e.ROLLCALL_EVENT_DAYS,
      recordDays: e.ROLLCALL_RECORD_DAYS,
      historyDays: e.ROLLCALL_HISTORY_DAYS,
    },
    publicUrl: e.ROLLCALL_PUBLIC_URL,
    trustProxy: e.ROLLCALL_TRUST_PROXY === 'true',
    operationLimits: {
      depth: e.ROLLCALL_MAX_DEPTH,
      cost: e.ROLLCALL_MAX_COST,
      aliases: e.ROLLCALL_MAX_ALIASES,
      rootFields: e.ROLLCALL_MAX_ROOT_FIELDS,
    },
    maxBodyBytes: e.ROLLCALL_MAX_BODY_BYTES,
    requestsPerMinute: e.ROLLCALL_REQUESTS_PER_MINUTE,
    maxSubscriptions: e.ROLLCALL_MAX_SUBSCRIPTIONS,
    oidc:
      e.ROLLCALL_OIDC_ISSUER && e.ROLLCALL_OIDC_AUDIENCE
        ? {
            issuer: e.ROLLCALL_OIDC_ISSUER,
            audience: e.ROLLCALL_OIDC_AUDIENCE,
            roleClaim: e.ROLLCALL_OIDC_ROLE_CLAIM,
            roles: e.ROLLCALL_OIDC_ROLES,
          }
        : undefined,
  });
}

const PROVIDER_VARIABLES = [
  'WECOM_PROVIDER_CORP_ID',
  'WECOM_PROVIDER_SECRET',
  'WECOM_TEMPLATE_ID',
  'WECOM_TEMPLATE_SECRET',
  'WECOM_CALLBACK_TOKEN',
  'WECOM_CALLBACK_ENCODING_AES_KEY',
  'ROLLCALL_PUBLIC_URL',
] as const;

function providerOf(e: z.output<typeof environment>): WecomProviderConfig | undefined {
  const [corpId, secret, templateId] = [e.WECOM_PROVIDER_CORP_ID, e.WECOM_PROVIDER_SECRET, e.WECOM_TEMPLATE_ID];
  const [templateSecret, callbackToken] = [e.WECOM_TEMPLATE_SECRET, e.WECOM_CALLBACK_TOKEN];
  const callbackEncodingAesKey = e.WECOM_CALLBACK_ENCODING_AES_KEY;
  if (!corpId || !secret || !templateId || !templateSecret || !callbackToken || !callbackEncodingAesKey)
    return undefined;
  return { corpId, secret, templateId, templateSecret, callbackToken, callbackEncodingAesKey };
}

/** The key's 32 bytes, or undefined when the text is none. */
export function decodeKey(text: string): Buffer | undefined {
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  return key.length === ENCRYPTION_KEY_BYTES ? key : undefined;
}

function isHttpUrl(text: string): boolean {
  try {
    const url = new URL(text);
    return /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === '';
  } catch {
    return false;
  }
}
