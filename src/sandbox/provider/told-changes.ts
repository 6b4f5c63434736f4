import { type ContactEvent, eventsBetween } from '../callbacks/contact-events';
import type { OrganizationState, SandboxDepartment, SandboxUser } from '../organization';
import type { AppView, VisibleOrganization } from '../visible';

/** What events call a field of a member or department. */
const ELEMENTS: Readonly<Record<string, string>> = {
  name: 'Name',
  position: 'Position',
  mobile: 'Mobile',
  gender: 'Gender',
  email: 'Email',
  biz_mail: 'BizMail',
  telephone: 'Telephone',
  address: 'Address',
  is_leader_in_dept: 'IsLeaderInDept',
  direct_leader: 'DirectLeader',
};

/**
 * What a customised app is told of a change: of what it may see alone, with its ids, without what is withheld from it. Who
 * comes into its range or leaves it with a move was changed, not made or deleted.
 */
export function toldChanges(
  former: { readonly visible: VisibleOrganization; readonly state: OrganizationState },
  now: { readonly visible: VisibleOrganization; readonly state: OrganizationState },
): ContactEvent[] {
  const events = eventsBetween(told(former.visible, former.state), told(now.visible, now.state), 'full');
  const [was, is] = [existing(former, now.visible.view), existing(now, now.visible.view)];
  return events.flatMap((event) => {
    const shown = withoutWithheld(event, now.visible.view);
    const object = String(event.fields['UserID'] ?? event.fields['Id'] ?? '');
    if (event.changeType.startsWith('create_') && was.has(object)) return [updateOf(shown)];
    if (event.changeType.startsWith('delete_') && is.has(object)) return [updateOf(shown)];
    const isEmptyUpdate = event.changeType.startsWith('update_') && Object.keys(shown.fields).length < 2;
    return isEmptyUpdate ? [] : [shown];
  });
}

function updateOf(event: ContactEvent): ContactEvent {
  const { Order: _, ...fields } = event.fields;
  return { changeType: event.changeType.replace(/^(create|delete)_/, 'update_'), fields };
}

/** Ids, as the app knows them, of all that is in the company. */
function existing({ state }: { readonly state: OrganizationState }, view: AppView): ReadonlySet<string> {
  const users = state.users.map((user) => view.memberId(user.userid));
  return new Set([...users, ...state.departments.map((department) => String(department.id))]);
}

function told(visible: VisibleOrganization, state: OrganizationState): OrganizationState {
  const { view } = visible;
  const ids = (users: readonly string[]) => users.filter((id) => visible.user(id)).map((id) => view.memberId(id));
  return {
    departments: [...visible.departments.values()].map((department) => toldDepartment(department, view)),
    users: [...visible.allUsers()].map((user) => toldUser(user, visible, ids)),
    tags: state.tags.map((tag) => ({ ...tag, users: ids(tag.users) })),
  };
}

/** A withheld name is the same before and after, so that nobody hears of its change. */
function toldDepartment(department: SandboxDepartment, view: AppView): SandboxDepartment {
  return view.withheldOfDepartments.includes('name') ? { ...department, name: '' } : department;
}

function toldUser(
  user: SandboxUser,
  visible: VisibleOrganization,
  ids: (users: readonly string[]) => string[],
): SandboxUser {
  const places = user.departments
    .map((id, i) => ({ id, leader: user.isLeaderInDept[i] ?? 0 }))
    .filter((place) => visible.structure.has(place.id));
  const main = user.mainDepartment;
  const shown: SandboxUser = {
    ...user,
    userid: visible.view.memberId(user.userid),
    formerUserid: user.formerUserid && visible.view.memberId(user.formerUserid),
    departments: places.map((place) => place.id),
    isLeaderInDept: places.map((place) => place.leader),
    direct_leader: ids(user.direct_leader ?? []),
    mainDepartment: main !== undefined && visible.structure.has(main) ? main : undefined,
  };
  for (const field of visible.view.withheld.fields) delete shown[field];
  const isLeaderInDept = visible.view.withheld.fields.includes('is_leader_in_dept') ? [] : shown.isLeaderInDept;
  return { ...shown, isLeaderInDept };
}

function withoutWithheld(event: ContactEvent, view: AppView): ContactEvent {
  const hidden = event.changeType.endsWith('_party') ? view.withheldOfDepartments : view.withheld.fields;
  const fields = { ...event.fields };
  for (const field of hidden) delete fields[ELEMENTS[field] ?? ''];
  return { ...event, fields };
}
