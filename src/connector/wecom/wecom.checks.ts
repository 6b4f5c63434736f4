import { type ConnectorCheck, DirectoryError } from '../directory-connector';
import type { Query, WecomClient } from './wecom.client';
import { identifiers, integer, isObject, type Json, list } from './wecom.dto';
import { WecomError } from './wecom.errors';
import { isUnknownTag, mayNotListTags, parseTags } from './wecom.groups';

/** WeCom's clock and ours may differ so much before signatures and tokens suffer. */
const CLOCK_TOLERANCE_S = 60;
const MEMBERS_LOOKED_AT = 200;
/** So many calls at most, also where hardly a department has anybody. */
const DEPARTMENTS_LOOKED_AT = 50;
const TAGS_LOOKED_AT = 10;
const CONTACT_FIELDS = ['mobile', 'email', 'biz_mail', 'position', 'telephone', 'address'];

const CODES = { ip: 60020, outside: 60011 } as const;

/**
 * What an administrator can get wrong in the WeCom console, tried out call by call. Later checks are skipped when an earlier
 * one shows that they cannot work.
 */
export async function checkWecom(client: WecomClient, agentId: string, signal: AbortSignal): Promise<ConnectorCheck[]> {
  const checks: ConnectorCheck[] = [];
  const begun = Date.now();
  let limit: DirectoryError | undefined;
  const tried = async (path: string, query: Query = {}) => {
    const attempted = await attempt(() => client.get(path, query, signal));
    if ('error' in attempted && attempted.error.code === 'UPSTREAM_RATE_LIMITED') limit = attempted.error;
    return attempted;
  };
  const inTime = (name: string, check: () => Promise<ConnectorCheck>) =>
    signal.aborted ? skipped(name, LATE) : check();
  const agent = await tried('agent/get', { agentid: agentId });
  checks.push(credentialCheck(agent), trustedIpCheck(agent));
  if (!('body' in agent)) {
    for (const name of ['VISIBILITY_SCOPE', 'CONTACT_PERMISSION', 'DIRECTORY_GROUPS', 'FIELD_COVERAGE', 'CLOCK'])
      checks.push(skipped(name));
    return limit ? [...checks, rateCheck(client, limit)] : checks;
  }
  checks.push(visibilityCheck(agent.body));
  const departments = orNone(agent.body, await tried('department/list'));
  checks.push(contactCheck(departments));
  checks.push(await inTime('DIRECTORY_GROUPS', () => groupsCheck(tried)));
  checks.push(await inTime('FIELD_COVERAGE', () => coverageCheck(tried, departments, signal)));
  checks.push(clockCheck(agent.serverDate, begun));
  checks.push(rateCheck(client, limit));
  return checks;
}

type Attempt = { readonly body: Json; readonly serverDate: Date | undefined } | { readonly error: DirectoryError };
type Try = (path: string, query?: Query) => Promise<Attempt>;

async function attempt(call: () => ReturnType<WecomClient['get']>): Promise<Attempt> {
  try {
    const answer = await call();
    return { body: answer.body ?? {}, serverDate: answer.serverDate };
  } catch (error) {
    if (error instanceof DirectoryError) return { error };
    throw error;
  }
}

function passed(name: string, message: string): ConnectorCheck {
  return { name, outcome: 'PASSED', message, advice: null, thirdPartyCode: null };
}

const LATE = 'Not known, because the time for the checks was over.';

function skipped(name: string, message = 'Not tried, because an earlier check failed.'): ConnectorCheck {
  return { name, outcome: 'SKIPPED', message, advice: null, thirdPartyCode: null };
}

function failed(name: string, error: DirectoryError): ConnectorCheck {
  const { message, advice, thirdPartyCode } = error;
  return { name, outcome: 'FAILED', message, advice, thirdPartyCode: thirdPartyCode ?? null };
}

function warning(name: string, message: string, advice: string): ConnectorCheck {
  return { name, outcome: 'WARNING', message, advice, thirdPartyCode: null };
}

function credentialCheck(agent: Attempt): ConnectorCheck {
  const name = 'CREDENTIAL';
  if ('body' in agent) return passed(name, 'WeCom accepts the corp id, agent id and secret.');
  if (agent.error.code === 'UPSTREAM_RATE_LIMITED') return skipped(name, 'Not known, because WeCom limits the calls.');
  return isIp(agent.error) ? passed(name, 'WeCom accepts the corp id and secret.') : failed(name, agent.error);
}

function trustedIpCheck(agent: Attempt): ConnectorCheck {
  const name = 'TRUSTED_IP';
  if ('body' in agent) return passed(name, 'WeCom accepts calls from this server’s address.');
  return isIp(agent.error) ? failed(name, agent.error) : skipped(name);
}

function isIp(error: DirectoryError): boolean {
  return error instanceof WecomError && error.errcode === CODES.ip;
}

/** What the visible range names of one kind. */
function within(agent: Json, kind: string, key: string): readonly unknown[] {
  const part = agent[kind];
  return isObject(part) ? list(part, key) : [];
}

function visibilityCheck(agent: Json): ConnectorCheck {
  const name = 'VISIBILITY_SCOPE';
  if (integer(agent['close']) === 1) {
    return {
      name,
      outcome: 'FAILED',
      message: 'The app is disabled in WeCom.',
      advice: 'Enable it: 应用管理 > the app > 已启用.',
      thirdPartyCode: '50003',
    };
  }
  const departments = within(agent, 'allow_partys', 'partyid').length;
  const members = within(agent, 'allow_userinfos', 'user').length;
  const tags = within(agent, 'allow_tags', 'tagid').length;
  if (departments + members + tags === 0) {
    const advice = 'Choose departments, members or tags: 应用管理 > the app > 可见范围.';
    return { name, outcome: 'FAILED', message: 'The app can see nobody.', advice, thirdPartyCode: null };
  }
  if (departments === 0) {
    const message = `The app can see ${members} members and ${tags} tags, but no department.`;
    return warning(name, message, 'To synchronize the tree, add departments: 应用管理 > the app > 可见范围.');
  }
  return passed(
    name,
    `The app can see ${departments} departments with all below them, ${members} members and ${tags} tags.`,
  );
}

