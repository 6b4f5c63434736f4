import type { Company } from './company';
import { WecomRefusal } from './errors';
import type { Provider } from './provider/provider';

/** Whose limits a call of gettoken counts to: the app's, or that of the company's first one where no app has the secret. */
export function appOfCredentials({ company, provider }: Apps, query: URLSearchParams): Company {
  const apps = appsOf({ company, provider }, query.get('corpid') ?? '');
  return apps.find((app) => app.acceptsSecret(query.get('corpsecret') ?? '')) ?? apps[0] ?? company;
}

interface Apps {
  readonly company: Company;
  readonly provider: Provider;
}

function appsOf({ company, provider }: Apps, corpId: string): Company[] {
  return [company, ...provider.authorizations.map(({ app }) => app)].filter((app) => app.hasCorpId(corpId));
}

/**
 * A token for the app that a corp id and a secret belong to; a customised app's secret is its permanent code.
 * Source: developer.work.weixin.qq.com/document/path/97164
 */
export function getToken(
  { company, provider }: Apps,
  query: URLSearchParams,
): { access_token: string; expires_in: number } {
  const [corpId, secret] = [query.get('corpid'), query.get('corpsecret')];
  if (!corpId) throw new WecomRefusal(41002);
  if (!secret) throw new WecomRefusal(41004);
  const apps = appsOf({ company, provider }, corpId);
  const app = apps.find((one) => one.acceptsSecret(secret));
  if (app) return app.issueToken();
  const isUnknown = apps.length === 0;
  if (provider.isCancelledCode(secret) || (isUnknown && provider.hasCancelled(corpId)))
    throw new WecomRefusal(provider.settings.afterCancel);
  throw new WecomRefusal(isUnknown ? 40013 : 40001);
}
