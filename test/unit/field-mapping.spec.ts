import fc from 'fast-check';
import { type FieldMapping, filledFields, plainMapping, supplyingField } from '../../src/field-mapping/field-mapping';
import { compileMapper } from '../../src/field-mapping/mapper';
import {
  FIELD_TRANSFORM_KINDS,
  type FieldTransform,
  INVALID,
  type Told,
  transformProblem,
} from '../../src/field-mapping/transforms';

const through = (transforms: FieldTransform[], told: Told, localField = 'position') => {
  const mapping: FieldMapping = {
    objectType: 'EMPLOYEE',
    thirdPartyField: 'x',
    localField,
    transforms,
    owner: 'SOURCE',
  };
  const { values, invalid } = compileMapper('EMPLOYEE', [mapping])('id', told);
  return invalid.length > 0 ? 'INVALID' : (values[localField] ?? null);
};

describe('a transform', () => {
  it.each<[string, FieldTransform[], Record<string, string>, string | null]>([
    ['trims', [{ kind: 'TRIM' }], { x: '  a ' }, 'a'],
    ['changes case', [{ kind: 'UPPERCASE' }, { kind: 'LOWERCASE' }], { x: 'Äb' }, 'äb'],
    ['extracts the first group', [{ kind: 'REGEX_EXTRACT', pattern: '(\\d+)-(\\d+)' }], { x: 'a 12-34' }, '12'],
    ['extracts the whole match', [{ kind: 'REGEX_EXTRACT', pattern: '\\d+' }], { x: 'a 12-34' }, '12'],
    ['extracts nothing where nothing matches', [{ kind: 'REGEX_EXTRACT', pattern: '\\d' }], { x: 'a' }, null],
    [
      'fills a template',
      [{ kind: 'TEMPLATE', template: '{value}@{extattr.域}' }],
      { x: 'a', 'extattr.域': 'b.c' },
      'a@b.c',
    ],
    [
      'gives up a template that outgrows every field',
      Array.from({ length: 20 }, () => ({ kind: 'TEMPLATE', template: '{value}{value}' }) as const),
      { x: '主任' },
      'INVALID',
    ],
    ['leaves a template that nothing fills empty', [{ kind: 'TEMPLATE', template: '{value}@b' }], {}, null],
    ['looks up', [{ kind: 'LOOKUP', table: { 1: '一', '*': '其他' } }], { x: '1' }, '一'],
    ['looks up any other', [{ kind: 'LOOKUP', table: { 1: '一', '*': '其他' } }], { x: '2' }, '其他'],
    ['looks nothing up for nothing', [{ kind: 'LOOKUP', table: { '*': '其他' } }], {}, null],
    ['falls back in order', [{ kind: 'FALLBACK', fields: ['y', 'z'] }], { z: '3', y: '2' }, '2'],
    ['keeps what is there before it falls back', [{ kind: 'FALLBACK', fields: ['y'] }], { x: '1', y: '2' }, '1'],
    ['gives mainland mobiles +86', [{ kind: 'PHONE' }], { x: '138 0013-8000' }, '+8613800138000'],
    ['leaves other numbers their digits', [{ kind: 'PHONE' }], { x: '0044 20 7946 0000' }, '+442079460000'],
    ['finds what is no number', [{ kind: 'PHONE' }], { x: '分机' }, 'INVALID'],
    ['writes e-mail addresses in lower case', [{ kind: 'EMAIL' }], { x: ' A@B.cn ' }, 'a@b.cn'],
    ['finds what is no e-mail address', [{ kind: 'EMAIL' }], { x: 'a' }, 'INVALID'],
  ])('%s', (_what, transforms, told, expected) => {
    expect(through(transforms, told)).toBe(expected);
  });

  it('is refused where it lacks what it needs', () => {
    const bare = FIELD_TRANSFORM_KINDS.filter((kind) => transformProblem({ kind }) !== undefined);
    expect(bare).toEqual(['REGEX_EXTRACT', 'TEMPLATE', 'LOOKUP', 'FALLBACK']);
    expect(transformProblem({ kind: 'REGEX_EXTRACT', pattern: '(?=a)' })).toContain('RE2');
  });

  it('takes time in proportion to the value, whatever the pattern', () => {
    const begun = performance.now();
    through([{ kind: 'REGEX_EXTRACT', pattern: '^(a+)+$' }], { x: `${'a'.repeat(5_000)}!` });
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('is total', () => {
    const value = fc.string({ unit: 'binary' });
    const transform = fc.record({
      kind: fc.constantFrom(...FIELD_TRANSFORM_KINDS),
      pattern: fc.constantFrom('a', '(.)', '^.*$'),
      template: value,
      table: fc.dictionary(value, value),
      fields: fc.array(value),
    });
    fc.assert(
      fc.property(fc.array(transform, { maxLength: 4 }), fc.dictionary(value, value), (transforms, told) => {
        const result = through(transforms as FieldTransform[], told);
        expect(result === null || typeof result === 'string').toBe(true);
      }),
    );
  });
});

describe('a mapping', () => {
  it('leaves out what is absent, empty, blank or null', () => {
    expect(filledFields({ a: '', b: ' ', c: null, d: [], e: 'x', f: ['y', 'z'] })).toEqual({ e: 'x', f: 'y\nz' });
  });

  it('lets the id stand where a name is not told', () => {
    const map = compileMapper('EMPLOYEE', [plainMapping('EMPLOYEE', 'displayName', 'name')]);
    expect(map('zhangsan', {}).values).toEqual({ displayName: 'zhangsan' });
  });

  it.each<[string, FieldTransform[], Told, string]>([
    ['its own field', [{ kind: 'TRIM' }], { x: INVALID }, 'INVALID'],
    ['its own field, whatever others have', [{ kind: 'FALLBACK', fields: ['y'] }], { x: INVALID, y: 'b' }, 'INVALID'],
    ['the field that it falls back to', [{ kind: 'FALLBACK', fields: ['y', 'z'] }], { y: INVALID, z: 'b' }, 'INVALID'],
    ['a field that it does not come to', [{ kind: 'FALLBACK', fields: ['y'] }], { x: 'a', y: INVALID }, 'a'],
    [
      'a field that its template names',
      [{ kind: 'TEMPLATE', template: '{value} {y}' }],
      { x: 'a', y: INVALID },
      'INVALID',
    ],
  ])('has no value where one cannot be used of %s', (_what, transforms, told, expected) => {
    expect(through(transforms, told)).toBe(expected);
  });

  it('tells which field supplied the value', () => {
    const mapping = plainMapping('EMPLOYEE', 'email', 'email', 'biz_mail');
    expect(supplyingField(mapping, { biz_mail: 'a@b' })).toBe('biz_mail');
    expect(supplyingField(mapping, {})).toBe('email');
  });

  it('knows WeCom’s numbers for genders, and finds any other to be none', () => {
    expect(['0', '1', '2', 'female', '7'].map((x) => through([], { x }, 'gender'))).toEqual([
      'UNKNOWN',
      'MALE',
      'FEMALE',
      'FEMALE',
      'INVALID',
    ]);
  });
});
