import express, { type Router } from 'express';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { type CallbackKeys, CallbackRefused, decrypt, isSigned } from '../connector/wecom/wecom.callback-crypto';
import type { SecretBox } from '../platform/secret-box';
import { fromTypedId } from '../platform/typed-id';
import type { DirectoryEvents } from './directory-events';
import { objectOf, parseMessage } from './wecom-message';

/** Where a source's directory sends its callbacks. */
export const CALLBACK_PATH = '/callbacks/wecom';

const BODY_LIMIT = '256kb';
/** An older timestamp is a message that somebody kept. */
const MAX_AGE_S = 600;

interface CallbackSource extends CallbackKeys {
  readonly id: string;
  readonly corpId: string;
}

/**
 * Receives WeCom's callbacks: verified before anything of them is parsed, stored, answered, and worked on afterwards. What is
 * not WeCom's gets 403 and is not told why.
 */
export function callbackServer(
  dataSource: DataSource,
  secrets: SecretBox,
  events: DirectoryEvents,
  log: Logger,
): Router {
  const router = express.Router();
  const find = async (id: string): Promise<CallbackSource | undefined> => {
    const uuid = fromTypedId('source', id);
    if (!uuid) return undefined;
    const [row] = await dataSource.query(
      `SELECT corp_id AS "corpId", sealed_callback_token AS token, sealed_callback_key AS key FROM identity_source
        WHERE id = $1 AND deleted_at IS NULL AND sealed_callback_token IS NOT NULL`,
      [uuid],
    );
    if (!row) return undefined;
    const [token, encodingAesKey] = [secrets.open(row.token, uuid), secrets.open(row.key, uuid)];
    return { id: uuid, corpId: row.corpId, token, encodingAesKey };
  };

  // The check that WeCom makes when the address is saved. The receiver is not insisted on here: which id it is depends on the
  // kind of app. Source: developer.work.weixin.qq.com/document/path/96238
  router.get('/:source', async (request, response) => {
    try {
      const source = await required(find(request.params.source));
      const echo = text(request.query['echostr']);
      requireSigned(source, request.query, echo);
      response.type('text/plain').send(decrypt(source, echo).message);
    } catch (error) {
      refuse(error, response, log);
    }
  });

  router.post('/:source', express.text({ type: () => true, limit: BODY_LIMIT }), async (request, response) => {
    try {
      const source = await required(find(request.params.source));
      const encrypted = parseMessage(typeof request.body === 'string' ? request.body : '')['Encrypt'] ?? '';
      requireSigned(source, request.query, encrypted);
      const { message, receiveId } = decrypt(source, encrypted);
      if (receiveId.toLowerCase() !== source.corpId.toLowerCase()) throw new CallbackRefused('For another company.');
      const object = objectOf(parseMessage(message));
      if (object) await events.store(source.id, object, (id) => id.toLowerCase());
      response.type('text/plain').send('success');
    } catch (error) {
      refuse(error, response, log);
    }
  });

  return router;
}

async function required(source: Promise<CallbackSource | undefined>): Promise<CallbackSource> {
  const found = await source;
  if (!found) throw new CallbackRefused('No source has this callback address.');
  return found;
}

function requireSigned(source: CallbackSource, query: Record<string, unknown>, encrypted: string): void {
  const [timestamp, nonce, signed] = [text(query['timestamp']), text(query['nonce']), text(query['msg_signature'])];
  if (encrypted === '' || !isSigned(source, timestamp, nonce, encrypted, signed))
    throw new CallbackRefused('Not signed with the token.');
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (!(age <= MAX_AGE_S)) throw new CallbackRefused('Too old.');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function refuse(error: unknown, response: express.Response, log: Logger): void {
  if (error instanceof CallbackRefused) {
    log.warn({ reason: error.message }, 'callback.refused');
    response.status(403).type('text/plain').send('refused');
    return;
  }
  log.error({ err: error }, 'callback.failed');
  // WeCom tries again only where the network failed, but an operator's proxy may show this.
  response.status(500).type('text/plain').send('failed');
}
