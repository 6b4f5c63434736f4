import { createDataSource } from '../../src/database/data-source';
import { differences } from '../../src/demo/compare';
import { changeOrganisation } from '../../src/organisation/change';
import { generateOrganization } from '../../src/sandbox/generate';
import { connectWithCallbacks, eventsSettled, PUBLIC_URL } from '../setup/callbacks';
import {
  change,
  connectSource,
  decide,
  LOCKS_WAITED_FOR,
  recordsOf,
  startRollcall,
  startTask,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

interface RecordEvent {
  sequence: number;
  plan: number;
  record: { id: string; objectType: string; externalId: string; result: string; reasonCode: string | null };
}

const RECORDS = `subscription ($id: ID!, $after: SafeInt) { syncRecords(taskId: $id, afterSequence: $after) {
  sequence plan record { id objectType externalId result reasonCode } } }`;

const TASK = `query ($id: ID!) { syncTask(id: $id) {
  status plan progress { phase } counters { objectType action planned held } records { nodes { externalId result } } } }`;

interface SeenTask {
  status: string;
  plan: number;
  progress: { phase: string };
  counters: { objectType: string; action: string; planned: number; held: number }[];
  records: { nodes: { externalId: string; result: string }[] };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await isSo()); await new Promise((resolve) => setTimeout(resolve, 10)))
    if (Date.now() > end) throw new Error('It did not come to that.');
}

/** Keeps the planner waiting where it writes the first record of a type, until let go. */
async function holdPlan({ sql }: TestRollcall, objectType: 'EMPLOYEE' | 'GROUP'): Promise<void> {
  await sql.query(`
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;
    CREATE TRIGGER wait BEFORE INSERT ON sync_record FOR EACH ROW WHEN (NEW.object_type = '${objectType}') EXECUTE FUNCTION wait();
    SELECT pg_advisory_lock(7)`);
}

async function letPlanGo({ sql }: TestRollcall): Promise<void> {
  await sql.query('SELECT pg_advisory_unlock_all()');
}

/** Takes the connection of the planner that waits. */
async function interruptPlan({ sql }: TestRollcall): Promise<void> {
  await until(
    async () =>
      (
        await sql.query(
          `SELECT pg_terminate_backend(pid) FROM ${LOCKS_WAITED_FOR} WHERE locktype = 'advisory' AND objid = 7`,
        )
      ).rowCount === 1,
  );
}

