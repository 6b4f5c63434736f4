import { mutate, organisationView } from '../setup/organisation-view';
import {
  change,
  decide,
  recordsOf,
  reorganise,
  startSynchronized,
  startTask,
  summaries,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

interface Payload {
  syncTask: { id: string; origin: { id: string } | null } | null;
  userErrors: { code: string; message: string; field: string[] }[];
}

describe('previews', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    ({ rollcall, source } = await startSynchronized());
  });
  afterEach(() => rollcall.stop());

  const applyPreview = (taskId: string): Promise<Payload> =>
    mutate(rollcall, 'applyPreview', { taskId }, 'syncTask { id origin { id } }');

  it('a preview writes nothing and is applied exactly as it was shown', async () => {
    reorganise(rollcall);
    const before = await organisationView(rollcall);
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    expect(preview.status).toBe('SUCCEEDED');
    expect(await organisationView(rollcall)).toEqual(before);
    const planned = await summaries(rollcall.api, preview.id);
    // What the directory says by now does not matter: what was shown is what happens.
    change(rollcall.sandbox, ({ users }) => users.set('later', user('later', '后来', [2])));
    const { syncTask, userErrors } = await applyPreview(preview.id);
    expect(userErrors).toEqual([]);
    expect(syncTask?.origin?.id).toBe(preview.id);
    const applied = await watch(rollcall.api, String(syncTask?.id));
    expect(applied.status).toBe('SUCCEEDED');
    expect(await summaries(rollcall.api, applied.id)).toEqual(planned);
    const next = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, next.id)).toEqual([expect.stringContaining('CREATE employee later')]);
  });

  it('a preview shows that departments wait with the people in and below them, as they do when it is applied', async () => {
    const safeguards = { minimumObjects: 2, maxRemovals: 2, maxRemovalPercent: 1, leaverGraceDays: 7 };
    await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, '__typename');
    change(rollcall.sandbox, ({ departments }) => {
      departments.set(6, { id: 6, parentId: 1, name: '事业部', order: 1 });
      departments.set(3, { id: 3, parentId: 6, name: '后端组', order: 10 });
    });
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users, departments }) => {
      for (const id of ['lisi', 'wangwu', 'zhaoliu']) users.delete(id);
      for (const id of [3, 6]) departments.delete(id);
    });
    const shown = async (id: string) =>
      (await recordsOf(rollcall.api, id)).map((r) => `${r.action} ${r.externalId} ${r.result} ${r.reasonCode}`);
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    const planned = await shown(preview.id);
    expect(planned.sort()).toEqual([
      'REMOVE 3 HELD DEPARTMENT_NOT_EMPTY',
      'REMOVE 6 HELD DEPARTMENT_NOT_EMPTY',
      'SUSPEND lisi HELD OVER_REMOVAL_LIMIT',
      'SUSPEND wangwu HELD OVER_REMOVAL_LIMIT',
      'SUSPEND zhaoliu HELD OVER_REMOVAL_LIMIT',
    ]);
    const { syncTask } = await applyPreview(preview.id);
    const applied = await watch(rollcall.api, String(syncTask?.id));
    expect([applied.status, (await shown(applied.id)).sort()]).toEqual(['HELD', planned]);
    expect((await decide(rollcall.api, { taskId: applied.id, approve: true })).syncTask?.status).toBe('SUCCEEDED');
    const left = await rollcall.sql.query(`SELECT name FROM department WHERE name IN ('事业部', '后端组')`);
    expect(left.rows).toEqual([]);
  });

  it('a preview is stale once another task was applied, or one of its objects was changed', async () => {
    reorganise(rollcall);
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    await rollcall.sql.query(`UPDATE employee SET position = 'x', updated_at = now() WHERE username = 'lisi'`);
    const changed = await applyPreview(preview.id);
    expect(changed.userErrors).toMatchObject([{ code: 'PREVIEW_STALE', message: expect.stringContaining('李四') }]);
    await synchronize(rollcall, source);
    expect((await applyPreview(preview.id)).userErrors).toMatchObject([{ code: 'PREVIEW_STALE' }]);
    expect((await applyPreview(source)).userErrors).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  it('a preview is stale once what it has read is no longer stored', async () => {
    reorganise(rollcall);
    const preview = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    // As the retention does after a week.
    await rollcall.sql.query(
      `DELETE FROM task_page WHERE task_id IN (SELECT id FROM sync_task WHERE mode = 'PREVIEW')`,
    );
    const old = await applyPreview(preview.id);
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
    expect((await applyPreview(narrowed.id)).userErrors).toMatchObject([{ code: 'PREVIEW_STALE' }]);
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
      const configured = await mutate(
        rollcall,
        'configureSynchronization',
        { id: source, fieldMappings },
        'identitySource { id }',
      );
      expect(configured.userErrors).toEqual([]);
      const { syncTask, userErrors } = await applyPreview(preview.id);
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
});
