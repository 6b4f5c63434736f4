import { DirectoryError } from '../directory-connector';
import type { WecomMode } from './wecom.ids';

/**
 * What the client does about an errcode. `RETRY`: at once, at most three times; `BACK_OFF`: later, more slowly; `REFRESH_TOKEN`:
 * once with a new token; `GONE`: a member, department or tag cannot be seen, where the code is about one of that kind; `STOP`:
 * nothing else will work either; `REFUSED`: this call will not.
 */
export type WecomReaction = 'RETRY' | 'BACK_OFF' | 'REFRESH_TOKEN' | 'GONE' | 'STOP' | 'REFUSED';

interface WecomErrorEntry {
  readonly reaction: WecomReaction;
  readonly meaning: string;
  readonly advice: string;
  /** Where something else is to be done for a provider's app than for a company's own. */
  readonly providerAdvice?: string;
}

const REPORT = 'This is a fault of Rollcall: please report it with the code.';
const LATER = 'Rollcall waits and tries again; if it stays, try again later.';
const APP = 'Open the WeCom console, 应用管理, the app';
/** Early refusals of a customised app. Source: developer.work.weixin.qq.com/document/path/97201 */
const ONLINE =
  'If the provider has not put the app online yet (服务商后台 > 代开发应用 > the app), the company waits for that and has nothing to change';
const PROVIDER = 'Check the provider’s settings in the WeCom service provider console (服务商后台).';

const entry = (reaction: WecomReaction, meaning: string, advice: string, providerAdvice?: string): WecomErrorEntry => ({
  reaction,
  meaning,
  advice,
  ...(providerAdvice ? { providerAdvice } : {}),
});

