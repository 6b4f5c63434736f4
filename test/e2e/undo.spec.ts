import { toTypedId, uuidOf } from '../../src/platform/typed-id';
import { tellNewId } from '../setup/callbacks';
import { mutate } from '../setup/organisation-view';
import {
  change,
  connectSource,
  decide,
  LOCKS_WAITED_FOR,
  recordsOf,
  reorganise,
  startRollcall,
  startSynchronized,
  summaries,
  synchronize,
  type TestRollcall,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';
import { askToUndo, undoTask } from '../setup/undo';

describe('undo', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    ({ rollcall, source } = await startSynchronized());
  });
  afterEach(() => rollcall.stop());

  const revert = (taskId: string, more = {}) => askToUndo(rollcall, taskId, more);
  const undo = (taskId: string) => undoTask(rollcall, taskId);
  const automatic = async () =>
    (
      await rollcall.sql.query(
        `SELECT automatic_enabled AS enabled, next_run_at IS NOT NULL AS due FROM identity_source WHERE type = 'WECOM'`,
      )
    ).rows[0];
  /** Whatever applies waits until `meanwhile` is done. */
  const whileApplyingWaits = async (meanwhile: () => Promise<unknown>) => {
    await untilRow(rollcall, `SELECT FROM ${LOCKS_WAITED_FOR} WHERE locktype = 'advisory'`);
    await meanwhile();
    await rollcall.sql.query('SELECT pg_advisory_unlock_all()');
  };
  const holdApplying = () =>
    rollcall.sql.query(
      `SELECT pg_advisory_lock(hashtextextended(id::text, 0)) FROM identity_source WHERE type = 'WECOM'`,
    );
  /** Everything that a synchronization may write, with ids: equal before and after an undo. */
  const organisation = async () => {
    const { rows } = await rollcall.sql.query(
      `SELECT 'e' AS kind, id::text, to_jsonb(e) - '{updated_at,created_at,suspended_at,removal_due_at,since}'::text[] AS row FROM employee e
        WHERE status <> 'REMOVED'
       UNION ALL SELECT 'd', id::text, to_jsonb(d) - '{updated_at,created_at,since}'::text[] FROM department d
       UNION ALL SELECT 'm', employee_id || ' ' || department_id, to_jsonb(m) - 'since' FROM membership m ORDER BY 1, 2`,
    );
    return rows;
  };

  const skipped = async (taskId: string) =>
    (await recordsOf(rollcall.api, taskId, { result: ['SKIPPED'] })).map((r) => [r.externalId, r.reasonCode]);

  it('undoing a task brings everything back as it was, with the same ids, and switches automatic synchronization off', async () => {
    const before = await organisation();
    reorganise(rollcall);
    const task = await synchronize(rollcall, source);
    const after = await organisation();
    expect(after).not.toEqual(before);
    expect(await undo(task.id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await organisation()).toEqual(before);
    expect(await automatic()).toEqual({ enabled: false, due: false });
    // The next run sees the directory's side again, and restores the same person with the same id.
    const again = await synchronize(rollcall, source);
    expect(again.status).toBe('SUCCEEDED');
    const ids = (rows: { id: string }[]) => rows.map((row) => row.id).sort();
    expect(ids((await organisation()).filter((row) => row.kind === 'e'))).toEqual(
      ids(after.filter((row) => row.kind === 'e')),
    );
  });

  describe('leaves automatic synchronization on', () => {
    it('when it is told to', async () => {
      reorganise(rollcall);
      const { id } = await synchronize(rollcall, source);
      const { syncTask } = await revert(id, { keepAutomaticSynchronization: true });
      expect((await watch(rollcall.api, syncTask.id)).status).toBe('SUCCEEDED');
      expect(await automatic()).toEqual({ enabled: true, due: true });
    });

    it('when it is canceled, and so undoes nothing', async () => {
      reorganise(rollcall);
      const { id } = await synchronize(rollcall, source);
      const before = await organisation();
      await holdApplying();
      const { syncTask } = await revert(id);
      await whileApplyingWaits(() => mutate(rollcall, 'cancelSyncTask', { id: syncTask.id }, 'syncTask { id }'));
      expect((await watch(rollcall.api, syncTask.id)).status).toBe('CANCELED');
      expect(await organisation()).toEqual(before);
      expect(await automatic()).toEqual({ enabled: true, due: true });
    });
  });

  it('undoing a first synchronization leaves nobody, also where that was applied while it was planned', async () => {
    const many = await startRollcall();
    try {
      change(many.sandbox, ({ users }) => {
        for (let i = 0; i < 600; i++) users.set(`u${i}`, user(`u${i}`, `员工${i}`, [2]));
      });
      const { id } = await synchronize(many, await connectSource(many));
      const undone = await mutate(many, 'revertSyncTask', { taskId: id }, 'syncTask { id }');
      expect(undone.userErrors).toEqual([]);
      expect(await watch(many.api, undone.syncTask.id)).toMatchObject({ status: 'SUCCEEDED' });
      const { rows } = await many.sql.query(
        `SELECT (SELECT count(*) FROM employee WHERE status <> 'REMOVED')::int AS people, (SELECT count(*) FROM department)::int AS departments`,
      );
      expect(rows).toEqual([{ people: 0, departments: 0 }]);
    } finally {
      await many.stop();
    }
  });

  it('undoing the end of a department brings back who was in it, with their places', async () => {
    const before = await organisation();
    change(rollcall.sandbox, ({ users, departments }) => {
      departments.delete(4);
      users.delete('zhaoliu');
      users.set('wangwu', user('wangwu', '王五', [3]));
    });
    const task = await synchronize(rollcall, source);
    expect((await undo(task.id)).status).toBe('SUCCEEDED');
    expect(await organisation()).toEqual(before);
  });

  it('undoing a removal makes no second one of what has come back since', async () => {
    const back = ({ departments, tags }: Parameters<Parameters<typeof change>[1]>[0]) => {
      departments.set(5, { id: 5, parentId: 1, name: '空', order: 0 });
      tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [] });
    };
    change(rollcall.sandbox, back);
    change(rollcall.sandbox, ({ departments }) => departments.set(6, { id: 6, parentId: 5, name: '下', order: 0 }));
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users, departments, tags }) => {
      departments.delete(5);
      departments.delete(6);
      tags.delete(7);
      users.set('neu', user('neu', '新人', [4]));
    });
    const removal = await synchronize(rollcall, source);
    change(rollcall.sandbox, back);
    await synchronize(rollcall, source);
    const undone = await undo(removal.id);
    expect((await skipped(undone.id)).sort()).toEqual([
      ['5', 'CHANGED_SINCE_PLAN'],
      ['7', 'CHANGED_SINCE_PLAN'],
    ]);
    const { rows } = await rollcall.sql.query(
      `SELECT (SELECT count(*) FROM department WHERE name = '空')::int AS departments, (SELECT count(*) FROM directory_group)::int AS groups,
              (SELECT count(*) FROM department WHERE name = '下' AND parent_id IS NULL)::int AS below`,
    );
    // What was below hangs at the top, since what it hung under is another one now.
    expect(rows).toEqual([{ departments: 1, groups: 1, below: 1 }]);
  });

  it('undoing leaves everybody the id that the directory has given them, and brings back what else was changed', async () => {
    await rollcall.sql.query('UPDATE identity_source SET automatic_enabled = false');
    change(rollcall.sandbox, ({ users }) => {
      users.delete('lisi');
      users.set('lisi2', user('lisi2', '李四', [4], { email: 'lisi@example.com', mobile: '13800000000' }));
    });
    await tellNewId(rollcall, 'lisi', 'lisi2');
    const renaming = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, renaming.id)).toEqual([expect.stringContaining('RENAME_ID employee lisi2')]);
    const undone = await undo(renaming.id);
    expect(await recordsOf(rollcall.api, undone.id)).toMatchObject([
      { externalId: 'lisi2', action: 'MOVE', result: 'APPLIED' },
    ]);
    const lisi = async () =>
      (
        await rollcall.sql.query(
          `SELECT e.id, e.username, l.external_id, d.name FROM employee e JOIN link l ON l.local_id = e.id
             JOIN membership m ON m.employee_id = e.id JOIN department d ON d.id = m.department_id WHERE e.display_name = '李四'`,
        )
      ).rows;
    const [before] = await lisi();
    expect(before).toMatchObject({ username: 'lisi', external_id: 'lisi2', name: '后端组' });
    await synchronize(rollcall, source);
    expect(await lisi()).toEqual([{ ...before, username: 'lisi2', name: '市场部' }]);
  });

  describe('a circle of departments', () => {
    const hang = (id: number, parentId: number) =>
      change(rollcall.sandbox, ({ departments }) => {
        const department = departments.get(id);
        if (department) departments.set(id, { ...department, parentId });
      });

    it('is not made by undoing a move, after what it led from was moved below it', async () => {
      hang(3, 1);
      change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [4])));
      const move = await synchronize(rollcall, source);
      hang(2, 3);
      await synchronize(rollcall, source);
      const undone = await undo(move.id);
      expect(await skipped(undone.id)).toEqual([['3', 'CHANGED_SINCE_PLAN']]);
      const { rows } = await rollcall.sql.query(
        `SELECT d.name, up.name AS parent FROM department d LEFT JOIN department up ON up.id = d.parent_id WHERE d.name IN ('研发中心', '后端组') ORDER BY 1`,
      );
      expect(rows).toEqual([
        { name: '后端组', parent: '示例企业' },
        { name: '研发中心', parent: '后端组' },
      ]);
    });

    it('keeps nobody from being shown', async () => {
      await rollcall.sql.query(
        `UPDATE department d SET parent_id = below.id FROM department below WHERE d.name = '研发中心' AND below.name = '后端组'`,
      );
      const shown = `{ departments(filter: { text: "后端组" }) { nodes { path employeeCount(includeSubtree: true)
        employees(includeSubtree: true) { nodes { username memberships { department { path } } } } } } }`;
      const { departments } = await rollcall.api.request<{ departments: { nodes: { employeeCount: number }[] } }>(
        shown,
      );
      expect(departments.nodes.map(({ employeeCount }) => employeeCount)).toEqual([3]);
      const { rows } = await rollcall.sql.query(`SELECT id FROM employee WHERE username = 'lisi'`);
      const edited = await mutate(
        rollcall,
        'updateEmployee',
        { id: toTypedId('employee', rows[0].id), position: '组长' },
        'employee { position }',
      );
      expect(edited).toEqual({ employee: { position: '组长' }, userErrors: [] });
    });
  });

  it('undoing brings to the top what hung under a department that goes while it waits', async () => {
    const hang = (parentId: number) =>
      change(rollcall.sandbox, ({ departments }) => {
        departments.set(5, { id: 5, parentId: 1, name: '空', order: 0 });
        departments.set(6, { id: 6, parentId, name: '下', order: 0 });
      });
    hang(5);
    await synchronize(rollcall, source);
    hang(1);
    const move = await synchronize(rollcall, source);
    await holdApplying();
    const undone = undo(move.id);
    await whileApplyingWaits(() =>
      rollcall.sql.query(
        `WITH gone AS (DELETE FROM department WHERE name = '空' RETURNING id) DELETE FROM link WHERE local_id IN (SELECT id FROM gone)`,
      ),
    );
    expect(await undone).toMatchObject({ status: 'SUCCEEDED', failure: null });
    const { rows } = await rollcall.sql.query(`SELECT parent_id FROM department WHERE name = '下'`);
    expect(rows).toEqual([{ parent_id: null }]);
  });

  it('undoing what a wrong mapping did shows it, also once the mapping is put right', async () => {
    const configure = async (addressFrom: string) => {
      const fieldMappings = [
        { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
        { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'userid' },
        { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
        ...(addressFrom ? [{ objectType: 'EMPLOYEE', localField: 'address', thirdPartyField: addressFrom }] : []),
      ];
      await mutate(rollcall, 'configureSynchronization', { id: source, fieldMappings }, 'identitySource { id }');
    };
    await configure('name');
    const wrong = await synchronize(rollcall, source);
    await configure('');
    const undone = await undo(wrong.id);
    expect(await summaries(rollcall.api, undone.id)).toEqual(
      ['zhaoliu', 'zhangsan', 'wangwu', 'lisi'].map((id) => `UPDATE employee ${id}: address`),
    );
    const [zhaoliu] = await recordsOf(rollcall.api, undone.id, { field: 'address' });
    expect(zhaoliu?.comparison).toContainEqual(
      expect.objectContaining({ field: 'address', saseValueBefore: '赵六', saseValueAfter: null, changed: true }),
    );
  });

  describe('undoing several tasks, the last first', () => {
    const group = (users: string[]) =>
      change(rollcall.sandbox, ({ tags }) =>
        tags.set(7, { id: 7, name: `协会 ${users.length}`, users, departments: [] }),
      );
    const lisi = (name: string) =>
      change(rollcall.sandbox, ({ users }) => users.set('lisi', user('lisi', name, [3], { position: name })));
    const groups = async () => (await rollcall.sql.query('SELECT name FROM directory_group')).rows;
    const edit = async (position: string) => {
      const { rows } = await rollcall.sql.query(`SELECT id FROM employee WHERE username = 'lisi'`);
      const id = toTypedId('employee', rows[0].id);
      expect((await mutate(rollcall, 'updateEmployee', { id, position }, 'employee { id }')).userErrors).toEqual([]);
    };

    it('brings back what was there before each of them', async () => {
      group(['lisi']);
      await synchronize(rollcall, source);
      const states = [await organisation()];
      const tasks: string[] = [];
      const run = async () => {
        tasks.push((await synchronize(rollcall, source)).id);
        states.push(await organisation());
      };
      reorganise(rollcall);
      group(['lisi', 'neu']);
      await run();
      change(rollcall.sandbox, ({ users, departments }) => {
        users.set('neu', user('neu', '新人新', [4]));
        users.set('lisi', user('lisi', '李四新', [2]));
        users.set('zhaoliu', user('zhaoliu', '赵六', [4]));
        departments.delete(5);
        departments.set(4, { id: 4, parentId: 1, name: '市场一', order: 3 });
      });
      group(['lisi', 'neu', 'zhaoliu']);
      await run();
      lisi('李四又');
      await run();
      for (const task of tasks.reverse()) {
        states.pop();
        expect(await undo(task)).toMatchObject({ status: 'SUCCEEDED' });
        expect(await organisation()).toEqual(states.at(-1));
      }
      expect(await groups()).toEqual([{ name: '协会 1' }]);
    });

    it('brings back who was suspended by one and removed by another', async () => {
      const before = await organisation();
      change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
      const suspension = await synchronize(rollcall, source);
      await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'lisi'`);
      const removal = await synchronize(rollcall, source);
      for (const { id } of [removal, suspension]) expect((await undo(id)).status).toBe('SUCCEEDED');
      expect(await organisation()).toEqual(before);
    });

    it('also undoes again what was undone and done again', async () => {
      lisi('李四甲');
      const task = await synchronize(rollcall, source);
      const undone = await undo(task.id);
      expect((await undo(undone.id)).status).toBe('SUCCEEDED');
      expect((await undo(task.id)).status).toBe('SUCCEEDED');
      expect((await revert(task.id)).userErrors).toMatchObject([
        { code: 'TASK_NOT_REVERTIBLE', message: expect.stringContaining('changed again since') },
      ]);
    });

    it('leaves alone what was edited between them, or since', async () => {
      lisi('李四甲');
      const first = await synchronize(rollcall, source);
      await edit('组长');
      lisi('李四乙');
      const second = await synchronize(rollcall, source);
      expect((await undo(second.id)).status).toBe('SUCCEEDED');
      const refused = [{ code: 'TASK_NOT_REVERTIBLE', message: expect.stringContaining('李四甲') }];
      expect((await revert(first.id)).userErrors).toMatchObject(refused);
      lisi('李四丙');
      const third = await synchronize(rollcall, source);
      lisi('李四丁');
      const fourth = await synchronize(rollcall, source);
      expect((await undo(fourth.id)).status).toBe('SUCCEEDED');
      await edit('经理');
      expect((await revert(third.id)).userErrors).toMatchObject([{ code: 'TASK_NOT_REVERTIBLE' }]);
    });

    it('leaves alone whose id was changed between them', async () => {
      await rollcall.sql.query('UPDATE identity_source SET automatic_enabled = false');
      lisi('李四甲');
      const first = await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ users }) => {
        users.delete('lisi');
        users.set('lisi2', user('lisi2', '李四乙', [4]));
      });
      await tellNewId(rollcall, 'lisi', 'lisi2');
      const renaming = await synchronize(rollcall, source);
      expect(await summaries(rollcall.api, renaming.id)).toEqual([expect.stringContaining('RENAME_ID employee lisi2')]);
      expect((await undo(renaming.id)).status).toBe('SUCCEEDED');
      expect((await revert(first.id)).userErrors).toMatchObject([{ code: 'TASK_NOT_REVERTIBLE' }]);
    });
  });

  it('undoing leaves alone what was changed since, and names it', async () => {
    reorganise(rollcall);
    const task = await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET position = 'x', updated_at = now() WHERE username = 'lisi'`);
    const undone = await undo(task.id);
    expect(undone.status).toBe('PARTIALLY_SUCCEEDED');
    expect(await skipped(undone.id)).toEqual([['lisi', 'CHANGED_SINCE_PLAN']]);
    const twice = await revert(task.id);
    expect(twice.userErrors).toMatchObject([{ code: 'TASK_NOT_REVERTIBLE', field: ['input', 'taskId'] }]);
  });

  describe('a refusal says what to do', () => {
    const close = () => mutate(rollcall, 'disableIdentitySource', { id: source }, 'identitySource { id }');
    const remove = () => mutate(rollcall, 'deleteIdentitySource', { id: source }, 'identitySource { id }');
    const refused = (code: string, message: string) => [{ code, message: expect.stringContaining(message) }];
    /** A task with removals that wait, since no removal goes without approval. */
    const hold = async () => {
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 0, leaverGraceDays: 7 };
      await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, 'identitySource { id }');
      reorganise(rollcall);
      const held = await synchronize(rollcall, source);
      expect(held.status).toBe('HELD');
      return held;
    };

    it('where the source is closed, as of a preview', async () => {
      reorganise(rollcall);
      const { id } = await synchronize(rollcall, source);
      const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
      await close();
      const before = await organisation();
      const message = refused('SOURCE_CLOSED', 'is closed: enable it first');
      expect((await revert(id)).userErrors).toMatchObject(message);
      const applied = await mutate(rollcall, 'applyPreview', { taskId: preview.id }, 'syncTask { id }');
      expect(applied.userErrors).toMatchObject(message);
      expect(await organisation()).toEqual(before);
    });

    it('where the source is deleted, as of a preview, and of removals that wait', async () => {
      const { id } = await hold();
      const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
      await close();
      await remove();
      const before = await organisation();
      const message = refused('SOURCE_CLOSED', 'is deleted: restore it and enable it first');
      expect((await revert(id)).userErrors).toMatchObject(message);
      const applied = await mutate(rollcall, 'applyPreview', { taskId: preview.id }, 'syncTask { id }');
      expect(applied.userErrors).toMatchObject(message);
      expect((await decide(rollcall.api, { taskId: id, approve: true })).userErrors).toMatchObject(
        refused('SOURCE_CLOSED', 'is deleted: restore it first'),
      );
      expect(await organisation()).toEqual(before);
    });

    it('where the records of what is to be undone are no longer kept', async () => {
      reorganise(rollcall);
      const { id } = await synchronize(rollcall, source);
      const idle = await synchronize(rollcall, source);
      await rollcall.sql.query('DELETE FROM sync_record WHERE task_id = $1', [uuidOf('task', id)]);
      const message = 'kept no longer than ROLLCALL_RECORD_DAYS';
      expect((await revert(id)).userErrors).toMatchObject(refused('TASK_NOT_REVERTIBLE', message));
      expect((await revert(idle.id)).userErrors).toMatchObject(refused('TASK_NOT_REVERTIBLE', 'It changed nothing.'));
    });

    it('where a task that is to be canceled only waits for approval', async () => {
      const { id } = await hold();
      const canceled = await mutate(rollcall, 'cancelSyncTask', { id }, 'syncTask { id }');
      expect(canceled.userErrors).toMatchObject(refused('TASK_NOT_CANCELABLE', 'decideHeldRecords'));
    });
  });
});
