import { differences } from '../../src/demo/compare';
import { badge, mapBadges } from '../setup/badges';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import { mutate } from '../setup/organisation-view';
import { recordsOf, startRollcall, summaries, synchronize, type TestRollcall, user } from '../setup/rollcall';

describe('changes of an id', () => {
  let rollcall: TestRollcall;
  let source: string;
  beforeEach(async () => {
    rollcall = await startRollcall({ environment: PUBLIC_URL });
    source = await connectWithCallbacks(rollcall);
    await synchronize(rollcall, source);
  });
  afterEach(() => rollcall.stop());

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

  describe.each([
    ['an event task', true],
    ['a full run', false],
  ])('read by %s', (_by, byEvents) => {
    let before: Record<string, string>;
    beforeEach(async () => {
      await automatic(byEvents);
      await become({ lisi: '李四' }, [{ changeType: 'update_user', fields: { UserID: 'wangwu' } }]);
      await read();
      before = await people();
    });
    const read = async () => {
      if (byEvents) await eventsSettled(rollcall);
      else expect((await synchronize(rollcall, source)).failure).toBeNull();
    };
    const exact = async () => {
      expect(await wrong()).toEqual([]);
      const full = await synchronize(rollcall, source);
      expect([full.failure, await summaries(rollcall.api, full.id)]).toEqual([null, []]);
    };

    it('that somebody else gets at once are two people, each as they were', async () => {
      await become({ lisi2: '李四', lisi: '新人' }, [renamed('lisi', 'lisi2'), created('lisi')]);
      await read();
      expect((await people())['李四']).toBe(before['李四']);
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四', '王五']);
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
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四', '王五']);
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
      expect(Object.keys(await people()).sort()).toEqual(['新人', '李四', '王五']);
      await exact();
    });
  });

  it('told after a full run has read who has them now leave nobody out for longer than that run', async () => {
    await automatic(false);
    await become({ lisi: '李四' }, []);
    await synchronize(rollcall, source);
    const before = await people();
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
