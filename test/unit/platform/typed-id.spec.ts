import fc from 'fast-check';
import { TypeID } from 'typeid-js';
import { fromTypedId, toTypedId } from '../../../src/platform/typed-id';

describe('typed ids', () => {
  it('are those of the TypeID specification, for every uuid', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(toTypedId('employee', uuid)).toBe(TypeID.fromUUID('employee', uuid).toString());
        expect(fromTypedId('employee', toTypedId('employee', uuid))).toBe(uuid);
      }),
    );
  });
});
