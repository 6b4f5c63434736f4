import { toTypedId } from '../../src/platform/typed-id';
import { mutate } from '../setup/organisation-view';
import {
  change,
  recordsOf,
  startSynchronized,
  summaries,
  synchronize,
  type TestRollcall,
  user,
} from '../setup/rollcall';
import { undoTask } from '../setup/undo';

describe('undo, of people', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    ({ rollcall, source } = await startSynchronized());
  });
  afterEach(() => rollcall.stop());

  const undo = (taskId: string) => undoTask(rollcall, taskId);

  it('undoing a removal brings back somebody who is missing still, and has no second grace period', async () => {
    change(rollcall.sandbox, ({ users }) => users.delete('zhaoliu'));
    await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'zhaoliu'`);
    const removal = await synchronize(rollcall, source);
    expect(await undo(removal.id)).toMatchObject({ status: 'SUCCEEDED' });
    const { rows } = await rollcall.sql.query(`SELECT status FROM employee WHERE username = 'zhaoliu'`);
    expect(rows).toEqual([{ status: 'SUSPENDED' }]);
    const again = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, again.id)).toEqual([
      'REMOVE employee zhaoliu: status, departments, mainDepartment',
    ]);
  });

  it('undoing a department’s removal gives whoever was suspended already their places back', async () => {
    change(rollcall.sandbox, ({ users, departments }) => {
      departments.set(9, { id: 9, parentId: 1, name: '旧', order: 0 });
      users.set('lisi', user('lisi', '李四', [9], { isLeaderInDept: [1] }));
    });
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
    await synchronize(rollcall, source);
    const lisi = async () => {
      const { rows } = await rollcall.sql.query(
        `SELECT e.status, main.name AS main,
                ARRAY(SELECT d.name || ' ' || m.is_leader FROM membership m JOIN department d ON d.id = m.department_id WHERE m.employee_id = e.id) AS places
           FROM employee e LEFT JOIN department main ON main.id = e.main_department_id WHERE e.username = 'lisi'`,
      );
      return rows[0];
    };
    const before = await lisi();
    expect(before).toEqual({ status: 'SUSPENDED', main: '旧', places: ['旧 true'] });
    change(rollcall.sandbox, ({ departments }) => departments.delete(9));
    const removal = await synchronize(rollcall, source);
    expect(await lisi()).toEqual({ status: 'SUSPENDED', main: null, places: [] });
    expect((await undo(removal.id)).status).toBe('SUCCEEDED');
    expect(await lisi()).toEqual(before);
  });

  describe('undoing a return', () => {
    const leave = async () => {
      change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
      await synchronize(rollcall, source);
    };
    const graceEnds = (moment: string) =>
      rollcall.sql.query(`UPDATE employee SET removal_due_at = ${moment} WHERE username = 'lisi'`);
    /** As somebody else, in a department that comes with them. */
    const comeBack = async () => {
      change(rollcall.sandbox, ({ users, departments }) => {
        departments.set(9, { id: 9, parentId: 1, name: '新', order: 0 });
        users.set('lisi', user('lisi', '李四新', [9], { position: '新职', direct_leader: ['wangwu'] }));
      });
      return synchronize(rollcall, source);
    };
    const lisi = async () =>
      (
        await rollcall.sql.query(
          `SELECT e.display_name, e.position, e.status, e.email, e.suspended_at, e.removal_due_at, main.name AS main, boss.username AS boss,
                  ARRAY(SELECT d.name FROM membership m JOIN department d ON d.id = m.department_id WHERE m.employee_id = e.id) AS departments
             FROM employee e LEFT JOIN department main ON main.id = e.main_department_id LEFT JOIN employee boss ON boss.id = e.manager_id
            WHERE e.username = 'lisi'`,
        )
      ).rows[0];

    it('leaves who was suspended as they were, in their places, with what was left of their grace', async () => {
      await leave();
      await graceEnds(`now() + interval '1 day'`);
      const before = await lisi();
      expect(before).toMatchObject({ status: 'SUSPENDED', main: '后端组', departments: ['后端组'], boss: 'zhangsan' });
      const back = await comeBack();
      const after = await lisi();
      expect(after).toMatchObject({ display_name: '李四新', status: 'ACTIVE', main: '新', boss: 'wangwu' });
      const undone = await undo(back.id);
      expect(undone.status).toBe('SUCCEEDED');
      expect(await recordsOf(rollcall.api, undone.id, { objectType: 'EMPLOYEE' })).toMatchObject([
        { externalId: 'lisi', action: 'SUSPEND', result: 'APPLIED' },
      ]);
      expect(await lisi()).toEqual(before);
      expect((await undo(undone.id)).status).toBe('SUCCEEDED');
      expect(await lisi()).toEqual(after);
      await synchronize(rollcall, source);
      expect(await lisi()).toEqual(after);
    });

    it('removes again who had been removed', async () => {
      await leave();
      await graceEnds('now()');
      await synchronize(rollcall, source);
      const before = await lisi();
      expect(before).toMatchObject({ status: 'REMOVED', departments: [] });
      const undone = await undo((await comeBack()).id);
      expect(undone.status).toBe('SUCCEEDED');
      expect(await recordsOf(rollcall.api, undone.id, { objectType: 'EMPLOYEE' })).toMatchObject([
        { externalId: 'lisi', action: 'REMOVE', result: 'APPLIED' },
      ]);
      expect(await lisi()).toEqual(before);
      const again = await synchronize(rollcall, source);
      expect(await summaries(rollcall.api, again.id)).toContainEqual(expect.stringContaining('RESTORE employee lisi'));
    });

    it('that was an undo leaves whoever had gone with a department in those that were left', async () => {
      change(rollcall.sandbox, ({ users, departments }) => {
        departments.set(9, { id: 9, parentId: 1, name: '旧', order: 0 });
        users.set('lisi', user('lisi', '李四', [3, 9], { mainDepartment: 3 }));
      });
      await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ departments }) => departments.delete(9));
      change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
      const task = await synchronize(rollcall, source);
      const before = await lisi();
      expect(before).toMatchObject({ status: 'SUSPENDED', main: '后端组', departments: ['后端组'] });
      const undone = await undo(task.id);
      expect((await lisi()).departments.sort()).toEqual(['后端组', '旧']);
      expect((await undo(undone.id)).status).toBe('SUCCEEDED');
      expect(await lisi()).toMatchObject({ status: 'SUSPENDED', main: '后端组', departments: ['后端组'] });
    });

    it('from undoing a first synchronization leaves nobody', async () => {
      const everybody = async () =>
        (await rollcall.sql.query('SELECT status, count(*)::int FROM employee GROUP BY 1')).rows;
      const { rows } = await rollcall.sql.query('SELECT id FROM sync_task');
      const undone = await undo(toTypedId('task', rows[0].id));
      const redone = await undo(undone.id);
      expect(await everybody()).toContainEqual({ status: 'ACTIVE', count: 3 });
      expect((await undo(redone.id)).status).toBe('SUCCEEDED');
      expect(await everybody()).toEqual([{ status: 'REMOVED', count: 4 }]);
    });
  });

  describe('undoing somebody’s removal', () => {
    const people = async () =>
      (
        await rollcall.sql.query(
          `SELECT display_name AS name, status, username, extension_values ->> 'badge' AS badge FROM employee WHERE username = 'boss' ORDER BY 1`,
        )
      ).rows;
    const boss = (id: string, name: string) => user(id, name, [2], { alias: 'boss', position: '001' });

    beforeEach(async () => {
      const field = { key: 'badge', displayName: '工牌', unique: true };
      await mutate(rollcall, 'createExtensionField', field, 'extensionField { id }');
      const fieldMappings = [
        { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
        { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'alias' },
        { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
        { objectType: 'EMPLOYEE', localField: 'extension.badge', thirdPartyField: 'position' },
      ];
      await mutate(rollcall, 'configureSynchronization', { id: source, fieldMappings }, 'identitySource { id }');
      change(rollcall.sandbox, ({ users }) => {
        for (const person of [...users.values()])
          users.set(person.userid, { ...person, alias: person.userid, position: person.userid });
        users.set('old', boss('old', '旧'));
      });
      await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ users }) => {
        users.delete('old');
        users.set('new', boss('new', '新'));
      });
      await synchronize(rollcall, source);
      await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE status = 'SUSPENDED'`);
    });

    it('leaves a successor what is theirs: whoever is suspended takes nothing from those present', async () => {
      const removal = await synchronize(rollcall, source);
      expect(await summaries(rollcall.api, removal.id)).toEqual([
        'REMOVE employee old: status, departments, mainDepartment',
      ]);
      expect((await undo(removal.id)).status).toBe('SUCCEEDED');
      expect(await people()).toEqual([
        { name: '新', status: 'ACTIVE', username: 'boss', badge: '001' },
        { name: '旧', status: 'SUSPENDED', username: 'boss', badge: '001' },
      ]);
    });

    it('brings back a successor who went with the same run', async () => {
      change(rollcall.sandbox, ({ users }) => users.delete('new'));
      const both = await synchronize(rollcall, source);
      expect((await summaries(rollcall.api, both.id)).sort()).toEqual([
        'REMOVE employee old: status, departments, mainDepartment',
        'SUSPEND employee new: status',
      ]);
      expect((await undo(both.id)).status).toBe('SUCCEEDED');
      expect(await people()).toEqual([
        { name: '新', status: 'ACTIVE', username: 'boss', badge: '001' },
        { name: '旧', status: 'SUSPENDED', username: 'boss', badge: '001' },
      ]);
    });
  });

  describe('undoing brings back no value that its field does not take', () => {
    const fields: Record<string, string> = {};
    const field = async (input: Record<string, unknown>) => {
      const made = await mutate(
        rollcall,
        'createExtensionField',
        { displayName: '字段', ...input },
        'extensionField { id }',
      );
      fields[String(input['key'])] = made.extensionField.id;
    };
    const changeField = async (key: string, input: Record<string, unknown>) => {
      const changed = await mutate(
        rollcall,
        'updateExtensionField',
        { id: fields[key], ...input },
        'extensionField { id }',
      );
      expect(changed.userErrors).toEqual([]);
    };
    const tell = (told: Record<string, unknown>) =>
      change(rollcall.sandbox, ({ users }) => users.set('lisi', user('lisi', '李四', [3], told)));
    const configure = (extensions: Record<string, string>, ofDepartments: Record<string, string>[] = []) => {
      const fieldMappings = [
        { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
        ...ofDepartments,
        { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'userid' },
        { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
        ...Object.entries(extensions).map(([key, thirdPartyField]) => ({
          objectType: 'EMPLOYEE',
          localField: `extension.${key}`,
          thirdPartyField,
        })),
      ];
      return mutate(rollcall, 'configureSynchronization', { id: source, fieldMappings }, 'identitySource { id }');
    };
    const values = async () =>
      (await rollcall.sql.query(`SELECT extension_values AS held FROM employee WHERE username = 'lisi'`)).rows[0].held;
    const ofLisi = async (taskId: string) => {
      const [record] = await recordsOf(rollcall.api, taskId, { text: 'lisi' });
      const kept = record?.comparison.filter((c) => c.kept).map((c) => [c.field, c.saseValueAfter, c.kept]);
      const changed = record?.comparison.filter((c) => c.changed).map((c) => c.field);
      return { result: record?.result, reasonCode: record?.reasonCode, kept, changed };
    };

    it('since its options or its type were changed', async () => {
      await field({ key: 'grade', type: 'CHOICE', options: ['A', 'B'] });
      await field({ key: 'size' });
      await field({ key: 'team' });
      await configure({ grade: 'position', size: 'alias', team: 'address' });
      tell({ position: 'A', alias: 'large', address: '甲' });
      await synchronize(rollcall, source);
      tell({ position: 'B', alias: '7', address: '乙' });
      const all = await synchronize(rollcall, source);
      await changeField('grade', { options: ['B'] });
      await changeField('size', { type: 'NUMBER' });
      const undone = await undo(all.id);
      expect(undone.status).toBe('PARTIALLY_SUCCEEDED');
      expect(await ofLisi(undone.id)).toEqual({
        result: 'APPLIED',
        reasonCode: 'INVALID_VALUE',
        kept: [
          ['extension.grade', 'B', 'INVALID'],
          ['extension.size', '7', 'INVALID'],
        ],
        changed: ['extension.team'],
      });
      expect(await values()).toEqual({ grade: 'B', size: '7', team: '甲' });
    });

    it('of a department that comes back either', async () => {
      const names = ['示例企业', '研发中心', '后端组', '市场部'];
      await field({ key: 'kind', objectType: 'DEPARTMENT', type: 'CHOICE', options: [...names, '空'] });
      await configure({}, [{ objectType: 'DEPARTMENT', localField: 'extension.kind', thirdPartyField: 'name' }]);
      change(rollcall.sandbox, ({ departments }) => departments.set(5, { id: 5, parentId: 1, name: '空', order: 0 }));
      await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ departments }) => departments.delete(5));
      const removal = await synchronize(rollcall, source);
      await changeField('kind', { options: names });
      const undone = await undo(removal.id);
      expect(await recordsOf(rollcall.api, undone.id)).toMatchObject([
        { action: 'CREATE', externalId: '5', result: 'APPLIED', reasonCode: 'INVALID_VALUE' },
      ]);
      const { rows } = await rollcall.sql.query(`SELECT extension_values FROM department WHERE name = '空'`);
      expect(rows).toEqual([{ extension_values: {} }]);
    });

    it('nor of a field that was deleted, whatever has its identifier later', async () => {
      await field({ key: 'grade' });
      await configure({ grade: 'alias' });
      tell({ alias: '一级', position: '职员' });
      await synchronize(rollcall, source);
      tell({ alias: '二级', position: '组长' });
      const graded = await synchronize(rollcall, source);
      change(rollcall.sandbox, ({ users }) => users.delete('lisi'));
      const left = await synchronize(rollcall, source);
      await configure({});
      const deleted = await mutate(rollcall, 'deleteExtensionField', { id: fields['grade'] }, 'extensionField { id }');
      expect(deleted.userErrors).toEqual([]);
      // Of whoever comes back nothing is told of it that the undo would have changed.
      expect((await undo(left.id)).status).toBe('SUCCEEDED');
      expect(await values()).toEqual({});
      const undone = await undo(graded.id);
      expect(await ofLisi(undone.id)).toMatchObject({ result: 'FAILED', reasonCode: 'INVALID_VALUE' });
      await field({ key: 'grade', type: 'NUMBER' });
      expect(await values()).toEqual({});
    });
  });
});