/** Every errcode that can matter here. Source: developer.work.weixin.qq.com/document/path/90313 */
export const WECOM_ERRORS: Readonly<Record<number, WecomErrorEntry>> = {
  [-1]: entry('RETRY', 'WeCom is busy.', LATER),
  6000: entry('BACK_OFF', 'WeCom’s data was being changed by someone else.', LATER),
  40001: entry(
    'STOP',
    'WeCom does not accept the secret.',
    `${APP}: compare AgentId and Secret, press 重新获取 if in doubt, and see that the app is not stopped.`,
    'Of the provider’s own token: compare WECOM_PROVIDER_CORP_ID and WECOM_PROVIDER_SECRET with the service provider console (服务商后台). Of a company’s app: its secret was made anew unnoticed, or the company stopped it; press 重新获取 in 服务商后台 > 代开发应用 > the app, and the new secret comes by itself.',
  ),
  40003: entry('GONE', 'WeCom knows no member with this userid.', 'Look the member up in the console (通讯录).'),
  40013: entry('STOP', 'WeCom does not know this corp id.', 'Copy the 企业ID from 我的企业 > 企业信息.'),
  40014: entry(
    'REFRESH_TOKEN',
    'WeCom does not accept the access token.',
    'See that corp id, AgentId and Secret belong to one app.',
  ),
  40029: entry(
    'REFUSED',
    'The logon code is not valid: used, older than five minutes, or another app’s.',
    'Log on again.',
  ),
  40035: entry('REFUSED', 'WeCom calls a parameter invalid.', REPORT),
  40058: entry('REFUSED', 'WeCom calls a parameter invalid.', REPORT),
  40063: entry('REFUSED', 'WeCom calls a parameter empty.', REPORT),
  40066: entry('REFUSED', 'WeCom calls the list of departments invalid.', REPORT),
  40068: entry(
    'GONE',
    'WeCom knows no tag with this id.',
    `${APP}: see which tags the visible range (可见范围) names.`,
  ),
  40077: entry('REFUSED', 'The pre-authorization code is unknown.', 'Start the authorization again.'),
  40078: entry('REFUSED', 'The authorization code is unknown or was used.', 'Start the authorization again.'),
  40080: entry('STOP', 'WeCom does not accept the template’s secret.', PROVIDER),
  40082: entry('REFRESH_TOKEN', 'WeCom does not accept the suite access token.', PROVIDER),
  40083: entry('STOP', 'WeCom does not know the template id.', PROVIDER),
  40084: entry(
    'STOP',
    'The permanent code is not valid: cancelled, reset, or another provider’s.',
    'Authorize the company again.',
  ),
  // The same ticket is not asked with again: only the next one helps.
  40085: entry(
    'REFUSED',
    'The suite ticket is unknown or expired.',
    'Wait for the next ticket (ten minutes), or push one from the provider console.',
  ),
  40086: entry('REFUSED', 'The template has no such app.', PROVIDER),
  40091: entry('STOP', 'The secret belongs to another company.', 'Use corp id and secret of the same company.'),
  40133: entry('REFUSED', 'Members may not authorize this app.', 'Let an administrator authorize it.'),
  40134: entry('STOP', 'This authorization is disabled.', 'Enable the app in the WeCom console.'),
  40140: entry('REFUSED', 'Another app of the template is installed.', PROVIDER),
  40141: entry(
    'STOP',
    'WeCom reports the company as abnormal.',
    'Ask the company’s administrator to look into the WeCom console.',
  ),
  41001: entry('REFUSED', 'The access token is missing.', REPORT),
  41002: entry('REFUSED', 'The corp id is missing.', REPORT),
  41004: entry('REFUSED', 'The secret is missing.', REPORT),
  41008: entry('REFUSED', 'The code is missing.', REPORT),
  41009: entry('REFUSED', 'The userid is missing.', REPORT),
  41011: entry('REFUSED', 'The agent id is missing.', REPORT),
  41017: entry('REFUSED', 'The tag id is missing.', REPORT),
  41021: entry('REFUSED', 'The template id is missing.', REPORT),
  41022: entry('REFUSED', 'The suite access token is missing.', REPORT),
  41023: entry('REFUSED', 'The suite ticket is missing.', REPORT),
  41024: entry('REFUSED', 'The template’s secret is missing.', REPORT),
  41025: entry('REFUSED', 'The permanent code is missing.', REPORT),
  42001: entry('REFRESH_TOKEN', 'The access token has expired.', 'Rollcall fetches a new one by itself.'),
  42003: entry('REFUSED', 'The logon code has expired.', 'Log on again.'),
  42007: entry('REFUSED', 'The pre-authorization code has expired.', 'Start the authorization again.'),
  42009: entry('REFRESH_TOKEN', 'The suite access token has expired.', 'Rollcall fetches a new one by itself.'),
  42022: entry('REFUSED', 'The logon code was used already.', 'Log on again.'),
  45009: entry(
    'BACK_OFF',
    'WeCom’s frequency limit is reached.',
    'Lower WECOM_CALLS_PER_MINUTE, or see which other program uses the app; try again later.',
  ),
  // Of a department's people less is asked for at a time; of the tree and of a tag no less can be.
  45029: entry(
    'REFUSED',
    'The answer is too large for WeCom.',
    `No less can be asked for. ${APP}: narrow the visible range (可见范围); where a tag is too large, split it.`,
  ),
  45033: entry('BACK_OFF', 'Too many calls at the same time.', LATER),
  45035: entry('BACK_OFF', 'WeCom’s data was being written by someone else.', LATER),
  45036: entry('BACK_OFF', 'WeCom limits access because of unusual traffic.', LATER),
  46004: entry(
    'GONE',
    'WeCom knows no such member, or does not show them.',
    `${APP}: see the visible range (可见范围).`,
  ),
  48001: entry('STOP', 'The app was not granted this feature.', `${APP}: see its permissions.`),
  48002: entry(
    'STOP',
    'This kind of app may not make this call.',
    'Use the Secret of a self-built app (自建), not that of another program.',
    `${ONLINE}; else see that the template is one of 代开发应用 and has the permission for this call.`,
  ),
  48003: entry('REFUSED', 'The token belongs to another template.', PROVIDER),
  48004: entry('STOP', 'The company has not authorized the app, or cancelled.', 'Authorize the company again.'),
  48005: entry('REFUSED', 'WeCom has retired this call.', REPORT),
  48006: entry(
    'STOP',
    'WeCom withdrew the permission because the app was not used for long.',
    `${APP}: enable it again.`,
  ),
  48009: entry(
    'STOP',
    'The contacts-sync secret may not read details from this address.',
    'Use the Secret of a self-built app instead of that of 通讯录同步.',
  ),
  48010: entry('STOP', 'WeCom refuses this TLS version.', 'Update Node.js, or the proxy in between.'),
  50001: entry('REFUSED', 'The redirect address is not on the app’s trusted domain.', `${APP}: set 网页授权及JS-SDK.`),
  50002: entry('GONE', 'The member is not within the permitted range.', `${APP}: see the visible range (可见范围).`),
  50003: entry(
    'STOP',
    'The app is disabled.',
    `${APP}: switch it on.`,
    `${ONLINE}; else the company’s administrator switches the app on (应用管理).`,
  ),
  50100: entry('REFUSED', 'The paging cursor is not valid.', REPORT),
  60003: entry('GONE', 'The department does not exist.', 'Look the department up in the console (通讯录).'),
  60004: entry('GONE', 'The parent department does not exist.', 'Look the department up in the console (通讯录).'),
  60011: entry(
    'GONE',
    'The app may not see this member, department or tag.',
    `${APP}: widen the visible range (可见范围).`,
    `${ONLINE}; else the company’s administrator widens the app’s visible range (应用管理 > the app > 可见范围).`,
  ),
  60020: entry(
    'STOP',
    'WeCom does not allow calls from this server’s address.',
    `${APP}: add the server’s public address to 企业可信IP; it takes about a minute.`,
    'Add the server’s public address to the provider’s list (服务商后台 > IP白名单), not to one of the company’s; it takes about a minute.',
  ),
  60021: entry('GONE', 'The userid is not in the app’s range.', `${APP}: widen the visible range (可见范围).`),
  60031: entry('STOP', 'This app is barred from calling the API.', `${APP}: see the notices there.`),
  60102: entry('REFUSED', 'The userid is in use already.', 'Choose another.'),
  60103: entry('REFUSED', 'The mobile number is not valid.', 'Check the number.'),
  60104: entry('REFUSED', 'The mobile number is in use already.', 'Choose another.'),
  60106: entry('REFUSED', 'The e-mail address is in use already.', 'Choose another.'),
  60111: entry('GONE', 'WeCom knows no such userid, or does not show it.', `${APP}: see the visible range (可见范围).`),
  60123: entry('GONE', 'The department id is not valid.', 'Look the department up in the console (通讯录).'),
  60124: entry('GONE', 'The parent department id is not valid.', 'Look the department up in the console (通讯录).'),
  60214: entry('STOP', 'This call is for third-party apps only.', REPORT),
  60221: entry('GONE', 'The open userid belongs to another provider.', PROVIDER),
  60268: entry('REFUSED', 'The paging cursor is not valid.', REPORT),
  81001: entry('REFUSED', 'A department has more than 30,000 members and children.', 'Split the department in WeCom.'),
  81002: entry('REFUSED', 'The tree has more than 15 levels.', 'Flatten the tree in WeCom.'),
  81003: entry('REFUSED', 'A tag has more than 30,000 members.', 'Split the tag in WeCom.'),
  81011: entry('GONE', 'The app has no right on this tag.', `${APP}: see the visible range (可见范围).`),
  84005: entry('STOP', 'There is no such third-party app.', PROVIDER),
  84014: entry('REFUSED', 'The user ticket has expired.', 'Log on again.'),
  84015: entry('REFUSED', 'The user ticket is not valid.', 'Log on again.'),
  84025: entry('REFUSED', 'The state has bad characters or length.', REPORT),
  84090: entry('REFUSED', 'The user ticket is missing.', REPORT),
  90210: entry('REFUSED', 'The member must authorize first.', 'Log on again and agree.'),
  92000: entry('REFUSED', 'The member is outside the app’s range.', `${APP}: widen the visible range (可见范围).`),
  92001: entry('REFUSED', 'The app lacks the permission for sensitive fields.', `${APP}: see its permissions.`),
  92002: entry('REFUSED', 'A call across companies.', REPORT),
  92003: entry('REFUSED', 'A call across apps.', REPORT),
  301002: entry(
    'STOP',
    'The agent id does not belong to this secret’s app.',
    `${APP}: copy AgentId and Secret from the same page.`,
  ),
  301007: entry('STOP', 'The company was dissolved or banned.', 'Ask the company’s administrator.'),
  701008: entry('REFUSED', 'The member lacks an interface licence (接口调用许可).', 'Buy or assign a licence.'),
  701099: entry('REFUSED', 'The member lacks an interface licence (接口调用许可).', 'Buy or assign a licence.'),
  842002: entry('REFUSED', 'The template is not online.', PROVIDER),
  842003: entry('REFUSED', 'The template is not one of a customised app.', PROVIDER),
  842004: entry('REFUSED', 'A wrong number of templates.', REPORT),
  842005: entry('REFUSED', 'The app type is not supported.', PROVIDER),
  842006: entry(
    'REFUSED',
    'This company has authorized the template already.',
    'Use the existing authorization, or cancel it in WeCom first.',
  ),
  846000: entry('REFUSED', 'Not a customised or third-party app.', PROVIDER),
};

