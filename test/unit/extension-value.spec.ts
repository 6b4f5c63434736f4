import fc from 'fast-check';
import { type ExtensionFieldTypeName, normaliseValue } from '../../src/extension-field/extension-value';

describe('values of extension fields', () => {
  const stored = (type: ExtensionFieldTypeName, text: string, options: string[] = []) =>
    normaliseValue({ type, options }, text);

  it('have one form each, in which no digit is lost', () => {
    for (const [given, expected] of [
      ['007', '7'],
      ['+1.50', '1.5'],
      ['-0.0', '0'],
      ['.5', '0.5'],
      ['0.0000001', '0.0000001'],
      ['123456789012345.1234567891', '123456789012345.1234567891'],
      ['1e3', undefined],
      ['1.', undefined],
      ['', undefined],
      ['1234567890123456', undefined],
    ] as const) {
      expect([given, stored('NUMBER', given)]).toEqual([given, expected]);
    }
    expect(stored('DATE', '2026年1月5日')).toBe('2026-01-05');
    expect(stored('DATE', '2026-02-30')).toBeUndefined();
    expect(stored('BOOLEAN', ' 是 ')).toBe('true');
    expect(stored('CHOICE', 'P2', ['P1', 'P2'])).toBe('P2');
  });

  it('stay as they are when they are given again, and can be stored', () => {
    const type = fc.constantFrom<ExtensionFieldTypeName>('TEXT', 'NUMBER', 'BOOLEAN', 'DATE');
    const number = fc.tuple(fc.integer(), fc.nat(10 ** 9)).map(([whole, rest]) => `${whole}.${rest}`);
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      number,
      fc.date({ noInvalidDate: true }).map((d) => d.toISOString().slice(0, 10)),
    );
    fc.assert(
      fc.property(type, text, (kind, given) => {
        const value = stored(kind, given);
        if (value === undefined) return;
        expect(stored(kind, value)).toBe(value);
        expect(Buffer.from(value).toString()).toBe(value);
        expect(value).not.toContain('\0');
        if (kind === 'NUMBER') expect(value).toMatch(/^-?[0-9]{1,15}([.][0-9]{1,10})?$/);
      }),
    );
  });
});
