import { WECOM_ERRORS, WecomError } from '../../../src/connector/wecom/wecom.errors';

describe('what WeCom refuses', () => {
  it.each([40001, 48002, 50003, 60011, 60020])('with %d has other advice for a provider’s app', (errcode) => {
    const [own, provided] = (['SELF_BUILT', 'SERVICE_PROVIDER'] as const).map(
      (mode) => new WecomError(errcode, 'department/list', mode),
    );
    expect(provided).toMatchObject({ message: own?.message, thirdPartyCode: String(errcode), reaction: own?.reaction });
    expect(provided?.advice).not.toBe(own?.advice);
    expect(provided?.advice).not.toMatch(/自建|企业可信IP|AgentId/);
  });

  it.each([48002, 50003, 60011])('early with %d may wait for the provider to put the app online', (errcode) => {
    expect(new WecomError(errcode, 'department/list', 'SERVICE_PROVIDER').advice).toContain('online');
  });

  it('for its size asks for a smaller visible range, which Rollcall cannot choose', () => {
    expect(new WecomError(45029, 'department/list', 'SELF_BUILT').advice).toContain('可见范围');
  });

  it('always has advice', () => {
    for (const { advice } of Object.values(WECOM_ERRORS)) expect(advice).not.toBe('');
  });
});
