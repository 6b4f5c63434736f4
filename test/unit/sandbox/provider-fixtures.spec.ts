import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseMessage } from '../../../src/callbacks/wecom-message';
import { type ProviderSide, startProviderSide } from './provider-side';
import { shapeOf } from './shape';

const FIXTURES = path.join(__dirname, '..', '..', 'fixtures', 'wecom');
const text = (sample: string) => readFileSync(path.join(FIXTURES, sample), 'utf8');

/** Told only of companies that are verified, came through a dealer, or share the app of another company. */
const OTHER_COMPANIES = [
  '.dealer_corp_info.corpid',
  '.dealer_corp_info.corp_name',
  '.auth_corp_info.verified_end_time',
  '.auth_corp_info.corp_ex_name.name_list',
  '.auth_info.agent[].appid',
  '.auth_info.agent[].shared_from.corpid',
  '.auth_info.agent[].shared_from.share_type',
];
/** Told only of installations by a promotion code. */
const PROMOTIONS = ['register_code', 'template_id', 'state'].map((key) => `.register_code_info.${key}`);
/** Told only of permissions that end. */
const EXTENDED = ['permission_name', 'expire_time'].map((key) => `.app_permissions_ext[].${key}`);

/** Each answer holds every key that WeCom's sample of it has, with the same type. */
describe('the provider side’s answers have the shape of WeCom’s samples', () => {
  let side: ProviderSide;
  let app: Awaited<ReturnType<ProviderSide['connect']>>;
  let answers: Record<string, unknown>;

  beforeAll(async () => {
    side = await startProviderSide();
    const { corpId, templateId, secret } = side.sandbox.provider.settings;
    const range = { departments: [1], users: ['lisi'], tags: [7] };
    const link = await side.withProvider('service/get_customized_auth_url', {
      state: 'S',
      templateid_list: [templateId],
    });
    side.sandbox.company.organization.tags.set(7, { id: 7, name: '标签', users: ['lisi'], departments: [4] });
    app = await side.connect({ range, permissions: ['contact:sensitive:user_name'] });
    const auth = { auth_corpid: app.corpId, permanent_code: app.permanentCode };
    const renewed = () => side.sandbox.provider.authorize({ url: link.qrcode_url, again: true, range }).authCode;
    const plain = side.sandbox.company.settings.corpId;
    const licence = { corpid: app.corpId, suite_id: templateId };
    answers = {
      gettoken: await side.call('gettoken', undefined, { corpid: app.corpId, corpsecret: app.permanentCode }),
      get_suite_token: await side.call('service/get_suite_token', side.suite),
      get_provider_token: await side.call('service/get_provider_token', { corpid: corpId, provider_secret: secret }),
      get_customized_auth_url: link,
      'v2/get_auth_info': await side.withSuite('service/v2/get_auth_info', auth),
      get_auth_info: await side.withSuite('service/get_auth_info', auth),
      corpid_to_opencorpid: await side.withProvider('service/corpid_to_opencorpid', { corpid: plain }),
      get_app_license_info: await side.withProvider('license/get_app_license_info', licence),
      get_permissions: await app.ask('agent/get_permissions', {}, {}),
      get_admin_list: await app.ask('agent/get_admin_list', {}, {}),
      'agent/get': await app.ask('agent/get', { agentid: app.agentId }),
      'user/get': await app.ask('user/get', { userid: side.sandbox.provider.ids.memberId(plain, 'lisi') }),
      userid_to_openuserid: await app.ask('batch/userid_to_openuserid', {}, { userid_list: ['lisi', 'nobody'] }),
      get_openid_migration: await app.ask('corp/get_openid_migration', {}, {}),
      'v2/get_permanent_code': await side.exchange(renewed()),
      get_permanent_code: await side.withSuite('service/get_permanent_code', { auth_code: renewed() }),
    };
  });
  afterAll(() => side.stop());

  it.each([
    ['gettoken', 'token/gettoken.response.json', []],
    ['get_suite_token', 'token/get_suite_token.response.json', []],
    ['get_customized_auth_url', 'authorization/get_customized_auth_url.response.json', []],
    ['v2/get_permanent_code', 'authorization/get_permanent_code_v2.response.customized.json', PROMOTIONS],
    ['get_permanent_code', 'authorization/get_permanent_code_v1.response.customized.json', OTHER_COMPANIES],
    ['v2/get_auth_info', 'authorization/get_auth_info_v2.response.customized-typical.json', []],
    ['v2/get_auth_info', 'authorization/get_auth_info_v2.response.json', OTHER_COMPANIES],
    ['get_auth_info', 'authorization/get_auth_info_v2.response.customized-typical.json', []],
    ['corpid_to_opencorpid', 'authorization/corpid_to_opencorpid.response.json', []],
    ['get_app_license_info', 'authorization/get_app_license_info.response.json', []],
    ['get_permissions', 'authorization/get_permissions.response.json', EXTENDED],
    ['get_admin_list', 'authorization/agent_get_admin_list.response.json', []],
    ['get_openid_migration', 'authorization/get_openid_migration.response.json', []],
    ['userid_to_openuserid', 'contacts/userid_to_openuserid.response.json', []],
    ['agent/get', 'app/agent_get.response.customized.json', []],
  ])('%s as in %s', (answer, sample, elsewhere: string[]) => {
    const expected = Object.entries(shapeOf(JSON.parse(text(sample)))).filter(([key]) => !elsewhere.includes(key));
    const actual = shapeOf(answers[answer]);
    // Lists that are empty here have no elements whose types could differ.
    const emptied = (key: string) => !(key in actual) && /\.privilege\.(allow|extra)_\w+\[\]$/.test(key);
    expect(actual).toMatchObject(Object.fromEntries(expected.filter(([key]) => !emptied(key))));
  });

  it('get_provider_token has no errcode, and a customised app is told neither a token nor a level', () => {
    const sample = JSON.parse(text('token/get_provider_token.response.json'));
    expect(shapeOf(answers['get_provider_token'])).toEqual(shapeOf(sample));
    expect(answers['v2/get_permanent_code']).not.toHaveProperty('access_token');
    expect(answers['v2/get_auth_info']).toMatchObject({
      auth_info: { agent: [{ is_customized_app: true, privilege: { level: 0 } }] },
    });
    expect(answers['user/get']).not.toHaveProperty('mobile');
  });

  it('get_corp_token is for others', async () => {
    const body = { auth_corpid: app.corpId, permanent_code: app.permanentCode };
    expect((await side.withSuite('service/get_corp_token', body)).errcode).toBe(48002);
    expect((await side.withProvider('service/corpid_to_opencorpid', { corpid: 'ww9999999999999999' })).errcode).toBe(
      48001,
    );
  });
});

