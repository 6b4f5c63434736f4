import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { SecretBox } from '../../../src/platform/secret-box';

describe('a secret box', () => {
  const box = new SecretBox(randomBytes(32));

  it('opens what it sealed, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (secret, context) => {
        fc.pre(Buffer.from(secret).toString() === secret); // no half of a surrogate pair
        expect(box.open(box.seal(secret, context), context)).toBe(secret);
      }),
    );
  });

  it('refuses a changed, moved or foreign secret', () => {
    const sealed = box.seal('planted', 'row 1');
    expect(sealed).not.toContain('planted');
    expect(() => box.open(sealed, 'row 2')).toThrow('belongs elsewhere');
    expect(() => box.open(`${sealed.slice(0, -8)}AAAAAAA=`, 'row 1')).toThrow('was changed');
    expect(() => new SecretBox(randomBytes(32)).open(sealed, 'row 1')).toThrow('ROLLCALL_ENCRYPTION_KEY');
  });
});
