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
    for (const mode of ['SELF_BUILT', 'SERVICE_PROVIDER'] as const) {
      expect(wecomKey(PLAIN, mode, 'ZhangSan')).toBe('zhangsan');
      expect(corpKey('WWac6ffb259ff6f66a', mode)).toBe(PLAIN);
    }
  });

  it.each([
    [ENCRYPTED, 'SERVICE_PROVIDER'],
    [ENCRYPTED, 'SELF_BUILT'],
    ['wpAbC123', 'SERVICE_PROVIDER'],
    [`wp${'Ab_-'.repeat(20)}`, 'SERVICE_PROVIDER'],
    ['dpAbC123', 'SERVICE_PROVIDER'],
  ] as const)('compare exactly in a company that gets encrypted ones: %s, %s', (corpId, mode) => {
    expect(hasEncryptedIds(corpId, mode)).toBe(true);
    expect(wecomKey(corpId, mode, 'woOhr1DQAAT1zD6RszIhFyLvjnNaeRSw')).toBe('woOhr1DQAAT1zD6RszIhFyLvjnNaeRSw');
    expect(corpKey(corpId, mode)).toBe(corpId);
  });
});
