/** WeCom's short texts; clients must not match on them. Source: developer.work.weixin.qq.com/document/path/90313 */
const TEXTS: Readonly<Record<number, string>> = {
  [-1]: 'system busy',
  40001: 'invalid credential',
  40003: 'invalid userid',
  40013: 'invalid corpid',
  40014: 'invalid access_token',
  40029: 'invalid code',
  40058: 'invalid Request Parameter',
  40063: 'some parameters are empty',
  40068: 'invalid tagid',
  41001: 'access_token missing',
  41002: 'corpid missing',
  41004: 'corpsecret missing',
  41009: 'userid missing',
  41011: 'agentid missing',
  41017: 'tagid missing',
  42001: 'access_token expired',
  45009: 'api freq out of limit',
  45029: 'data too large',
  45033: 'api concurrent out of limit',
  46004: 'user no exist',
  48002: 'api forbidden',
  50003: 'app disabled',
  60003: 'department not found',
  60011: 'no privilege to access/modify contact/party/agent',
  60020: 'not allow to access from your ip',
  60103: 'invalid mobile',
  60111: 'userid not found',
  60123: 'invalid party id',
  81011: 'no privilege to access/modify tag',
  301002: 'no privilege for this agent',
};

/** An answer that is an error. `payload` keys are there, but empty, where WeCom leaves them in. */
export class WecomRefusal extends Error {
  constructor(
    readonly errcode: number,
    readonly payload: Readonly<Record<string, unknown>> = {},
  ) {
    super(TEXTS[errcode] ?? 'error');
  }
}

/** The long form of an errmsg, with hint, caller and link. */
export function errmsg(refusal: WecomRefusal, ip: string): string {
  const hint = `${Date.now()}${Math.floor(Math.random() * 1e11)}`;
  return `${refusal.message}, hint: [${hint}], from ip: ${ip}, more info at https://open.work.weixin.qq.com/devtool/query?e=${refusal.errcode}`;
}
