import { type ProviderSide, startProviderSide } from './provider-side';

const ENCRYPTED = /^wo[0-9A-Za-z]{30}$/;
const ALL = [
  'contact:sensitive:user_name',
  'contact:sensitive:department_name',
  'contact:sensitive:position',
  'contact:sensitive:telephone',
  'contact:sensitive:extattr',
  'contact:sensitive:external_position',
  'corp_arch:base:base',
  'corp_arch:member:direct_leader',
];

describe('a customised app', () => {
  let side: ProviderSide;
  beforeEach(async () => {
    side = await startProviderSide();
    side.sandbox.company.organization.tags.set(7, { id: 7, name: '标签', users: ['lisi'], departments: [4] });
  });
  afterEach(() => side.stop());

  /** The id that the provider is told for a member of the sandbox's own company. */
  const idOf = (userid: string) => side.sandbox.provider.ids.memberId(side.sandbox.company.settings.corpId, userid);

  it('is told encrypted ids everywhere, and knows no others', async () => {
    const app = await side.connect({ permissions: ALL, range: { departments: [1], users: ['zhangsan'], tags: [7] } });
    const [zhangsan, lisi] = [idOf('zhangsan'), idOf('lisi')];
    expect([app.corpId, zhangsan, lisi]).toEqual([
      expect.stringMatching(/^wp/),
      expect.stringMatching(ENCRYPTED),
      expect.stringMatching(ENCRYPTED),
    ]);
    const ids = async (departmentId: string, path = 'user/list') =>
      (await app.ask(path, { department_id: departmentId })).userlist.map((one: { userid: string }) => one.userid);
    expect(await ids('3')).toEqual([lisi, idOf('wangwu')]);
    expect(await ids('3', 'user/simplelist')).toEqual([lisi, idOf('wangwu')]);
    expect(await app.ask('user/get', { userid: lisi })).toMatchObject({ userid: lisi, direct_leader: [zhangsan] });
    expect((await app.ask('department/get', { id: '2' })).department.department_leader).toEqual([zhangsan]);
    expect((await app.ask('tag/get', { tagid: '7' })).userlist).toEqual([{ userid: lisi, name: '李四' }]);
    expect((await app.ask('agent/get', { agentid: app.agentId })).allow_userinfos.user).toEqual([{ userid: zhangsan }]);
    expect((await app.ask('user/getuserid', {}, { mobile: '13800000000' })).userid).toBe(lisi);
    for (const id of ['lisi', lisi.toLowerCase(), lisi.toUpperCase()]) {
      expect((await app.ask('user/get', { userid: id })).errcode).toBe(60111);
    }
  });

  it('has the same ids at every start, others than another provider or company has', async () => {
    const again = await startProviderSide();
    const another = await startProviderSide({ provider: { corpId: 'ww1111111111111111' } });
    const own = side.sandbox.company.settings.corpId;
    const id = ({ sandbox }: ProviderSide, corpId = own) => sandbox.provider.ids.memberId(corpId, 'lisi');
    expect(id(again)).toBe(id(side));
    expect(id(side, own.toUpperCase())).toBe(id(side));
    expect(new Set([id(side), id(another), id(side, 'ww00000000000000aa')]).size).toBe(3);
    await Promise.all([again.stop(), another.stop()]);
  });

  it('is told ids alone without a permission, and nothing that only members can consent to with all', async () => {
    const app = await side.connect();
    const told = await app.ask('user/get', { userid: idOf('lisi') });
    expect(Object.keys(told).sort()).toEqual(
      ['alias', 'department', 'errcode', 'errmsg', 'gender', 'main_department', 'order', 'status', 'userid'].sort(),
    );
    expect((await app.ask('department/list')).department[1]).toEqual({ id: 2, parentid: 1, order: 20 });
    expect((await app.ask('user/simplelist', { department_id: '3' })).userlist[0]).not.toHaveProperty('name');
    await side.control('PUT', 'permissions', { corpId: app.corpId, permissions: ALL });
    const all = await app.ask('user/get', { userid: idOf('zhangsan') });
    expect(all).toMatchObject({
      name: '张三',
      position: '主任',
      gender: '0',
      is_leader_in_dept: [1],
      direct_leader: [],
    });
    for (const never of ['mobile', 'email', 'biz_mail', 'avatar', 'thumb_avatar', 'qr_code', 'address']) {
      expect(all).not.toHaveProperty(never);
    }
    expect((await app.ask('agent/get_permissions', {}, {})).app_permissions).toEqual(ALL);
  });

  it.each([
    ['empty', ''],
    ['null', null],
  ])('is told what is withheld as %s where so it is set', async (style, value) => {
    const app = await side.connect();
    await side.control('PUT', 'withheld', { corpId: app.corpId, fields: ['alias'], style });
    const told = await app.ask('user/get', { userid: idOf('lisi') });
    expect(told).toMatchObject({ name: value, mobile: value, alias: value, gender: '0' });
    expect((await app.ask('department/get', { id: '2' })).department.name).toBe(value);
    const selfBuilt = { access_token: side.sandbox.company.issueToken().access_token, userid: 'lisi' };
    expect(await side.call('user/get', undefined, selfBuilt)).toMatchObject({ name: '李四', mobile: '13800000000' });
  });

  it('sees the company’s whole structure with its permission, and members of its range alone', async () => {
    const app = await side.connect({ range: { departments: [3], users: [], tags: [] } });
    const departments = async () =>
      (await app.ask('department/simplelist')).department_id.map((one: { id: number }) => one.id);
    const placesOf = async () => (await app.ask('user/get', { userid: idOf('wangwu') })).department;
    expect([await departments(), await placesOf()]).toEqual([[3], [3]]);
    expect((await app.ask('department/get', { id: '4' })).errcode).toBe(60011);
    side.sandbox.provider.setPermissions(app.corpId, ['corp_arch:base:base']);
    expect([await departments(), await placesOf()]).toEqual([
      [1, 2, 3, 4],
      [3, 4],
    ]);
    expect((await app.ask('department/get', { id: '4' })).department.id).toBe(4);
    expect((await app.ask('user/list', { department_id: '4' })).errcode).toBe(60011);
    expect((await app.ask('department/list')).department.map((one: { id: number }) => one.id)).toEqual([3]);
  });

  it('is refused until it is online where so it is set, but tells of itself', async () => {
    const { corpId, agentId, ask } = await side.connect();
    const errcode = async () => (await ask('department/list')).errcode;
    for (const untilOnline of [48002, 60011, 50003]) {
      await side.control('PUT', 'app', { corpId, publishStatus: 1, untilOnline });
      expect(await errcode()).toBe(untilOnline);
      const agent = await ask('agent/get', { agentid: agentId });
      expect(agent).toMatchObject({ errcode: 0, customized_publish_status: 1 });
    }
    await side.control('PUT', 'app', { corpId, publishStatus: 2 });
    expect(await errcode()).toBe(0);
  });

  it('authorized before June 2022 is told plain ids', async () => {
    const app = await side.connect({ plainIds: true });
    expect(app.corpId).toBe(side.sandbox.company.settings.corpId);
    expect((await app.ask('user/get', { userid: 'LiSi' })).userid).toBe('lisi');
    const answer = await app.ask('batch/userid_to_openuserid', {}, { userid_list: ['lisi', 'nobody'] });
    expect(answer).toMatchObject({
      open_userid_list: [{ userid: 'lisi', open_userid: idOf('lisi') }],
      invalid_userid_list: ['nobody'],
    });
    expect((await app.ask('corp/get_openid_migration', {}, {})).migration_info[0].status).toBe(0);
    side.sandbox.provider.configure({ afterCancel: 40084 });
    side.sandbox.provider.cancel(app.corpId);
    const token = (corpsecret: string) => side.call('gettoken', undefined, { corpid: app.corpId, corpsecret });
    expect((await token(app.permanentCode)).errcode).toBe(40084);
    expect((await token('another')).errcode).toBe(40001);
    expect((await token(side.sandbox.company.settings.secret)).errcode).toBe(0);
  });

  it('is an app of its own beside the self-built one and other companies’', async () => {
    const own = await side.connect();
    const other = await side.connect({ company: { corpId: 'ww00000000000000aa', name: '别的公司' } });
    expect(new Set([own.agentId, other.agentId, side.sandbox.company.settings.agentId]).size).toBe(3);
    await side.control('PUT', 'visible-range', { corpId: own.corpId, departments: [4] });
    expect((await own.ask('department/list')).department).toHaveLength(1);
    expect((await other.ask('department/list')).department).toHaveLength(4);
    expect((await other.ask('user/get', { userid: idOf('lisi') })).errcode).toBe(60111);
    expect((await own.ask('agent/get', { agentid: other.agentId })).errcode).toBe(301002);
    const selfBuilt = { access_token: side.sandbox.company.issueToken().access_token };
    expect((await side.call('agent/get_permissions', {}, selfBuilt)).errcode).toBe(846000);
    await side.control('POST', 'revoke-token', { corpId: own.corpId });
    expect((await own.ask('department/list')).errcode).toBe(42001);
    expect((await other.ask('department/list')).errcode).toBe(0);
    expect((await side.call('department/list', undefined, selfBuilt)).errcode).toBe(0);
  });
});

