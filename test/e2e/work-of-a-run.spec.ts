import { generateOrganization } from '../../src/sandbox/generate';
import type { SandboxUser } from '../../src/sandbox/organization';
import { eventsSettled } from '../setup/callbacks';
import { badge, mapBadges } from '../setup/mappings';
import { mutate } from '../setup/organisation-view';
import { tellPlans, workOfStatements } from '../setup/plan-work';
import { change, connectSource, decide, startRollcall, synchronize, type TestRollcall } from '../setup/rollcall';
import { undoTask } from '../setup/undo';

/** Half of whom go, or all of whom change: where each is tried with each, that is 125,000 rows at least. */
const PEOPLE = 1_000;
const MOST_ROWS = 40 * PEOPLE;

describe('no statement goes through everybody for each of many people', () => {
  let rollcall: TestRollcall;
  let source: string;
  let everybody: readonly SandboxUser[];
  let half: readonly SandboxUser[];

  beforeEach(async () => {
    rollcall = await startRollcall({
      organization: generateOrganization(PEOPLE),
      environment: { WECOM_CALLS_PER_MINUTE: '1000000' },
    });
    everybody = [...rollcall.sandbox.company.organization.users.values()];
    half = everybody.filter((_, i) => i % 2 === 0);
    source = await connectSource(rollcall);
    await tellPlans(rollcall.database.url);
  });
  afterEach(() => rollcall.stop());

  const run = async (status = 'SUCCEEDED') => {
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe(status);
    return task.id;
  };
  /** What PostgreSQL knows of the tables is of before, as a busy server's mostly is. */
  const runFirst = async () => {
    await run();
    await rollcall.sql.query('ANALYZE');
  };
  const people = () => rollcall.sandbox.company.organization.users;
  const edit = (work: () => void) => change(rollcall.sandbox, work);
  const give = (changed: readonly SandboxUser[], values: (i: number) => Partial<SandboxUser>) =>
    edit(() => {
      for (const [i, user] of changed.entries()) people().set(user.userid, { ...user, ...values(i) });
    });
  const takeAway = (ids: readonly string[]) =>
    edit(() => {
      for (const id of ids) people().delete(id);
    });
  const idsOf = (users: readonly SandboxUser[]) => users.map(({ userid }) => userid);

  /** Runs what a test does in a server that tells the plans, of which none may have a step that large. */
  const expectSmallSteps = async (work: () => Promise<unknown>) => {
    const statements = await workOfStatements(async () => {
      await rollcall.restart();
      await work();
    });
    expect(statements.length).toBeGreaterThan(100);
    expect(statements.filter(({ rows }) => rows > MOST_ROWS)).toEqual([]);
    // Nor one statement for each, which would be as slow.
    const refusals = statements.filter(({ text }) => text.includes('VALUE_TAKEN'));
    expect(refusals.length).toBeLessThan(PEOPLE / 20);
  };

  it('when half of a company is gone, waits for approval and gets it, is removed, is back, and goes as that is undone', () =>
    expectSmallSteps(async () => {
      await runFirst();
      takeAway(idsOf(half));
      await run('HELD');
      const taskId = await run('HELD');
      expect((await decide(rollcall.api, { taskId, approve: true })).userErrors).toEqual([]);
      await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE status = 'SUSPENDED'`);
      await run();
      const { rowCount } = await rollcall.sql.query(`SELECT FROM employee WHERE status = 'REMOVED'`);
      expect(rowCount).toBe(half.length);
      give(half, () => ({}));
      expect((await undoTask(rollcall, await run())).status).toBe('SUCCEEDED');
    }));

  it('when half of a company is kept although it is gone, and is back', () =>
    expectSmallSteps(async () => {
      await runFirst();
      takeAway(idsOf(half));
      const taskId = await run('HELD');
      expect((await decide(rollcall.api, { taskId, approve: false })).userErrors).toEqual([]);
      await run();
      give(half, () => ({}));
      await run();
    }));

  it('when everybody changes, moves, and moves back as that is undone', () =>
    expectSmallSteps(async () => {
      await runFirst();
      give(everybody, () => ({ position: '新' }));
      await run();
      give(everybody, (i) => ({ departments: [1 + (i % 20)], mainDepartment: 1 + (i % 20), isLeaderInDept: [0] }));
      expect((await undoTask(rollcall, await run())).status).toBe('SUCCEEDED');
    }));

  it('when half of a company is refused a unique value, and when everybody is since the last one is taken', () =>
    expectSmallSteps(async () => {
      await mapBadges(rollcall, source);
      const number = (of: (i: number) => number) => give(everybody, (i) => badge(String(of(i))));
      number((i) => i);
      await runFirst();
      number((i) => PEOPLE + Math.floor(i / 2));
      await run('PARTIALLY_SUCCEEDED');
      await run('PARTIALLY_SUCCEEDED');
      number((i) => 2 * PEOPLE + i);
      await run();
      number((i) => 2 * PEOPLE + Math.min(i + 1, PEOPLE - 1));
      await run('PARTIALLY_SUCCEEDED');
      const { rows } = await rollcall.sql.query(
        `SELECT count(*)::int AS kept FROM employee WHERE (extension_values ->> 'badge')::int >= ${2 * PEOPLE}`,
      );
      expect(rows).toEqual([{ kept: PEOPLE }]);
    }));

  it('when callbacks have told that half of a company changed, has other ids, and went', () =>
    expectSmallSteps(async () => {
      const tell = (id: string, newId = 'NULL') =>
        rollcall.sql.query(
          `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key, new_external_id)
           SELECT s.id, 'EMPLOYEE', ${id}, ${id}, ${newId}, ${newId} FROM identity_source s, unnest($1::text[]) userid WHERE s.type = 'WECOM'`,
          [idsOf(half)],
        );
      const newId = `userid || '-2'`;
      await runFirst();
      give(half, () => ({ position: '新' }));
      await tell('userid');
      await eventsSettled(rollcall);
      edit(() => {
        for (const id of idsOf(half)) rollcall.sandbox.company.organization.renameUser(id, `${id}-2`);
      });
      await tell('userid', newId);
      await eventsSettled(rollcall);
      const { rowCount } = await rollcall.sql.query(
        `SELECT FROM link WHERE external_key LIKE '%-2' AND missing_since IS NULL`,
      );
      expect(rowCount).toBe(half.length);
      await run();
      takeAway(idsOf(half).map((id) => `${id}-2`));
      await tell(newId);
      await eventsSettled(rollcall);
      await run('HELD');
    }));

  it('when half of a company leaves the scope, and comes into it', () =>
    expectSmallSteps(async () => {
      const departments = [...rollcall.sandbox.company.organization.departments.values()];
      const chosen = departments.filter(({ parentId }) => parentId === 1);
      const departmentIds = chosen.slice(0, chosen.length / 2).map(({ id }) => String(id));
      const safeguards = { maxRemovals: PEOPLE, maxRemovalPercent: 100, minimumObjects: PEOPLE };
      const choose = async (scope: object) => {
        const input = { id: source, scope, safeguards };
        const { userErrors } = await mutate(rollcall, 'configureSynchronization', input, '__typename');
        expect(userErrors).toEqual([]);
      };
      await runFirst();
      await choose({ mode: 'PARTIAL', departmentIds });
      await run();
      await run();
      await choose({ mode: 'ALL' });
      await run();
    }));
});