describe('a plan while it is made', () => {
  let rollcall: TestRollcall;
  let source: string;
  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterEach(async () => {
    await letGo();
    await rollcall.stop();
  });

  const start = async () => String((await startTask(rollcall.api, source)).syncTask?.id);
  const seen = async (id: string) => (await rollcall.api.request<{ syncTask: SeenTask }>(TASK, { id })).syncTask;
  const exported = async (id: string) =>
    (
      await fetch(rollcall.url.replace('/graphql', `/exports/sync-tasks/${id}/records.csv`), {
        headers: { authorization: `Bearer ${rollcall.config.adminToken?.reveal()}` },
      })
    ).status;

  /** Follows a task's records; `events` grows until the task ends. */
  const follow = (id: string, after?: number) => {
    const events: RecordEvent[] = [];
    const listen = async () => {
      const variables = { id, after };
      for await (const data of rollcall.api.subscribe<{ syncRecords: RecordEvent }>(RECORDS, variables))
        events.push(data.syncRecords);
      return events;
    };
    return { events, ended: listen() };
  };
  const told = (events: readonly RecordEvent[]) => events.map((e) => [e.record.externalId, e.record.result]);
  const ofPlan = (events: readonly RecordEvent[], plan: number) => events.filter((event) => event.plan === plan);

  const letGo = () => letPlanGo(rollcall);
  /** Between the departments and the people. */
  const holdBeforePeople = () => holdPlan(rollcall, 'EMPLOYEE');
  /** Between everybody else and the groups, of which there must be one. */
  const holdBeforeGroups = () => holdPlan(rollcall, 'GROUP');
  const addGroup = () =>
    change(rollcall.sandbox, ({ tags }) => tags.set(1, { id: 1, name: '党员', users: ['lisi'], departments: [] }));
  const interrupt = () => interruptPlan(rollcall);
  const temporaryTables = async () =>
    (await rollcall.sql.query(`SELECT relname FROM pg_class WHERE relpersistence = 't'`)).rows;

  const departments = ['1', '2', '3', '4'];
  const people = ['lisi', 'wangwu', 'zhangsan', 'zhaoliu'];
  const all = (result: string) => [...departments, ...people].sort().map((id) => [id, result]);

  it('is told and listed part by part, and by a file only once it is whole', async () => {
    await holdBeforePeople();
    const id = await start();
    const { events, ended } = follow(id);
    await until(() => events.length === 4);
    expect(told(events).sort()).toEqual(departments.map((department) => [department, 'PLANNED']));
    await until(async () => (await seen(id)).progress.phase === 'PLANNING');
    expect(await seen(id)).toEqual({
      status: 'RUNNING',
      plan: 1,
      progress: { phase: 'PLANNING' },
      counters: [{ objectType: 'DEPARTMENT', action: 'CREATE', planned: 4, held: 0 }],
      records: { nodes: events.map(({ record: { externalId, result } }) => ({ externalId, result })) },
    });
    expect(told(await within(follow(id), 4)).sort()).toEqual(told(events).sort());
    expect(await exported(id)).toBe(409);
    await letGo();
    expect(told((await ended).slice(0, 8)).sort()).toEqual(all('PLANNED'));
    expect(told(events.slice(8)).sort()).toEqual(all('APPLIED'));
    expect(ofPlan(events, 1)).toEqual(events);
    expect(await exported(id)).toBe(200);
  });

  /** The first so many events; the subscription stays, and ends with the task. */
  const within = async ({ events }: { events: RecordEvent[] }, count: number) => {
    await until(() => events.length >= count);
    return events.slice(0, count);
  };

  it('is begun anew when its worker loses the database between two parts, and told from its beginning', async () => {
    await holdBeforePeople();
    const id = await start();
    const { events, ended } = follow(id);
    const [first] = await within({ events }, 4);
    await interrupt();
    await within({ events }, 8);
    await letGo();
    await ended;
    expect(told(ofPlan(events, 1)).sort()).toEqual(departments.map((department) => [department, 'PLANNED']));
    expect(told(ofPlan(events, 2).slice(0, 8)).sort()).toEqual(all('PLANNED'));
    expect(told(ofPlan(events, 2).slice(8)).sort()).toEqual(all('APPLIED'));
    expect(events.map((e) => e.sequence)).toEqual(events.map((e) => e.sequence).sort((a, b) => a - b));
    // Who comes later, or comes back, is told of the plan that stands, the same and with the same numbers.
    for (const after of [0, first?.sequence]) expect(await follow(id, after).ended).toEqual(ofPlan(events, 2));
    expect((await recordsOf(rollcall.api, id)).map((r) => r.id)).toEqual(
      ofPlan(events, 2)
        .slice(8)
        .map((event) => event.record.id),
    );
    expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
  });

  it.each([
    ['between two parts', async () => undefined],
    ['before another worker takes it up', interrupt],
  ])('is forgotten with its records when the task is canceled %s', async (_when, disturb) => {
    await holdBeforePeople();
    const id = await start();
    const { events, ended } = follow(id);
    await within({ events }, 4);
    await disturb();
    await rollcall.api.request('mutation ($id: ID!) { cancelSyncTask(input: { id: $id }) { userErrors { code } } }', {
      id,
    });
    await letGo();
    await ended;
    expect(await seen(id)).toMatchObject({ status: 'CANCELED', counters: [], records: { nodes: [] } });
    expect((await seen(id)).plan).toBeGreaterThan(Math.max(...events.map((event) => event.plan)));
    expect(await follow(id, 0).ended).toEqual([]);
    expect(await temporaryTables()).toEqual([]);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
  });

  it('is made again when somebody who was planned is edited before it is whole', async () => {
    addGroup();
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) =>
      users.set('lisi', user('lisi', '李四', [3], { position: '组长', email: 'li@example.com' })),
    );
    await holdBeforeGroups();
    const id = await start();
    const { events, ended } = follow(id);
    await within({ events }, 1);
    await rollcall.sql.query(`UPDATE employee SET position = 'x', edited_fields = '{position}', updated_at = clock_timestamp()
      WHERE username = 'lisi'`);
    await letGo();
    await ended;
    expect(events.map((e) => [e.plan, e.record.externalId, e.record.result])).toEqual([
      [1, 'lisi', 'PLANNED'],
      [2, 'lisi', 'PLANNED'],
      [2, 'lisi', 'APPLIED'],
    ]);
    expect((await seen(id)).plan).toBe(2);
    const [record] = await recordsOf(rollcall.api, id);
    expect(record?.comparison).toContainEqual(
      expect.objectContaining({ field: 'position', saseValueAfter: 'x', kept: 'EDITED_HERE' }),
    );
  });

  it('tells removals over the limits as held from the first, and how they were decided', async () => {
    const leavers = Array.from({ length: 12 }, (_, i) => `leaver${10 + i}`);
    addGroup();
    change(rollcall.sandbox, ({ users }) => {
      for (const id of leavers) users.set(id, user(id, id, [3]));
    });
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => {
      for (const id of leavers) users.delete(id);
    });
    await holdBeforeGroups();
    const id = await start();
    const { events, ended } = follow(id);
    await within({ events }, 12);
    expect(told(events)).toEqual(leavers.map((leaver) => [leaver, 'HELD']));
    expect(new Set(events.map((e) => e.record.reasonCode))).toEqual(new Set(['OVER_REMOVAL_LIMIT']));
    expect((await seen(id)).counters).toContainEqual(expect.objectContaining({ action: 'SUSPEND', held: 12 }));
    await letGo();
    await watch(rollcall.api, id);
    const records = await recordsOf(rollcall.api, id);
    const some = records.filter((_, i) => i < 2 || i === 5).map((record) => record.id);
    await decide(rollcall.api, { taskId: id, approve: true, recordIds: some });
    await decide(rollcall.api, { taskId: id, approve: false });
    await ended;
    expect(told(events.slice(24))).toEqual([
      ...['leaver10', 'leaver11', 'leaver15'].map((leaver) => [leaver, 'APPLIED']),
      ...leavers.filter((_, i) => i >= 2 && i !== 5).map((leaver) => [leaver, 'SKIPPED']),
    ]);
    // Neighbours are told together.
    const { rows } = await rollcall.sql.query(
      `SELECT first_ordinal AS first, size FROM event WHERE kind = 'RECORDS' AND NOT payload ? 'state' ORDER BY sequence`,
    );
    expect(rows.map(({ first, size }) => [first, size])).toEqual([
      [1, 2],
      [6, 1],
      [3, 3],
      [7, 6],
    ]);
  });

  it('tells a record again whose value turns out to be taken', async () => {
    const field = (localField: string, thirdPartyField: string) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField,
    });
    const fieldMappings = [
      { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
      field('username', 'name'),
      field('displayName', 'name'),
    ];
    await rollcall.api.request(
      'mutation ($input: ConfigureSynchronizationInput!) { configureSynchronization(input: $input) { userErrors { code } } }',
      { input: { id: source, fieldMappings } },
    );
    await synchronize(rollcall, source);
    change(rollcall.sandbox, ({ users }) => users.set('neu', user('neu', '李四', [2])));
    const events = await follow(await start()).ended;
    expect(events.map(({ record }) => [record.externalId, record.result, record.reasonCode])).toEqual([
      ['neu', 'PLANNED', null],
      ['neu', 'FAILED', 'VALUE_TAKEN'],
      ['neu', 'FAILED', 'VALUE_TAKEN'],
    ]);
  });
});

