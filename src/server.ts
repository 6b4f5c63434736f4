import './platform/production';
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runMigrations } from 'graphile-worker';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { ApiTokenService } from './access/api-token.service';
import { AuditLog } from './access/audit';
import { Authenticator } from './access/authenticator';
import { OidcVerifier } from './access/oidc';
import { type HttpServer, startHttpServer } from './api/http-server';
import { appSchema } from './api/schema';
import { AuthorizationService } from './authorization/authorization.service';
import { AuthorizationUpkeep } from './authorization/authorization-upkeep';
import { checkLicence } from './authorization/licence-check';
import { ProviderCallbacks, suiteTicket } from './authorization/provider-callback';
import { CallbackAddresses } from './callbacks/callback-addresses';
import { checkCallback } from './callbacks/callback-check';
import { CallbackClock } from './callbacks/callback-clock';
import { callbackServer } from './callbacks/callback-server';
import { DirectoryEvents } from './callbacks/directory-events';
import { type AppConfig, decodeKey, Secret, type WecomProviderConfig } from './config/config';
import type { ConnectorEnvironment } from './connector/registry';
import { WecomProvider } from './connector/wecom/wecom.provider';
import { createDataSource, migrate } from './database/data-source';
import { startEmbeddedPostgres } from './database/embedded/embedded-postgres';
import { EventLog } from './events/event-log';
import { RedisWakeUps } from './events/redis-wake-ups';
import { PostgresWakeUps, type WakeUps } from './events/wake-ups';
import { ExtensionFieldService } from './extension-field/extension-field.service';
import { DatabaseTokenStore } from './identity-source/access-token.store';
import { IdentitySourceService } from './identity-source/identity-source.service';
import { SettingsService } from './identity-source/settings.service';
import { SharedPace } from './identity-source/shared-pace';
import { ThirdPartyService } from './identity-source/third-party.service';
import { Worker } from './jobs/worker';
import { DepartmentService } from './organisation/department.service';
import { EmployeeService } from './organisation/employee.service';
import { SearchMaker } from './organisation/search-maker';
import { AppError } from './platform/app-error';
import { createMetrics } from './platform/metrics';
import { SecretBox } from './platform/secret-box';
import { SyncRunner } from './sync/sync-runner';
import { DerivedTasks } from './sync/task/derived-tasks';
import { Retention } from './sync/task/retention';
import { Scheduler } from './sync/task/scheduler';
import { SyncService } from './sync/task/sync.service';

/** A running Rollcall server. */
export interface RollcallServer {
  readonly port: number;
  /** The administrator's token, when this start made it. It cannot be shown again. */
  readonly newAdministratorToken: string | undefined;
  /** Stops in order: no new work, running tasks handed on, connections closed. */
  stop(): Promise<void>;
}

