import { type Sandbox, startSandbox } from '../../../src/sandbox/sandbox';
import { smallCompany } from '../../setup/rollcall';

describe('the sandbox answers as WeCom does', () => {
  let sandbox: Sandbox;
  let token: string;
  beforeEach(async () => {
    sandbox = await startSandbox({ organization: smallCompany() });
    const { corpId, secret } = sandbox.company.settings;
    token = (await call('gettoken', { corpid: corpId, corpsecret: secret })).body.access_token;
  });
  afterEach(() => sandbox.close());

  const call = async (path: string, query: Record<string, string> = {}) => {
    const response = await fetch(`${sandbox.url}/cgi-bin/${path}?${new URLSearchParams(query)}`);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const ask = (path: string, query: Record<string, string> = {}) => call(path, { access_token: token, ...query });

  it('the same token until it expires', async () => {
    const { corpId, secret } = sandbox.company.settings;
    const again = await call('gettoken', { corpid: corpId.toUpperCase(), corpsecret: secret });
    expect(again.body).toEqual({ errcode: 0, errmsg: 'ok', access_token: token, expires_in: 7200 });
  });

  it('a token with the seconds that it has left, where it counts down', async () => {
    await sandbox.close();
    sandbox = await startSandbox({ organization: smallCompany(), countsDown: true });
    const { corpId, secret } = sandbox.company.settings;
    const lifetime = async () => (await call('gettoken', { corpid: corpId, corpsecret: secret })).body.expires_in;
    expect(await lifetime()).toBe(7200);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 7_150_000);
    expect(await lifetime()).toBe(50);
    clock.mockRestore();
  });

  it('errors with HTTP 200, headers, hint and link', async () => {
    const { status, headers, body } = await call('user/get', { userid: 'lisi' });
    expect([status, headers.get('error-code'), body.errcode]).toEqual([200, '41001', 41001]);
    expect(body.errmsg).toMatch(
      /^access_token missing, hint: \[\d+\], from ip: .+, more info at https:\/\/open\.work\.weixin\.qq\.com\/devtool\/query\?e=41001$/,
    );
  });

  it.each([
    ['gettoken', {}, 41002],
    ['gettoken', { corpid: 'x' }, 41004],
    ['gettoken', { corpid: 'x', corpsecret: 'x' }, 40013],
    ['agent/get', { agentid: '1' }, 301002],
    ['user/get', {}, 41009],
    ['user/get', { userid: 'nobody' }, 60111],
    ['user/list', {}, 40058],
    ['user/list', { department_id: '99' }, 60003],
    ['user/list_id', {}, 48002],
    ['tag/get', {}, 41017],
    ['tag/get', { tagid: '9' }, 40068],
    ['tag/get', { tagid: 'x' }, 40068],
  ])('%s %j with errcode %d', async (path, query, errcode) => {
    expect((await ask(path, query)).body.errcode).toBe(errcode);
  });

  it('a member with parallel lists and a text gender', async () => {
    const { body } = await ask('user/get', { userid: 'LISI' });
    expect(body).toMatchObject({
      userid: 'lisi',
      name: '李四',
      department: [3],
      order: [0],
      is_leader_in_dept: [0],
      main_department: 3,
      gender: '0',
      status: 1,
      direct_leader: ['zhangsan'],
      extattr: { attrs: [] },
    });
  });

  it('only what is in the visible range', async () => {
    sandbox.company.setRange({ departments: [2], users: [], tags: [] });
    const departments = (await ask('department/list')).body.department;
    expect(departments.map((d: { id: number; parentid: number }) => [d.id, d.parentid])).toEqual([
      [2, 1],
      [3, 2],
    ]);
    expect((await ask('user/get', { userid: 'wangwu' })).body.department).toEqual([3]);
    expect((await ask('user/get', { userid: 'zhaoliu' })).body.errcode).toBe(60111);
    expect((await ask('user/list', { department_id: '4' })).body.errcode).toBe(60011);
  });

  it('a tag’s members and departments, as far as they are in the visible range', async () => {
    const { company } = sandbox;
    const tag = { id: 7, name: '协会', users: ['lisi', 'zhaoliu'], departments: [3, 4] };
    company.change(() => company.organization.tags.set(7, tag));
    expect((await ask('tag/list')).body.taglist).toEqual([{ tagid: 7, tagname: '协会' }]);
    expect((await ask('tag/get', { tagid: '7' })).body).toMatchObject({
      tagname: '协会',
      userlist: [
        { userid: 'lisi', name: '李四' },
        { userid: 'zhaoliu', name: '赵六' },
      ],
      partylist: [3, 4],
    });
    company.setRange({ departments: [2], users: [], tags: [] });
    expect((await ask('tag/get', { tagid: '7' })).body).toMatchObject({
      userlist: [{ userid: 'lisi', name: '李四' }],
      partylist: [3],
    });
  });

  it('departments that only a tag makes visible when asked for them, and unasked where it is told to', async () => {
    const { company } = sandbox;
    const tag = { id: 7, name: '协会', users: [], departments: [2] };
    company.change(() => company.organization.tags.set(7, tag));
    company.setRange({ departments: [], users: [], tags: [7] });
    const listed = async (query = {}) =>
      (await ask('department/simplelist', query)).body.department_id?.map((d: { id: number }) => d.id);
    expect([await listed(), await listed({ id: '2' })]).toEqual([[], [2, 3]]);
    company.refusesWithoutDepartments = true;
    expect((await ask('department/list')).body.errcode).toBe(60011);
    company.listsTaggedDepartments = true;
    expect(await listed()).toEqual([2, 3]);
  });

  it('what there is not, and whom it does not show, as it is told to', async () => {
    const { company } = sandbox;
    company.setRange({ departments: [2], users: [], tags: [] });
    const codes = async () => [
      (await ask('department/get', { id: '99' })).body.errcode,
      (await ask('user/get', { userid: 'ZhaoLiu' })).body.errcode,
      (await ask('user/get', { userid: 'nobody' })).body.errcode,
    ];
    expect(await codes()).toEqual([60003, 60111, 60111]);
    Object.assign(company, { unknownDepartment: 60123, memberOutside: 60011 });
    expect(await codes()).toEqual([60123, 60011, 60111]);
  });

  it('a revoked token as expired, a disabled app, and a limit', async () => {
    sandbox.company.closed = true;
    expect((await ask('department/list')).body.errcode).toBe(50003);
    const { agentId } = sandbox.company.settings;
    expect((await ask('agent/get', { agentid: agentId })).body).toMatchObject({ errcode: 0, close: 1 });
    sandbox.company.revokeToken();
    expect((await ask('department/list')).body.errcode).toBe(42001);
    await sandbox.close();
    sandbox = await startSandbox({ organization: smallCompany(), callsPerMinute: 1 });
    token = sandbox.company.issueToken().access_token;
    expect((await ask('department/list')).body.errcode).toBe(0);
    expect((await ask('department/list')).body.errcode).toBe(45009);
  });

  it('gettoken within the limits too, and within the addresses where so it is set', async () => {
    const { corpId, secret } = sandbox.company.settings;
    const errcode = async () => (await call('gettoken', { corpid: corpId, corpsecret: secret })).body.errcode;
    sandbox.company.allowedAddresses = ['192.0.2.1'];
    expect(await errcode()).toBe(0);
    sandbox.company.tokenNeedsAddress = true;
    expect(await errcode()).toBe(60020);
    await sandbox.close();
    sandbox = await startSandbox({ organization: smallCompany(), callsPerMinute: 1 });
    expect([await errcode(), await errcode()]).toEqual([0, 45009]);
  });

  it('is told over HTTP what to do', async () => {
    const control = async (method: string, path: string, body?: unknown) =>
      (
        await fetch(`${sandbox.url}/sandbox/${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) })
      ).json();
    await control('POST', 'faults', { kind: 'errcode', errcode: -1, times: 1 });
    expect((await ask('department/list')).body.errcode).toBe(-1);
    expect((await ask('department/list')).body.errcode).toBe(0);
    expect(await control('POST', 'faults', { kind: 'earthquake' })).toHaveProperty('error');
    expect(await control('GET', 'calls')).toMatchObject({ 'department/list': 2 });
    expect(await control('POST', 'revision', { revision: 1 })).toHaveProperty('error');
  });
});
