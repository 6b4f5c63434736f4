import { removalLimit } from '../../src/sync/plan/gate';

const safeguards = { maxRemovals: 50, maxRemovalPercent: 10, minimumObjects: 5, leaverGraceDays: 7 };

describe('removals go through without approval', () => {
  it.each([
    [0, 5],
    [49, 5],
    [60, 6],
    [499, 49],
    [100_000, 50],
  ])('of %d known ones up to %d', (known, limit) => {
    expect(removalLimit(safeguards, known)).toBe(limit);
  });

  it('as the settings say', () => {
    expect(removalLimit({ ...safeguards, minimumObjects: 0, maxRemovals: 0 }, 1_000)).toBe(0);
    expect(removalLimit({ ...safeguards, maxRemovals: 1_000_000, maxRemovalPercent: 100 }, 1_000)).toBe(1_000);
  });
});