const UNKNOWN = entry(
  'REFUSED',
  'WeCom refused with a code that Rollcall does not know.',
  'Look the code up at open.work.weixin.qq.com/devtool/query.',
);

/** What an errcode means and what to do about it. */
function wecomErrorAdvice(errcode: number): WecomErrorEntry {
  return WECOM_ERRORS[errcode] ?? UNKNOWN;
}

/** WeCom's answer with an errcode. */
export class WecomError extends DirectoryError {
  /** @param mode whose app made the call: what is to be done depends on it */
  constructor(
    readonly errcode: number,
    path: string,
    mode: WecomMode,
  ) {
    const { reaction, meaning, advice, providerAdvice } = wecomErrorAdvice(errcode);
    const code =
      reaction === 'BACK_OFF'
        ? 'UPSTREAM_RATE_LIMITED'
        : reaction === 'RETRY'
          ? 'UPSTREAM_UNREACHABLE'
          : 'UPSTREAM_REFUSED';
    super(code, `${meaning} (${path})`, String(errcode), (mode === 'SERVICE_PROVIDER' && providerAdvice) || advice);
  }

  override get stopsReading(): boolean {
    return this.reaction === 'STOP';
  }

  get reaction(): WecomReaction {
    return wecomErrorAdvice(this.errcode).reaction;
  }
}
