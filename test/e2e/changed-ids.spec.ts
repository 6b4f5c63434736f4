import { differences } from '../../src/demo/compare';
import { toTypedId } from '../../src/platform/typed-id';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { badge, mapBadges, mapPeople } from '../setup/mappings';
import { mutate } from '../setup/organisation-view';
import { decide, recordsOf, startRollcall, summaries, synchronize, type TestRollcall, user } from '../setup/rollcall';

describe('changes of an id', () => {
  let rollcall: TestRollcall;
  let source: string;

  const wrong = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);
  type Events = Parameters<TestRollcall['sandbox']['company']['push']>[0];
  const renamed = (UserID: string, NewUserID: string) => ({
    changeType: 'update_user',
    fields: { UserID, NewUserID },
  });
  const created = (UserID: string) => ({ changeType: 'create_user', fields: { UserID } });
  const automatic = (enabled: boolean) =>
    mutate(rollcall, 'setAutomaticSynchronization', { id: source, enabled }, 'identitySource { id }');
  /** Makes these the people of department 3, as their names by their ids, and tells only of that what is said. */
  const become = async (names: Record<string, string>, events: Events) => {
    const { company } = rollcall.sandbox;
    const { users } = company.organization;
    for (const [id, { departments }] of [...users]) if (departments.includes(3)) users.delete(id);
    for (const [id, name] of Object.entries(names)) users.set(id, user(id, name, [3]));
    company.changed();
    company.push(events);
    await company.deliveries.settled();
  };
  /** Local ids by name, of whoever was ever in department 3. */
  const people = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      (
        await rollcall.sql.query(
          `SELECT display_name, id FROM employee WHERE username NOT IN ('zhangsan', 'zhaoliu') ORDER BY created_at`,
        )
      ).rows.map((row) => [row.display_name, row.id]),
    );

  /** How those of them are by name. */
  const statuses = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      (
        await rollcall.sql.query(
          `SELECT display_name, status FROM employee WHERE username NOT IN ('zhangsan', 'zhaoliu')`,
        )
      ).rows.map((row) => [row.display_name, row.status]),
    );

  let before: Record<string, string>;
  /** Nobody but 李四 is in department 3. */
  beforeEach(async () => {
    rollcall = await startRollcall({ environment: PUBLIC_URL });
    source = await connectWithCallbacks(rollcall);
    await automatic(false);
    await become({ lisi: '李四' }, []);
    await synchronize(rollcall, source);
    before = await people();
  });
  afterEach(() => rollcall.stop());

  describe.each([
    ['an event task', true],
    ['a full run', false],
  ])('read by %s', (_by, byEvents) => {
    const read = async () => {
      if (byEvents) await eventsSettled(rollcall);
      else expect((await synchronize(rollcall, source)).failure).toBeNull();
    };
    const exact = async () => {
      expect(await wrong()).toEqual([]);
      const full = await synchronize(rollcall, source);
      expect([full.failure, await summaries(rollcall.api, full.id)]).toEqual([null, []]);
    };

    beforeEach(() => automatic(byEvents));

    it('that somebody else gets at once are two people, each as they were', async () => {
      await become({ lisi2: '李四', lisi: '新人' }, [renamed('lisi', 'lisi2'), created('lisi')]);
      await read();
      expect((await people())['李四']).toBe(before['李四']);
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四']);
      await exact();
    });

    it('that somebody else here gets who gives up theirs are two people', async () => {
      await become({ lisi: '李四', wangwu: '王五' }, [created('wangwu')]);
      await read();
      const both = await people();
      await become({ lisi2: '李四', lisi: '王五' }, [renamed('lisi', 'lisi2'), renamed('wangwu', 'lisi')]);
      await read();
      expect(await people()).toEqual(both);
      await exact();
    });

    it('that somebody else gets and gives up as well, before either was read, are two people', async () => {
      await become({ lisi2: '李四', lisi: '新人' }, []);
      await become({ lisi2: '李四', lisi3: '新人' }, [
        renamed('lisi', 'lisi2'),
        created('lisi'),
        renamed('lisi', 'lisi3'),
      ]);
      await read();
      expect((await people())['李四']).toBe(before['李四']);
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四']);
      await exact();
    });

    it('to one that nobody has by then leave the former one to somebody new, and bring the person back under the other', async () => {
      await become({ lisi: '新人' }, [renamed('lisi', 'lisi2'), created('lisi')]);
      await read();
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'SUSPENDED' });
      expect((await people())['李四']).toBe(before['李四']);
      await exact();
      await become({ lisi: '新人', lisi2: '李四' }, [created('lisi2')]);
      await read();
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'ACTIVE' });
      expect((await people())['李四']).toBe(before['李四']);
      await exact();
    });

    it('to one that somebody here gives up, and that nobody has by then, bring the person back under it as well', async () => {
      await become({ lisi: '李四', wangwu: '王五' }, [created('wangwu')]);
      await read();
      const both = await people();
      const left = { changeType: 'delete_user', fields: { UserID: 'lisi' } };
      const ids = { lisi2: '李四', wangwu: '新人' };
      await become(ids, [renamed('lisi', 'lisi2'), renamed('wangwu', 'lisi'), left, created('wangwu')]);
      await read();
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'ACTIVE', 王五: 'SUSPENDED' });
      await exact();
      await become({ ...ids, lisi: '王五' }, [created('lisi')]);
      await read();
      expect(await people()).toMatchObject(both);
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'ACTIVE', 王五: 'ACTIVE' });
      await exact();
    });

    it('of somebody who is found gone are not forgotten until the former one is somebody’s', async () => {
      await become({}, [renamed('lisi', 'lisi2')]);
      await read();
      await become({ lisi: '新人' }, [created('lisi')]);
      await read();
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'SUSPENDED' });
      await exact();
      await become({ lisi: '新人', lisi2: '李四' }, [created('lisi2')]);
      await read();
      expect((await people())['李四']).toBe(before['李四']);
      await exact();
    });

    it('that a full run found before it was told are one person again, and nobody else', async () => {
      await automatic(false);
      await become({ lisi2: '李四' }, []);
      expect((await synchronize(rollcall, source)).failure).toBeNull();
      await automatic(byEvents);
      await become({ lisi2: '李四' }, [renamed('lisi', 'lisi2')]);
      await read();
      const { rows } = await rollcall.sql.query(
        `SELECT id, status, username FROM employee WHERE display_name = '李四' ORDER BY status`,
      );
      expect(rows).toEqual([
        { id: before['李四'], status: 'ACTIVE', username: 'lisi2' },
        { id: expect.anything(), status: 'SUSPENDED', username: 'lisi2' },
      ]);
      await exact();
    });

    it.each([
      ['at once', false],
      ['once the leaver is known to have gone', true],
    ])('to the one of somebody who has left are two people, told %s', async (_when, first) => {
      await become({ lisi: '李四', wangwu: '王五' }, [created('wangwu')]);
      await read();
      const both = await people();
      const left = { changeType: 'delete_user', fields: { UserID: 'lisi' } };
      if (first) {
        await become({ wangwu: '王五' }, [left]);
        await read();
      }
      await become({ lisi: '王五' }, [...(first ? [] : [left]), renamed('wangwu', 'lisi')]);
      await read();
      const { rows } = await rollcall.sql.query(`SELECT id, status FROM employee WHERE id = ANY ($1) ORDER BY status`, [
        Object.values(both),
      ]);
      expect(rows).toEqual([
        { id: both['王五'], status: 'ACTIVE' },
        { id: both['李四'], status: 'SUSPENDED' },
      ]);
      const { employee } = await rollcall.api.request<{ employee: unknown }>(
        'query ($id: ID!) { employee(id: $id) { externalId } }',
        { id: toTypedId('employee', both['李四'] ?? '') },
      );
      expect(employee).toEqual({ externalId: null });
      await exact();
    });

    it('told once more, when somebody new has the former one, change nothing', async () => {
      const told = { ...renamed('lisi', 'lisi2'), createTime: 1_700_000_000 };
      await become({ lisi2: '李四', lisi: '新人' }, [told, created('lisi')]);
      await read();
      const known = await people();
      await become({ lisi2: '李四', lisi: '新人' }, [told, renamed('lisi', 'lisi2')]);
      await read();
      expect(await people()).toEqual(known);
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'ACTIVE' });
      await exact();
    });

    it.each([
      ['at once', true],
      ['one after the other', false],
    ])('of the second who gave up an id are not the first one’s, told %s, and once more', async (_when, together) => {
      const told = { ...renamed('lisi', 'lisi3'), createTime: 1_700_000_000 };
      const left = { changeType: 'delete_user', fields: { UserID: 'lisi2' } };
      const events = [renamed('lisi', 'lisi2'), left, created('lisi'), told];
      for (const some of together ? [events] : events.map((event) => [event])) {
        await become({ lisi3: '新人' }, some);
        if (!together) await read();
      }
      await read();
      const both = await people();
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'SUSPENDED' });
      expect(both['李四']).toBe(before['李四']);
      await become({ lisi3: '新人' }, [told]);
      await read();
      expect(await people()).toEqual(both);
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'SUSPENDED' });
      await exact();
    });

    it('of somebody new, from and to those of who had them before, are somebody new’s', async () => {
      await become({ lisi2: '李四' }, [{ ...renamed('lisi', 'lisi2'), createTime: 1_700_000_000 }]);
      await read();
      await become({ lisi: '新人' }, [{ changeType: 'delete_user', fields: { UserID: 'lisi2' } }, created('lisi')]);
      await read();
      const both = await people();
      await become({ lisi2: '新人' }, [{ ...renamed('lisi', 'lisi2'), createTime: 1_700_000_060 }]);
      await read();
      expect(await people()).toEqual(both);
      expect(await statuses()).toEqual({ 新人: 'ACTIVE', 李四: 'SUSPENDED' });
      await exact();
    });

    it('twice are one person still', async () => {
      await become({ lisi3: '李四' }, [renamed('lisi', 'lisi2'), renamed('lisi2', 'lisi3')]);
      await read();
      expect(await people()).toEqual(before);
      await exact();
    });

    it('there and back give it to nobody who gets the other one later', async () => {
      await become({ lisi: '李四' }, [renamed('lisi', 'lisi2'), renamed('lisi2', 'lisi')]);
      await read();
      await become({ lisi: '李四', lisi2: '新人' }, [created('lisi2')]);
      await read();
      expect((await people())['李四']).toBe(before['李四']);
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四']);
      await exact();
    });

    it('of somebody who had left, and whose values another has by now, cost them what is taken, and nobody else anything', async () => {
      await mapBadges(rollcall, source);
      await synchronize(rollcall, source);
      /** Makes these the people of department 3, with their badges by their ids. */
      const have = async (badges: Record<string, string>, events: Events) => {
        const { company } = rollcall.sandbox;
        const { users } = company.organization;
        for (const [id, { departments }] of [...users]) if (departments.includes(3)) users.delete(id);
        for (const [id, value] of Object.entries(badges)) users.set(id, user(id, id, [3], badge(value)));
        company.changed();
        company.push(events);
        await company.deliveries.settled();
        await read();
      };
      const updated = (UserID: string) => ({ changeType: 'update_user', fields: { UserID } });
      const deleted = (UserID: string) => ({ changeType: 'delete_user', fields: { UserID } });
      await have({ lisi: 'X', wangwu: 'Y' }, [updated('lisi'), created('wangwu')]);
      await have({ wangwu: 'X' }, [deleted('lisi')]);
      await have({ wangwu: 'X' }, [updated('wangwu')]);
      await have({ wangwu: 'X', lisi2: 'X', neu: 'N' }, [renamed('lisi', 'lisi2'), created('neu')]);
      const { rows } = await rollcall.sql.query(
        `SELECT username || ' ' || status || ' ' || coalesce(extension_values ->> 'badge', '') AS is FROM employee
            WHERE username IN ('lisi', 'lisi2', 'wangwu', 'neu') ORDER BY 1`,
      );
      expect(rows.map((row) => row.is)).toEqual(['lisi2 ACTIVE ', 'neu ACTIVE N', 'wangwu ACTIVE X']);
      const full = await synchronize(rollcall, source);
      expect([full.status, full.failure]).toEqual(['PARTIALLY_SUCCEEDED', null]);
      const refused = await recordsOf(rollcall.api, full.id);
      expect(refused.map((r) => [r.externalId, r.reasonCode])).toEqual([['lisi2', 'VALUE_TAKEN']]);
    });

    it('that a full run found before it was told take those along who were told to have the other as manager or member', async () => {
      await mapPeople(rollcall, source, { manager: 'extattr.上级' });
      const { tags, users } = rollcall.sandbox.company.organization;
      await automatic(false);
      users.set('zhaoliu', user('zhaoliu', '赵六', [4], { extattr: [{ name: '上级', value: 'lisi2' }] }));
      tags.set(9, { id: 9, name: '组', users: ['lisi2'], departments: [] });
      await become({ lisi2: '李四' }, []);
      await synchronize(rollcall, source);
      await automatic(byEvents);
      await become({ lisi2: '李四' }, [renamed('lisi', 'lisi2')]);
      await read();
      if (byEvents) await synchronize(rollcall, source);
      const led = await rollcall.sql.query(`SELECT manager_id AS id FROM employee WHERE username = 'zhaoliu'`);
      const members = await rollcall.sql.query('SELECT employee_id AS id FROM directory_group_employee');
      expect([led.rows, members.rows]).toEqual([[{ id: before['李四'] }], [{ id: before['李四'] }]]);
      await exact();
    });

    it('that a full run found before it was told leave who is nobody to whoever decides about removals', async () => {
      const safeguards = { minimumObjects: 0, maxRemovals: 0, maxRemovalPercent: 100, leaverGraceDays: 7 };
      await automatic(false);
      await become({ lisi2: '李四' }, []);
      await synchronize(rollcall, source);
      await mutate(rollcall, 'configureSynchronization', { id: source, safeguards }, '__typename');
      await automatic(byEvents);
      await become({ lisi2: '李四' }, [renamed('lisi', 'lisi2')]);
      await read();
      const held = async () =>
        (
          await rollcall.sql.query(
            `SELECT r.local_id AS id, t.id AS task FROM sync_record r JOIN sync_task t ON t.id = r.task_id WHERE r.result = 'HELD'`,
          )
        ).rows;
      const [nobody] = await held();
      expect(nobody.id).not.toBe(before['李四']);
      await synchronize(rollcall, source);
      const [same, ...others] = await held();
      expect([same.id, others]).toEqual([nobody.id, []]);
      const both = async () => {
        const { rows } = await rollcall.sql.query(`SELECT id, status FROM employee WHERE display_name = '李四'`);
        return Object.fromEntries(rows.map(({ id, status }) => [id, status]));
      };
      expect(await both()).toEqual({ [before['李四'] ?? '']: 'SUSPENDED', [nobody.id]: 'ACTIVE' });
      const taskId = toTypedId('task', same.task);
      expect((await decide(rollcall.api, { taskId, approve: true })).userErrors).toEqual([]);
      await eventsSettled(rollcall);
      expect(await both()).toEqual({ [before['李四'] ?? '']: 'ACTIVE', [nobody.id]: 'SUSPENDED' });
      await exact();
    });
  });

  it('told after a full run has read who has them now leave nobody out for longer than that run', async () => {
    const { faults, calls } = rollcall.sandbox;
    await become({ lisi2: '李四', lisi: '新人' }, []);
    const listed = calls.get('tag/list') ?? 0;
    faults.add({ kind: 'slow', milliseconds: 700, path: 'tag/list' });
    const full = synchronize(rollcall, source);
    while ((calls.get('tag/list') ?? 0) === listed) await new Promise((resolve) => setTimeout(resolve, 10));
    await become({ lisi2: '李四', lisi: '新人' }, [renamed('lisi', 'lisi2')]);
    expect((await full).failure).toBeNull();
    await synchronize(rollcall, source);
    expect((await people())['李四']).toBe(before['李四']);
    expect(await wrong()).toEqual([]);
  });
});
