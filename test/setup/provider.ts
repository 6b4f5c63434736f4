import { DEFAULT_PROVIDER } from '../../src/sandbox/provider/settings';

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
