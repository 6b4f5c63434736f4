import fc from 'fast-check';
import { differences } from '../../src/demo/compare';
import { type Organization, organizationState } from '../../src/sandbox/organization';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { change, startRollcall, synchronize, type TestRollcall, user } from '../setup/rollcall';

/** One thing that happens to the company; ids are small, so that the same people and departments are met again. */
type Event =
  | {
      readonly kind: 'user';
      readonly id: number;
      readonly department: number;
      readonly position: string;
      readonly boss: number;
    }
  | { readonly kind: 'leave'; readonly id: number }
  | { readonly kind: 'department'; readonly id: number; readonly parent: number; readonly name: string }
  | { readonly kind: 'close'; readonly id: number };

const people = fc.integer({ min: 1, max: 6 });
const departments = fc.integer({ min: 2, max: 6 });
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('user' as const),
      id: people,
      department: departments,
      position: fc.constantFrom('甲', '乙'),
      boss: people,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('leave' as const), id: people }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('department' as const),
      id: departments,
      parent: departments,
      name: fc.constantFrom('东', '西'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), id: departments }) },
);

/** As a directory would: nobody is put where nothing is, nothing goes that somebody or something is in, and no circles. */
function happen({ users, departments }: Organization, event: Event): void {
  const above = (id: number): number[] => {
    const parent = departments.get(id)?.parentId;
    return parent ? [parent, ...above(parent)] : [];
  };
  const filled = (id: number) =>
    [...departments.values()].some((d) => d.parentId === id) ||
    [...users.values()].some((u) => u.departments.includes(id));
  if (event.kind === 'user') {
    const department = departments.has(event.department) ? event.department : 1;
    const boss = users.has(`u${event.boss}`) && event.boss !== event.id ? { direct_leader: [`u${event.boss}`] } : {};
    users.set(
      `u${event.id}`,
      user(`u${event.id}`, `员工${event.id}`, [department], { position: event.position, ...boss }),
    );
  }
  if (event.kind === 'leave') users.delete(`u${event.id}`);
  if (event.kind === 'department') {
    const parent =
      departments.has(event.parent) && event.parent !== event.id && !above(event.parent).includes(event.id)
        ? event.parent
        : 1;
    departments.set(event.id, { id: event.id, parentId: parent, name: event.name, order: event.id });
  }
  if (event.kind === 'close' && !filled(event.id)) departments.delete(event.id);
}

/** Somebody who has everything, so that no field counts as withheld. */
const ANCHOR = user('anchor', '锚', [1], { position: '甲', direct_leader: ['nobody'] });

const RUNS = Number(process.env['ROLLCALL_PROPERTY_RUNS'] ?? 6);

describe('changes that are told while a full run is under way', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall({ environment: PUBLIC_URL });
    source = await connectWithCallbacks(rollcall);
    await rollcall.sql.query(
      `UPDATE identity_source SET max_removals = 1000, minimum_objects = 1000 WHERE type = 'WECOM'`,
    );
  });
  afterAll(() => rollcall.stop());

  it(
    'are here when everything has ended, whatever the run had read before',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(event, { maxLength: 8 }),
          fc.array(fc.array(event, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 }),
          fc.constantFrom('department/list', 'user/list', 'tag/list'),
          async (before, during, path) => {
            const { sandbox } = rollcall;
            const { organization } = sandbox.company;
            organization.replace(
              organizationState.parse({ departments: [{ id: 1, parentId: 0, name: '集团' }], users: [ANCHOR] }),
            );
            for (const each of before) happen(organization, each);
            sandbox.company.changed();
            expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
            sandbox.faults.add({ kind: 'slow', milliseconds: 120, path });
            const full = synchronize(rollcall, source);
            for (const moment of during) {
              await new Promise((resolve) => setTimeout(resolve, 60));
              change(sandbox, (organization) => {
                for (const each of moment) happen(organization, each);
              });
            }
            const { failure } = await full;
            sandbox.faults.clear();
            await eventsSettled(rollcall);
            expect(failure).toBeNull();
            expect(await differences(rollcall.api, source, sandbox.company.organization)).toEqual([]);
            expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
            expect(await differences(rollcall.api, source, sandbox.company.organization)).toEqual([]);
          },
        ),
        { numRuns: RUNS, endOnFailure: true },
      );
    },
    20_000 + RUNS * 6_000,
  );
});
