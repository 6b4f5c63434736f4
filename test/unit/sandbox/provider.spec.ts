import { type ProviderSide, startProviderSide } from './provider-side';

describe('the sandbox’s service provider', () => {
  let side: ProviderSide;
  beforeEach(async () => {
    side = await startProviderSide();
  });
  afterEach(() => side.stop());
  const template = () => side.sandbox.provider.settings.templateId;

  it('checks the template’s address for the provider and sends tickets to the template', async () => {
    expect(side.receiver.checks).toEqual([side.sandbox.provider.settings.corpId]);
    const [ticket] = await side.messages();
    expect(ticket).toMatchObject({
      path: '/template',
      receiveId: template(),
      envelope: { ToUserName: template(), AgentID: '' },
      message: { SuiteId: template(), InfoType: 'suite_ticket' },
    });
  });

  it('refuses an address that does not answer the check', async () => {
    const answer = await side.control(
      'PUT',
      'template',
      side.receiver.address('/template') && {
        ...side.receiver.address('/template'),
        token: 'another',
      },
    );
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining('HTTP 403') } });
  });

  it('takes the last three tickets for half an hour', async () => {
    const first = side.suite.suite_ticket;
    const suiteToken = (ticket: string | undefined) =>
      side.call('service/get_suite_token', { ...side.suite, suite_ticket: ticket });
    const [second] = [side.sandbox.provider.sendTicket(), side.sandbox.provider.sendTicket()];
    expect((await suiteToken(first)).errcode).toBe(0);
    side.sandbox.provider.sendTicket();
    expect((await suiteToken(first)).errcode).toBe(40085);
    expect((await suiteToken(second)).errcode).toBe(0);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 30 * 60_000);
    expect((await suiteToken(second)).errcode).toBe(40085);
    clock.mockRestore();
  });

  it('sends a ticket every so many seconds, and one when it is told to', async () => {
    const tickets = async () => (await side.messages()).length;
    expect(await tickets()).toBe(1);
    expect((await side.control('POST', 'suite-ticket')).body.suiteTicket).toEqual(expect.any(String));
    expect(await tickets()).toBe(2);
    const third = new Promise<void>((resolve) => {
      const push = side.receiver.received.push.bind(side.receiver.received);
      side.receiver.received.push = (...items) => {
        resolve();
        return push(...items);
      };
    });
    await side.control('PUT', 'template', { ticketSeconds: 0.05 });
    await third;
  });

  it.each([
    ['service/get_suite_token', {}, 41021],
    ['service/get_suite_token', { suite_id: 'x' }, 41024],
    ['service/get_suite_token', { suite_id: 'x', suite_secret: 'x' }, 41023],
    ['service/get_suite_token', { suite_id: 'dk1', suite_secret: 'x', suite_ticket: 'x' }, 40083],
    ['service/get_provider_token', {}, 41002],
    ['service/get_provider_token', { corpid: 'x' }, 41004],
    ['service/get_provider_token', { corpid: 'x', provider_secret: 'x' }, 40013],
    ['service/get_customized_auth_url', {}, 41001],
    ['service/v2/get_permanent_code', {}, 41022],
    ['service/v2/get_auth_info', {}, 41022],
    ['license/get_app_license_info', {}, 41001],
  ])('%s %j is refused with %d', async (path, body, errcode) => {
    expect((await side.call(path, body)).errcode).toBe(errcode);
  });

  it('refuses wrong secrets, and tokens of another kind', async () => {
    const { corpId, templateId } = side.sandbox.provider.settings;
    const wrong = { corpid: corpId, provider_secret: 'x' };
    expect((await side.call('service/get_provider_token', wrong)).errcode).toBe(40001);
    const suite = { ...side.suite, suite_secret: 'x' };
    expect((await side.call('service/get_suite_token', suite)).errcode).toBe(40080);
    const access = side.sandbox.company.issueToken().access_token;
    const link = { state: 'a', templateid_list: [templateId] };
    const url = 'service/get_customized_auth_url';
    expect((await side.call(url, link, { provider_access_token: access })).errcode).toBe(40014);
    const code = { auth_code: 'x' };
    const v2 = 'service/v2/get_permanent_code';
    expect((await side.call(v2, code, { suite_access_token: access })).errcode).toBe(40082);
    side.sandbox.provider.revokeToken();
    expect((await side.exchange('x')).errcode).toBe(42009);
  });

  it.each([
    ['', ['T'], 84025],
    ['with-dash', ['T'], 84025],
    ['a'.repeat(33), ['T'], 84025],
    ['a', [], 842004],
    ['a', Array(10).fill('T'), 842004],
    ['a', ['dk0000000000000000'], 842003],
    ['a'.repeat(32), ['T'], 0],
  ])('a link with state "%s" for %j: %d', async (state, templates, errcode) => {
    const templateid_list = templates.map((id) => (id === 'T' ? template() : id));
    const answer = await side.withProvider('service/get_customized_auth_url', { state, templateid_list });
    expect(answer.errcode).toBe(errcode);
  });

  it('fails its provider’s calls where a fault says so', async () => {
    await side.control('POST', 'faults', { kind: 'errcode', errcode: -1, path: 'service/get_suite_token', times: 1 });
    expect((await side.call('service/get_suite_token', side.suite)).errcode).toBe(-1);
    expect((await side.call('service/get_suite_token', side.suite)).errcode).toBe(0);
    await side.control('POST', 'faults', { kind: 'tokenRevoked', path: 'service/v2/get_permanent_code', times: 1 });
    expect((await side.exchange('x')).errcode).toBe(42009);
  });

  it('has limits and a list of addresses for its own calls, and the list for its apps’ too', async () => {
    const app = await side.connect();
    await side.control('PUT', 'template', { allowedAddresses: ['192.0.2.1'] });
    expect((await side.call('service/get_suite_token', side.suite)).errcode).toBe(60020);
    expect((await app.ask('department/list')).errcode).toBe(60020);
    await side.control('PUT', 'template', { allowedAddresses: [] });
    expect((await app.ask('department/list')).errcode).toBe(0);
    await side.stop();
    side = await startProviderSide({ callsPerMinute: 2 });
    expect((await side.call('service/get_suite_token', side.suite)).errcode).toBe(0);
    expect((await side.call('service/get_suite_token', side.suite)).errcode).toBe(45009);
  });

  it('makes no link and no authorization while the template is offline', async () => {
    await side.control('PUT', 'template', { online: false });
    const link = { state: 'a', templateid_list: [template()] };
    expect((await side.withProvider('service/get_customized_auth_url', link)).errcode).toBe(842002);
    expect(() => side.sandbox.provider.authorize()).toThrow('842002');
  });
});

