import type { Company } from './company';
import { WecomRefusal } from './errors';
import type { Provider } from './provider/provider';

/**
 * A token for the app that a corp id and a secret belong to; a customised app's secret is its permanent code.
 * Source: developer.work.weixin.qq.com/document/path/97164
 */
export function getToken(
  { company, provider }: { readonly company: Company; readonly provider: Provider },
  query: URLSearchParams,
): { access_token: string; expires_in: number } {
  const [corpId, secret] = [query.get('corpid'), query.get('corpsecret')];
  if (!corpId) throw new WecomRefusal(41002);
  if (!secret) throw new WecomRefusal(41004);
  const apps = [company, ...provider.authorizations.map(({ app }) => app)].filter((app) => app.hasCorpId(corpId));
  const app = apps.find((one) => one.acceptsSecret(secret));
  if (app) return app.issueToken();
  const isUnknown = apps.length === 0;
  if (provider.isCancelledCode(secret) || (isUnknown && provider.hasCancelled(corpId)))
    throw new WecomRefusal(provider.settings.afterCancel);
  throw new WecomRefusal(isUnknown ? 40013 : 40001);
}