describe('a customised app’s events', () => {
  let side: ProviderSide;
  beforeEach(async () => {
    side = await startProviderSide();
  });
  afterEach(() => side.stop());
  const idOf = (userid: string) => side.sandbox.provider.ids.memberId(side.sandbox.company.settings.corpId, userid);
  const { change, users } = {
    change: (edit: () => void) => side.sandbox.company.change(edit),
    users: () => side.sandbox.company.organization.users,
  };
  const set = (userid: string, more: Record<string, unknown>) => {
    const former = users().get(userid);
    if (former) users().set(userid, { ...former, ...more });
  };
  /** App events since the authorization, in short. */
  const told = async (path = '/template') =>
    (await side.messages(path))
      .filter((one) => one.message['MsgType'] === 'event')
      .map(({ message }) => {
        const { ToUserName: _, CreateTime: __, MsgType: ___, FromUserName: from, Event: event, ...fields } = message;
        return event === 'change_contact' ? fields : { event, from };
      });

  it('arrive at the template’s address, for the company, with encrypted ids and without what is withheld', async () => {
    const app = await side.connect();
    change(() => set('lisi', { name: '李思', mobile: '139', departments: [4], direct_leader: [] }));
    expect(await told()).toEqual([{ ChangeType: 'update_user', UserID: idOf('lisi'), Department: '4' }]);
    const [event] = (await side.messages()).slice(-1);
    expect(event).toMatchObject({
      receiveId: app.corpId,
      envelope: { ToUserName: app.corpId, AgentID: app.agentId },
      message: { ToUserName: app.corpId, FromUserName: 'sys' },
    });
    change(() => set('lisi', { name: '李斯', email: 'x@example.com' }));
    change(() => side.sandbox.company.organization.departments.set(3, { id: 3, parentId: 2, name: '新名', order: 1 }));
    expect(await told()).toHaveLength(1);
  });

  it('tell of another userid once, to whoever stays in the range', async () => {
    const app = await side.connect();
    await side.control('POST', 'rename-user', { userid: 'lisi', newUserid: 'lisi2' });
    expect(await told()).toEqual([{ ChangeType: 'update_user', UserID: idOf('lisi'), NewUserID: idOf('lisi2') }]);
    change(() => set('lisi2', { departments: [4] }));
    expect((await told()).slice(1)).toEqual([{ ChangeType: 'update_user', UserID: idOf('lisi2'), Department: '4' }]);
    expect((await app.ask('user/get', { userid: idOf('lisi') })).errcode).toBe(60111);
    const again = await side.control('POST', 'rename-user', { userid: 'lisi2', newUserid: 'lisi3' });
    expect(again).toMatchObject({ status: 400 });
  });

  it('tell of who joins, without the elements that are withheld', async () => {
    await side.connect();
    const sunqi = { ...users().get('lisi'), userid: 'sunqi', name: '孙七', departments: [3], isLeaderInDept: [0] };
    change(() => users().set('sunqi', sunqi as NonNullable<ReturnType<ReturnType<typeof users>['get']>>));
    const [created, subscribed] = await told();
    expect(created).toEqual({
      ChangeType: 'create_user',
      UserID: idOf('sunqi'),
      Department: '3',
      MainDepartment: '3',
      Status: '1',
      Alias: '',
    });
    expect(subscribed).toEqual({ event: 'subscribe', from: idOf('sunqi') });
  });

  it('tell names and leaders where they are granted', async () => {
    await side.connect({ permissions: ALL });
    change(() => set('lisi', { name: '李思', direct_leader: ['wangwu'] }));
    change(() => side.sandbox.company.organization.departments.set(3, { id: 3, parentId: 2, name: '新名', order: 1 }));
    expect(await told()).toEqual([
      { ChangeType: 'update_user', UserID: idOf('lisi'), Name: '李思', DirectLeader: idOf('wangwu') },
      { ChangeType: 'update_party', Id: '3', Name: '新名' },
    ]);
  });

  it('tell of who comes and goes in its range alone', async () => {
    await side.connect({ range: { departments: [3], users: [], tags: [] } });
    change(() => set('lisi', { departments: [4] }));
    change(() => set('zhaoliu', { position: 'x', departments: [2] }));
    change(() => users().delete('wangwu'));
    const [lisi, wangwu] = [idOf('lisi'), idOf('wangwu')];
    expect(await told()).toEqual([
      { ChangeType: 'update_user', UserID: lisi },
      { event: 'unsubscribe', from: lisi },
      { ChangeType: 'delete_user', UserID: wangwu },
      { event: 'unsubscribe', from: wangwu },
    ]);
  });

  it('follow a change of the range, after the template was told', async () => {
    const app = await side.connect();
    await side.control('PUT', 'visible-range', { corpId: app.corpId, departments: [], users: [idOf('lisi')] });
    await side.control('PUT', 'visible-range', { corpId: app.corpId, departments: [3] });
    const shown = (await side.messages()).slice(2).map(({ message }) => message['InfoType'] ?? message['Event']);
    expect(shown).toEqual(['change_auth', 'unsubscribe', 'unsubscribe', 'change_auth', 'subscribe']);
    expect(await told()).toEqual([
      { event: 'unsubscribe', from: idOf('zhangsan') },
      { event: 'unsubscribe', from: idOf('wangwu') },
      { event: 'subscribe', from: idOf('wangwu') },
    ]);
  });

  it('go to an address of its own, checked for the provider, for the plain corp id where so it is set', async () => {
    const app = await side.connect();
    const { corpId } = app;
    const checks = side.receiver.checks.length;
    const put = (more = {}) => side.control('PUT', 'callback', { ...side.receiver.address('/app'), corpId, ...more });
    expect((await put()).status).toBe(200);
    expect(side.receiver.checks.slice(checks)).toEqual([side.sandbox.provider.settings.corpId]);
    change(() => users().delete('lisi'));
    await side.messages();
    await put({ receiveId: 'plain' });
    change(() => users().delete('wangwu'));
    const receivers = (await side.messages('/app')).map((one) => one.receiveId);
    const plain = side.sandbox.company.settings.corpId;
    expect(receivers).toEqual([corpId, corpId, plain, plain]);
    await side.control('DELETE', 'callback', { corpId });
    change(() => users().delete('zhangsan'));
    expect(await told('/app')).toHaveLength(4);
    expect(await told('/template')).toEqual([]);
  });

  it('are told to nobody where the address is not pre-filled, or the authorization was cancelled', async () => {
    const app = await side.connect();
    await side.control('PUT', 'template', { prefill: false });
    change(() => users().delete('lisi'));
    await side.control('PUT', 'template', { prefill: true });
    side.sandbox.provider.cancel(app.corpId);
    change(() => users().delete('wangwu'));
    expect(await told()).toEqual([]);
  });
});