/** Each message has the elements of WeCom's sample of it. */
describe('the template’s messages have the elements of WeCom’s samples', () => {
  let side: ProviderSide;
  beforeAll(async () => {
    side = await startProviderSide();
    const { provider } = side.sandbox;
    const { corpId } = provider.authorize();
    provider.setPermissions(corpId, ['contact:sensitive:user_name']);
    provider.resetPermanentCode(corpId);
    const organization = side.sandbox.company.organization;
    organization.change(() => void organization.users.delete('lisi'));
    provider.appOf(corpId).setRange({ departments: [], users: ['wangwu'], tags: [] });
    provider.appOf(corpId).setRange({ departments: [1], users: [], tags: [] });
    provider.cancel(corpId);
    await side.sandbox.settled();
  });
  afterAll(() => side.stop());

  it.each(['suite_ticket', 'create_auth', 'change_auth', 'cancel_auth', 'reset_permanent_code'])('%s', (what) => {
    const message = side.receiver.received.find((one) => one.message['InfoType'] === what)?.message;
    expect(Object.keys(message ?? {}).sort()).toEqual(Object.keys(sampleOf(`callbacks-suite/${what}.xml`)).sort());
  });

  it.each(['subscribe', 'unsubscribe'])('%s', (what) => {
    const message = side.receiver.received.find((one) => one.message['Event'] === what)?.message;
    expect(Object.keys(message ?? {}).sort()).toEqual(Object.keys(sampleOf(`callbacks-app/${what}.xml`)).sort());
  });

  it('change_contact', () => {
    const message = side.receiver.received.find((one) => one.message['ChangeType'] === 'delete_user')?.message;
    const sample = sampleOf('callbacks-app/change_contact.delete_user.xml');
    expect(Object.keys(message ?? {}).sort()).toEqual(Object.keys(sample).sort());
  });
});

function sampleOf(sample: string) {
  return parseMessage(text(sample));
}
