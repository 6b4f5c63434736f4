import { DirectoryError } from '../directory-connector';
import { WecomClient, type WecomClientOptions } from './wecom.client';
import { identifier, integer, isObject, type Json, list, text } from './wecom.dto';

/** A service provider's account and its template of a customised app. */
export interface WecomProviderSettings {
  readonly corpId: string;
  readonly secret: string;
  /** Also called suite id. */
  readonly templateId: string;
  readonly templateSecret: string;
}

/** What an administrator's scan gave. */
export interface WecomGrant {
  /** The customised app's secret in that company. */
  readonly permanentCode: string;
  /** As the provider is told it: encrypted, except for companies that authorized before June 2022. */
  readonly corpId: string;
  readonly corpName: string | null;
  /** Who authorized: the name where it is told, else the userid; null where neither is. */
  readonly authorizedBy: string | null;
  /** The state of the link that was scanned; null for the template's own QR code, which has none. */
  readonly state: string | null;
}

/** An app that a company has authorized. */
export interface WecomAuthorizedApp {
  readonly agentId: string;
  readonly corpName: string | null;
}

/** Whether and since when WeCom asks for a paid licence for each member. */
export interface WecomLicence {
  readonly checked: boolean;
  /** The trial's end; null where there is none. */
  readonly trialEndsAt: Date | null;
}

/**
 * What a service provider calls WeCom for: links to authorize with, and what comes of them.
 * Sources: developer.work.weixin.qq.com/document/path/98744, 97162, 97163, 100795, 96237
 */
export class WecomProvider {
  private readonly provider: WecomClient;
  private readonly suite: WecomClient;

  /** @param ticket the newest suite ticket; undefined until WeCom has sent one */
  constructor(
    private readonly settings: WecomProviderSettings,
    options: WecomClientOptions,
    ticket: () => Promise<string | undefined>,
  ) {
    const { corpId, secret, templateId, templateSecret } = settings;
    this.provider = new WecomClient(
      {
        name: `wecom-provider:${corpId.toLowerCase()}`,
        mode: 'SERVICE_PROVIDER',
        secret,
        tokenParameter: 'provider_access_token',
        grant: async () => ({
          path: 'service/get_provider_token',
          query: {},
          body: { corpid: corpId, provider_secret: secret },
        }),
      },
      options,
    );
    this.suite = new WecomClient(
      {
        name: `wecom-suite:${templateId}`,
        mode: 'SERVICE_PROVIDER',
        secret: templateSecret,
        tokenParameter: 'suite_access_token',
        grant: async () => {
          const suiteTicket = await ticket();
          if (!suiteTicket) throw noTicket();
          const body = { suite_id: templateId, suite_secret: templateSecret, suite_ticket: suiteTicket };
          return { path: 'service/get_suite_token', query: {}, body };
        },
      },
      options,
    );
  }

  /**
   * A link for a QR code, and how long it can be used.
   * @param state letters and digits, at most 32; comes back with the permanent code
   * @throws DirectoryError
   */
  async authorizationLink(state: string, signal: AbortSignal): Promise<{ url: string; lifetimeMs: number }> {
    const body = { state, templateid_list: [this.settings.templateId] };
    const answer = await this.call(this.provider, 'service/get_customized_auth_url', body, signal);
    const url = answer['qrcode_url'];
    if (typeof url !== 'string' || url === '') throw incomplete('service/get_customized_auth_url', 'qrcode_url');
    return { url, lifetimeMs: (integer(answer['expires_in']) ?? LINK_LIFETIME_S) * 1_000 };
  }

  /**
   * Exchanges a code, which works once and for ten minutes.
   * @throws DirectoryError; WecomError 40078 for a code that is unknown or was used
   */
  async exchange(authCode: string, signal: AbortSignal): Promise<WecomGrant> {
    const path = 'service/v2/get_permanent_code';
    const answer = await this.call(this.suite, path, { auth_code: authCode }, signal);
    const company = part(answer, 'auth_corp_info');
    const [permanentCode, corpId] = [text(answer['permanent_code']), text(company['corpid'])];
    if (!permanentCode) throw incomplete(path, 'permanent_code');
    if (!corpId) throw incomplete(path, 'corpid');
    const user = part(answer, 'auth_user_info');
    const state = text(answer['state']) || text(part(answer, 'register_code_info')['state']);
    return {
      permanentCode,
      corpId,
      corpName: text(company['corp_name']) || null,
      authorizedBy: text(user['name']) || text(user['userid']) || text(user['open_userid']) || null,
      state: state || null,
    };
  }

  /** @throws DirectoryError; WecomError 40084 or 48004 once the company has cancelled */
  async authorizedApp(corpId: string, permanentCode: string, signal: AbortSignal): Promise<WecomAuthorizedApp> {
    const path = 'service/v2/get_auth_info';
    const body = { auth_corpid: corpId, permanent_code: permanentCode };
    const answer = await this.call(this.suite, path, body, signal);
    const agents = list(part(answer, 'auth_info'), 'agent').filter(isObject);
    const agent = agents.find((each) => each['is_customized_app'] === true) ?? agents[0];
    const agentId = identifier(agent?.['agentid']);
    if (!agentId) throw incomplete(path, 'agentid');
    return { agentId, corpName: text(part(answer, 'auth_corp_info')['corp_name']) || null };
  }

  /** The id under which this provider knows a company. @throws DirectoryError; WecomError 48001 without an authorization */
  async encryptedCorpId(plainCorpId: string, signal: AbortSignal): Promise<string> {
    const path = 'service/corpid_to_opencorpid';
    const id = text((await this.call(this.provider, path, { corpid: plainCorpId }, signal))['open_corpid']);
    if (!id) throw incomplete(path, 'open_corpid');
    return id;
  }

  /** Source: developer.work.weixin.qq.com/document/path/97194. @throws DirectoryError */
  async licence(corpId: string, signal: AbortSignal): Promise<WecomLicence> {
    const body = { corpid: corpId, suite_id: this.settings.templateId };
    const answer = await this.call(this.provider, 'license/get_app_license_info', body, signal);
    // The spelling is WeCom's.
    const end = integer(part(answer, 'trail_info')['end_time']);
    return { checked: integer(answer['license_status']) === 1, trialEndsAt: end ? new Date(end * 1_000) : null };
  }

  private async call(client: WecomClient, path: string, body: Json, signal: AbortSignal): Promise<Json> {
    return (await client.post(path, body, signal)).body ?? {};
  }
}

/** Ten days. */
const LINK_LIFETIME_S = 864_000;

function part(body: Json, key: string): Json {
  const value = body[key];
  return isObject(value) ? value : {};
}

function incomplete(path: string, what: string): DirectoryError {
  const message = `WeCom’s answer has no ${what} (${path}).`;
  return new DirectoryError('UPSTREAM_UNREACHABLE', message, undefined, 'Try again; if it stays, please report it.');
}

/** WeCom sends one every ten minutes, to the template's callback address. Source: developer.work.weixin.qq.com/document/path/97173 */
function noTicket(): DirectoryError {
  return new DirectoryError(
    'UPSTREAM_UNREACHABLE',
    'WeCom has not sent a suite ticket yet.',
    undefined,
    'See that the template’s callback address is set in the service provider console and reaches this server; a ticket comes every ten minutes and can be pushed by hand there.',
  );
}
