import { Batches, whenKnown } from '../../../src/api/batches';

describe('what is read in batches', () => {
  const lengths = (cache = true) => {
    const read: string[][] = [];
    const batches = new Batches<number>(
      async (ids) => {
        read.push([...ids]);
        if (ids.includes('bad')) throw new Error('Not read.');
        return ids.map((id) => id.length);
      },
      { cache },
    );
    return { batches, read };
  };

  it('is read once for all that ask in one moment, and is at hand from then on', async () => {
    const { batches, read } = lengths();
    expect(await Promise.all([batches.load('a'), batches.load('bb'), batches.load('a')])).toEqual([1, 2, 1]);
    expect([batches.load('a'), batches.load('bb'), read]).toEqual([1, 2, [['a', 'bb']]]);
  });

  it('is at hand where it was read ahead, each once', async () => {
    const { batches, read } = lengths();
    expect(await batches.readAhead(['a', 'bb', 'a'])).toEqual([1, 2, 1]);
    expect(await batches.readAhead(['bb', 'ccc'])).toEqual([2, 3]);
    expect(await batches.readAhead([])).toEqual([]);
    expect([batches.load('ccc'), read]).toEqual([3, [['a', 'bb'], ['ccc']]]);
  });

  it('is read each time where nothing may be remembered, and not ahead', async () => {
    const { batches, read } = lengths(false);
    expect(await batches.readAhead(['a'])).toEqual([]);
    expect([await batches.load('a'), await batches.load('a')]).toEqual([1, 1]);
    expect(read).toEqual([['a'], ['a']]);
  });

  it('fails for who asks where it cannot be read', async () => {
    const { batches } = lengths();
    await expect(batches.readAhead(['bad'])).rejects.toThrow('Not read.');
    await expect(batches.load('bad')).rejects.toThrow('Not read.');
    expect(await batches.load('a')).toBe(1);
  });

  it('is followed at once where it is at hand', async () => {
    expect(whenKnown(1, (value) => value + 1)).toBe(2);
    await expect(whenKnown(Promise.resolve(1), (value) => value + 1)).resolves.toBe(2);
  });
});