describe('a plan of many people', () => {
  it('is made in chunks, the first of them small, without missing anybody', async () => {
    const organization = generateOrganization(1_700);
    const rollcall = await startRollcall({ organization, callsPerMinute: 1_000_000 });
    try {
      const source = await connectSource(rollcall);
      const chunks = async () => {
        const task = await synchronize(rollcall, source);
        expect(task.status).toBe('SUCCEEDED');
        expect(await differences(rollcall.api, source, organization)).toEqual([]);
        const { rows } = await rollcall.sql.query(
          `SELECT size FROM event WHERE kind = 'RECORDS' AND payload ->> 'state' = 'PLANNED'
              AND task_id = (SELECT id FROM sync_task ORDER BY id DESC LIMIT 1) ORDER BY id`,
        );
        return rows.map((row) => row.size);
      };
      expect(await chunks()).toEqual([34, 500, 1_000, 200, 8]);
      change(rollcall.sandbox, ({ users }) => {
        for (const [i, person] of [...users.values()].entries()) {
          if (i < 1_200) users.set(person.userid, { ...person, name: `新${i}` });
          if (i >= 1_600) users.set(`new${i}`, { ...person, userid: `new${i}`, mobile: `139${10_000_000 + i}` });
        }
      });
      // The newcomers come first, then those who are here.
      expect(await chunks()).toEqual([100, 252, 765, 183]);
    } finally {
      await rollcall.stop();
    }
  });
});

