import { randomBytes, randomInt } from 'node:crypto';
import { request } from 'undici';
import type { ConnectorCheck } from '../connector/directory-connector';
import { encrypt, signature } from '../connector/wecom/wecom.callback-crypto';
import type { IdentitySource } from '../identity-source/identity-source.entity';
import { toTypedId } from '../platform/typed-id';
import type { CallbackAddresses } from './callback-addresses';
import type { CallbackClock, RefusedForAge } from './callback-clock';
import { CALLBACK_PATH } from './callback-server';

const NAME = 'CALLBACK';
/** WeCom waits no longer for the check of an address. Source: developer.work.weixin.qq.com/document/path/96238 */
const PATIENCE_MS = 1_000;
const SELF_BUILT_STEP = '通讯录同步 > 设置接收事件服务器';
const CUSTOMISED_STEP = '服务商后台 > 代开发应用 > the app > 回调配置';

/** Calls the source's callback address over the public address, as WeCom does when it is saved there. */
export async function checkCallback(
  source: IdentitySource,
  addresses: CallbackAddresses,
  clock: CallbackClock,
  publicUrl: string | undefined,
): Promise<ConnectorCheck> {
  const step = source.wecomMode === 'SERVICE_PROVIDER' ? CUSTOMISED_STEP : SELF_BUILT_STEP;
  const id = toTypedId('source', source.id);
  const address = await addresses.ofSource(id);
  if (!address) {
    const message = 'No callback is set up, so changes arrive with the scheduled runs only.';
    return warning(message, `Choose a token and an EncodingAESKey at ${step}, and give both to updateIdentitySource.`);
  }
  if (!publicUrl) {
    const message = 'This server does not know under which address WeCom reaches it.';
    return warning(message, `Set ROLLCALL_PUBLIC_URL, and enter wecom.callbackUrl at ${step}.`);
  }
  const url = `${publicUrl.replace(/\/+$/, '')}${CALLBACK_PATH}/${id}`;
  const problem = await echoProblem(url, address.keys, source.corpId ?? '');
  if (problem) {
    const advice = `See that ${url} reaches this server from the internet (DNS, proxy, firewall, certificate), and that it is entered at ${step}.`;
    return {
      name: NAME,
      outcome: 'FAILED',
      message: `The callback address does not answer: ${problem}.`,
      advice,
      thirdPartyCode: null,
    };
  }
  const late = clock.of(address);
  if (late) return wrongClock(late);
  if (!source.callbackSeenAt) {
    const message = 'The callback address answers, but WeCom has not called it yet.';
    return warning(message, `See that ${url} is entered at ${step}; WeCom calls it at the next change.`);
  }
  const message = `The callback address answers; WeCom last called it at ${source.callbackSeenAt.toISOString()}.`;
  return { name: NAME, outcome: 'PASSED', message, advice: null, thirdPartyCode: null };
}

function wrongClock({ at, seconds }: RefusedForAge): ConnectorCheck {
  const message = `What came at ${at.toISOString()} was refused: its time is ${seconds} seconds away from this server’s clock.`;
  const advice =
    'Set the clock by NTP. Where it is right, somebody sends again what they kept, and nothing comes of it.';
  return { name: NAME, outcome: 'FAILED', message, advice, thirdPartyCode: null };
}

function warning(message: string, advice: string): ConnectorCheck {
  return { name: NAME, outcome: 'WARNING', message, advice, thirdPartyCode: null };
}

/** What is wrong with the answer; undefined when it is right. */
async function echoProblem(
  url: string,
  keys: { readonly token: string; readonly encodingAesKey: string },
  receiveId: string,
): Promise<string | undefined> {
  const expected = String(randomInt(1e12));
  const echostr = encrypt(keys, expected, receiveId);
  const [timestamp, nonce] = [String(Math.floor(Date.now() / 1_000)), randomBytes(8).toString('hex')];
  const signed = signature(keys.token, timestamp, nonce, echostr);
  const query = new URLSearchParams({ msg_signature: signed, timestamp, nonce, echostr });
  try {
    const { statusCode, body } = await request(`${url}?${query}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await body.text();
    if (statusCode !== 200) return `HTTP status ${statusCode}`;
    return text === expected ? undefined : 'another text than the one that was sent encrypted';
  } catch (error) {
    return (error as { code?: string }).code ?? 'no answer within a second';
  }
}
