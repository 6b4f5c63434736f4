import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type CallbackKeys, encrypt, signature } from '../../connector/wecom/wecom.callback-crypto';
import { cdata } from './contact-events';

/** A callback address as somebody entered it in the console. */
export interface CallbackAddress extends CallbackKeys {
  readonly url: string;
}

/** How deliveries can be made to go wrong, as they do in the world. */
export interface DeliverySwitches {
  /** Each is sent twice. */
  readonly duplicate: boolean;
  /** Milliseconds before each. */
  readonly delay: number;
  /** Several are sent last first. */
  readonly reorder: boolean;
  /** Every n-th is never sent; 0: none. */
  readonly dropEvery: number;
}

export const ORDERLY: DeliverySwitches = { duplicate: false, delay: 0, reorder: false, dropEvery: 0 };

/** What became of one delivery. */
export interface DeliveryRecord {
  readonly what: string;
  readonly tries: number;
  readonly status: number | null;
  /** The answer's first 200 characters; null where there was none. */
  readonly answer: string | null;
  readonly dropped: boolean;
}

/** Source: developer.work.weixin.qq.com/document/path/96238 */
const TIMEOUT_MS = 5_000;
const CHECK_TIMEOUT_MS = 1_000;
const TRIES = 3;
const LOG_LENGTH = 1_000;

/** Pushes encrypted messages as WeCom does: one after the other, tried again only where the network failed. */
export class Deliveries {
  readonly log: DeliveryRecord[] = [];
  switches: DeliverySwitches = ORDERLY;
  private queue: Promise<void> = Promise.resolve();
  private count = 0;

  /**
   * The check that WeCom makes when an address is saved: the decrypted text must come back exactly, within a second.
   * @throws Error that says what was wrong with the answer
   */
  async verify(address: CallbackAddress, receiveId: string): Promise<void> {
    const expected = String(randomInt(1e12));
    const echo = encrypt(address, expected, receiveId);
    const query = signedQuery(address, echo);
    query.set('echostr', echo);
    const answer = await fetch(withQuery(address.url, query), { signal: AbortSignal.timeout(CHECK_TIMEOUT_MS) }).catch(
      () => undefined,
    );
    const body = await answer?.text();
    if (!answer?.ok || body !== expected) {
      throw new Error(
        `The callback address did not answer the check: ${answer ? `HTTP ${answer.status}, ${body?.slice(0, 100)}` : 'no answer within a second'}.`,
      );
    }
  }

  /** Queues messages for an address. @param receiveId whom they are for: the corp id, or a template's id */
  push(
    address: CallbackAddress,
    receiveId: string,
    agentId: string,
    messages: readonly { what: string; xml: string }[],
  ): void {
    const ordered = this.switches.reorder ? [...messages].reverse() : messages;
    this.queue = this.queue.then(async () => {
      for (const message of ordered) await this.deliver(address, receiveId, agentId, message);
    });
  }

  /** Resolves when everything queued so far was delivered or given up. */
  async settled(): Promise<void> {
    await this.queue;
  }

  private async deliver(
    address: CallbackAddress,
    receiveId: string,
    agentId: string,
    message: { what: string; xml: string },
  ) {
    this.count += 1;
    const { dropEvery, duplicate, delay: wait } = this.switches;
    if (dropEvery > 0 && this.count % dropEvery === 0) {
      this.note({ what: message.what, tries: 0, status: null, answer: null, dropped: true });
      return;
    }
    if (wait > 0) await delay(wait);
    for (let copy = 0; copy < (duplicate ? 2 : 1); copy++) {
      const encrypted = encrypt(address, message.xml, receiveId);
      const query = signedQuery(address, encrypted);
      const body = `<xml><ToUserName>${cdata(receiveId)}</ToUserName><Encrypt>${cdata(encrypted)}</Encrypt><AgentID>${cdata(agentId)}</AgentID></xml>`;
      this.note(await post(withQuery(address.url, query), body, message.what));
    }
  }

  private note(record: DeliveryRecord): void {
    this.log.push(record);
    if (this.log.length > LOG_LENGTH) this.log.shift();
  }
}

async function post(url: string, body: string, what: string): Promise<DeliveryRecord> {
  for (let tries = 1; ; tries++) {
    try {
      const headers = { 'content-type': 'text/xml' };
      const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = await answer.text();
      return { what, tries, status: answer.status, answer: text.slice(0, 200), dropped: false };
    } catch {
      if (tries >= TRIES) return { what, tries, status: null, answer: null, dropped: false };
    }
  }
}

function signedQuery(keys: CallbackKeys, encrypted: string): URLSearchParams {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const nonce = randomBytes(8).toString('hex');
  return new URLSearchParams({ msg_signature: signature(keys.token, timestamp, nonce, encrypted), timestamp, nonce });
}

function withQuery(url: string, query: URLSearchParams): string {
  return `${url}${url.includes('?') ? '&' : '?'}${query}`;
}
