import { openOrganization, shippedOrganizations } from '../../../src/sandbox/organization';

/** Those that are many, or large, in longer steps. */
const STEPS: Readonly<Record<string, number>> = { 'rust-team': 50, openstates: 157 };

describe('the organisations that come with the sandbox', () => {
  it.each(shippedOrganizations())('%s replays to its recorded checksum, revision by revision', (name) => {
    const organization = openOrganization(name);
    for (let revision = 0; revision <= organization.lastRevision; revision += STEPS[name] ?? 10) {
      organization.advanceTo(revision);
      expect([revision, organization.checksum()]).toEqual([revision, organization.recordedChecksum(revision)]);
    }
  });

  it('are named where another is asked for', () => {
    expect(() => openOrganization('nowhere')).toThrow('sourcegraph');
  });

  it('go forward only', () => {
    const organization = openOrganization('taiwan-ly');
    organization.advanceTo(3);
    expect(() => organization.advanceTo(2)).toThrow('forward');
    expect(() => organization.advanceTo(1000)).toThrow('34');
  });
});
