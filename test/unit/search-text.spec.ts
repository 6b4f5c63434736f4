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
        const { names, contacts, tokens } = searchText(person(`张${name}𠮷`, username));
        for (const text of [names, contacts, ...tokens]) {
          expect(Buffer.from(text).toString()).toBe(text);
          expect(text).not.toContain('\0');
        }
      }),
    );
  });

  it('demands tokens of what is short or Chinese, and trigrams of the rest', () => {
    expect(searchDemand(' Zs ')).toEqual({ tokens: ['zs'], text: 'zs' });
    expect(searchDemand('欧阳娜娜')).toEqual({ tokens: ['欧阳娜', '阳娜娜'], text: '欧阳娜娜' });
    expect(searchDemand('Zhang')).toEqual({ tokens: [], text: 'zhang' });
  });
});
