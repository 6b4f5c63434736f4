import { generateOrganization } from '../../../src/sandbox/generate';

describe('a generated company', () => {
  const { departments, users } = generateOrganization(30_000);

  it('has department sizes by Zipf’s law, and nowhere more people than one answer of WeCom holds', () => {
    const sizes = new Map<number, number>();
    for (const user of users.values()) for (const id of user.departments) sizes.set(id, (sizes.get(id) ?? 0) + 1);
    const sorted = [...sizes.values()].sort((a, b) => b - a);
    expect(sorted[0]).toBeLessThanOrEqual(2_000);
    expect(sorted[0]).toBeGreaterThan(1_500);
    // Below those that the limit cuts, the n-th largest has about 1/n of the people.
    const [tenth, hundredth] = [sorted[9] ?? 0, sorted[99] ?? 0];
    expect(tenth / hundredth).toBeGreaterThan(5);
    expect(tenth / hundredth).toBeLessThan(20);
  });

  it('is up to 15 levels deep, and everybody and everything hangs under something', () => {
    const depthOf = (id: number): number => {
      const parent = departments.get(id)?.parentId;
      if (parent === undefined) throw new Error(`There is no department ${id}.`);
      return parent === 0 ? 1 : 1 + depthOf(parent);
    };
    const depths = [...departments.keys()].map(depthOf);
    expect(Math.max(...depths)).toBeLessThanOrEqual(15);
    expect(Math.max(...depths)).toBeGreaterThanOrEqual(6);
    expect([...users.values()].every((user) => user.departments.every((id) => departments.has(id)))).toBe(true);
  });

  it('has people in several departments, and Chinese names', () => {
    const people = [...users.values()];
    const inSeveral = people.filter((user) => user.departments.length > 1).length / people.length;
    expect(inSeveral).toBeGreaterThan(0.03);
    expect(inSeveral).toBeLessThan(0.07);
    expect(people.every((user) => /^\p{Script=Han}{2,3}$/u.test(user.name))).toBe(true);
  });
});
