import fc from 'fast-check';
import { searchDemand, searchText } from '../../src/organisation/search-text';

const person = (displayName: string, username = 'u') => ({
  displayName,
  username,
  englishName: null,
  email: null,
  mobile: null,
  telephone: null,
});

describe('what people are found by', () => {
  it('is a Chinese name in every form, the surname as surnames are read', () => {
    const { names, tokens } = searchText(person('单雄信', 'hero'));
    expect(names.split('\n')).toEqual(['单雄信', 'hero', 'shanxiongxin', 'shan xiong xin', 'sxx']);
    expect(tokens).toEqual(expect.arrayContaining(['单', '雄信', '单雄信', 'he', 'sx', 'xx']));
  });

  it('can always be stored, whatever a name is made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), (name, username) => {
        const { names, contacts, tokens, nameKey } = searchText(person(`张${name}𠮷`, username));
        // An index entry has room for it.
        expect(Buffer.byteLength(nameKey)).toBeLessThanOrEqual(800);
        for (const text of [names, contacts, nameKey, ...tokens]) {
          expect(Buffer.from(text).toString()).toBe(text);
          expect(text).not.toContain('\0');
        }
      }),
    );
  });

  it('sorts names by pinyin, tone and character, digits of a name left as they are', () => {
    const key = (name: string) => searchText(person(name)).nameKey;
    expect(key('李伟')).toBe('li3李 wei3伟');
    const names = ['李明', '李伟', '里昂', '曾红', '增一', 'Lily', 'li si', '张3'];
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(key(a)), Buffer.from(key(b))));
    expect(sorted).toEqual(['li si', '李明', '李伟', '里昂', 'Lily', '增一', '曾红', '张3']);
    expect(searchText(person('张3')).names).toContain('zhang3');
  });

  it('demands tokens of what is short or Chinese, and trigrams of the rest', () => {
    expect(searchDemand(' Zs ')).toEqual({ tokens: ['zs'], text: 'zs' });
    expect(searchDemand('欧阳娜娜')).toEqual({ tokens: ['欧阳娜', '阳娜娜'], text: '欧阳娜娜' });
    expect(searchDemand('Zhang')).toEqual({ tokens: [], text: 'zhang' });
  });
});
