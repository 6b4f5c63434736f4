import type { Answer } from '../endpoints';
import { WecomRefusal } from '../errors';
import { isRecord, text } from '../request-body';
import { LINK_SECONDS } from './auth-links';
import { administrator, authInfo, companyDetails, companyName } from './authorization-answers';
import type { Authorization, Provider } from './provider';

export type ServiceEndpoint = (provider: Provider, query: URLSearchParams, body: unknown) => Answer;

const TRIAL_SECONDS = 90 * 86_400;
const MOST_TEMPLATES = 9;

/** Endpoints of a service provider, by path: called with its own tokens, not an app's. */
export const SERVICE_ENDPOINTS: Readonly<Record<string, ServiceEndpoint>> = {
  /** Without an errcode, as WeCom's. Source: developer.work.weixin.qq.com/document/path/96237 */
  'service/get_provider_token': (provider, _query, body) => {
    const [corpId, secret] = [text(body, 'corpid', 41002), text(body, 'provider_secret', 41004)];
    if (corpId.toLowerCase() !== provider.settings.corpId.toLowerCase()) throw new WecomRefusal(40013);
    if (secret !== provider.settings.secret) throw new WecomRefusal(40001);
    const { value, expiresIn } = provider.providerToken.issue();
    return JSON.stringify({ provider_access_token: value, expires_in: expiresIn });
  },
  /** Source: developer.work.weixin.qq.com/document/path/97162 */
  'service/get_suite_token': (provider, _query, body) => {
    const { templateId, templateSecret } = provider.settings;
    const id = text(body, 'suite_id', 41021);
    const secret = text(body, 'suite_secret', 41024);
    const ticket = text(body, 'suite_ticket', 41023);
    if (id !== templateId) throw new WecomRefusal(40083);
    if (secret !== templateSecret) throw new WecomRefusal(40080);
    if (!provider.template.acceptsTicket(ticket)) throw new WecomRefusal(40085);
    const { value, expiresIn } = provider.suiteToken.issue();
    return { suite_access_token: value, expires_in: expiresIn };
  },
  /** Source: developer.work.weixin.qq.com/document/path/98744 */
  'service/get_customized_auth_url': (provider, query, body) => {
    requireProvider(provider, query);
    const { state, templateid_list: templates } = isRecord(body) ? body : {};
    if (typeof state !== 'string' || !/^[A-Za-z0-9]{1,32}$/.test(state)) throw new WecomRefusal(84025);
    if (!Array.isArray(templates) || templates.length < 1 || templates.length > MOST_TEMPLATES) {
      throw new WecomRefusal(842004);
    }
    if (templates.some((id) => id !== provider.settings.templateId)) throw new WecomRefusal(842003);
    if (!provider.template.online) throw new WecomRefusal(842002);
    return { qrcode_url: provider.links.withState(state), expires_in: LINK_SECONDS };
  },
  /** Source: developer.work.weixin.qq.com/document/path/97163 */
  'service/v2/get_permanent_code': (provider, query, body) => {
    const { app, state } = exchanged(provider, query, body);
    return {
      permanent_code: app.settings.secret,
      auth_corp_info: companyName(app),
      auth_user_info: administrator(app),
      ...(state === undefined ? {} : { state }),
    };
  },
  'service/get_permanent_code': (provider, query, body) => {
    const { app, state } = exchanged(provider, query, body);
    return {
      permanent_code: app.settings.secret,
      auth_corp_info: { ...companyDetails(app), corp_wxqrcode: '' },
      auth_info: authInfo(app),
      auth_user_info: administrator(app),
      ...(state === undefined ? {} : { state }),
    };
  },
  /** Source: developer.work.weixin.qq.com/document/path/100795 */
  'service/v2/get_auth_info': (provider, query, body) => {
    const { app } = authorized(provider, query, body);
    return { auth_corp_info: companyDetails(app), auth_info: authInfo(app) };
  },
  'service/get_auth_info': (provider, query, body) => {
    const { app } = authorized(provider, query, body);
    return { auth_corp_info: { ...companyDetails(app), corp_wxqrcode: '' }, auth_info: authInfo(app) };
  },
  /** Of third-party apps; a template's authorization is refused, so that a wrong client is caught. */
  'service/get_corp_token': (provider, query) => {
    provider.suiteToken.require(query.get('suite_access_token'));
    throw new WecomRefusal(48002);
  },
  /** Source: developer.work.weixin.qq.com/document/path/97104 */
  'service/corpid_to_opencorpid': (provider, query, body) => {
    requireProvider(provider, query);
    const corpId = text(body, 'corpid', 41002).toLowerCase();
    if (!provider.authorizations.some(({ company }) => company.corpId.toLowerCase() === corpId)) {
      throw new WecomRefusal(48001);
    }
    return { open_corpid: provider.ids.corpId(corpId) };
  },
  /** A trial of 90 days from the authorization. Source: developer.work.weixin.qq.com/document/path/97194 */
  'license/get_app_license_info': (provider, query, body) => {
    requireProvider(provider, query);
    const [corpId, suiteId] = [text(body, 'corpid', 41002), text(body, 'suite_id', 41021)];
    if (suiteId !== provider.settings.templateId) throw new WecomRefusal(40083);
    const authorization = provider.find(corpId);
    if (!authorization) throw new WecomRefusal(48004);
    const start = Math.floor(authorization.authorizedAt / 1000);
    const end = start + TRIAL_SECONDS;
    return { license_status: 1, trail_info: { start_time: start, end_time: end }, license_check_time: end };
  },
};

function requireProvider(provider: Provider, query: URLSearchParams): void {
  provider.providerToken.require(query.get('provider_access_token'));
}

/** @throws WecomRefusal 41008 or 40078 */
function exchanged(provider: Provider, query: URLSearchParams, body: unknown) {
  provider.suiteToken.require(query.get('suite_access_token'));
  const content = provider.exchange(text(body, 'auth_code', 41008));
  if (!content) throw new WecomRefusal(40078);
  return content;
}

/** @throws WecomRefusal 48004 where nothing is authorized, 40084 for another code */
function authorized(provider: Provider, query: URLSearchParams, body: unknown): Authorization {
  provider.suiteToken.require(query.get('suite_access_token'));
  const [corpId, code] = [text(body, 'auth_corpid', 41002), text(body, 'permanent_code', 41025)];
  const authorization = provider.find(corpId);
  if (!authorization) throw new WecomRefusal(48004);
  if (!authorization.app.acceptsSecret(code)) throw new WecomRefusal(40084);
  return authorization;
}
