import { differences } from '../../src/demo/compare';
import { mutate } from '../setup/organisation-view';
import {
  change,
  connectSource,
  recordsOf,
  startRollcall,
  startTask,
  summaries,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

describe('synchronizing a WeCom company', () => {
  let rollcall: TestRollcall;
  let source: string;

  beforeEach(async () => {
    rollcall = await startRollcall();
    source = await connectSource(rollcall);
  });
  afterEach(() => rollcall.stop());

  const edit = (change_: Parameters<typeof change>[1]) => change(rollcall.sandbox, change_);
  const patch = (userid: string, set: Record<string, unknown>) =>
    edit(({ users }) => {
      const former = users.get(userid);
      if (former) users.set(userid, { ...former, ...set });
    });

  it('brings departments and people, each with a record that shows every field', async () => {
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('SUCCEEDED');
    expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
    const records = await recordsOf(rollcall.api, task.id, { text: 'lisi' });
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ action: 'CREATE', result: 'APPLIED', objectType: 'EMPLOYEE' });
    expect(records[0]?.comparison).toContainEqual({
      field: 'email',
      thirdPartyField: 'email',
      thirdPartyValue: 'lisi@example.com',
      saseValueBefore: null,
      saseValueAfter: 'lisi@example.com',
      changed: true,
      kept: null,
    });
    expect(records[0]?.comparison).toContainEqual(
      expect.objectContaining({ field: 'departments', saseValueAfter: '示例企业 / 研发中心 / 后端组' }),
    );
  });

  it('records nothing and writes no wide row when nothing changed', async () => {
    await synchronize(rollcall, source);
    const wide = `SELECT 'e' AS t, id, xmin::text FROM employee UNION ALL SELECT 'd', id, xmin::text FROM department
      UNION ALL SELECT 'm', employee_id, xmin::text FROM membership UNION ALL SELECT 'l', local_id, xmin::text FROM link ORDER BY 1, 2, 3`;
    const before = await rollcall.sql.query(wide);
    const task = await synchronize(rollcall, source);
    expect(task.status).toBe('SUCCEEDED');
    expect(await recordsOf(rollcall.api, task.id)).toEqual([]);
    expect((await rollcall.sql.query(wide)).rows).toEqual(before.rows);
  });

  it('clears a phone number that was of separators only', async () => {
    patch('lisi', { mobile: '-' });
    patch('wangwu', { mobile: '13900000000' });
    await synchronize(rollcall, source);
    patch('lisi', { mobile: undefined });
    const task = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, task.id)).toEqual(['UPDATE employee lisi: mobile']);
    const { rows } = await rollcall.sql.query(`SELECT mobile FROM employee WHERE username = 'lisi'`);
    expect(rows).toEqual([{ mobile: null }]);
  });

  it('records exactly the differences, field by field', async () => {
    patch('zhangsan', { email: 'zhangsan@example.com' });
    await synchronize(rollcall, source);
    patch('lisi', { position: '工程师', email: undefined });
    patch('wangwu', { departments: [4], isLeaderInDept: [1], mainDepartment: 4 });
    edit(({ departments }) => {
      departments.set(3, { id: 3, parentId: 4, name: '后端组', order: 10 });
    });
    const task = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, task.id)).toEqual([
      'MOVE department 3: parent',
      'UPDATE employee lisi: position, email',
      'MOVE employee wangwu: departments, mainDepartment',
    ]);
    const [lisi] = await recordsOf(rollcall.api, task.id, { text: 'lisi' });
    expect(
      lisi?.comparison
        .filter((c) => c.changed)
        .map((c) => [c.field, c.saseValueBefore, c.saseValueAfter])
        .sort(),
    ).toEqual([
      ['email', 'lisi@example.com', null],
      ['position', null, '工程师'],
    ]);
    expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
  });

  it('suspends who left, and restores the same employee with the same id', async () => {
    await synchronize(rollcall, source);
    const idOf = async () =>
      (await rollcall.sql.query(`SELECT id, status FROM employee WHERE username = 'wangwu'`)).rows;
    const [before] = await idOf();
    const wangwu = rollcall.sandbox.company.organization.users.get('wangwu');
    edit(({ users }) => users.delete('wangwu'));
    const left = await synchronize(rollcall, source);
    expect(await summaries(rollcall.api, left.id)).toEqual(['SUSPEND employee wangwu: status']);
    expect(await idOf()).toEqual([{ id: before?.id, status: 'SUSPENDED' }]);
    edit(({ users }) => wangwu && users.set('wangwu', wangwu));
    const back = await synchronize(rollcall, source);
    expect((await recordsOf(rollcall.api, back.id)).map((r) => r.action)).toEqual(['RESTORE']);
    expect(await idOf()).toEqual([{ id: before?.id, status: 'ACTIVE' }]);
  });

  it('removes a leaver by the first complete run after the grace period', async () => {
    await synchronize(rollcall, source);
    edit(({ users }) => users.delete('wangwu'));
    await synchronize(rollcall, source);
    await rollcall.sql.query(
      `UPDATE employee SET removal_due_at = now() - interval '1 minute' WHERE username = 'wangwu'`,
    );
    const task = await synchronize(rollcall, source);
    expect(await recordsOf(rollcall.api, task.id)).toMatchObject([{ action: 'REMOVE', reasonCode: 'GRACE_ENDED' }]);
    const { rows } = await rollcall.sql.query(`SELECT status FROM employee WHERE username = 'wangwu'`);
    expect(rows).toEqual([{ status: 'REMOVED' }]);
  });

  it('restores a leaver whose grace has ended where only their department’s answer does not show them', async () => {
    await synchronize(rollcall, source);
    const former = rollcall.sandbox.company.organization.users.get('lisi');
    edit(({ users }) => users.delete('lisi'));
    await synchronize(rollcall, source);
    await rollcall.sql.query(`UPDATE employee SET removal_due_at = now() WHERE username = 'lisi'`);
    edit(({ users }) => users.set('lisi', former as NonNullable<typeof former>));
    rollcall.sandbox.faults.add({ kind: 'empty', path: 'user/list', query: { department_id: '3' } });
    const task = await synchronize(rollcall, source);
    expect((await recordsOf(rollcall.api, task.id, { text: 'lisi' })).map((r) => r.action)).toEqual(['RESTORE']);
    rollcall.sandbox.faults.clear();
  });

  it('takes a change back that was applied while another page could not be read', async () => {
    await synchronize(rollcall, source);
    patch('lisi', { position: '工程师' });
    rollcall.sandbox.faults.add({ kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '4' } });
    expect((await synchronize(rollcall, source)).status).toBe('PARTIALLY_SUCCEEDED');
    rollcall.sandbox.faults.clear();
    patch('lisi', { position: '' });
    expect((await synchronize(rollcall, source)).status).toBe('SUCCEEDED');
    expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
  });

  it('links a manager and a department that come later than what points to them', async () => {
    patch('lisi', { direct_leader: ['sunqi'] });
    await synchronize(rollcall, source);
    edit(({ users }) => users.set('sunqi', user('sunqi', '孙七', [4])));
    await synchronize(rollcall, source);
    const { rows } = await rollcall.sql.query(
      `SELECT m.username FROM employee e JOIN employee m ON m.id = e.manager_id WHERE e.username = 'lisi'`,
    );
    expect(rows).toEqual([{ username: 'sunqi' }]);
  });

  it('answers the open task to a second request, and refuses another mode', async () => {
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 400, path: 'agent/get' });
    const [first, second] = await Promise.all([startTask(rollcall.api, source), startTask(rollcall.api, source)]);
    expect([second.syncTask?.id]).toEqual([first.syncTask?.id]);
    const preview = await startTask(rollcall.api, source, { mode: 'PREVIEW' });
    expect(preview.userErrors).toMatchObject([{ code: 'TASK_RUNNING' }]);
    const keyed = await startTask(rollcall.api, source, { idempotencyKey: 'nightly' });
    await watch(rollcall.api, first.syncTask?.id ?? '');
    const repeated = await startTask(rollcall.api, source, { idempotencyKey: 'nightly' });
    expect([keyed.syncTask?.id, repeated.syncTask?.id]).toEqual([first.syncTask?.id, first.syncTask?.id]);
  });

  it('answers the open preview to a second request for it, and refuses one of other settings', async () => {
    rollcall.sandbox.faults.add({ kind: 'slow', milliseconds: 400, path: 'agent/get' });
    const preview = (proposed?: unknown) => startTask(rollcall.api, source, { mode: 'PREVIEW', proposed });
    const { syncTask } = await preview();
    expect((await preview({ id: source })).syncTask?.id).toBe(syncTask?.id);
    const narrower = await preview({ id: source, scope: { mode: 'PARTIAL', departmentIds: ['2'] } });
    expect(narrower).toMatchObject({ syncTask: null, userErrors: [{ code: 'TASK_RUNNING' }] });
    await watch(rollcall.api, syncTask?.id ?? '');
  });

  it('plans in a preview and changes nothing', async () => {
    const task = await synchronize(rollcall, source, { mode: 'PREVIEW' });
    expect(task.status).toBe('SUCCEEDED');
    const records = await recordsOf(rollcall.api, task.id);
    expect(new Set(records.map((r) => r.result))).toEqual(new Set(['PLANNED']));
    expect(records).toHaveLength(8);
    expect((await rollcall.sql.query('SELECT count(*)::int AS n FROM employee')).rows).toEqual([{ n: 0 }]);
    const applied = await synchronize(rollcall, source);
    expect(await recordsOf(rollcall.api, applied.id)).toHaveLength(8);
    expect(await differences(rollcall.api, source, rollcall.sandbox.company.organization)).toEqual([]);
  });

  it('exports the records as CSV and NDJSON, without formulas, filtered, and only to those who may see them', async () => {
    patch('lisi', { position: '=HYPERLINK("http://evil")', name: '李, "四"' });
    const task = await synchronize(rollcall, source);
    const base = rollcall.url.replace('/graphql', `/exports/sync-tasks/${task.id}`);
    const headers = { authorization: `Bearer ${rollcall.config.adminToken?.reveal()}` };
    const filter = new URLSearchParams({ filter: JSON.stringify({ objectType: 'EMPLOYEE', text: 'lisi' }) });
    const csv = await (await fetch(`${base}/records.csv?${filter}`, { headers })).text();
    expect(csv.split('\r\n')[0]).toMatch(/^\ufeff?externalId,objectType,name,action,result/);
    expect(csv).toContain('lisi,EMPLOYEE,"李, ""四""",CREATE,APPLIED,,position,position,');
    expect(csv).toContain(`"'=HYPERLINK(""http://evil"")"`);
    const ndjson = await (await fetch(`${base}/records.ndjson`, { headers })).text();
    const records = ndjson
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(8);
    expect(records[0]).toMatchObject({ objectType: 'DEPARTMENT', action: 'CREATE', comparison: expect.any(Array) });
    expect((await fetch(`${base}/records.csv`)).status).toBe(401);
    expect((await fetch(`${base}/records.xml`, { headers })).status).toBe(404);
    const wrong = await fetch(`${base}/records.csv?filter={"action":"NEVER"}`, { headers });
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('SyncAction')]);
  });

  it('suspends nobody when the company looks empty, a page is lost, or the range shrank', async () => {
    await synchronize(rollcall, source);
    const organization = rollcall.sandbox.company.organization;
    const present = async () =>
      (await rollcall.sql.query(`SELECT count(*)::int AS n FROM employee WHERE status <> 'SUSPENDED'`)).rows[0].n;
    for (const fault of [
      { kind: 'empty', path: 'user/list' },
      { kind: 'empty', path: 'user/list', query: { department_id: '4' } },
      { kind: 'errcode', errcode: 40058, path: 'user/list', query: { department_id: '3' } },
    ] as const) {
      rollcall.sandbox.faults.add(fault);
      await synchronize(rollcall, source);
      rollcall.sandbox.faults.clear();
      expect(await present()).toBe(organization.users.size);
    }
    rollcall.sandbox.company.setRange({ departments: [2], users: [], tags: [] });
    const shrunk = await synchronize(rollcall, source);
    expect(shrunk.status).toBe('HELD');
    expect(shrunk.certificate?.reasons.join()).toContain('What can be seen shrank');
    expect(await present()).toBe(organization.users.size);
  });
});

describe('a task that is being canceled', () => {
  it('is not what a start answers, since it brings nothing any more', async () => {
    // Nobody works on tasks here.
    const rollcall = await startRollcall({ environment: { ROLLCALL_ROLE: 'api' } });
    try {
      const source = await connectSource(rollcall);
      const id = (await startTask(rollcall.api, source)).syncTask?.id;
      await rollcall.sql.query(`UPDATE sync_task SET status = 'RUNNING', lease_until = now() + interval '1 hour'`);
      const again = await startTask(rollcall.api, source);
      expect([again.syncTask?.id, again.userErrors]).toEqual([id, []]);
      await mutate(rollcall, 'cancelSyncTask', { id }, 'syncTask { id }');
      expect((await startTask(rollcall.api, source)).userErrors).toMatchObject([
        { code: 'TASK_RUNNING', message: expect.stringContaining('is being canceled') },
      ]);
    } finally {
      await rollcall.stop();
    }
  });
});
