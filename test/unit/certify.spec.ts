import { certify, type SnapshotFacts } from '../../src/sync/certify';

describe('a snapshot is complete', () => {
  const extent = { departmentIds: ['1'], employeeIds: [], groupIds: [] };
  const whole: SnapshotFacts = {
    problems: [],
    problemCount: 0,
    departments: 2,
    employees: 3,
    pages: 3,
    extent,
    formerExtent: extent,
  };

  it('when every page was read and nobody was expected to be visible who is not', () => {
    expect(certify(whole)).toEqual({ complete: true, reasons: [] });
    expect(certify({ ...whole, formerExtent: undefined }).complete).toBe(true);
  });

  it.each<[string, Partial<SnapshotFacts>]>([
    ['a page could not be read', { problems: ['employees-of:7: busy'], problemCount: 1 }],
    ['it is empty', { employees: 0 }],
    ['the visible range shrank', { formerExtent: { ...extent, employeeIds: ['ada'] } }],
  ])('but not when %s', (_what, facts) => {
    const { complete, reasons } = certify({ ...whole, ...facts });
    expect(complete).toBe(false);
    expect(reasons).toHaveLength(1);
  });
});
