import type { IncomingMessage, ServerResponse } from 'node:http';
import { authorizePage, messagePage, resultPage } from './authorize-page';
import type { AuthorizeOptions, Provider } from './provider';

/** Where the links behind QR codes lead. */
export const AUTHORIZE_PREFIX = '/authorize/';

const MAX_FORM_BYTES = 64 * 1024;

/** The page that stands in for an administrator who scans a QR code: shown on GET, agreed to on POST. */
export async function authorizeRequest(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  provider: Provider,
): Promise<void> {
  const key = url.pathname.slice(AUTHORIZE_PREFIX.length);
  try {
    provider.links.byKey(key);
  } catch (error) {
    return html(response, 404, messagePage('链接无效 · No such link', (error as Error).message));
  }
  if (request.method === 'GET') return html(response, 200, authorizePage(provider));
  if (request.method !== 'POST') return html(response, 405, messagePage('405', 'GET, POST'));
  const text = await readText(request);
  if (text === undefined) return html(response, 413, messagePage('413', 'The form is too large.'));
  const form = new URLSearchParams(text);
  try {
    const options = optionsOf(form, key, provider);
    const done = provider.authorize(options);
    html(response, 200, resultPage(provider, options.company ?? provider.ownCompany, done));
  } catch (error) {
    html(response, 400, authorizePage(provider, form, (error as Error).message));
  }
}

function optionsOf(form: URLSearchParams, key: string, provider: Provider): AuthorizeOptions {
  const other = { corpId: (form.get('corpId') ?? '').trim(), name: (form.get('name') ?? '').trim() };
  return {
    url: key,
    company: form.get('company') === 'other' ? other : provider.ownCompany,
    permissions: form.getAll('permission'),
    plainIds: form.has('plainIds'),
    sendState: !form.has('withoutState'),
    again: form.has('again'),
  };
}

/** Undefined for what is too large for a form. */
async function readText(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_FORM_BYTES) chunks.push(chunk);
  }
  return size <= MAX_FORM_BYTES ? Buffer.concat(chunks).toString('utf8') : undefined;
}

function html(response: ServerResponse, status: number, page: string): void {
  response
    .writeHead(status, {
      'Content-Type': 'text/html; charset=UTF-8',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
      'Cache-Control': 'no-store',
    })
    .end(page);
}
