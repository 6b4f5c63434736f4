import type { CustomizedApp } from './customized-app';

/** What is told of an authorization. Source: developer.work.weixin.qq.com/document/path/97163 and 100795 */

/** The company in short. */
export function companyName(app: CustomizedApp) {
  return { corpid: app.settings.corpId, corp_name: app.company.name };
}

/** An unverified company; such a one has no verified names and no end of verification. */
export function companyDetails(app: CustomizedApp) {
  return {
    ...companyName(app),
    corp_type: 'unverified',
    corp_square_logo_url: '',
    corp_user_max: Math.max(200, app.organization.users.size),
    corp_full_name: app.company.name,
    subject_type: 1,
    corp_scale: '',
    corp_industry: '',
    corp_sub_industry: '',
  };
}

/** The app with its range. `level` means nothing for a customised one. */
export function authInfo(app: CustomizedApp) {
  const { departments, users, tags } = app.range;
  const agent = {
    agentid: Number(app.settings.agentId),
    name: String(app.agentDetails()['name']),
    round_logo_url: '',
    square_logo_url: '',
    auth_mode: 0,
    is_customized_app: true,
    auth_from_thirdapp: false,
    privilege: {
      level: 0,
      allow_party: departments,
      allow_user: users.map((userid) => app.visible.view.memberId(userid)),
      allow_tag: tags,
      extra_party: [],
      extra_user: [],
      extra_tag: [],
    },
  };
  return { agent: [agent] };
}

/** Who authorized: the company's first member, who has no picture and a name where names are told. */
export function administrator(app: CustomizedApp) {
  const [first] = app.organization.users.values();
  if (!first) return { userid: '', open_userid: '', name: '', avatar: '' };
  const userid = app.visible.view.memberId(first.userid);
  const name = app.permissions.includes('contact:sensitive:user_name') ? first.name : '';
  return { userid, open_userid: userid, name, avatar: '' };
}
