import { inspect } from 'node:util';
import { loadConfig, Secret } from '../../src/config/config';

describe('configuration', () => {
  it('has a default for everything', () => {
    expect(loadConfig({})).toMatchObject({
      port: 4000,
      dataDir: '.rollcall',
      wecomApiUrl: 'https://qyapi.weixin.qq.com',
    });
  });

  it('lists every problem at once', () => {
    const environment = {
      PORT: 'many',
      ROLLCALL_ADMIN_TOKEN: 'short',
      WECOM_API_URL: 'ftp://x',
      WECOM_CALLS_PER_MINUTE: '0',
    };
    expect(() => loadConfig(environment)).toThrow(
      /PORT.*\n.*ROLLCALL_ADMIN_TOKEN.*\n.*WECOM_API_URL.*\n.*WECOM_CALLS_PER_MINUTE/,
    );
  });

  it('refuses a database of its own without an encryption key', () => {
    expect(() => loadConfig({ DATABASE_URL: 'postgres://localhost/x' })).toThrow('ROLLCALL_ENCRYPTION_KEY is required');
  });

  it('never shows a secret', () => {
    const secret = new Secret('planted');
    expect(`${secret} ${JSON.stringify({ secret })} ${inspect({ secret })}`).not.toContain('planted');
    expect(secret.reveal()).toBe('planted');
  });
});
