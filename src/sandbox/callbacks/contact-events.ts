import type { OrganizationState, SandboxDepartment, SandboxTag, SandboxUser } from '../organization';

/** One change_contact event: its type and what it carries, in WeCom's element names. Source: developer.work.weixin.qq.com/document/path/96302 to 96304 */
export interface ContactEvent {
  readonly changeType: string;
  readonly fields: Readonly<Record<string, string | number>>;
  /** Seconds of the epoch; now when absent. */
  readonly createTime?: number;
}

/** An event as complete as a customised app gets it, or with ids alone as the contacts-sync callback does since August 2022. */
export type EventForm = 'full' | 'ids';

/** What WeCom would push for the difference between two states. Pure. Reordering departments makes no event, as in WeCom. */
export function eventsBetween(before: OrganizationState, after: OrganizationState, form: EventForm): ContactEvent[] {
  return [
    ...departmentEvents(before.departments, after.departments, form),
    ...userEvents(before.users, after.users, form),
    ...tagEvents(before.tags, after.tags),
  ];
}

function departmentEvents(
  before: readonly SandboxDepartment[],
  after: readonly SandboxDepartment[],
  form: EventForm,
): ContactEvent[] {
  const [former, now] = [byKey(before, (d) => d.id), byKey(after, (d) => d.id)];
  const events: ContactEvent[] = [];
  for (const d of after) {
    const was = former.get(d.id);
    if (!was) {
      const more = form === 'full' ? { Name: d.name, Order: d.order } : {};
      events.push({ changeType: 'create_party', fields: { Id: d.id, ParentId: d.parentId, ...more } });
      continue;
    }
    const moved = was.parentId !== d.parentId;
    const renamed = form === 'full' && was.name !== d.name;
    const changed = { ...(renamed ? { Name: d.name } : {}), ...(moved ? { ParentId: d.parentId } : {}) };
    if (moved || renamed) events.push({ changeType: 'update_party', fields: { Id: d.id, ...changed } });
  }
  for (const d of before) if (!now.has(d.id)) events.push({ changeType: 'delete_party', fields: { Id: d.id } });
  return events;
}

function userEvents(before: readonly SandboxUser[], after: readonly SandboxUser[], form: EventForm): ContactEvent[] {
  const [former, now] = [byKey(before, (u) => u.userid), byKey(after, (u) => u.userid)];
  const events: ContactEvent[] = [];
  const there = new Set<string>();
  for (const user of after) {
    const was = former.get(user.userid) ?? formerOf(user, former, now);
    const told = userFields(user, form);
    if (!was) {
      events.push({ changeType: 'create_user', fields: { UserID: user.userid, ...told } });
      continue;
    }
    const old = userFields(was, form);
    const different = Object.fromEntries(Object.entries(told).filter(([name, value]) => old[name] !== value));
    const changed = was.userid === user.userid ? different : { NewUserID: user.userid, ...different };
    if (Object.keys(changed).length > 0) {
      events.push({ changeType: 'update_user', fields: { UserID: was.userid, ...changed } });
    }
    there.add(was.userid);
  }
  for (const user of before) {
    if (!there.has(user.userid)) events.push({ changeType: 'delete_user', fields: { UserID: user.userid } });
  }
  return events;
}

/** Whom a member was, where the userid has just been changed. */
function formerOf(
  { formerUserid }: SandboxUser,
  former: ReadonlyMap<string, SandboxUser>,
  now: ReadonlyMap<string, SandboxUser>,
): SandboxUser | undefined {
  return formerUserid === undefined || now.has(formerUserid) ? undefined : former.get(formerUserid);
}

function userFields(user: SandboxUser, form: EventForm): Record<string, string | number> {
  const Department = user.departments.join(',');
  if (form === 'ids') return { Department };
  return {
    Name: user.name,
    Department,
    ...(user.mainDepartment === undefined ? {} : { MainDepartment: user.mainDepartment }),
    IsLeaderInDept: user.isLeaderInDept.join(','),
    DirectLeader: (user.direct_leader ?? []).join(','),
    Position: user.position,
    Mobile: user.mobile ?? '',
    Gender: user.gender ?? '0',
    Email: user.email ?? '',
    BizMail: user.biz_mail ?? '',
    Status: user.status,
    Alias: user.alias ?? '',
    Telephone: user.telephone ?? '',
    Address: user.address ?? '',
  };
}

function tagEvents(before: readonly SandboxTag[], after: readonly SandboxTag[]): ContactEvent[] {
  const former = byKey(before, (t) => t.id);
  return after.flatMap((tag) => {
    const was = former.get(tag.id);
    const added = <T>(now: readonly T[], then: readonly T[]) => now.filter((x) => !then.includes(x)).join(',');
    const fields = {
      TagId: tag.id,
      AddUserItems: added(tag.users, was?.users ?? []),
      DelUserItems: added(was?.users ?? [], tag.users),
      AddPartyItems: added(tag.departments, was?.departments ?? []),
      DelPartyItems: added(was?.departments ?? [], tag.departments),
    };
    const { TagId: _, ...items } = fields;
    return Object.values(items).some((list) => list !== '') ? [{ changeType: 'update_tag', fields }] : [];
  });
}

function byKey<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T> {
  return new Map(items.map((item) => [key(item), item]));
}

/** The message as WeCom writes it: numbers bare, texts as CDATA. */
export function eventXml(toUser: string, event: ContactEvent): string {
  const element = ([name, value]: [string, string | number]) =>
    typeof value === 'number' ? `<${name}>${value}</${name}>` : `<${name}>${cdata(value)}</${name}>`;
  return `<xml><ToUserName>${cdata(toUser)}</ToUserName><FromUserName>${cdata('sys')}</FromUserName><CreateTime>${event.createTime ?? Math.floor(Date.now() / 1000)}</CreateTime><MsgType>${cdata('event')}</MsgType><Event>${cdata('change_contact')}</Event><ChangeType>${event.changeType}</ChangeType>${Object.entries(event.fields).map(element).join('')}</xml>`;
}

export function cdata(text: string): string {
  return `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}
