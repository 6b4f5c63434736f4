import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Agent, request } from 'undici';
import { type CallPace, processPace } from '../call-pace';
import { CallsAtOnce } from '../calls-at-once';
import { type AccessToken, type AccessTokenStore, DirectoryError, type ReadStatistics } from '../directory-connector';
import { pause } from '../token-bucket';
import { integer, isObject, type Json } from './wecom.dto';
import { WecomError } from './wecom.errors';
import { corpKey, type WecomMode } from './wecom.ids';

export interface WecomClientOptions {
  readonly apiUrl: string;
  readonly callsPerMinute: number;
  readonly tokens: AccessTokenStore;
  /** Held by all processes together; without it by this one alone. */
  readonly pace?: CallPace;
  /** Waits between tries, in milliseconds; for tests. */
  readonly pause?: typeof pause;
  /** How long one call may take, to the last byte of its answer. */
  readonly callTimeoutMs?: number;
}

export interface WecomCredentials {
  /** Self-built where it is not told. */
  readonly mode?: WecomMode;
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
}

/** Whose calls these are: how the token is got that they carry, and under which name. */
export interface WecomCaller {
  /** Names the pace's and the token's owner, never a secret. */
  readonly name: string;
  readonly mode: WecomMode;
  /** The secret that the token is got with; another one gets another token. */
  readonly secret: string;
  readonly tokenParameter: 'access_token' | 'suite_access_token' | 'provider_access_token';
  /** The call that grants the token, under the name `tokenParameter` in its answer. */
  grant(): Promise<{ readonly path: string; readonly query: Query; readonly body?: Json }>;
}

/** An app in a company. In service-provider mode the permanent code is its secret. Source: developer.work.weixin.qq.com/document/path/97164 */
export function wecomApp({ mode = 'SELF_BUILT', corpId, agentId, secret }: WecomCredentials): WecomCaller {
  return {
    name: `wecom:${corpKey(corpId, mode)}:${agentId}`,
    mode,
    secret,
    tokenParameter: 'access_token',
    grant: async () => ({ path: 'gettoken', query: { corpid: corpId, corpsecret: secret } }),
  };
}

/** An answer that WeCom gave with success; parsed only when asked. */
export interface WecomAnswer {
  readonly bytes: Buffer;
  /** Of the bytes, hexadecimal. */
  readonly digest: string;
  /** When the request was sent. */
  readonly readAt: Date;
  readonly body: Json | undefined;
  /** WeCom's clock, where it tells it. */
  readonly serverDate: Date | undefined;
}

export type Query = Readonly<Record<string, string>>;

interface Call {
  readonly path: string;
  readonly query: Query;
  /** Sent as JSON, by POST; without it the call is a GET. */
  readonly body?: Json | undefined;
  readonly knownDigest?: string | undefined;
}

const CONNECTIONS = 16;
/** Without a byte. */
const TIMEOUT_MS = 30_000;
/** To the last byte, of however large an answer. */
const CALL_TIMEOUT_MS = 300_000;
/** Far above the largest answer seen: 30,000 members of a kilobyte. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_TRIES = 4;
/** WeCom's minute limit blocks for a minute. Source: developer.work.weixin.qq.com/document/path/90312 */
const RATE_WAIT_MS = 60_000;
const MAX_RATE_WAITS = 5;
const FREQUENCY_LIMIT = 45009;
const TOO_MANY_AT_ONCE = 45033;
const DEFAULT_LIFETIME_S = 7200;
/** A token that is told to live for longer is asked for again all the same: that costs one call. */
const MAX_LIFETIME_S = 86_400;
/** Nothing is decompressed here, so that what stands in between is asked not to compress either. */
const PLAIN = { 'accept-encoding': 'identity' };
const AS_JSON = { 'content-type': 'application/json' };
/** Far less than anybody waits before they try again. */
const REFUSED_FOR_MS = 500;

/** Calls to WeCom by one caller: token, pace, retries and errors. */
export class WecomClient {
  private readonly http = new Agent({
    connections: CONNECTIONS,
    maxResponseSize: MAX_ANSWER_BYTES,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    connect: { timeout: 10_000 },
  });
  private readonly atOnce = new CallsAtOnce(CONNECTIONS);
  private refusal: { readonly error: DirectoryError; readonly at: number } | undefined;
  private calls = 0;
  private throttledMs = 0;
  private readonly wait: typeof pause;
  private readonly tokenKey: string;

  constructor(
    private readonly caller: WecomCaller,
    private readonly options: WecomClientOptions,
  ) {
    this.wait = options.pause ?? pause;
    // With the secret's digest, so that a changed secret does not go on with the old one's token.
    const secret = createHash('sha256').update(caller.secret).digest('hex').slice(0, 12);
    this.tokenKey = `${caller.name}:${secret}`;
  }

  statistics(): ReadStatistics {
    return { calls: this.calls, throttledMs: this.throttledMs };
  }

