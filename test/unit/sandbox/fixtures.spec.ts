import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Company, DEFAULT_COMPANY } from '../../../src/sandbox/company';
import { ENDPOINTS } from '../../../src/sandbox/endpoints';
import { smallCompany } from '../../setup/rollcall';
import { shapeOf } from './shape';

/** Each answer of the sandbox beside the reference's sample of it: the same keys with the same types. */
describe('the sandbox’s answers have the shape of WeCom’s samples', () => {
  const organization = smallCompany();
  organization.tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [4] });
  const company = new Company(DEFAULT_COMPANY, organization);
  const cases: [string, Record<string, string>, string][] = [
    ['agent/get', { agentid: DEFAULT_COMPANY.agentId }, 'app/agent_get.response.selfbuilt.json'],
    ['agent/list', {}, 'app/agent_list.response.json'],
    ['department/list', {}, 'contacts/department_list.response.json'],
    ['department/simplelist', {}, 'contacts/department_simplelist.response.json'],
    ['department/get', { id: '2' }, 'contacts/department_get.response.json'],
    ['user/get', { userid: 'lisi' }, 'contacts/user_get.response.full.json'],
    ['user/list', { department_id: '3' }, 'contacts/user_list.response.json'],
    ['user/simplelist', { department_id: '3' }, 'contacts/user_simplelist.response.json'],
    ['tag/list', {}, 'contacts/tag_list.response.json'],
    ['tag/get', { tagid: '7' }, 'contacts/tag_get.response.json'],
    ['getcallbackip', {}, 'app/getcallbackip.response.json'],
  ];

  it.each(cases)('%s %j', (endpoint, query, sample) => {
    const file = path.join(__dirname, '..', '..', 'fixtures', 'wecom', sample);
    const expected = shapeOf(JSON.parse(readFileSync(file, 'utf8')));
    const answer = ENDPOINTS[endpoint]?.(company, new URLSearchParams(query), undefined);
    const actual = shapeOf(typeof answer === 'string' ? JSON.parse(answer) : { errcode: 0, errmsg: 'ok', ...answer });
    // Whatever both have is of one type, and nothing is made up beyond WeCom's documented optional keys.
    const shared = Object.keys(actual).filter((key) => key in expected);
    expect(shared.length).toBeGreaterThan(2);
    expect(Object.fromEntries(shared.map((key) => [key, actual[key]]))).toEqual(
      Object.fromEntries(shared.map((key) => [key, expected[key]])),
    );
  });
});
