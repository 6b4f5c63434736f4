import { organizationState } from '../../src/sandbox/organization';
import { mutate } from '../setup/organisation-view';
import { connectSource, recordsOf, startRollcall, synchronize, type TestRollcall, user } from '../setup/rollcall';

/**
 * Who somebody's manager is, and where somebody is, follows the source although only the other end of the reference comes or goes.
 * Managers are told by an attribute, which names people whether they can be seen or not.
 */
interface Told {
  readonly manager?: string;
  readonly badge?: string;
  readonly level?: string;
  readonly departments?: number[];
  readonly more?: Record<string, unknown>;
}

/** Somebody who has everything always: a field that nobody has counts as withheld. */
const ALWAYS: Record<string, Told> = { zoe: { manager: 'nobody', badge: 'Z', level: '1', departments: [4] } };

describe('a reference', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    const field = (key: string, more: Record<string, unknown>) =>
      mutate(rollcall, 'createExtensionField', { key, displayName: key, ...more }, 'extensionField { id }');
    await field('badge', { unique: true });
    await field('level', { type: 'NUMBER' });
    await configure({});
  });
  afterAll(() => rollcall.stop());

  const configure = async (more: Record<string, unknown>) => {
    const fieldMappings = Object.entries({
      username: 'extattr.账号',
      displayName: 'name',
      manager: 'extattr.上级',
      'extension.badge': 'extattr.工牌',
      'extension.level': 'extattr.级别',
    }).map(([localField, thirdPartyField]) => ({ objectType: 'EMPLOYEE', localField, thirdPartyField }));
    const name = { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' };
    const automaticSynchronization = { enabled: false };
    const input = { id: source, fieldMappings: [name, ...fieldMappings], automaticSynchronization, ...more };
    expect((await mutate(rollcall, 'configureSynchronization', input, 'identitySource { id }')).userErrors).toEqual([]);
  };

  /** The company from now on: people by their ids, in department 2 where nothing else is said. */
  const tell = async (people: Record<string, Told>, departments: number[] = [2, 3, 4]) => {
    const { company } = rollcall.sandbox;
    const state = organizationState.parse({
      departments: [
        { id: 1, parentId: 0, name: '集团' },
        ...departments.map((id) => ({ id, parentId: 1, name: `部门${id}` })),
      ],
      users: Object.entries({ ...people, ...ALWAYS }).map(([id, told]) => {
        const { manager, badge, level, departments: places = [2], more } = told;
        const attributes = { 上级: manager, 工牌: badge, 级别: level, 账号: (more?.['account'] as string) ?? id };
        const extattr = Object.entries(attributes).flatMap(([name, value]) => (value ? [{ name, value }] : []));
        return { ...user(id, id.toUpperCase(), places), extattr, ...more };
      }),
    });
    company.change(() => company.organization.replace(state));
    return synchronize(rollcall, source);
  };

  /** `person > manager`, of those present. */
  const managers = async () => {
    const { rows } = await rollcall.sql.query(
      `SELECT l.external_id || ' > ' || boss.external_id AS line
         FROM employee e JOIN link l ON l.local_id = e.id JOIN link boss ON boss.local_id = e.manager_id
        WHERE e.status = 'ACTIVE' ORDER BY 1`,
    );
    return rows.map((row) => row.line);
  };

  it('to somebody who is not here is linked when they come, also where it was all that changed', async () => {
    await tell({ ann: {} });
    // Nothing of Ann changes here: Bob is not here.
    const quiet = await tell({ ann: { manager: 'bob' } });
    expect(await recordsOf(rollcall.api, quiet.id, { text: 'ann' })).toEqual([]);
    await tell({ ann: { manager: 'bob' }, bob: { departments: [3] } });
    expect(await managers()).toEqual(['ann > bob']);
  });

  it('to somebody who leaves and comes back is the same again, also after their removal', async () => {
    const cid = { manager: 'dan' };
    const dan = { departments: [3] };
    await tell({ cid, dan });
    await tell({ cid });
    await tell({ cid, dan });
    expect(await managers()).toEqual(['cid > dan']);
    await tell({ cid });
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE status = 'SUSPENDED'`);
    const removed = await tell({ cid });
    expect((await recordsOf(rollcall.api, removed.id, { text: 'dan' })).map((r) => r.action)).toEqual(['REMOVE']);
    await tell({ cid, dan });
    expect(await managers()).toEqual(['cid > dan']);
  });

  it('to somebody who was refused is linked when they are not', async () => {
    const led = { manager: 'fay' };
    const fay = { departments: [3], more: { account: 'TAKEN' } };
    const gus = (account: string) => ({ departments: [4], more: { account } });
    await tell({ gus: gus('taken'), eve: {} });
    // Eve is here already, Eli comes: neither record says more than what is done.
    const refused = await tell({ gus: gus('taken'), eve: led, eli: led, fay });
    expect(await managers()).toEqual([]);
    const records = await recordsOf(rollcall.api, refused.id, { objectType: 'EMPLOYEE' });
    const told = records.map((r) => [r.externalId, r.result, r.comparison.find((c) => c.field === 'manager')?.changed]);
    expect(told).toEqual(
      expect.arrayContaining([
        ['eli', 'APPLIED', false],
        ['fay', 'FAILED', false],
      ]),
    );
    expect(told.flat()).not.toContain('eve');
    await tell({ gus: gus('other'), eve: led, eli: led, fay });
    expect(await managers()).toEqual(['eli > fay', 'eve > fay']);
  });

  it('to somebody whose own change was refused is there all the same', async () => {
    const hal = { departments: [3], level: 'not a number' };
    await tell({ hal, ida: {} });
    await tell({ hal, ida: { manager: 'hal' } });
    expect(await managers()).toEqual(['ida > hal']);
  });

  it('to somebody who comes into the scope is linked then', async () => {
    await configure({ scope: { mode: 'PARTIAL', departmentIds: ['2', '4'] } });
    try {
      await tell({ jon: {}, kay: { departments: [3] } });
      await tell({ jon: { manager: 'kay' }, kay: { departments: [3] } });
      expect(await managers()).toEqual([]);
      await tell({ jon: { manager: 'kay' }, kay: { departments: [4] } });
      expect(await managers()).toEqual(['jon > kay']);
    } finally {
      await configure({ scope: { mode: 'ALL' } });
    }
  });
});
