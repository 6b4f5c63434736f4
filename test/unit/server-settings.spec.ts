import { sharedBuffers } from '../../src/database/embedded/server-settings';

const GIB = 1024 ** 3;

describe('the cache of the embedded PostgreSQL', () => {
  it.each([
    ['at least what PostgreSQL takes by default', 0.5 * GIB, '128MB'],
    ['an eighth of the memory', 4 * GIB, '512MB'],
    ['at most what helps', 64 * GIB, '1024MB'],
  ])('is %s', (_what, memory, cache) => {
    expect(sharedBuffers(memory)).toBe(cache);
  });
});
