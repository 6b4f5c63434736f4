import { randomBytes } from 'node:crypto';
import QRCode from 'qrcode';
import { CALLBACK_PATH } from '../callbacks/callback-server';
import { DEFAULT_PROVIDER } from '../sandbox/provider/settings';
import type { Sandbox } from '../sandbox/sandbox';
import type { ApiClient } from './api-client';

/** The demo's part of the service-provider mode: keys of the template's callback, and one company that scans a QR code. */

const KEY_CHARACTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';

export interface TemplateKeys {
  readonly token: string;
  readonly encodingAesKey: string;
}

export function templateKeys(): TemplateKeys {
  const letters = (length: number) =>
    [...randomBytes(length)].map((byte) => KEY_CHARACTERS[byte % KEY_CHARACTERS.length]).join('');
  return { token: letters(24), encodingAesKey: letters(43) };
}

/** What the server is configured with to be the sandbox's service provider. */
export function providerEnvironment(keys: TemplateKeys, publicUrl: string): Record<string, string> {
  return {
    WECOM_PROVIDER_CORP_ID: DEFAULT_PROVIDER.corpId,
    WECOM_PROVIDER_SECRET: DEFAULT_PROVIDER.secret,
    WECOM_TEMPLATE_ID: DEFAULT_PROVIDER.templateId,
    WECOM_TEMPLATE_SECRET: DEFAULT_PROVIDER.templateSecret,
    WECOM_CALLBACK_TOKEN: keys.token,
    WECOM_CALLBACK_ENCODING_AES_KEY: keys.encodingAesKey,
    ROLLCALL_PUBLIC_URL: publicUrl,
  };
}

/** Enters the template's callback address, as in the service provider console; WeCom checks it and sends a suite ticket. */
export async function enterTemplateCallback(sandbox: Sandbox, keys: TemplateKeys, publicUrl: string): Promise<void> {
  await sandbox.provider.setTemplateCallback({ ...keys, url: `${publicUrl}${CALLBACK_PATH}` });
  await sandbox.settled();
}

interface Link {
  readonly id: string;
  readonly url: string;
}

const CREATE = `mutation ($name: String!) {
  createIdentitySource(input: { type: WECOM, name: $name }) { identitySource { id } userErrors { message } } }`;
const START = `mutation ($id: ID!) {
  startAuthorization(input: { identitySourceId: $id }) { authorization { id url } userErrors { message } } }`;
const WATCH = `subscription ($id: ID!) { authorization(id: $id) { status corpName agentId failure { message } } }`;

/** A source that waits for a scan, with its link. */
export async function sourceToScan(api: ApiClient, name: string): Promise<Link> {
  const created = await api.request<{
    createIdentitySource: { identitySource: { id: string } | null; userErrors: { message: string }[] };
  }>(CREATE, { name });
  const id = created.createIdentitySource.identitySource?.id;
  if (!id) throw new Error(created.createIdentitySource.userErrors.map((e) => e.message).join('\n'));
  const started = await api.request<{
    startAuthorization: { authorization: Link | null; userErrors: { message: string }[] };
  }>(START, { id });
  const { authorization, userErrors } = started.startAuthorization;
  if (!authorization) throw new Error(userErrors.map((e) => e.message).join('\n'));
  return authorization;
}

/** Resolves when the link was scanned, with what came of it in a line. */
export async function scanned(api: ApiClient, link: Link): Promise<string> {
  let told = '';
  for await (const { authorization } of api.subscribe<{
    authorization: {
      status: string;
      corpName: string | null;
      agentId: string | null;
      failure: { message: string } | null;
    };
  }>(WATCH, { id: link.id })) {
    const { status, corpName, agentId, failure } = authorization;
    told = `${status}: company ${corpName ?? '?'}, agent id ${agentId ?? '?'}${failure ? `. ${failure.message}` : ''}`;
  }
  return told;
}

/** The link as a QR code for the terminal. */
export function terminalQrCode(url: string): Promise<string> {
  return QRCode.toString(url, { type: 'terminal', small: true });
}
