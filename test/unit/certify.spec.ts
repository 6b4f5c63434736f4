import { certify, type SnapshotFacts } from '../../src/sync/read/certify';

const extent = { departmentIds: ['1'], employeeIds: [], groupIds: [], chosenDepartmentIds: [] };
const whole: SnapshotFacts = {
  problems: [],
  problemCount: 0,
  departments: 2,
  employees: 3,
  pages: 3,
  extent,
  formerExtent: extent,
  fieldsWithdrawn: [],
  unlistedDepartments: [],
  includesEmployees: true,
  groups: undefined,
  scope: { mode: 'ALL', departmentIds: [] },
};

describe('a snapshot is complete', () => {
  it('when every page was read and somebody is in it', () => {
    expect(certify(whole)).toEqual({ complete: true, groupsComplete: null, lost: [], reasons: [] });
    expect(certify({ ...whole, formerExtent: undefined }).complete).toBe(true);
  });

  it('also without people, where the run brings departments only', () => {
    expect(certify({ ...whole, employees: 0, includesEmployees: false }).complete).toBe(true);
    expect(certify({ ...whole, employees: 0, departments: 0, includesEmployees: false }).complete).toBe(false);
  });

  it.each<[string, Partial<SnapshotFacts>]>([
    ['a page could not be read', { problems: ['employees-of:7: busy'], problemCount: 1 }],
    ['it is empty', { employees: 0 }],
    ['a department of the visible range is not in it', { unlistedDepartments: ['1'] }],
  ])('but not when %s', (_what, facts) => {
    const { complete, reasons } = certify({ ...whole, ...facts });
    expect(complete).toBe(false);
    expect(reasons).toHaveLength(1);
  });

  it('nor when the visible range is empty, which is said', () => {
    const nothing = { ...extent, departmentIds: [] };
    const { complete, reasons } = certify({
      ...whole,
      employees: 0,
      departments: 0,
      extent: nothing,
      formerExtent: nothing,
    });
    expect([complete, reasons]).toEqual([false, [expect.stringContaining('visible range is empty')]]);
  });
});

describe('removals wait', () => {
  it.each<[string, Partial<SnapshotFacts>, string]>([
    ['the visible range shrank', { formerExtent: { ...extent, employeeIds: ['ada'] } }, 'employee ada'],
    [
      'a chosen department is gone',
      { scope: { mode: 'PARTIAL', departmentIds: ['7'] }, formerExtent: { ...extent, chosenDepartmentIds: ['7'] } },
      'the chosen department 7',
    ],
  ])('when %s', (_what, facts, lost) => {
    const verdict = certify({ ...whole, ...facts });
    expect(verdict).toMatchObject({ complete: true, lost: [lost] });
    expect(verdict.reasons).toHaveLength(1);
  });

  it('but not when somebody chose other departments', () => {
    const facts = { formerExtent: { ...extent, chosenDepartmentIds: ['7'] } };
    expect(certify({ ...whole, ...facts }).lost).toEqual([]);
  });
});

describe('directory groups', () => {
  const groups = { groups: 2, listed: true, problems: [], problemCount: 0, leftAlone: undefined };

  it('are complete when their list and every one of them was read', () => {
    expect(certify({ ...whole, groups })).toMatchObject({ complete: true, groupsComplete: true, reasons: [] });
  });

  it.each<[string, Partial<NonNullable<SnapshotFacts['groups']>>]>([
    ['one of them could not be read', { problems: ['group:7: busy'], problemCount: 1 }],
    ['their list could not', { listed: false, problems: ['groups: busy'], problemCount: 1 }],
  ])('are not when %s, which says nothing about departments and people', (_what, facts) => {
    const verdict = certify({ ...whole, groups: { ...groups, ...facts } });
    expect(verdict).toMatchObject({ complete: true, groupsComplete: false, reasons: facts.problems });
  });

  it('are left alone without the permission, and the certificate says so', () => {
    const verdict = certify({ ...whole, groups: { ...groups, groups: 0, listed: false, leftAlone: 'No right.' } });
    expect(verdict).toMatchObject({ complete: true, groupsComplete: null });
    expect(verdict.reasons).toEqual(['Directory groups are left alone: No right.']);
  });
});
