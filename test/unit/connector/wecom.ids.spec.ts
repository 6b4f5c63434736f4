import { corpKey, hasEncryptedIds, isPlainCorpId, wecomKey } from '../../../src/connector/wecom/wecom.ids';

const PLAIN = 'wwac6ffb259ff6f66a';
const ENCRYPTED = 'wpVIkfEAAAu2wGiOEeNMQ69afwLM6BbA';

describe('ids of WeCom', () => {
  it('ignore case in a company that gets plain ones', () => {
    expect([isPlainCorpId(PLAIN), isPlainCorpId('WWAC6FFB259FF6F66A'), isPlainCorpId(ENCRYPTED)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(wecomKey(PLAIN, 'ZhangSan')).toBe('zhangsan');
    expect(corpKey('WWac6ffb259ff6f66a')).toBe(PLAIN);
  });

  it('compare exactly in a company that gets encrypted ones', () => {
    expect(hasEncryptedIds(ENCRYPTED)).toBe(true);
    expect(wecomKey(ENCRYPTED, 'woOhr1DQAAT1zD6RszIhFyLvjnNaeRSw')).toBe('woOhr1DQAAT1zD6RszIhFyLvjnNaeRSw');
    expect(corpKey(ENCRYPTED)).toBe(ENCRYPTED);
  });
});
