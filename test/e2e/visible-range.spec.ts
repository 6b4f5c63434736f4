import { eventsSettled } from '../setup/callbacks';
import { mutate } from '../setup/organisation-view';
import { connectCompany, PROVIDER_ENVIRONMENT } from '../setup/provider';
import { change, connectSource, decide, startRollcall, synchronize, type TestRollcall, user } from '../setup/rollcall';

/** The permission corp_arch:base:base, with which WeCom tells of every department of a company that is asked for by itself. */
describe('an app that may know the whole structure, and sees a part of it', () => {
  let rollcall: TestRollcall;
  beforeEach(async () => {
    rollcall = await startRollcall({ environment: PROVIDER_ENVIRONMENT });
  });
  afterEach(() => rollcall.stop());

  const departments = async () =>
    (await rollcall.sql.query(`SELECT external_id AS id FROM link WHERE kind = 'DEPARTMENT' ORDER BY 1`)).rows.map(
      (row) => row.id,
    );
  const green = async (source: string) => {
    const { status, certificate } = await synchronize(rollcall, source);
    return { status, reasons: certificate?.reasons, departments: await departments() };
  };

  it('loses what its range loses, once that is approved, and is green again', async () => {
    const { source, app } = await connectCompany(rollcall, { departments: [1], users: [], tags: [] });
    await mutate(rollcall, 'setAutomaticSynchronization', { id: source, enabled: false }, '__typename');
    await synchronize(rollcall, source);
    app.setRange({ departments: [3, 4], users: [], tags: [] });
    await rollcall.sandbox.settled();
    const held = await synchronize(rollcall, source);
    expect(held.status).toBe('HELD');
    await decide(rollcall.api, { taskId: held.id, approve: true });
    expect(await green(source)).toEqual({ status: 'SUCCEEDED', reasons: [], departments: ['3', '4'] });
  });

  it.each([
    ['a department', { departments: [4], users: [], tags: [] }],
    ['a tag', { departments: [], users: [], tags: [7] }],
  ])('gets no department by an event that a full run does not bring, where %s is its range', async (_what, range) => {
    change(rollcall.sandbox, ({ departments, tags, users }) => {
      tags.set(7, { id: 7, name: '标签', users: [], departments: [4] });
      departments.set(5, { id: 5, parentId: 4, name: '市场一组', order: 1 });
      users.set('neu', user('neu', '新人', [5]));
    });
    const { source } = await connectCompany(rollcall, range);
    expect(await green(source)).toEqual({ status: 'SUCCEEDED', reasons: [], departments: ['4', '5'] });
    // Somebody below what is seen is now also in a department outside it, and those below get another department.
    change(rollcall.sandbox, ({ departments, users }) => {
      users.set('neu', user('neu', '新人', [3, 5]));
      departments.set(6, { id: 6, parentId: 5, name: '市场二组', order: 1 });
      users.set('noch', user('noch', '又一', [6, 2]));
    });
    await eventsSettled(rollcall);
    const { rows } = await rollcall.sql.query(
      `SELECT display_name AS name FROM employee ORDER BY created_at DESC LIMIT 1`,
    );
    expect(rows).toEqual([{ name: '又一' }]);
    expect(await departments()).toEqual(['4', '5', '6']);
    expect(await green(source)).toEqual({ status: 'SUCCEEDED', reasons: [], departments: ['4', '5', '6'] });
  });
});

describe('a department that only a tag makes visible', () => {
  /** Whether WeCom's list of departments has it unasked is not documented. */
  const LISTED = [true, false];
  const ways = LISTED.flatMap((listed) => [false, true].map((before) => [listed, before] as const));

  it.each(ways)(
    'is here, and the task green, whether it is listed (%s), and was visible before (%s)',
    async (listed, before) => {
      const rollcall = await startRollcall();
      try {
        const source = await connectSource(rollcall);
        const { company } = rollcall.sandbox;
        company.listsTaggedDepartments = listed;
        change(rollcall.sandbox, ({ tags }) => tags.set(7, { id: 7, name: '标签', users: [], departments: [4] }));
        if (before) {
          company.setRange({ departments: [2, 4], users: [], tags: [] });
          await synchronize(rollcall, source);
        }
        company.setRange({ departments: [2], users: [], tags: [7] });
        await synchronize(rollcall, source);
        const task = await synchronize(rollcall, source);
        expect([task.status, task.certificate?.reasons]).toEqual(['SUCCEEDED', []]);
        const { rows } = await rollcall.sql.query(
          `SELECT d.name, e.username FROM department d JOIN membership m ON m.department_id = d.id JOIN employee e ON e.id = m.employee_id
          WHERE d.name = '市场部' ORDER BY 2`,
        );
        expect(rows).toEqual(['wangwu', 'zhaoliu'].map((username) => ({ name: '市场部', username })));
      } finally {
        await rollcall.stop();
      }
    },
  );
});

it('a visible range that grows lets removals go on, though it no longer names what is below it', async () => {
  const rollcall = await startRollcall();
  try {
    const source = await connectSource(rollcall);
    const { company } = rollcall.sandbox;
    company.setRange({ departments: [3, 4], users: ['zhangsan'], tags: [] });
    await synchronize(rollcall, source);
    company.setRange({ departments: [1], users: [], tags: [] });
    change(rollcall.sandbox, ({ users }) => users.delete('zhaoliu'));
    const task = await synchronize(rollcall, source);
    expect([task.status, task.certificate?.reasons]).toEqual(['SUCCEEDED', []]);
    const left = await rollcall.sql.query(`SELECT username FROM employee WHERE status = 'SUSPENDED'`);
    expect(left.rows).toEqual([{ username: 'zhaoliu' }]);
  } finally {
    await rollcall.stop();
  }
});