/** Starts everything: database, migrations, worker, API. What was started is stopped again when a later part fails. */
export async function startServer(config: AppConfig, log: Logger): Promise<RollcallServer> {
  const stops: (() => Promise<unknown>)[] = [];
  const stopAll = async () => {
    for (const stop of stops.splice(0).reverse())
      await stop().catch((error) => log.warn({ err: error }, 'server.stop'));
  };
  try {
    const url = await databaseUrl(config, log, stops);
    const dataSource = createDataSource(url, config.leaseSeconds);
    await connect(dataSource);
    stops.push(() => dataSource.destroy());
    await migrate(dataSource);
    await runMigrations({ connectionString: url });
    const secrets = openSecretBox(config);
    const events = new EventLog(dataSource, await wakeUps(config, url, log), log);
    await events.start();
    stops.push(() => events.stop());
    const limits = { enabled: config.enabledSourceLimit, customEnabled: config.customSourceLimit };
    const connectors = {
      wecomApiUrl: config.wecomApiUrl,
      wecomCallsPerMinute: config.wecomCallsPerMinute,
      tokens: new DatabaseTokenStore(dataSource, secrets),
      pace: new SharedPace(dataSource),
    };
    const identitySources = new IdentitySourceService(
      dataSource,
      secrets,
      events,
      connectors,
      limits,
      config.wecomProvider !== undefined,
    );
    await identitySources.ensureCustomSource();
    const directoryEvents = new DirectoryEvents(dataSource, events);
    const provider = config.wecomProvider && openProvider(config.wecomProvider, dataSource, secrets, connectors);
    const providerCallbacks =
      provider &&
      new ProviderCallbacks(
        dataSource,
        { secrets, limits, dataDays: config.canceledDataDays },
        events,
        provider,
        directoryEvents,
        log,
      );
    const runner = new SyncRunner(
      dataSource,
      events,
      (id) => identitySources.openConnector(id),
      config.leaseSeconds,
      log,
    );
    if (config.role !== 'api') {
      const jobs = providerCallbacks ? [providerCallbacks] : [];
      const parts = [
        new Worker(dataSource, url, runner, jobs, config.leaseSeconds, log),
        new Scheduler(dataSource, events, log),
        new SearchMaker(dataSource, log),
        new Retention(dataSource, config.retention, log),
        new AuthorizationUpkeep(dataSource, events, log),
      ];
      for (const part of parts) {
        await part.start();
        stops.push(() => part.stop());
      }
    }
    const tokens = new ApiTokenService(dataSource);
    if (config.adminToken) await tokens.storeConfigured(config.adminToken);
    const sync = new SyncService(dataSource, events);
    const settings = new SettingsService(dataSource, events);
    const clock = new CallbackClock();
    const addresses = new CallbackAddresses(dataSource, secrets, config.wecomProvider);
    const thirdParty = new ThirdPartyService(dataSource, (id) => identitySources.openConnector(id), [
      (source) => checkCallback(source, addresses, clock, config.publicUrl),
      (source) => checkLicence(source, provider),
    ]);
    const extensionFields = new ExtensionFieldService(dataSource);
    const services = {
      dataSource,
      identitySources,
      authorizations: new AuthorizationService(dataSource, events, provider),
      settings,
      thirdParty,
      extensionFields,
      departments: new DepartmentService(dataSource),
      employees: new EmployeeService(dataSource),
      sync,
      derivedTasks: new DerivedTasks(dataSource, events),
      events,
      publicUrl: config.publicUrl,
      tokens,
      audit: new AuditLog(dataSource, log),
    };
    const authenticator = new Authenticator(tokens, config.oidc && new OidcVerifier(config.oidc));
    const callbacks = callbackServer({
      addresses,
      clock,
      events: directoryEvents,
      provider: providerCallbacks,
      log,
    });
    const ready = () =>
      dataSource.query('SELECT 1').then(
        () => true,
        () => false,
      );
    const options = {
      schema: appSchema(),
      services,
      authenticator,
      callbacks,
      config,
      metrics: createMetrics(dataSource),
      log,
      ready,
    };
    const http: HttpServer = await startHttpServer(options, config.port, config.host);
    // First no new requests and no connections, then the worker, then the events, then the database. Streams of events end with
    // their connections, never before: a client takes the end of a stream for the end of what it follows.
    stops.push(() => http.close());
    // Last, so that no start which fails keeps a token that nobody was shown.
    const newAdministratorToken = config.adminToken ? undefined : await tokens.ensureAdministrator();
    return { port: http.port, newAdministratorToken, stop: stopAll };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

async function connect(dataSource: DataSource): Promise<void> {
  try {
    await dataSource.initialize();
  } catch (cause) {
    const reason = (cause as Error).message || String(cause);
    throw new AppError('CONFIG_INVALID', `The database cannot be used: ${reason}. See DATABASE_URL.`, { cause });
  }
}

async function wakeUps(config: AppConfig, url: string, log: Logger): Promise<WakeUps> {
  const byPostgres = new PostgresWakeUps(url, log);
  return config.redisUrl ? RedisWakeUps.open(config.redisUrl.reveal(), byPostgres, log) : byPostgres;
}

async function databaseUrl(config: AppConfig, log: Logger, stops: (() => Promise<unknown>)[]): Promise<string> {
  if (config.databaseUrl) return config.databaseUrl.reveal();
  const postgres = await startEmbeddedPostgres({ dataDir: config.dataDir, log });
  stops.push(() => postgres.stop());
  return postgres.url;
}

function openProvider(
  config: WecomProviderConfig,
  dataSource: DataSource,
  secrets: SecretBox,
  { wecomApiUrl, wecomCallsPerMinute, tokens }: ConnectorEnvironment,
): WecomProvider {
  const { corpId, templateId } = config;
  return new WecomProvider(
    { corpId, templateId, secret: config.secret.reveal(), templateSecret: config.templateSecret.reveal() },
    { apiUrl: wecomApiUrl, callsPerMinute: wecomCallsPerMinute, tokens },
    () => suiteTicket(dataSource, secrets, templateId),
  );
}

/** Seals with the key in use, and opens what former ones sealed. */
export function openSecretBox(config: AppConfig): SecretBox {
  const former = config.formerEncryptionKeys.map((key) => decodeKey(key.reveal())).filter((key) => key !== undefined);
  return new SecretBox(encryptionKey(config), former);
}

/** The configured key; with the embedded database one is made beside the data on the first start. */
function encryptionKey(config: AppConfig): Buffer {
  const key = config.encryptionKey ?? new Secret(keyBeside(config.dataDir));
  const bytes = decodeKey(key.reveal());
  if (!bytes)
    throw new AppError(
      'CONFIG_INVALID',
      `The encryption key in ${config.dataDir} is damaged; restore it from a backup.`,
    );
  return bytes;
}

function keyBeside(dataDir: string): string {
  const file = path.join(dataDir, 'encryption.key');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, randomBytes(32).toString('hex'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readFileSync(file, 'utf8').trim();
}
