import { momentNow, mutate } from '../setup/organisation-view';
import {
  change,
  connectSource,
  recordsOf,
  startRollcall,
  synchronize,
  type TestRollcall,
  user,
} from '../setup/rollcall';

describe('a record compares what is here before and after, and what becomes nothing is shown as nothing', () => {
  let rollcall: TestRollcall;
  let source: string;
  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    // A field that nobody has counts as withheld: somebody else keeps a manager.
    change(rollcall.sandbox, ({ users }) => {
      users.set('wangwu', user('wangwu', '王五', [3, 4], { mainDepartment: 3, direct_leader: ['zhangsan'] }));
    });
    await synchronize(rollcall, source);
  });
  afterEach(() => rollcall.stop());

  /** Of a task's records: action, and what changed, each as before and after. */
  const changes = async (id: string) => {
    const records = await recordsOf(rollcall.api, id);
    return Object.fromEntries(
      records.map((r) => [
        r.externalId,
        [
          r.action,
          Object.fromEntries(
            r.comparison.filter((c) => c.changed).map((c) => [c.field, [c.saseValueBefore, c.saseValueAfter]]),
          ),
        ],
      ]),
    );
  };
  const backend = '示例企业 / 研发中心 / 后端组';

  it('a parent and a manager', async () => {
    const scope = { mode: 'PARTIAL', departmentIds: ['2', '4'] };
    await mutate(rollcall, 'configureSynchronization', { id: source, scope }, '__typename');
    change(rollcall.sandbox, ({ users }) => {
      users.set('lisi', user('lisi', '李四', [3], { email: 'lisi@example.com', mobile: '13800000000' }));
    });
    const moved = await changes((await synchronize(rollcall, source)).id);
    expect(moved).toMatchObject({
      2: ['MOVE', { parent: ['示例企业', null] }],
      4: ['MOVE', { parent: ['示例企业', null] }],
      lisi: ['UPDATE', { manager: ['zhangsan', null] }],
    });
  });

  it('the departments of somebody who can be seen by themselves alone', async () => {
    rollcall.sandbox.company.setRange({ departments: [1], users: ['zhaoliu'], tags: [] });
    change(rollcall.sandbox, ({ users }) =>
      users.set('zhaoliu', user('zhaoliu', '赵六', [], { status: 2, mainDepartment: undefined })),
    );
    const market = '示例企业 / 市场部';
    expect(await changes((await synchronize(rollcall, source)).id)).toEqual({
      zhaoliu: ['MOVE', { departments: [market, null], mainDepartment: [market, null] }],
    });
  });

  it('an order that is no longer told, which is then none, once', async () => {
    change(rollcall.sandbox, ({ departments }) => {
      departments.set(2, { id: 2, parentId: 1, name: '研发中心' } as never);
    });
    expect(await changes((await synchronize(rollcall, source)).id)).toEqual({ 2: ['UPDATE', { order: ['20', null] }] });
    expect(await changes((await synchronize(rollcall, source)).id)).toEqual({});
  });

  it('somebody’s places and manager, when they are removed', async () => {
    change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
    await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'lisi'`);
    const removal = await synchronize(rollcall, source);
    expect((await changes(removal.id))['lisi']).toEqual([
      'REMOVE',
      {
        status: ['SUSPENDED', 'REMOVED'],
        departments: [backend, null],
        mainDepartment: [backend, null],
        manager: ['zhangsan', null],
      },
    ]);
    const query = `{ employees(filter: { status: [REMOVED] }) { nodes { timeline(first: 4) { nodes { field from to } } } } }`;
    type Shown = { employees: { nodes: { timeline: { nodes: { field: string }[] } }[] } };
    const { employees } = await rollcall.api.request<Shown>(query);
    expect(employees.nodes[0]?.timeline.nodes.map((entry) => entry.field).sort()).toEqual([
      'departments',
      'mainDepartment',
      'manager',
      'status',
    ]);
  });

  it('but groups as of a moment, which are not kept, are refused', async () => {
    const query = 'query ($asOf: DateTime!) { employees(asOf: $asOf) { nodes { directoryGroups { name } } } }';
    const asked = rollcall.api.request(query, { asOf: await momentNow(rollcall) });
    await expect(asked).rejects.toThrow('leave out either asOf or directoryGroups');
  });
});