describe('an authorization', () => {
  let side: ProviderSide;
  beforeEach(async () => {
    side = await startProviderSide();
  });
  afterEach(() => side.stop());
  const events = async () => (await side.messages('/template')).map((one) => one.message).slice(1);

  it('comes from a link, whose state comes back', async () => {
    const { templateId } = side.sandbox.provider.settings;
    const link = await side.withProvider('service/get_customized_auth_url', {
      state: 'Xyz1',
      templateid_list: [templateId],
    });
    expect(link).toMatchObject({ expires_in: 864000, qrcode_url: expect.stringMatching(/\/authorize\/[\w-]{32}$/) });
    const { status, body } = await side.control('POST', 'authorize', { url: link.qrcode_url });
    expect([status, body]).toEqual([
      200,
      { corpId: expect.stringMatching(/^wp[0-9A-Za-z]{30}$/), agentId: '1000005', authCode: expect.any(String) },
    ]);
    const [created] = await events();
    expect(created).toEqual({
      SuiteId: templateId,
      InfoType: 'create_auth',
      TimeStamp: expect.stringMatching(/^\d{10}$/),
      AuthCode: body.authCode,
      State: 'Xyz1',
      ExtraInfo: '',
    });
    expect(await side.exchange(body.authCode)).toMatchObject({
      errcode: 0,
      state: 'Xyz1',
      auth_corp_info: { corpid: body.corpId, corp_name: '示例企业' },
    });
  });

  it('from the template’s own code has no state, and one from a state may leave it out of the event', async () => {
    const plain = await side.control('POST', 'authorize', {});
    expect(await side.exchange(plain.body.authCode)).not.toHaveProperty('state');
    const { templateId } = side.sandbox.provider.settings;
    await side.withProvider('service/get_customized_auth_url', { state: 'S2', templateid_list: [templateId] });
    const company = { corpId: 'ww00000000000000aa', name: '别的公司' };
    const other = await side.control('POST', 'authorize', { state: 'S2', company, sendState: false });
    expect((await events()).map((event) => event['State'])).toEqual(['', '']);
    expect(await side.exchange(other.body.authCode)).toMatchObject({
      state: 'S2',
      auth_corp_info: { corp_name: '别的公司' },
    });
    expect((await side.control('POST', 'authorize', { state: 'S3' })).body.error).toContain('S3');
    expect((await side.control('POST', 'authorize', { url: 'http://x/authorize/y' })).body.error).toContain('no such');
  });

  it('has a code that is good once, for ten minutes', async () => {
    const { authCode } = side.sandbox.provider.authorize();
    expect((await side.exchange(authCode)).errcode).toBe(0);
    expect((await side.exchange(authCode)).errcode).toBe(40078);
    expect((await side.withSuite('service/v2/get_permanent_code', {})).errcode).toBe(41008);
    const late = side.sandbox.provider.authorize({ again: true });
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 600_000);
    expect((await side.exchange(late.authCode)).errcode).toBe(40078);
    clock.mockRestore();
  });

  it('is one for each company, unless it is made again with another permanent code', async () => {
    const first = await side.connect();
    expect(() => side.sandbox.provider.authorize()).toThrow('842006');
    const second = await side.connect({ again: true });
    expect([second.corpId, second.permanentCode === first.permanentCode]).toEqual([first.corpId, false]);
    expect((await first.ask('department/list')).errcode).toBe(40014);
    expect((await second.ask('department/list')).errcode).toBe(0);
    expect(side.sandbox.provider.authorizations).toHaveLength(1);
  });

  it('ends when it is cancelled: the event, the token and the code', async () => {
    const app = await side.connect();
    const credentials = { auth_corpid: app.corpId, permanent_code: app.permanentCode };
    expect((await side.withSuite('service/v2/get_auth_info', credentials)).errcode).toBe(0);
    const wrong = { ...credentials, permanent_code: 'x' };
    expect((await side.withSuite('service/v2/get_auth_info', wrong)).errcode).toBe(40084);
    await side.control('POST', 'cancel-authorization', { corpId: side.sandbox.company.settings.corpId });
    expect((await events()).at(-1)).toMatchObject({ InfoType: 'cancel_auth', AuthCorpId: app.corpId });
    expect((await app.ask('department/list')).errcode).toBe(40014);
    const token = () => side.call('gettoken', undefined, { corpid: app.corpId, corpsecret: app.permanentCode });
    expect((await token()).errcode).toBe(40001);
    await side.control('PUT', 'template', { afterCancel: 40084 });
    expect((await token()).errcode).toBe(40084);
    expect((await side.withSuite('service/v2/get_auth_info', credentials)).errcode).toBe(48004);
    expect((await side.control('POST', 'cancel-authorization', { corpId: app.corpId })).status).toBe(400);
  });

  it('keeps its permanent code until another one is fetched', async () => {
    const app = await side.connect();
    const { authCode } = (await side.control('POST', 'reset-permanent-code', { corpId: app.corpId })).body;
    expect((await events()).at(-1)).toEqual({
      SuiteId: expect.any(String),
      InfoType: 'reset_permanent_code',
      TimeStamp: expect.any(String),
      AuthCode: authCode,
    });
    const token = (code: string) => side.call('gettoken', undefined, { corpid: app.corpId, corpsecret: code });
    expect((await token(app.permanentCode)).errcode).toBe(0);
    const { permanent_code } = await side.exchange(authCode);
    expect((await token(app.permanentCode)).errcode).toBe(40001);
    expect((await token(permanent_code)).errcode).toBe(0);
  });

  it('tells the template when its range, its permissions or the app itself change', async () => {
    const app = await side.connect();
    const { corpId } = app;
    await side.control('PUT', 'permissions', { corpId, permissions: ['contact:sensitive:user_name'] });
    await side.control('PUT', 'visible-range', { corpId, departments: [2] });
    await side.control('PUT', 'app', { corpId, closed: true });
    await side.control('PUT', 'app', { corpId, closed: true });
    const changes = (await events()).filter((event) => event['InfoType'] === 'change_auth');
    expect(changes.map((event) => event['AuthCorpId'])).toEqual([corpId, corpId, corpId]);
    expect((await app.ask('department/list')).errcode).toBe(50003);
    expect((await side.control('PUT', 'permissions', { corpId, permissions: ['all'] })).body.error).toContain('all');
  });

  it('is delivered twice with the same nonce or another, out of order, or never', async () => {
    await side.control('PUT', 'deliveries', { duplicate: true, sameNonce: true });
    side.sandbox.provider.sendTicket();
    const same = (await side.messages()).slice(-2);
    expect(same[0]?.query).toBe(same[1]?.query);
    await side.control('PUT', 'deliveries', { duplicate: true });
    side.sandbox.provider.sendTicket();
    const other = (await side.messages()).slice(-2);
    expect(other[0]?.message).toEqual(other[1]?.message);
    expect(other[0]?.query).not.toBe(other[1]?.query);
    await side.control('PUT', 'deliveries', { reorder: true });
    const { corpId } = side.sandbox.provider.authorize();
    side.sandbox.provider.cancel(corpId);
    expect((await side.messages()).slice(-2).map((one) => one.message['InfoType'])).toEqual([
      'cancel_auth',
      'create_auth',
    ]);
    await side.control('PUT', 'deliveries', { dropEvery: 1 });
    side.sandbox.provider.sendTicket();
    expect((await side.control('GET', 'deliveries')).body.at(-1)).toMatchObject({
      what: 'suite_ticket',
      dropped: true,
    });
  });
});