  /**
   * One call with the caller's token, retried as WeCom's rules say.
   * @param knownDigest an answer with this digest is not parsed
   * @throws WecomError for an errcode, DirectoryError UPSTREAM_UNREACHABLE when no usable answer comes, or none before the
   * signal's time is over; the signal's reason where it ends for another
   */
  get(path: string, query: Query, signal: AbortSignal, knownDigest?: string): Promise<WecomAnswer> {
    return this.withToken({ path, query, knownDigest }, signal);
  }

  /** The same with a JSON body. */
  post(path: string, body: Json, signal: AbortSignal): Promise<WecomAnswer> {
    return this.withToken({ path, query: {}, body }, signal);
  }

  private async withToken(call: Call, signal: AbortSignal): Promise<WecomAnswer> {
    // Every call under way listens to it until its answer's stream has closed; how many there are at once is the caller's choice.
    setMaxListeners(0, signal);
    let rejected: string | undefined;
    for (;;) {
      // What one try of a fetch throws reaches all who wait for it; each of them waits for the next as long as they want to.
      const fetched = () => this.options.tokens.token(this.tokenKey, () => this.grantedToken(signal), rejected);
      const token = await this.persist(call.path, fetched, signal);
      try {
        const query = { [this.caller.tokenParameter]: token, ...call.query };
        return await this.persist(call.path, () => this.amongOthers({ ...call, query }, signal), signal);
      } catch (error) {
        if (!(error instanceof WecomError) || error.reaction !== 'REFRESH_TOKEN') throw error;
        if (rejected !== undefined) throw new NewTokenRefused(error.errcode, call.path, this.caller.mode);
        rejected = token;
      }
    }
  }

  /**
   * A refused secret is not sent again for a moment: of many calls at a time, some come only when the first has been told, and WeCom
   * blocks the address that repeats a wrong one (developer.work.weixin.qq.com/document/path/90313).
   */
  private async grantedToken(signal: AbortSignal): Promise<AccessToken> {
    if (this.refusal && Date.now() - this.refusal.at < REFUSED_FOR_MS) throw this.refusal.error;
    try {
      return await this.fetchToken(signal);
    } catch (error) {
      if (error instanceof DirectoryError && error.stopsReading) this.refusal = { error, at: Date.now() };
      throw error;
    }
  }

  /** In one try, each with what grants a token by then. */
  private async fetchToken(signal: AbortSignal): Promise<AccessToken> {
    const { tokenParameter } = this.caller;
    const call = await this.caller.grant();
    await this.keepPace(call.path, signal);
    const { body } = await this.once(call, signal);
    const token = body?.[tokenParameter];
    if (typeof token !== 'string' || token === '') {
      throw misshapen(call.path, `an answer without ${tokenParameter}`);
    }
    const lifetime = integer(body?.['expires_in']) ?? DEFAULT_LIFETIME_S;
    return { token, lifetimeMs: Math.min(Math.max(lifetime, 1), MAX_LIFETIME_S) * 1_000 };
  }

  /** Tries again where that can help: network failures and "busy" at most three times, limits after waiting. */
  private async persist<T>(path: string, attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    let rateWaits = 0;
    let last: DirectoryError | undefined;
    for (let tries = 1; ; ) {
      try {
        if (last) await this.backOff(last, isLimit(last) ? rateWaits : tries, signal);
        return await attempt();
      } catch (error) {
        if (signal.aborted) throw this.outOfTime(path, signal.reason, last);
        if (!(error instanceof DirectoryError)) throw error;
        if (
          isLimit(error) ? ++rateWaits > MAX_RATE_WAITS : error.code !== 'UPSTREAM_UNREACHABLE' || ++tries > MAX_TRIES
        )
          throw error;
        last = error;
      }
    }
  }

  /** Whose time is over is told what stood in the way; where everything is to stop, the signal's own reason counts. */
  private outOfTime(path: string, reason: unknown, last: DirectoryError | undefined): unknown {
    if ((reason as { name?: unknown } | null)?.name !== 'TimeoutError') return reason;
    return last && isLimit(last) ? last : this.unusable(path, 'no answer in time');
  }

  private async backOff(error: DirectoryError, attempt: number, signal: AbortSignal): Promise<void> {
    const minuteLimit = error instanceof WecomError && error.errcode === FREQUENCY_LIMIT;
    const ceiling = 250 * 2 ** attempt;
    // Full jitter, so that callers who failed together do not come back together.
    const ms = minuteLimit ? RATE_WAIT_MS + Math.random() * 5_000 : Math.random() * ceiling;
    if (isLimit(error)) this.throttledMs += Math.round(ms);
    await this.wait(ms, signal);
  }

  private async keepPace(path: string, signal: AbortSignal): Promise<void> {
    const key = `${this.options.apiUrl} ${this.caller.name} ${path}`;
    const ms = await (this.options.pace ?? processPace).take(key, this.options.callsPerMinute);
    this.throttledMs += ms;
    await this.wait(ms, signal);
  }

