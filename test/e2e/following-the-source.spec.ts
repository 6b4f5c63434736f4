import { organizationState } from '../../src/sandbox/organization';
import { mutate } from '../setup/organisation-view';
import {
  connectSource,
  decide,
  recordsOf,
  startRollcall,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';
import { undoTask } from '../setup/undo';

/**
 * What is here follows the source although nothing of the object itself changed: only the other end of a reference came or went, only
 * somebody else has or lacks a value, only the settings changed.
 */
interface Told {
  readonly manager?: string;
  readonly badge?: string;
  readonly level?: string;
  readonly departments?: number[];
  readonly mobile?: string;
  readonly position?: string;
  readonly more?: Record<string, unknown>;
}

/** Somebody who has everything always: a field that nobody has counts as withheld. */
const ALWAYS: Record<string, Told> = { zoe: { manager: 'nobody', badge: 'Z', level: '1', departments: [4] } };

describe('what is here', () => {
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

  /** Managers are told by an attribute, which names people whether they can be seen or not. */
  const MAPPINGS: Readonly<Record<string, string>> = {
    username: 'extattr.账号',
    displayName: 'name',
    mobile: 'mobile',
    position: 'position',
    manager: 'extattr.上级',
    'extension.badge': 'extattr.工牌',
    'extension.level': 'extattr.级别',
  };

  const configure = async (
    more: Record<string, unknown>,
    mappings = MAPPINGS,
    owners: Record<string, string> = {},
    ofDepartments: Record<string, string> = {},
  ) => {
    const fieldMappings = Object.entries(mappings).map(([localField, thirdPartyField]) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField,
      ...(owners[localField] ? { owner: owners[localField] } : {}),
    }));
    const departments = Object.entries({ name: 'name', ...ofDepartments }).map(([localField, thirdPartyField]) => ({
      objectType: 'DEPARTMENT',
      localField,
      thirdPartyField,
    }));
    const automaticSynchronization = { enabled: false };
    const input = { id: source, fieldMappings: [...departments, ...fieldMappings], automaticSynchronization, ...more };
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
        const { manager, badge, level, departments: places = [2], more, ...fields } = told;
        const attributes = { 上级: manager, 工牌: badge, 级别: level, 账号: (more?.['account'] as string) ?? id };
        const extattr = Object.entries(attributes).flatMap(([name, value]) => (value ? [{ name, value }] : []));
        return { ...user(id, id.toUpperCase(), places), extattr, ...fields, ...more };
      }),
    });
    company.change(() => company.organization.replace(state));
    return synchronize(rollcall, source);
  };

  /** Waits until every task has ended. */
  const idle = async () => {
    for (let i = 0; i < 100; i++) {
      const { rows } = await rollcall.sql.query(`SELECT 1 FROM sync_task WHERE status IN ('QUEUED', 'RUNNING')`);
      if (rows.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('A task is still open.');
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

  describe('of a reference', () => {
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
      const told = records.map((r) => [
        r.externalId,
        r.result,
        r.comparison.find((c) => c.field === 'manager')?.changed,
      ]);
      expect(told).toEqual(
        expect.arrayContaining([
          ['eli', 'APPLIED', false],
          ['eve', 'SKIPPED', false],
          ['fay', 'FAILED', false],
        ]),
      );
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

  it('of somebody whom the source still tells as having left is removed when their grace has ended', async () => {
    await tell({ kim: {}, lea: {} });
    const left = { kim: { more: { status: 5 } }, lea: {} };
    await tell(left);
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'kim'`);
    // Something else of the same page changes, and nothing of theirs.
    const task = await tell({ ...left, lea: { position: 'A' } });
    const records = await recordsOf(rollcall.api, task.id, { text: 'kim' });
    expect(records.map((r) => [r.action, r.reasonCode])).toEqual([['REMOVE', 'GRACE_ENDED']]);
  });

  describe('of a value', () => {
    const stored = async (id: string, column: string) => {
      const { rows } = await rollcall.sql.query(
        `SELECT e.${column} AS value FROM employee e JOIN link l ON l.local_id = e.id WHERE l.external_key = $1`,
        [id],
      );
      return rows[0]?.value;
    };

    it('goes from who has none as soon as it is no longer withheld from everybody', async () => {
      const held = { leo: { mobile: '1001', position: 'A' }, mia: { mobile: '1002', departments: [3] } };
      await tell(held);
      // Of Leo something else changes meanwhile, of Mia nothing.
      await tell({ leo: { position: 'B' }, mia: { departments: [3] } });
      expect([await stored('leo', 'mobile'), await stored('mia', 'mobile')]).toEqual(['1001', '1002']);
      await tell({ leo: { position: 'B' }, mia: { departments: [3] }, ned: { mobile: '1003', departments: [4] } });
      expect([await stored('leo', 'mobile'), await stored('mia', 'mobile')]).toEqual([null, null]);
    });

    it.each(['away', 'away, which waits for approval,', 'on a page that cannot be read'])(
      'goes from who was %s when it was shown again, as soon as they are read',
      async (how) => {
        const leo = { mobile: '1001', position: 'A' };
        await tell({ leo, mia: { mobile: '1002', departments: [3] } });
        // Of Mia something else has changed while it was withheld.
        const mia = { departments: [3], position: 'B' };
        await tell({ leo: { position: 'A' }, mia });
        expect(await stored('mia', 'mobile')).toBe('1002');
        const { faults } = rollcall.sandbox;
        if (how.startsWith('away')) {
          const held = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 0, leaverGraceDays: 7 };
          if (how !== 'away') await configure({ safeguards: held });
          expect((await tell({ leo })).status).toBe(how === 'away' ? 'SUCCEEDED' : 'HELD');
          await configure({ safeguards: { ...held, minimumObjects: 5, maxRemovals: 50, maxRemovalPercent: 10 } });
        } else {
          faults.add({ kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '3' } });
          expect((await tell({ leo, mia })).status).toBe('PARTIALLY_SUCCEEDED');
          faults.clear();
        }
        expect(await stored('mia', 'mobile')).toBe('1002');
        expect((await tell({ leo, mia })).status).toBe('SUCCEEDED');
        expect([await stored('leo', 'mobile'), await stored('mia', 'mobile')]).toEqual(['1001', null]);
      },
    );

    it('stays where its field is no longer mapped, also where departments have the field mapped', async () => {
      await configure({}, { ...MAPPINGS, englishName: 'extattr.工牌' }, {}, { englishName: 'name_en' });
      await tell({ eva: { badge: 'Eve' } });
      await configure({}, MAPPINGS, {}, { englishName: 'name_en' });
      await tell({ eva: { badge: 'Eve', position: '主任' } });
      expect(await stored('eva', 'position')).toBe('主任');
      expect(await stored('eva', 'english_name')).toBe('Eve');
    });

    it('is that of the source once the source owns the field', async () => {
      await configure({}, MAPPINGS, { position: 'SET_ONCE' });
      await tell({ ola: { position: 'first', mobile: '1' } });
      await tell({ ola: { position: 'second', mobile: '2' } });
      expect(await stored('ola', 'position')).toBe('first');
      await configure({}, MAPPINGS, { position: 'SOURCE' });
      await tell({ ola: { position: 'second', mobile: '2' } });
      expect(await stored('ola', 'position')).toBe('second');
    });

    it('that is unique stays with who has it, also where the field is no longer mapped', async () => {
      await tell({ pam: { badge: 'P' } });
      await tell({});
      await tell({ quy: { badge: 'P' } });
      const { 'extension.badge': _, ...unmapped } = MAPPINGS;
      await configure({}, unmapped);
      const task = await tell({ quy: { badge: 'P' }, pam: { badge: 'P', departments: [3] } });
      expect(task.failure).toBeNull();
      expect(await stored('pam', 'extension_values')).toEqual({});
      expect(await stored('quy', 'extension_values')).toEqual({ badge: 'P' });
    });

    const name = (id: number, name_en: string) =>
      rollcall.sandbox.company.organization.departments.set(id, {
        id,
        parentId: 1,
        name: `部门${id}`,
        order: 0,
        name_en,
      });
    const codes = async (key = 'code') => {
      const { rows } = await rollcall.sql.query(
        `SELECT l.external_id || ' ' || (d.extension_values ->> $1) AS code FROM department d JOIN link l ON l.local_id = d.id
          WHERE d.extension_values ? $1 ORDER BY 1`,
        [key],
      );
      return rows.map((row) => row.code);
    };

    it('that is unique among departments is refused to the second, and costs the run nothing else', async () => {
      const made = { key: 'code', objectType: 'DEPARTMENT', displayName: '代码', unique: true };
      await mutate(rollcall, 'createExtensionField', made, 'extensionField { id }');
      await configure({}, MAPPINGS, {}, { 'extension.code': 'name_en' });
      await tell({});
      const { company } = rollcall.sandbox;
      company.change(() => [name(2, 'A'), name(3, 'A')]);
      const task = await synchronize(rollcall, source);
      expect([task.status, task.failure]).toEqual(['PARTIALLY_SUCCEEDED', null]);
      expect(await codes()).toEqual(['2 A']);
      const refused = await recordsOf(rollcall.api, task.id, { objectType: 'DEPARTMENT', result: ['FAILED'] });
      expect(refused.map((r) => [r.externalId, r.reasonCode])).toEqual([['3', 'VALUE_TAKEN']]);
      company.change(() => [name(2, 'B'), name(3, 'A')]);
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      expect(await codes()).toEqual(['2 B', '3 A']);
      // Exchanged within one run.
      company.change(() => [name(2, 'A'), name(3, 'B')]);
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      expect(await codes()).toEqual(['2 A', '3 B']);
      await configure({});
    });

    it('that a department has goes on from one that goes, and back by undoing that', async () => {
      const made = { key: 'mark', objectType: 'DEPARTMENT', displayName: '标记', unique: true };
      await mutate(rollcall, 'createExtensionField', made, 'extensionField { id }');
      await configure({}, MAPPINGS, {}, { 'extension.mark': 'name_en' });
      const { company } = rollcall.sandbox;
      const { departments } = company.organization;
      await tell({});
      company.change(() => name(4, 'K'));
      await synchronize(rollcall, source);
      company.change(() => [name(4, ''), name(9, 'K')]);
      const moved = await synchronize(rollcall, source);
      expect([moved.status, await codes('mark')]).toEqual(['SUCCEEDED', ['9 K']]);
      expect((await undoTask(rollcall, moved.id)).status).toBe('SUCCEEDED');
      expect(await codes('mark')).toEqual(['4 K']);
      await mutate(rollcall, 'setAutomaticSynchronization', { id: source, enabled: true }, '__typename');
      await synchronize(rollcall, source);
      company.change(() => [name(4, 'K'), departments.delete(9)]);
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      expect(await codes('mark')).toEqual(['4 K']);
      await configure({});
    });

    it('that a department has which is to go, and is not empty, goes on from it all the same', async () => {
      await configure({}, MAPPINGS, {}, { 'extension.mark': 'name_en' });
      const { company, faults } = rollcall.sandbox;
      const { departments, users } = company.organization;
      await tell({ pia: { departments: [9] } }, [2, 3, 4, 9]);
      company.change(() => name(9, 'K'));
      await synchronize(rollcall, source);
      company.change(() => [name(4, 'K'), departments.delete(9), users.delete('pia')]);
      faults.add({ kind: 'http500', path: 'user/get', query: { userid: 'pia' } });
      const task = await synchronize(rollcall, source);
      faults.clear();
      expect([task.status, task.failure, await codes('mark')]).toEqual(['PARTIALLY_SUCCEEDED', null, ['4 K']]);
      const kept = await recordsOf(rollcall.api, task.id, { objectType: 'DEPARTMENT', action: ['REMOVE'] });
      expect(kept).toMatchObject([{ externalId: '9', result: 'SKIPPED', reasonCode: 'DEPARTMENT_NOT_EMPTY' }]);
      const [lost] = kept[0]?.comparison.filter(({ field }) => field === 'extension.mark') ?? [];
      expect(lost).toMatchObject({ changed: true, saseValueBefore: 'K', saseValueAfter: null });
      expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
      await configure({});
    });

    it('that belongs to somebody whose leaving waits for approval goes to the next one with the approval, and nothing else does', async () => {
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 10, leaverGraceDays: 7 };
      await configure({ safeguards });
      const fin = (position: string) => ({ fin: { position, departments: [3] } });
      await tell({ abe: { badge: 'H', more: { account: 'held' } }, bea: {}, ...fin('A') });
      const held = await tell({
        bea: { badge: 'H' },
        cyd: { more: { account: 'HELD' } },
        dot: { manager: 'cyd', departments: [3] },
        ...fin('A'),
      });
      expect(held.status).toBe('HELD');
      expect([await stored('bea', 'extension_values'), await stored('cyd', 'status')]).toEqual([{}, undefined]);
      const waiting = (await recordsOf(rollcall.api, held.id)).filter((r) => r.reasonCode === 'VALUE_TAKEN');
      expect(waiting.map((r) => [r.externalId, r.result]).sort()).toEqual([
        ['bea', 'FAILED'],
        ['cyd', 'FAILED'],
      ]);
      const { company } = rollcall.sandbox;
      const { users } = company.organization;
      company.change(() => users.set('fin', { ...users.get('fin'), position: 'B' } as never));
      await decide(rollcall.api, { taskId: held.id, approve: true });
      await idle();
      expect([await stored('bea', 'extension_values'), await stored('cyd', 'username')]).toEqual([
        { badge: 'H' },
        'HELD',
      ]);
      expect(await managers()).toEqual(['dot > cyd']);
      expect(await stored('fin', 'position')).toBe('A');
      await configure({ safeguards: { ...safeguards, minimumObjects: 5, maxRemovals: 50 } });
    });

    it('that somebody else has by now is not brought back by undoing', async () => {
      const wes = { badge: 'W' };
      const yan = { more: { account: 'same' } };
      await tell({ wes, yan });
      const left = await tell({});
      await tell({ xan: { badge: 'W' }, zac: { more: { account: 'SAME' } } });
      const { syncTask } = await mutate(rollcall, 'revertSyncTask', { taskId: left.id }, 'syncTask { id }');
      const undone = await watch(rollcall.api, syncTask.id);
      expect([undone.status, undone.failure]).toEqual(['PARTIALLY_SUCCEEDED', null]);
      const records = await recordsOf(rollcall.api, undone.id);
      expect(records.map((r) => [r.externalId, r.result, r.reasonCode]).sort()).toEqual([
        ['wes', 'APPLIED', 'VALUE_TAKEN'],
        ['yan', 'FAILED', 'VALUE_TAKEN'],
      ]);
      expect([await stored('wes', 'status'), await stored('wes', 'extension_values')]).toEqual(['ACTIVE', {}]);
      expect(await stored('yan', 'status')).toBe('SUSPENDED');
    });

    it('that is longer than an index can hold costs nobody else anything', async () => {
      const long = Array.from({ length: 4000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7919) % 20000))).join('');
      const task = await tell({
        rob: { more: { name: long } },
        sue: { position: long },
        tom: { badge: long },
        una: { more: { account: long } },
        vic: {},
      });
      expect(task.failure).toBeNull();
      expect(await stored('vic', 'status')).toBe('ACTIVE');
    });
  });
});
