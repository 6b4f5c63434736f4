import { type ProviderSide, startProviderSide } from './provider-side';

const HOSTILE = '<script>alert("x")</script>';
const ESCAPED = '&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;';

describe('the page behind a QR code', () => {
  let side: ProviderSide;
  let link: string;
  beforeEach(async () => {
    side = await startProviderSide({ provider: { templateName: HOSTILE } });
    const templateid_list = [side.sandbox.provider.settings.templateId];
    const answer = await side.withProvider('service/get_customized_auth_url', { state: 'St4te', templateid_list });
    link = answer.qrcode_url;
  });
  afterEach(() => side.stop());

  const get = async (url = link) => {
    const response = await fetch(url);
    return { status: response.status, headers: response.headers, html: await response.text() };
  };
  const post = async (fields: [string, string][]) => {
    const response = await fetch(link, { method: 'POST', body: new URLSearchParams(fields) });
    return { status: response.status, html: await response.text() };
  };
  const other = (name: string, corpId = 'ww00000000000000aa'): [string, string][] => [
    ['company', 'other'],
    ['name', name],
    ['corpId', corpId],
  ];

  it('names the template, the company and the permissions, and lets nobody write into it', async () => {
    const { status, headers, html } = await get();
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=UTF-8']);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(html).not.toContain(HOSTILE);
    for (const text of [ESCAPED, '示例企业', 'contact:sensitive:user_name', '授权 Authorize'])
      expect(html).toContain(text);
  });

  it('authorizes the sandbox’s own company with the permissions that were ticked', async () => {
    const { status, html } = await post([
      ['company', 'own'],
      ['permission', 'contact:sensitive:user_name'],
      ['permission', 'corp_arch:base:base'],
    ]);
    const [authorization] = side.sandbox.provider.authorizations;
    expect(status).toBe(200);
    expect(html).toContain(authorization?.corpId);
    expect(authorization?.app.permissions).toEqual(['contact:sensitive:user_name', 'corp_arch:base:base']);
    const created = (await side.messages()).at(-1)?.message;
    expect(created).toMatchObject({ InfoType: 'create_auth', State: 'St4te' });
    expect(await side.exchange(created?.['AuthCode'] ?? '')).toMatchObject({ state: 'St4te' });
  });

  it('authorizes another company, whatever its name', async () => {
    const { status, html } = await post(other(HOSTILE));
    expect([status, html.includes(HOSTILE), html.includes(ESCAPED)]).toEqual([200, false, true]);
    expect(side.sandbox.provider.appOf('ww00000000000000aa').settings.corpId).toMatch(/^wp/);
    expect(side.sandbox.provider.authorizations[0]?.company.name).toBe(HOSTILE);
  });

  it('says what is wrong, and keeps what was entered', async () => {
    const wrong = await post([...other(`"${HOSTILE}`, '"nonsense'), ['permission', 'contact:sensitive:position']]);
    expect([wrong.status, wrong.html.includes(HOSTILE)]).toEqual([400, false]);
    expect(wrong.html).toContain('16 hexadecimal digits');
    expect(wrong.html).toContain(`value="&#34;${ESCAPED}"`);
    expect(wrong.html).toContain('value="contact:sensitive:position" checked');
    await post([]);
    expect((await post([])).html).toContain('842006');
    expect((await post([['again', '1']])).status).toBe(200);
  });

  it('is not there for another link, nor for one older than ten days', async () => {
    expect((await get(`${side.sandbox.url}/authorize/unknown`)).status).toBe(404);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 864_000_000);
    expect((await get()).status).toBe(404);
    clock.mockRestore();
  });

  it('refuses a form that is too large, and authorizes nobody', async () => {
    expect((await post([['name', 'x'.repeat(100_000)]])).status).toBe(413);
    expect(side.sandbox.provider.authorizations).toEqual([]);
  });

  it('is there for the template’s own code as well', async () => {
    const { qrcodeUrl } = (await side.control('GET', 'template')).body;
    expect((await get(qrcodeUrl)).status).toBe(200);
  });
});
