import type { Company } from '../company';
import type { Endpoint } from '../endpoints';
import { WecomRefusal } from '../errors';
import { isRecord } from '../request-body';
import { administrator } from './authorization-answers';
import { CustomizedApp } from './customized-app';
import type { EncryptedIds } from './encrypted-ids';

const MOST_IDS = 1_000;

/** Endpoints that a customised app has and a self-built one has not, by path. */
export function appEndpoints(ids: EncryptedIds): Readonly<Record<string, Endpoint>> {
  return {
    /** Source: developer.work.weixin.qq.com/document/path/99108 */
    'agent/get_permissions': (company) => ({ app_permissions: customized(company).permissions }),
    /** Source: developer.work.weixin.qq.com/document/path/100072 */
    'agent/get_admin_list': (company) => {
      const { userid } = administrator(customized(company));
      return { admin: userid === '' ? [] : [{ userid, auth_type: 1 }] };
    },
    /** Plain ids to those that the provider is told. Source: developer.work.weixin.qq.com/document/path/97104 */
    'batch/userid_to_openuserid': (company, _query, body) => {
      const app = customized(company);
      const asked = isRecord(body) ? body['userid_list'] : undefined;
      if (!Array.isArray(asked) || asked.length === 0) throw new WecomRefusal(40063);
      if (asked.length > MOST_IDS || asked.some((id) => typeof id !== 'string')) throw new WecomRefusal(40058);
      const isKnown = (id: string) => app.visible.user(id) !== undefined;
      return {
        open_userid_list: asked
          .filter(isKnown)
          .map((userid) => ({ userid, open_userid: ids.memberId(app.company.corpId, userid) })),
        invalid_userid_list: asked.filter((id) => !isKnown(id)),
      };
    },
    /** Which ids this app is told encrypted: 1 corp ids, 3 members'. Source: developer.work.weixin.qq.com/document/path/97104 */
    'corp/get_openid_migration': (company) => {
      const status = customized(company).plainIds ? 0 : 1;
      return { migration_info: [1, 3].map((openid_type) => ({ openid_type, status })) };
    },
  };
}

/** @throws WecomRefusal 846000 for a self-built app */
function customized(company: Company): CustomizedApp {
  if (!(company instanceof CustomizedApp)) throw new WecomRefusal(846000);
  return company;
}
