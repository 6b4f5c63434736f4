import express, { type ErrorRequestHandler, type Request, type Response, type Router } from 'express';
import type { Logger } from 'pino';
import type { ProviderCallbacks } from '../authorization/provider-callback';
import { CallbackRefused, decrypt, isSigned } from '../connector/wecom/wecom.callback-crypto';
import { wecomKey } from '../connector/wecom/wecom.ids';
import type { CallbackAddress, CallbackAddresses } from './callback-addresses';
import type { CallbackClock } from './callback-clock';
import type { DirectoryEvents } from './directory-events';
import { encryptedOf, MAX_MESSAGE_BYTES, objectOf, parseMessage, type WecomMessage } from './wecom-message';

/** Where WeCom sends its callbacks: the provider's template here, a source's app below it, under the source's id. */
export const CALLBACK_PATH = '/callbacks/wecom';

/** An older timestamp is a message that somebody kept. */
const MAX_AGE_S = 600;

/** What callbacks need. */
export interface CallbackServerOptions {
  readonly addresses: CallbackAddresses;
  readonly clock: CallbackClock;
  readonly events: DirectoryEvents;
  /** Undefined where this server is no service provider. */
  readonly provider: ProviderCallbacks | undefined;
  readonly log: Logger;
}

/**
 * Receives WeCom's callbacks: verified before anything of them is parsed, stored, answered, and worked on afterwards. What is
 * not WeCom's gets 403 and is not told why.
 */
export function callbackServer(options: CallbackServerOptions): Router {
  const { addresses, log } = options;
  const router = express.Router();
  const template = () => addresses.template();
  const ofSource = (request: Request<{ source: string }>) => addresses.ofSource(request.params.source);
  const body = express.text({ type: () => true, limit: MAX_MESSAGE_BYTES });
  router.get('/', (request, response) => answer(response, log, () => echo(template(), request)));
  router.get('/:source', (request, response) => answer(response, log, () => echo(ofSource(request), request)));
  router.post('/', body, (request, response) => answer(response, log, () => receive(options, template(), request)));
  router.post('/:source', body, (request, response) =>
    answer(response, log, () => receive(options, ofSource(request), request)),
  );
  const unreadable: ErrorRequestHandler = (error, _request, response, _next) => {
    log.warn({ reason: error.type ?? 'unreadable' }, 'callback.refused');
    response
      .status(error.status ?? 400)
      .type('text/plain')
      .send('refused');
  };
  router.use(unreadable);
  return router;
}

async function answer(response: Response, log: Logger, text: () => Promise<string>): Promise<void> {
  try {
    response.type('text/plain').send(await text());
  } catch (error) {
    if (error instanceof CallbackRefused) {
      log.warn({ reason: error.message }, 'callback.refused');
      response.status(403).type('text/plain').send('refused');
      return;
    }
    log.error({ err: error }, 'callback.failed');
    // WeCom tries again only where the network failed, but an operator's proxy may show this.
    response.status(500).type('text/plain').send('failed');
  }
}

/**
 * The check that WeCom makes when an address is saved. The receiver is not insisted on here: which id it is depends on the
 * kind of app; nor on its age, so that an address can be saved while the clock is wrong: nothing but its own text comes of it.
 * Source: developer.work.weixin.qq.com/document/path/96238
 */
async function echo(found: Promise<CallbackAddress | undefined>, request: Request): Promise<string> {
  const address = await required(found);
  // A plus sign that came as it is was read as a space, which no base64 has.
  const text = textOf(request.query['echostr']).replaceAll(' ', '+');
  requireSigned(address, request.query, text);
  return decrypt(address.keys, text).message;
}

async function receive(
  options: CallbackServerOptions,
  found: Promise<CallbackAddress | undefined>,
  request: Request,
): Promise<string> {
  const address = await required(found);
  const encrypted = encryptedOf(textOf(request.body));
  requireSigned(address, request.query, encrypted);
  requireInTime(options.clock, address, textOf(request.query['timestamp']));
  const { message, receiveId } = decrypt(address.keys, encrypted);
  // One address may get both kinds, for an app's is filled in from the template's: the message tells which it is.
  if (address.templateId !== undefined && receiveId === address.templateId) {
    await receiveOfTemplate(options, address.templateId, parseMessage(message));
  } else {
    await receiveOfApp(options, address, receiveId, message);
  }
  return 'success';
}

async function receiveOfTemplate(
  { provider }: CallbackServerOptions,
  templateId: string,
  message: WecomMessage,
): Promise<void> {
  if (message['SuiteId'] !== templateId) throw new CallbackRefused('For another template.');
  await provider?.receive(message);
}

async function receiveOfApp(
  options: CallbackServerOptions,
  address: CallbackAddress,
  receiveId: string,
  message: string,
): Promise<void> {
  const source = await options.addresses.receiver(address, receiveId);
  if (source === undefined) throw new CallbackRefused('For another company.');
  const object = objectOf(parseMessage(message));
  if (!object) return;
  if (source === 'UNRESOLVED') await options.provider?.receiveUnresolved(receiveId, object);
  else await options.events.store(source.id, object, (id) => wecomKey(source.corpId, source.mode, id));
}

async function required(address: Promise<CallbackAddress | undefined>): Promise<CallbackAddress> {
  const found = await address;
  if (!found) throw new CallbackRefused('There is no such callback address.');
  return found;
}

function requireSigned({ keys }: CallbackAddress, query: Record<string, unknown>, encrypted: string): void {
  const [timestamp, nonce] = [textOf(query['timestamp']), textOf(query['nonce'])];
  if (encrypted === '' || !isSigned(keys, timestamp, nonce, encrypted, textOf(query['msg_signature'])))
    throw new CallbackRefused('Not signed with the token.');
}

function requireInTime(clock: CallbackClock, address: CallbackAddress, timestamp: string): void {
  const seconds = Math.round(Math.abs(Date.now() / 1_000 - Number(timestamp)));
  if (Number.isNaN(seconds)) throw new CallbackRefused('Without a time.');
  if (seconds <= MAX_AGE_S) {
    clock.accept(address);
    return;
  }
  clock.refuse(address, seconds);
  throw new CallbackRefused(
    `Signed, but ${seconds} seconds away from this server’s clock: see that the clock is right.`,
  );
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
