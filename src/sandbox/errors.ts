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
  40077: 'invalid pre_auth_code',
  40078: 'invalid auth_code',
  40080: 'invalid suite_secret',
  40082: 'invalid suite_access_token',
  40083: 'invalid suite_id',
  40084: 'invalid permanent_code',
  40085: 'invalid suite_ticket',
  41001: 'access_token missing',
  41002: 'corpid missing',
  41004: 'corpsecret missing',
  41008: 'auth code missing',
  41009: 'userid missing',
  41011: 'agentid missing',
  41017: 'tagid missing',
  41021: 'suite_id missing',
  41022: 'suite_access_token missing',
  41023: 'suite_ticket missing',
  41024: 'suite_secret missing',
  41025: 'permanent_code missing',
  42001: 'access_token expired',
  42009: 'suite_access_token expired',
  45009: 'api freq out of limit',
  45029: 'data too large',
  45033: 'api concurrent out of limit',
  46004: 'user no exist',
  48001: 'api unauthorized',
  48002: 'api forbidden',
  48004: 'authorization not exist or cancelled',
  48005: 'api retired',
  50003: 'app disabled',
  60003: 'department not found',
  60011: 'no privilege to access/modify contact/party/agent',
  60020: 'not allow to access from your ip',
  60103: 'invalid mobile',
  60111: 'userid not found',
  60123: 'invalid party id',
  81011: 'no privilege to access/modify tag',
  84025: 'invalid state',
  301002: 'no privilege for this agent',
  842002: 'template not online',
  842003: 'not a customized template',
  842004: 'invalid number of templates',
  842006: 'customized app already authorized',
  846000: 'not a customized or third-party app',
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