/** A range of members or tags only shows no department; whether as an empty list or by a refusal is not documented. */
function orNone(agent: Json, departments: Attempt): Attempt {
  const isRefused = 'error' in departments && departments.error.thirdPartyCode === String(CODES.outside);
  const isExpected = isRefused && within(agent, 'allow_partys', 'partyid').length === 0;
  return isExpected ? { body: { department: [] }, serverDate: undefined } : departments;
}

function contactCheck(departments: Attempt): ConnectorCheck {
  const name = 'CONTACT_PERMISSION';
  if ('body' in departments) {
    const { length } = list(departments.body, 'department');
    return passed(name, `The app may read contacts; ${length} departments can be seen.`);
  }
  return failed(name, departments.error);
}

/** Tags come as directory groups; without the permission everything else is synchronized, so that this never fails as a whole. */
async function groupsCheck(tried: Try): Promise<ConnectorCheck> {
  const name = 'DIRECTORY_GROUPS';
  const tags = await tried('tag/list');
  if (!('body' in tags)) {
    const leftAlone = mayNotListTags(tags.error);
    const what = leftAlone ? 'Tags (标签) are left alone as directory groups' : 'Tags (标签) cannot be read now';
    return refusedGroups(name, `${what}: ${tags.error.message}`, tags.error);
  }
  const { ids } = parseTags(tags.body);
  for (const id of ids.slice(0, TAGS_LOOKED_AT)) {
    const tag = await tried('tag/get', { tagid: id });
    if ('body' in tag || isUnknownTag(tag.error)) continue;
    const message = `Tag ${id} is listed, but cannot be read: ${tag.error.message} While it cannot, tasks succeed partially, and no directory group is removed.`;
    return refusedGroups(name, message, tag.error);
  }
  if (ids.length === 0) return passed(name, 'The app may read tags (标签); there are none.');
  return passed(name, `The app may read tags (标签); ${ids.length} come as directory groups.`);
}

function refusedGroups(name: string, message: string, { advice, thirdPartyCode }: DirectoryError): ConnectorCheck {
  return { name, outcome: 'WARNING', message, advice, thirdPartyCode: thirdPartyCode ?? null };
}

/** Looks at the people of a few departments: a field that nobody has is most likely withheld. */
async function coverageCheck(tried: Try, departments: Attempt, signal: AbortSignal): Promise<ConnectorCheck> {
  const name = 'FIELD_COVERAGE';
  if (!('body' in departments)) return skipped(name);
  const ids = identifiers(list(departments.body, 'department').map((d) => (isObject(d) ? d['id'] : undefined)));
  const filled = new Map(CONTACT_FIELDS.map((field) => [field, 0]));
  let total = 0;
  for (const id of ids.slice(0, DEPARTMENTS_LOOKED_AT)) {
    if (total >= MEMBERS_LOOKED_AT || signal.aborted) break;
    const people = await tried('user/list', { department_id: id });
    for (const person of 'body' in people ? list(people.body, 'userlist') : []) {
      if (!isObject(person)) continue;
      total += 1;
      for (const field of CONTACT_FIELDS) if (person[field]) filled.set(field, (filled.get(field) ?? 0) + 1);
    }
  }
  if (total === 0 && signal.aborted) return skipped(name, LATE);
  if (total === 0) return warning(name, 'No member was found to look at.', 'See the visible range.');
  const counts = [...filled].map(([field, count]) => `${field}: ${count} of ${total}`).join(', ');
  const withheld = [...filled].filter(
    ([field, count]) => count === 0 && ['mobile', 'email', 'biz_mail'].includes(field),
  );
  if (withheld.length === 0) return passed(name, `Fields that come back filled: ${counts}.`);
  return warning(
    name,
    `Fields that come back filled: ${counts}.`,
    'WeCom withholds contact data from apps made after June 2022; what is withheld keeps what is here. Members can consent at logon, or map another field.',
  );
}

function clockCheck(serverDate: Date | undefined, begun: number): ConnectorCheck {
  const name = 'CLOCK';
  if (!serverDate) return skipped(name);
  const seconds = Math.round(Math.abs(serverDate.getTime() - begun) / 1000);
  if (seconds <= CLOCK_TOLERANCE_S) return passed(name, 'This server’s clock agrees with WeCom’s.');
  const message = `This server’s clock is ${seconds} seconds away from WeCom’s.`;
  return warning(name, message, 'Set the clock by NTP: callbacks and tokens are judged by time.');
}

/** @param limit what WeCom answered to a call that did not get through before the time was over */
function rateCheck(client: WecomClient, limit: DirectoryError | undefined): ConnectorCheck {
  if (limit) return failed('RATE_LIMIT', limit);
  const { throttledMs } = client.statistics();
  if (throttledMs === 0) return passed('RATE_LIMIT', 'WeCom asks nobody to slow down.');
  return warning(
    'RATE_LIMIT',
    `Calls were slowed down for ${Math.ceil(throttledMs / 1000)} seconds.`,
    'Lower WECOM_CALLS_PER_MINUTE, or see whether other programs call WeCom with this app.',
  );
}