describe('a first plan of many people', () => {
  const PEOPLE = 1_300;
  let rollcall: TestRollcall;
  let source: string;
  beforeEach(async () => {
    const organization = generateOrganization(PEOPLE);
    rollcall = await startRollcall({ organization, callsPerMinute: 1_000_000, environment: PUBLIC_URL });
    source = await connectWithCallbacks(rollcall);
    await holdPlan(rollcall, 'GROUP');
  });
  afterEach(async () => {
    await letPlanGo(rollcall);
    await rollcall.stop();
  });

  const start = async () => String((await startTask(rollcall.api, source)).syncTask?.id);
  const found = async () =>
    (await rollcall.api.request<{ employees: { totalCount: number } }>('{ employees { totalCount } }')).employees
      .totalCount;
  const wrong = () => differences(rollcall.api, source, rollcall.sandbox.company.organization);
  /** The connection that applies it meanwhile, once it has done all that has been planned. */
  const APPLYING = `
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
       AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'membership'::regclass AND mode = 'RowExclusiveLock')`;
  const appliedAhead = () => until(async () => (await rollcall.sql.query(APPLYING)).rowCount === 1);
  const end = async (id: string) => {
    await letPlanGo(rollcall);
    return watch(rollcall.api, id);
  };
  /** A moment of the database's, and whether everybody had been written before it. */
  const now = async () => (await rollcall.sql.query('SELECT clock_timestamp()::text AS now')).rows[0].now;
  const writtenBefore = async (moment: string) =>
    (await rollcall.sql.query('SELECT max(created_at) < $1 AS so FROM employee', [moment])).rows[0].so;

  it('is applied while it is made, and seen only when it is whole', async () => {
    const id = await start();
    await appliedAhead();
    expect(await found()).toBe(0);
    const planning = await now();
    expect((await end(id)).status).toBe('SUCCEEDED');
    expect(await writtenBefore(planning)).toBe(true);
    expect(await found()).toBe(PEOPLE);
    expect(await wrong()).toEqual([]);
    expect((await synchronize(rollcall, source)).counters.filter((c) => c.action !== 'NONE')).toEqual([]);
  });

  it('leaves nothing when it is canceled', async () => {
    const id = await start();
    await appliedAhead();
    await rollcall.api.request('mutation ($id: ID!) { cancelSyncTask(input: { id: $id }) { userErrors { code } } }', {
      id,
    });
    expect((await end(id)).status).toBe('CANCELED');
    expect(await found()).toBe(0);
    expect((await rollcall.sql.query(APPLYING)).rows).toEqual([]);
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    expect(await wrong()).toEqual([]);
  });

  it('is made, and applied, once more when PostgreSQL refuses what was applied ahead', async () => {
    await rollcall.sql.query(`
      CREATE SEQUENCE tries;
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('tries') = 1 THEN RAISE unique_violation; END IF;
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON sync_task DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.status = 'SUCCEEDED') EXECUTE FUNCTION refuse()`);
    const id = await start();
    await appliedAhead();
    expect((await end(id)).status).toBe('SUCCEEDED');
    expect((await rollcall.sql.query('SELECT plan, fence FROM sync_task')).rows).toEqual([{ plan: 2, fence: 1 }]);
    expect(await wrong()).toEqual([]);
  });

  it('does not wait for another source’s, nor does an edit wait for it', async () => {
    const id = await start();
    await appliedAhead();
    const [{ id: custom }] = (await rollcall.sql.query(`SELECT id FROM identity_source WHERE type = 'CUSTOM'`)).rows;
    const dataSource = await createDataSource(rollcall.database.url).initialize();
    try {
      const made = await changeOrganisation(dataSource, custom, (client) =>
        client.query(`INSERT INTO department (identity_source_id, name) VALUES ($1, '研发')`, [custom]),
      );
      expect(made).toMatchObject({ value: { rowCount: 1 } });
    } finally {
      await dataSource.destroy();
    }
    expect((await end(id)).status).toBe('SUCCEEDED');
    expect((await rollcall.sql.query('SELECT fence FROM sync_task')).rows).toEqual([{ fence: 1 }]);
  });

  it.each([
    ['that applies it', () => rollcall.sql.query(`SELECT pg_terminate_backend(pid) FROM (${APPLYING}) it`)],
    ['that makes it', () => interruptPlan(rollcall)],
  ])('is applied all the same when the connection %s is lost', async (_which, interrupt) => {
    const id = await start();
    await appliedAhead();
    await interrupt();
    expect((await end(id)).status).toBe('SUCCEEDED');
    expect(await wrong()).toEqual([]);
  });

  it('is applied as it turns out when somebody’s value is taken', async () => {
    const { users } = rollcall.sandbox.company.organization;
    const [one, two] = [...users.values()];
    if (!one || !two) throw new Error('Nobody is there.');
    const fieldMappings = [
      { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
      { objectType: 'EMPLOYEE', localField: 'username', thirdPartyField: 'alias' },
      { objectType: 'EMPLOYEE', localField: 'displayName', thirdPartyField: 'name' },
    ];
    change(rollcall.sandbox, () => {
      for (const person of users.values()) person.alias = person.userid;
      two.alias = one.userid;
    });
    await rollcall.api.request(
      'mutation ($input: ConfigureSynchronizationInput!) { configureSynchronization(input: $input) { userErrors { code } } }',
      { input: { id: source, fieldMappings } },
    );
    // Values are looked at before groups: it waits once most people have been planned.
    await rollcall.sql.query(`CREATE OR REPLACE TRIGGER wait BEFORE INSERT ON sync_record FOR EACH ROW
      WHEN (NEW.ordinal = ${PEOPLE}) EXECUTE FUNCTION wait()`);
    const id = await start();
    await appliedAhead();
    expect((await end(id)).status).toBe('PARTIALLY_SUCCEEDED');
    expect(await found()).toBe(PEOPLE - 1);
    const refused = (await recordsOf(rollcall.api, id)).filter((record) => record.result !== 'APPLIED');
    expect(refused.map((r) => [r.externalId, r.result, r.reasonCode])).toEqual([[two.userid, 'FAILED', 'VALUE_TAKEN']]);
  });

  it('is followed by what callbacks tell meanwhile', async () => {
    const id = await start();
    await appliedAhead();
    const [gone] = [...rollcall.sandbox.company.organization.users.keys()];
    change(rollcall.sandbox, ({ users }) => {
      users.delete(gone ?? '');
      users.set('neu', user('neu', '新人', [1]));
    });
    await rollcall.sandbox.company.deliveries.settled();
    await end(id);
    await eventsSettled(rollcall);
    expect(await wrong()).toEqual([]);
  });
});
