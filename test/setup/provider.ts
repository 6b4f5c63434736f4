import { DEFAULT_PROVIDER } from '../../src/sandbox/provider/settings';
import type { VisibleRange } from '../../src/sandbox/visible';
import { mutate } from './organisation-view';
import { createSource, type TestRollcall, untilRow } from './rollcall';

/** Keys of the template's callback address. */
export const TEMPLATE_KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };

/** A server that is the sandbox's service provider. */
export const PROVIDER_ENVIRONMENT = {
  WECOM_PROVIDER_CORP_ID: DEFAULT_PROVIDER.corpId,
  WECOM_PROVIDER_SECRET: DEFAULT_PROVIDER.secret,
  WECOM_TEMPLATE_ID: DEFAULT_PROVIDER.templateId,
  WECOM_TEMPLATE_SECRET: DEFAULT_PROVIDER.templateSecret,
  WECOM_CALLBACK_TOKEN: TEMPLATE_KEYS.token,
  WECOM_CALLBACK_ENCODING_AES_KEY: TEMPLATE_KEYS.encodingAesKey,
  ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com',
};

/** What a customised app may be granted. */
export const ALL_PERMISSIONS = [
  'contact:sensitive:user_name',
  'contact:sensitive:department_name',
  'contact:sensitive:position',
  'contact:sensitive:telephone',
  'contact:sensitive:extattr',
  'corp_arch:base:base',
  'corp_arch:member:direct_leader',
];

/** A source whose company has authorized the template, with every permission and all callbacks. @param range what its app sees */
export async function connectCompany(rollcall: TestRollcall, range: VisibleRange) {
  const { provider } = rollcall.sandbox;
  await provider.setTemplateCallback({ ...TEMPLATE_KEYS, url: rollcall.url.replace('/graphql', '/callbacks/wecom') });
  await untilRow(rollcall, 'SELECT FROM suite_ticket');
  const source = (await createSource(rollcall.api, { type: 'WECOM', name: 'WeCom' })).identitySource?.id ?? '';
  const { authorization } = await mutate(
    rollcall,
    'startAuthorization',
    { identitySourceId: source },
    'authorization { url }',
  );
  const { corpId } = provider.authorize({ url: authorization.url, permissions: ALL_PERMISSIONS, range });
  await untilRow(rollcall, 'SELECT FROM provider_callback WHERE done_at IS NOT NULL');
  return { source, app: provider.appOf(corpId) };
}