  /** One try, beside no more others than WeCom allows: too many at the same time become fewer first, which is no try. */
  private async amongOthers(call: Call, signal: AbortSignal): Promise<WecomAnswer> {
    for (;;) {
      let allowed = 0;
      try {
        await this.keepPace(call.path, signal);
        return await this.atOnce.run((limit) => {
          allowed = limit;
          return this.once(call, signal);
        });
      } catch (error) {
        if (!isTooManyAtOnce(error) || !this.atOnce.lower(allowed)) throw error;
        await this.backOff(error, 0, signal);
      }
    }
  }

  private async once(call: Call, signal: AbortSignal): Promise<WecomAnswer> {
    const { path, knownDigest } = call;
    this.calls += 1;
    const readAt = new Date();
    const { bytes, serverDate } = await this.inTime(path, signal, (limited) => this.fetchBytes(call, limited));
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (digest === knownDigest) return { bytes, digest, readAt, body: undefined, serverDate };
    const body = this.parse(path, bytes);
    const errcode = body['errcode'] === undefined ? 0 : integer(body['errcode']);
    if (errcode === undefined) throw misshapen(path, 'an errcode that is no number');
    if (errcode !== 0) throw new WecomError(errcode, path, this.caller.mode);
    return { bytes, digest, readAt, body, serverDate };
  }

  /** One attempt, aborted when it takes too long: an answer that comes byte by byte is never without one for long. */
  private async inTime<T>(
    path: string,
    signal: AbortSignal,
    attempt: (limited: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const limited = new AbortController();
    const abort = () => limited.abort(signal.reason);
    const tooLong = () => limited.abort(this.unusable(path, 'no whole answer in time'));
    const timer = setTimeout(tooLong, this.options.callTimeoutMs ?? CALL_TIMEOUT_MS);
    // Not AbortSignal.any: a task's signal outlives its calls, and must not remember each of them.
    signal.addEventListener('abort', abort);
    try {
      return await attempt(limited.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  private async fetchBytes({ path, query, body: json }: Call, signal: AbortSignal) {
    const base = this.options.apiUrl.replace(/\/+$/, '');
    const url = `${base}/cgi-bin/${path}?${new URLSearchParams(query)}`;
    try {
      const sent =
        json === undefined
          ? { headers: PLAIN }
          : ({ method: 'POST', headers: { ...PLAIN, ...AS_JSON }, body: JSON.stringify(json) } as const);
      const { statusCode, headers, body } = await request(url, { dispatcher: this.http, signal, ...sent });
      if (statusCode !== 200) {
        await body.dump();
        throw this.unusable(path, `HTTP status ${statusCode}`);
      }
      if (Number(headers['content-length'] ?? 0) > MAX_ANSWER_BYTES) {
        body.destroy();
        throw this.unusable(path, 'an answer that is larger than any of WeCom’s');
      }
      const date = typeof headers['date'] === 'string' ? new Date(headers['date']) : undefined;
      const serverDate = date && !Number.isNaN(date.getTime()) ? date : undefined;
      return { bytes: Buffer.from(await body.arrayBuffer()), serverDate };
    } catch (error) {
      if (error instanceof DirectoryError) throw error;
      signal.throwIfAborted();
      // The cause may hold the address with the token in it, so only its code is told.
      throw this.unusable(path, (error as { code?: string }).code ?? 'no answer');
    }
  }

  private parse(path: string, bytes: Buffer): Json {
    let body: unknown;
    try {
      // Some servers and proxies put a byte order mark before it.
      body = JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, ''));
    } catch {
      throw this.unusable(path, 'an answer that is not whole JSON');
    }
    if (!isObject(body)) throw this.unusable(path, 'an answer that is no JSON object');
    return body;
  }

  /** The error for an answer that is none of WeCom's. */
  private unusable(path: string, what: string): DirectoryError {
    const advice = 'See that the server can reach WeCom (WECOM_API_URL, proxy, firewall), and try again.';
    return new DirectoryError(
      'UPSTREAM_UNREACHABLE',
      `WeCom gave no usable answer: ${what} (${path}).`,
      undefined,
      advice,
    );
  }
}

function isLimit(error: DirectoryError): boolean {
  return error.code === 'UPSTREAM_RATE_LIMITED';
}

/** What is wrong with an answer about one object, where it is about nothing or another. */
export const ABOUT_ANOTHER = 'an answer about something else than was asked for';

/** The error for an answer of WeCom's that lacks what it must have. */
export function misshapen(path: string, what: string): DirectoryError {
  return new DirectoryError(
    'UPSTREAM_UNREACHABLE',
    `WeCom’s answer is not as documented: ${what} (${path}).`,
    undefined,
    'Try again; if it stays, please report it with this message.',
  );
}

/** A token that was refused although it is new: no other call will fare better. */
class NewTokenRefused extends WecomError {
  override get stopsReading(): boolean {
    return true;
  }
}

function isTooManyAtOnce(error: unknown): error is WecomError {
  return error instanceof WecomError && error.errcode === TOO_MANY_AT_ONCE;
}
