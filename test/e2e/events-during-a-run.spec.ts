import { differences } from '../../src/demo/compare';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { mutate } from '../setup/organisation-view';
import {
  change,
  recordsOf,
  startRollcall,
  synchronize,
  type TestRollcall,
  type TestTask,
  untilRow,
  user,
} from '../setup/rollcall';

type Events = Parameters<TestRollcall['sandbox']['company']['push']>[0];

describe('what a callback tells after a full run has read it, and before that run ends', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeAll(async () => {
    rollcall = await startRollcall({ environment: PUBLIC_URL });
    source = await connectWithCallbacks(rollcall);
  });
  afterAll(() => rollcall.stop());
  beforeEach(async () => {
    lose(({ departments, users, tags }) => {
      departments.set(5, { id: 5, parentId: 1, name: '空', order: 0 });
      users.delete('neu');
      users.set('lisi', user('lisi', '李四', [3]));
      users.set('bob', user('bob', '鲍勃', [4]));
      tags.set(7, { id: 7, name: '协会', users: [], departments: [4] });
    });
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    expect(await wrong()).toEqual([]);
  });

  /** Changes the company without telling of it. */
  const lose = (edit: Parameters<typeof change>[1]) => {
    const { company } = rollcall.sandbox;
    edit(company.organization);
    company.changed();
  };
  const tell = (edit: Parameters<typeof change>[1], ...events: Events) => {
    lose(edit);
    rollcall.sandbox.company.push(events);
  };
  const isTrue = async (condition: string) => (await rollcall.sql.query(`SELECT (${condition}) AS it`)).rows[0].it;
  const settled = () => eventsSettled(rollcall);
  const wrong = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);

  /** A full run that has read everything but the groups, and goes on once the rest has happened. */
  const duringTheRead = async (meanwhile: () => Promise<unknown> | unknown): Promise<TestTask> => {
    const { faults, calls } = rollcall.sandbox;
    const before = calls.get('tag/list') ?? 0;
    faults.add({ kind: 'slow', milliseconds: 1_200, path: 'tag/list' });
    const full = synchronize(rollcall, source);
    while ((calls.get('tag/list') ?? 0) === before) await new Promise((resolve) => setTimeout(resolve, 10));
    faults.clear();
    await meanwhile();
    return full;
  };
  const planned = (trigger: string) =>
    untilRow(
      rollcall,
      `SELECT FROM (SELECT planned_at, status FROM sync_task WHERE trigger = $1 ORDER BY id DESC LIMIT 1) last
        WHERE planned_at IS NOT NULL AND status = 'RUNNING'`,
      [trigger],
    );
  /** The same, where the event task is applied when the full run has made its plan, and before it applies it. */
  const beforeItIsApplied = async (meanwhile: () => unknown): Promise<TestTask> => {
    await rollcall.sql.query(
      `SELECT pg_advisory_lock(hashtextextended(id::text, 0)) FROM identity_source WHERE type = 'WECOM'`,
    );
    const full = await new Promise<{ task: Promise<TestTask> }>((resolve, reject) => {
      const task = duringTheRead(async () => {
        await meanwhile();
        await planned('EVENT');
        resolve({ task });
      });
      task.catch(reject);
    });
    await planned('MANUAL');
    await rollcall.sql.query('SELECT pg_advisory_unlock_all()');
    return full.task;
  };

  it.each([
    [
      'somebody left',
      () => tell(({ users }) => users.delete('lisi'), { changeType: 'delete_user', fields: { UserID: 'lisi' } }),
      `SELECT count(*) = 1 FROM employee WHERE username = 'lisi' AND status = 'SUSPENDED'`,
    ],
    [
      'somebody got another id',
      () =>
        tell(
          ({ users }) => {
            users.delete('lisi');
            users.set('lisi2', user('lisi2', '李四', [3]));
          },
          { changeType: 'update_user', fields: { UserID: 'lisi', NewUserID: 'lisi2' } },
        ),
      `SELECT count(*) = 1 FROM employee WHERE display_name = '李四' AND status = 'ACTIVE'`,
    ],
    [
      'a department and a group are gone',
      () =>
        tell(
          ({ departments, tags }) => {
            departments.delete(5);
            tags.delete(7);
          },
          { changeType: 'delete_party', fields: { Id: '5' } },
        ),
      `SELECT count(*) = 0 FROM department WHERE name = '空'`,
    ],
  ])('stands: %s', async (_what, happens, stands) => {
    const full = await duringTheRead(async () => {
      happens();
      await settled();
    });
    expect(full.failure).toBeNull();
    await settled();
    expect(await isTrue(stands)).toBe(true);
    expect(await wrong()).toEqual([]);
    lose(({ users }) => users.delete('lisi2'));
  });

  it('stands: somebody new, whom that run has read first, has left again', async () => {
    lose(({ users }) => users.set('neu', user('neu', '新人', [4])));
    const full = await duringTheRead(async () => {
      tell(({ users }) => users.delete('neu'), { changeType: 'delete_user', fields: { UserID: 'neu' } });
      await settled();
    });
    expect(full.failure).toBeNull();
    expect(await wrong()).toEqual([]);
  });

  it('stands: the department is gone that somebody was in as that run has read them', async () => {
    lose(({ users }) => users.set('bob', user('bob', '鲍勃', [4, 5])));
    const full = await beforeItIsApplied(() =>
      tell(
        ({ users, departments }) => {
          users.set('bob', user('bob', '鲍勃', [4]));
          departments.delete(5);
        },
        { changeType: 'delete_party', fields: { Id: '5' } },
      ),
    );
    expect(full.failure).toBeNull();
    await settled();
    await synchronize(rollcall, source);
    expect(await wrong()).toEqual([]);
  });

  it('stands: a department is gone that has another name as that run has read it, and may come back', async () => {
    lose(({ departments }) => departments.set(5, { id: 5, parentId: 1, name: '空空', order: 0 }));
    const full = await beforeItIsApplied(() =>
      tell(({ departments }) => departments.delete(5), { changeType: 'delete_party', fields: { Id: '5' } }),
    );
    expect(full.failure).toBeNull();
    await settled();
    expect(await wrong()).toEqual([]);
    lose(({ departments }) => departments.set(5, { id: 5, parentId: 1, name: '空', order: 0 }));
    expect((await synchronize(rollcall, source)).failure).toBeNull();
    expect(await wrong()).toEqual([]);
  });

  it('makes the next run look again at whom it was about, also where they are then told as before', async () => {
    const as = (position: string) => user('bob', '鲍勃', [4], { position });
    lose(({ users }) => users.set('bob', as('甲')));
    await synchronize(rollcall, source);
    await beforeItIsApplied(() =>
      tell(({ users }) => users.set('bob', as('乙')), { changeType: 'update_user', fields: { UserID: 'bob' } }),
    );
    await settled();
    lose(({ users }) => users.set('bob', as('甲')));
    await synchronize(rollcall, source);
    expect(await wrong()).toEqual([]);
  });

  it('does not make that run pass over somebody who is there, and was refused', async () => {
    const field = (localField: string, thirdPartyField: string, objectType = 'EMPLOYEE') => ({
      objectType,
      localField,
      thirdPartyField,
    });
    // Whoever has no position has their id for a user name.
    const fieldMappings = [
      field('name', 'name', 'DEPARTMENT'),
      field('username', 'position'),
      field('displayName', 'name'),
    ];
    await mutate(rollcall, 'configureSynchronization', { id: source, fieldMappings }, 'identitySource { id }');
    await synchronize(rollcall, source);
    lose(({ users }) => users.set('neu', user('neu', '新人', [4], { position: '主任' })));
    const full = await duringTheRead(async () => {
      rollcall.sandbox.company.push([{ changeType: 'create_user', fields: { UserID: 'neu' } }]);
      await settled();
    });
    expect(full.status).toBe('PARTIALLY_SUCCEEDED');
    expect(await recordsOf(rollcall.api, full.id)).toMatchObject([
      { externalId: 'neu', result: 'FAILED', reasonCode: 'VALUE_TAKEN' },
    ]);
  });
});
