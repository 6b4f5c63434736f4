import { everyNth, replay } from '../../src/replay/replay';
import { openOrganization } from '../../src/sandbox/organization';
import { connectSource, startRollcall } from '../setup/rollcall';

/** `npm run replay`, which CI runs too, takes every revision; here so many that the whole history is passed, in a few seconds. */
const REPLAYS = [
  ['sourcegraph', 12],
  ['rust-team', 12],
  ['taiwan-ly', 17],
] as const;

describe('real organisations, replayed through their history', () => {
  it.each(REPLAYS)(
    '%s: after each revision the API returns exactly the organisation, and a second run is silent',
    async (name, steps) => {
      const organization = openOrganization(name);
      const rollcall = await startRollcall({
        organization,
        callsPerMinute: 1_000_000,
        environment: { WECOM_CALLS_PER_MINUTE: '1000000' },
      });
      try {
        const revisions = everyNth(organization.lastRevision, Math.ceil(organization.lastRevision / steps));
        const sourceId = await connectSource(rollcall);
        const { api, sandbox } = rollcall;
        const totals = await replay({ api, sandbox, sourceId, revisions, silentEvery: 4 });
        expect(totals.wrong).toEqual([]);
        expect(totals.revisions).toBe(revisions.length);
        expect(totals.changes).toBeGreaterThan(0);
      } finally {
        await rollcall.stop();
      }
    },
    60_000,
  );
});
