import { type Logger, pino } from 'pino';
import { encrypt, signature } from '../../src/connector/wecom/wecom.callback-crypto';
import { freePort } from '../../src/demo/free-port';
import { connectWithCallbacks, CALLBACK_KEYS as KEYS } from '../setup/callbacks';
import { startRollcall, type TestRollcall } from '../setup/rollcall';

const longId = Array.from({ length: 3_000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7_919) % 20_000))).join('');
const secondsFromNow = (seconds: number) => String(Math.floor(Date.now() / 1_000) + seconds);

describe('a callback address', () => {
  let rollcall: TestRollcall;
  let source: string;
  let address: string;
  const lines: string[] = [];
  const log: Logger = pino({ level: 'warn' }, { write: (line) => lines.push(line) });

  beforeAll(async () => {
    const port = await freePort();
    const environment = { PORT: String(port), ROLLCALL_PUBLIC_URL: `http://127.0.0.1:${port}` };
    rollcall = await startRollcall({ environment, log });
    source = await connectWithCallbacks(rollcall);
    // What is noted stays so.
    const off =
      'mutation ($id: ID!) { setAutomaticSynchronization(input: { id: $id, enabled: false }) { userErrors { code } } }';
    await rollcall.api.request(off, { id: source });
    address = rollcall.url.replace('/graphql', `/callbacks/wecom/${source}`);
  });
  afterAll(() => rollcall.stop());

  const receiveId = () => rollcall.sandbox.company.settings.corpId;
  const signed = (encrypted: string, timestamp = secondsFromNow(0)) =>
    new URLSearchParams({
      msg_signature: signature(KEYS.token, timestamp, 'nonce', encrypted),
      timestamp,
      nonce: 'nonce',
    });
  const post = async (message: string, envelope: (encrypted: string) => string, timestamp?: string) => {
    const encrypted = encrypt(KEYS, message, receiveId());
    const answer = await fetch(`${address}?${signed(encrypted, timestamp)}`, {
      method: 'POST',
      body: envelope(encrypted),
    });
    return [answer.status, await answer.text()];
  };
  const xml = (encrypted: string) => `<xml><ToUserName>x</ToUserName><Encrypt>${encrypted}</Encrypt></xml>`;
  const updateOf = (userid: string) =>
    `<xml><MsgType>event</MsgType><Event>change_contact</Event><ChangeType>update_user</ChangeType><UserID>${userid}</UserID></xml>`;
  const noted = async () =>
    (await rollcall.sql.query('SELECT external_id FROM directory_event')).rows.map((row) => row.external_id);
  const callbackCheck = async () => {
    const { runConnectionChecks } = await rollcall.api.request<{
      runConnectionChecks: { identitySource: { connectionChecks: { name: string }[] } };
    }>(
      `mutation ($id: ID!) { runConnectionChecks(input: { id: $id }) {
         identitySource { connectionChecks { name outcome message advice } } } }`,
      { id: source },
    );
    return runConnectionChecks.identitySource.connectionChecks.find((check) => check.name === 'CALLBACK');
  };
  const echo = (timestamp?: string, inQuery: (text: string) => string = encodeURIComponent) => {
    let echostr = '';
    while (!echostr.includes('+')) echostr = encrypt(KEYS, '1616140317555161061', receiveId());
    return fetch(`${address}?${signed(echostr, timestamp)}&echostr=${inQuery(echostr)}`);
  };

  it('passes WeCom’s check also where a plus sign comes as it is', async () => {
    const answer = await echo(undefined, (text) => text.replaceAll('=', '%3D'));
    expect([answer.status, await answer.text()]).toEqual([200, '1616140317555161061']);
  });

  it.each([-7_200, 7_200])(
    'passes WeCom’s check whatever this server’s clock says: %d seconds away',
    async (seconds) => {
      expect((await echo(secondsFromNow(seconds))).status).toBe(200);
    },
  );

  it('tells of a clock that is wrong where it refuses messages for their age, until one comes in time', async () => {
    lines.length = 0;
    expect(await post(updateOf('late'), xml, secondsFromNow(-700))).toEqual([403, 'refused']);
    expect(lines.join()).toMatch(/70\d seconds.*clock/);
    expect(await callbackCheck()).toMatchObject({
      outcome: 'FAILED',
      message: expect.stringMatching(/70\d seconds/),
      advice: expect.stringContaining('NTP'),
    });
    expect(await noted()).not.toContain('late');
    expect(await post(updateOf('lisi'), xml)).toEqual([200, 'success']);
    expect(await callbackCheck()).toMatchObject({ outcome: 'PASSED' });
  });

  it('takes nothing that is not signed for a wrong clock', async () => {
    const query = new URLSearchParams({ msg_signature: 'x', timestamp: secondsFromNow(-700), nonce: 'nonce' });
    expect((await fetch(`${address}?${query}`, { method: 'POST', body: xml('abcd') })).status).toBe(403);
    expect(await callbackCheck()).not.toMatchObject({ outcome: 'FAILED' });
  });

  describe('in JSON mode', () => {
    const json = (encrypted: string) =>
      JSON.stringify({ ToUserName: 'x', Encrypt: encrypted, AgentID: 1000002 }).replaceAll('/', '\\/');
    const event = {
      MsgType: 'event',
      Event: 'change_contact',
      ChangeType: 'create_party',
      CreateTime: 1403610513,
      Id: 77,
    };

    it('reads messages', async () => {
      expect(await post(JSON.stringify(event), json)).toEqual([200, 'success']);
      expect(await noted()).toContain('77');
    });

    it.each([
      ['is longer than any', { UserID: longId }],
      ['cannot be stored', { UserID: 'a\0b' }],
      ['cannot be stored, of a department', { ChangeType: 'update_party', Id: 'a\uD800' }],
      ['cannot be stored, of a tag', { ChangeType: 'update_tag', TagId: 'a\0' }],
    ])('notes nothing under an id that %s', async (_how, fields) => {
      const before = await noted();
      const message = JSON.stringify({ ...event, ChangeType: 'update_user', ...fields });
      expect(await post(message, json)).toEqual([200, 'success']);
      expect(await noted()).toEqual(before);
    });

    it('notes who changed, although their new id cannot be one', async () => {
      const message = { ...event, ChangeType: 'update_user', UserID: 'wangwu', NewUserID: longId };
      expect(await post(JSON.stringify(message), json)).toEqual([200, 'success']);
      expect(await noted()).toContain('wangwu');
    });

    it.each<[string, (encrypted: string) => string]>([
      ['another text than the one that is signed', () => json('abcd')],
      ['no text', () => '{"Encrypt": 1}'],
      ['nothing', () => '{}'],
      ['half of it', (encrypted) => json(encrypted).slice(0, -3)],
      ['a list', (encrypted) => `[${json(encrypted)}]`],
    ])('refuses %s', async (_what, envelope) => {
      const message = JSON.stringify({ ...event, Id: 78 });
      expect(await post(message, envelope)).toEqual([403, 'refused']);
      expect(await noted()).not.toContain('78');
    });
  });

  it('reads a change of a tag that names as many members as a tag can have', async () => {
    const users = Array.from({ length: 30_000 }, (_, i) => `wo${String(i).padStart(30, '0')}`).join(',');
    const message = `<xml><MsgType>event</MsgType><Event>change_contact</Event><ChangeType>update_tag</ChangeType><TagId>9</TagId><AddUserItems>${users}</AddUserItems></xml>`;
    expect(await post(message, xml)).toEqual([200, 'success']);
    expect(await noted()).toContain('9');
    expect(await post(message, (encrypted) => xml(encrypted + 'A'.repeat(4_000_000)))).toEqual([413, 'refused']);
  });

  it('reads nothing of what is large and not signed', async () => {
    const nested = `<xml>${'<a>'.repeat(500_000)}</xml>`;
    const begun = performance.now();
    expect(await post(updateOf('nobody'), () => nested)).toEqual([403, 'refused']);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });
});
