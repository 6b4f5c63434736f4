import { toTypedId } from '../../src/platform/typed-id';
import { mutate as configure } from '../setup/organisation-view';
import {
  change,
  connectSource,
  LOCKS_WAITED_FOR,
  recordsOf,
  startRollcall,
  startTask,
  summaries,
  synchronize,
  type TestRollcall,
  untilRow,
  user,
  watch,
} from '../setup/rollcall';

interface Payload {
  syncTask: { id: string; origin: { id: string } | null } | null;
  userErrors: { code: string; message: string; field: string[] }[];
}

describe('previews and undo', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
    await synchronize(rollcall, source);
  });
  afterEach(() => rollcall.stop());

  const mutate = async (name: 'applyPreview' | 'revertSyncTask', taskId: string): Promise<Payload> => {
    const type = name === 'applyPreview' ? 'ApplyPreviewInput' : 'RevertSyncTaskInput';
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) { syncTask { id origin { id } } userErrors { code message field } } }`;
    return (await rollcall.api.request<Record<string, Payload>>(query, { input: { taskId } }))[name] as Payload;
  };
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
  const edit = () =>
    change(rollcall.sandbox, ({ users, departments }) => {
      users.set('neu', user('neu', '新人', [5], { direct_leader: ['zhangsan'] }));
      users.delete('zhaoliu');
      users.set('lisi', user('lisi', '李四', [4], { email: 'li@example.com', mobile: '13800000000' }));
      departments.set(5, { id: 5, parentId: 2, name: '前端组', order: 1 });
      departments.set(4, { id: 4, parentId: 2, name: '市场', order: 10 });
    });

  it('a preview writes nothing and is applied exactly as it was shown', async () => {
    edit();
    const before = await organisation();
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    expect(preview.status).toBe('SUCCEEDED');
    expect(await organisation()).toEqual(before);
    const planned = await summaries(rollcall.api, preview.id);
    // What the directory says by now does not matter: what was shown is what happens.
    change(rollcall.sandbox, ({ users }) => users.set('later', user('later', '后来', [2])));
    const { syncTask, userErrors } = await mutate('applyPreview', preview.id);
    expect(userErrors).toEqual([]);
    expect(syncTask?.origin?.id).toBe(preview.id);
    const applied = await watch(rollcall.api, String(syncTask?.id));
    expect(applied.status).toBe('SUCCEEDED');
    expect(await summaries(rollcall.api, applied.id)).toEqual(planned);
    const next = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, next.id)).toEqual([expect.stringContaining('CREATE employee later')]);
  });

  it('a preview is stale once another task was applied, or one of its objects was changed', async () => {
    edit();
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    await rollcall.sql.query(`UPDATE employee SET position = 'x', updated_at = now() WHERE username = 'lisi'`);
    const changed = await mutate('applyPreview', preview.id);
    expect(changed.userErrors).toMatchObject([{ code: 'PREVIEW_STALE', message: expect.stringContaining('李四') }]);
    await synchronize(rollcall, source);
    expect((await mutate('applyPreview', preview.id)).userErrors).toMatchObject([{ code: 'PREVIEW_STALE' }]);
    expect((await mutate('applyPreview', source)).userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  it('a preview is stale once what it has read is no longer stored', async () => {
    edit();
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    // As the retention does after a week.
    await rollcall.sql.query(
      `DELETE FROM task_page WHERE task_id IN (SELECT id FROM sync_task WHERE mode = 'PREVIEW')`,
    );
    const old = await mutate('applyPreview', preview.id);
    expect(old.userErrors).toMatchObject([{ code: 'PREVIEW_STALE', message: expect.stringContaining('too old') }]);
  });

  it('settings can be tried before they are saved, person by person and without a call to WeCom', async () => {
    const calls = [...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0);
    const fieldMappings = [
      { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
      { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'userid' },
      { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
      { objectType: 'EMPLOYEE', localField: 'position', thirdPartyField: 'name' },
    ];
    const renamed = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, fieldMappings } });
    expect(renamed.status).toBe('SUCCEEDED');
    expect(await summaries(rollcall.api, renamed.id)).toEqual(
      ['lisi', 'wangwu', 'zhangsan', 'zhaoliu'].map((id) => `UPDATE employee ${id}: position`),
    );
    const other = await startTask(rollcall.api, source, {
      mode: 'PREVIEW',
      proposed: { id: 'source_01h455vb4pex5vsknk084sn02q' },
    });
    expect(other.userErrors).toMatchObject([{ code: 'INVALID_INPUT', field: ['input', 'proposed', 'id'] }]);
    const stale = await startTask(rollcall.api, source, { mode: 'PREVIEW', proposed: { id: source, version: 0 } });
    expect(stale.userErrors).toMatchObject([{ code: 'VERSION_CONFLICT', field: ['input', 'proposed', 'version'] }]);
    const scope = { mode: 'PARTIAL', departmentIds: ['2'] };
    const narrowed = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, scope } });
    expect(await summaries(rollcall.api, narrowed.id)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('SUSPEND employee zhaoliu'),
        expect.stringContaining('REMOVE department 4'),
      ]),
    );
    expect([...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0)).toBe(calls);
    expect((await mutate('applyPreview', narrowed.id)).userErrors).toMatchObject([{ code: 'PREVIEW_STALE' }]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
  });

  describe('of other settings, read from the last snapshot', () => {
    const CERTIFICATE = 'complete groupsComplete reasons departmentsRead employeesRead groupsRead unconfirmed';
    const certificateOf = async (id: string) => {
      const query = `query ($id: ID!) { syncTask(id: $id) { certificate { ${CERTIFICATE} } } }`;
      return (await rollcall.api.request<{ syncTask: { certificate: unknown } }>(query, { id })).syncTask.certificate;
    };
    const calls = () => [...rollcall.sandbox.calls.values()].reduce((sum, n) => sum + n, 0);
    const fieldMappings = [
      { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
      { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'userid' },
      { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
      { objectType: 'EMPLOYEE', localField: 'position', thirdPartyField: 'userid' },
    ];

    it('know what that could not read, and keep whoever and whatever it kept', async () => {
      const { faults } = rollcall.sandbox;
      change(rollcall.sandbox, ({ tags }) => {
        tags.set(7, { id: 7, name: '协会', users: ['lisi'], departments: [] });
        tags.set(8, { id: 8, name: '社团', users: ['zhangsan'], departments: [] });
      });
      await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ users, tags }) => {
        users.delete('wangwu');
        tags.delete(8);
      });
      // Of wangwu it cannot be told, zhaoliu is there after all, and so may both groups be.
      faults.add({ kind: 'errcode', errcode: 99999, path: 'user/get', query: { userid: 'wangwu' } });
      faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '4' } });
      faults.add({ kind: 'errcode', errcode: 81011, path: 'tag/get', query: { tagid: '7' } });
      const last = await synchronize(rollcall, source);
      expect([last.status, await recordsOf(rollcall.api, last.id)]).toEqual(['PARTIALLY_SUCCEEDED', []]);
      const before = calls();
      for (const proposed of [{ safeguards: { leaverGraceDays: 3 } }, { fieldMappings }]) {
        const preview = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, ...proposed } });
        expect(preview.status).toBe('PARTIALLY_SUCCEEDED');
        expect(await certificateOf(preview.id)).toEqual(await certificateOf(last.id));
        // wangwu is on no page, so nothing new is told of them.
        const changed = 'fieldMappings' in proposed ? ['lisi', 'zhangsan', 'zhaoliu'] : [];
        expect(await summaries(rollcall.api, preview.id)).toEqual(
          changed.map((id) => `UPDATE employee ${id}: position`),
        );
      }
      expect(calls()).toBe(before);
    });

    it('are applied once the settings are saved, as they were shown', async () => {
      const preview = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, fieldMappings } });
      const configured = await configure(
        rollcall,
        'configureSynchronization',
        { id: source, fieldMappings },
        'identitySource { id }',
      );
      expect(configured.userErrors).toEqual([]);
      const { syncTask, userErrors } = await mutate('applyPreview', preview.id);
      expect(userErrors).toEqual([]);
      expect((await watch(rollcall.api, String(syncTask?.id))).status).toBe('SUCCEEDED');
      const { rows } = await rollcall.sql.query(
        `SELECT count(*)::int AS changed FROM employee WHERE position = username`,
      );
      expect(rows).toEqual([{ changed: 4 }]);
    });

    it('ask the directory where something was applied since that began', async () => {
      const preview = () => synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, fieldMappings } });
      change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '新人', [2])));
      rollcall.sandbox.faults.add({
        kind: 'errcode',
        errcode: 99999,
        path: 'user/list',
        query: { department_id: '4' },
      });
      const incomplete = await synchronize(rollcall, source);
      expect(await summaries(rollcall.api, incomplete.id)).toEqual([expect.stringContaining('CREATE employee neu')]);
      rollcall.sandbox.faults.clear();
      const before = calls();
      expect(
        (await summaries(rollcall.api, (await preview()).id)).filter((line) => !line.startsWith('UPDATE')),
      ).toEqual([]);
      expect(calls()).toBeGreaterThan(before);
    });

    it('hold what that held because less could be seen while it read', async () => {
      const { faults } = rollcall.sandbox;
      faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '4' } });
      faults.add({ kind: 'scopeShrunk', departments: [2], path: 'user/get', query: { userid: 'zhaoliu' } });
      expect((await synchronize(rollcall, source)).status).toBe('HELD');
      const preview = await synchronize(rollcall, source, { mode: 'PREVIEW', proposed: { id: source, fieldMappings } });
      expect(await recordsOf(rollcall.api, preview.id, { action: ['SUSPEND'] })).toMatchObject([
        { externalId: 'zhaoliu', result: 'HELD' },
      ]);
    });
  });

  it('undoing a task brings everything back as it was, with the same ids, and switches automatic synchronization off', async () => {
    const before = await organisation();
    edit();
    const task = await synchronize(rollcall, source);
    const after = await organisation();
    expect(after).not.toEqual(before);
    const { syncTask, userErrors } = await mutate('revertSyncTask', task.id);
    expect(userErrors).toEqual([]);
    const undone = await watch(rollcall.api, String(syncTask?.id));
    expect(undone).toMatchObject({ status: 'SUCCEEDED' });
    expect(await organisation()).toEqual(before);
    const { rows } = await rollcall.sql.query(`SELECT automatic_enabled FROM identity_source WHERE type = 'WECOM'`);
    expect(rows).toEqual([{ automatic_enabled: false }]);
    // The next run sees the directory's side again, and restores the same person with the same id.
    const again = await synchronize(rollcall, source);
    expect(again.status).toBe('SUCCEEDED');
    const ids = (rows: { id: string }[]) => rows.map((row) => row.id).sort();
    expect(ids((await organisation()).filter((row) => row.kind === 'e'))).toEqual(
      ids(after.filter((row) => row.kind === 'e')),
    );
  });

  it('undoing a first synchronization leaves nobody, also where that was applied while it was planned', async () => {
    const many = await startRollcall();
    try {
      change(many.sandbox, ({ users }) => {
        for (let i = 0; i < 600; i++) users.set(`u${i}`, user(`u${i}`, `员工${i}`, [2]));
      });
      const { id } = await synchronize(many, await connectSource(many));
      const undone = await configure(many, 'revertSyncTask', { taskId: id }, 'syncTask { id }');
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

  it('undoing a removal brings back somebody who is missing still, and has no second grace period', async () => {
    change(rollcall.sandbox, ({ users }) => users.delete('zhaoliu'));
    await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'zhaoliu'`);
    const removal = await synchronize(rollcall, source);
    const { syncTask } = await mutate('revertSyncTask', removal.id);
    expect(await watch(rollcall.api, String(syncTask?.id))).toMatchObject({ status: 'SUCCEEDED' });
    const { rows } = await rollcall.sql.query(`SELECT status FROM employee WHERE username = 'zhaoliu'`);
    expect(rows).toEqual([{ status: 'SUSPENDED' }]);
    const again = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, again.id)).toEqual(['REMOVE employee zhaoliu: status']);
  });

  const undo = async (taskId: string) => {
    const { syncTask, userErrors } = await mutate('revertSyncTask', taskId);
    expect(userErrors).toEqual([]);
    return watch(rollcall.api, String(syncTask?.id));
  };
  const skipped = async (taskId: string) =>
    (await recordsOf(rollcall.api, taskId, { result: ['SKIPPED'] })).map((r) => [r.externalId, r.reasonCode]);

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
    await rollcall.sql.query(
      `INSERT INTO directory_event (identity_source_id, object_type, external_key, external_id, new_external_key)
       SELECT id, 'EMPLOYEE', 'lisi', 'lisi', 'lisi2' FROM identity_source WHERE type = 'WECOM'`,
    );
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
      const edited = await configure(
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
    await rollcall.sql.query(
      `SELECT pg_advisory_lock(hashtextextended(id::text, 0)) FROM identity_source WHERE type = 'WECOM'`,
    );
    const undone = undo(move.id);
    await untilRow(rollcall, `SELECT FROM ${LOCKS_WAITED_FOR} WHERE locktype = 'advisory'`);
    await rollcall.sql.query(
      `WITH gone AS (DELETE FROM department WHERE name = '空' RETURNING id) DELETE FROM link WHERE local_id IN (SELECT id FROM gone)`,
    );
    await rollcall.sql.query('SELECT pg_advisory_unlock_all()');
    expect(await undone).toMatchObject({ status: 'SUCCEEDED', failure: null });
    const { rows } = await rollcall.sql.query(`SELECT parent_id FROM department WHERE name = '下'`);
    expect(rows).toEqual([{ parent_id: null }]);
  });

  it('undoing leaves alone what was changed since, and names it', async () => {
    edit();
    const task = await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET position = 'x', updated_at = now() WHERE username = 'lisi'`);
    const { syncTask } = await mutate('revertSyncTask', task.id);
    const undone = await watch(rollcall.api, String(syncTask?.id));
    expect(undone.status).toBe('PARTIALLY_SUCCEEDED');
    const skipped = await recordsOf(rollcall.api, undone.id, { result: ['SKIPPED'] });
    expect(skipped).toMatchObject([{ externalId: 'lisi', reasonCode: 'CHANGED_SINCE_PLAN' }]);
    const twice = await mutate('revertSyncTask', task.id);
    expect(twice.userErrors).toMatchObject([{ code: 'TASK_NOT_REVERTIBLE', field: ['input', 'taskId'] }]);
  });
});
