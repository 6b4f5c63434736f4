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
  /** Each is sent twice, encrypted and signed anew. */
  readonly duplicate: boolean;
  /** The second of two is the very same request: timestamp, nonce and all. */
  readonly sameNonce?: boolean;
  /** Milliseconds before each. */
  readonly delay: number;
  /** Those that wait are sent last first. */
  readonly reorder: boolean;
  /** Every n-th is never sent; 0: none. */
  readonly dropEvery: number;
}

/** One message before it is encrypted. */
export interface Message {
  /** What the log calls it. */
  readonly what: string;
  readonly xml: string;
}

interface Parcel extends Message {
  readonly address: CallbackAddress;
  readonly receiveId: string;
  readonly agentId: string;
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
  private readonly waiting: Parcel[] = [];
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

  /**
   * Queues messages for an address.
   * @param receiveId whom they are for: the corp id, or a template's id
   * @param agentId empty for a template
   */
  push(address: CallbackAddress, receiveId: string, agentId: string, messages: readonly Message[]): void {
    this.waiting.push(...messages.map((message) => ({ ...message, address, receiveId, agentId })));
    this.queue = this.queue.then(async () => {
      const parcels = this.waiting.splice(0);
      for (const parcel of this.switches.reorder ? parcels.reverse() : parcels) await this.deliver(parcel);
    });
  }

  /** Resolves when everything queued was delivered or given up, and what that led to as well. */
  async settled(): Promise<void> {
    let seen: Promise<void>;
    do {
      seen = this.queue;
      await seen;
    } while (seen !== this.queue);
  }

  private async deliver({ address, receiveId, agentId, what, xml }: Parcel) {
    this.count += 1;
    const { dropEvery, duplicate, sameNonce, delay: wait } = this.switches;
    if (dropEvery > 0 && this.count % dropEvery === 0) {
      this.note({ what, tries: 0, status: null, answer: null, dropped: true });
      return;
    }
    if (wait > 0) await delay(wait);
    const sealed = () => {
      const encrypted = encrypt(address, xml, receiveId);
      const body = `<xml><ToUserName>${cdata(receiveId)}</ToUserName><Encrypt>${cdata(encrypted)}</Encrypt><AgentID>${cdata(agentId)}</AgentID></xml>`;
      return { url: withQuery(address.url, signedQuery(address, encrypted)), body };
    };
    const first = sealed();
    this.note(await post(first.url, first.body, what));
    if (!duplicate) return;
    const second = sameNonce ? first : sealed();
    this.note(await post(second.url, second.body, what));
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
