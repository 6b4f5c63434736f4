import fc from 'fast-check';
import { toTypedId } from '../../src/platform/typed-id';
import { tellNewId } from '../setup/callbacks';
import {
  canonical,
  comingPeople,
  departmentsInScope,
  expected,
  expectedGroups,
  expectedTree,
  groupLine,
  type Model,
  peopleRead,
  withBadge,
} from '../setup/company-model';
import { ANCHOR, history, rangeOf, type State, seen, toOrganization } from '../setup/generated-company';
import { mutate } from '../setup/organisation-view';
import { createSource, decide, recordsOf, startRollcall, synchronize, type TestRollcall } from '../setup/rollcall';

/**
 * Whatever an organisation looks like, however it changes, and whatever happens here in between: after each run the local
 * organisation is the mapped source, the records are the difference, and a second run is silent.
 */

const KEYS = { token: 'QDG6eK', encodingAesKey: 'jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C' };
const MAPPINGS: Readonly<Record<string, string>> = {
  username: 'userid',
  displayName: 'name',
  position: 'position',
  email: 'email',
  mobile: 'mobile',
  manager: 'extattr.上级',
  'extension.badge': 'extattr.工牌',
};

const PRESENT = `'ACTIVE', 'INACTIVE', 'DISABLED'`;

/** A server beside a company, and what must be here of it. */
class World {
  private present: Model = new Map();
  /** Whoever comes back finds what was here of them. */
  private readonly known: Model = new Map();
  private readonly edited = new Set<string>();
  private departmentNames: ReadonlyMap<number, string> = new Map();
  private readonly groupNames = new Map<number, string>();
  private groups: string[] = [];
  private scope: readonly number[] = [];
  private source = '';
  private badge = '';

  constructor(private readonly rollcall: TestRollcall) {}

  /** @param automatic whether events are applied between runs */
  async connect(automatic: boolean): Promise<void> {
    const { corpId, agentId, secret } = this.rollcall.sandbox.company.settings;
    const wecomSelfBuilt = { corpId, agentId, secret };
    const input = { type: 'WECOM', name: 'WeCom', wecomSelfBuilt, wecomCallback: KEYS };
    this.source = (await createSource(this.rollcall.api, input)).identitySource?.id ?? '';
    const field = { key: 'badge', displayName: '工牌', unique: true };
    const { extensionField } = await mutate(this.rollcall, 'createExtensionField', field, 'extensionField { id }');
    this.badge = extensionField.id;
    const fieldMappings = Object.entries(MAPPINGS).map(([localField, thirdPartyField]) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField,
    }));
    const department = { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' };
    const automaticSynchronization = { enabled: automatic };
    await this.change('configureSynchronization', {
      id: this.source,
      fieldMappings: [department, ...fieldMappings],
      automaticSynchronization,
    });
  }

  private async change(mutation: string, input: Record<string, unknown>): Promise<void> {
    const { userErrors } = await mutate(this.rollcall, mutation, input, '__typename');
    expect(userErrors).toEqual([]);
  }

  private get sql() {
    return this.rollcall.sql;
  }

  /** Makes the company what the state says, synchronizes, and looks at everything. */
  async become(generated: State): Promise<void> {
    const { company } = this.rollcall.sandbox;
    await this.edit(generated.edits);
    // Where nobody at all can be seen, or is read, nothing may be concluded.
    let whole = seen(generated).users.length > 0 ? generated : { ...generated, visible: [] };
    const { departments } = seen(whole);
    const wanted = whole.scope === 'KEPT' ? this.scope : whole.scope;
    const scope = peopleRead(seen(whole), departmentsInScope(departments, wanted)).length > 0 ? wanted : [];
    const inScope = departmentsInScope(departments, scope);
    whole = withNewIds(whole, this.present, this.known, scope, inScope);
    whole = withBadge(whole, inScope);
    const now = seen(whole);
    await this.change('updateExtensionField', { id: this.badge, unique: now.unique });
    if (scope.join() !== this.scope.join()) {
      const chosen = scope.length > 0 ? { mode: 'PARTIAL', departmentIds: scope.map(String) } : { mode: 'ALL' };
      await this.change('configureSynchronization', { id: this.source, scope: chosen });
      this.scope = scope;
    }
    const gone = [...this.known.keys()].filter((id) => !this.present.has(id));
    if (now.graceEnds) await this.sql.query(`UPDATE employee SET removal_due_at = now() WHERE status = 'SUSPENDED'`);
    const last = await this.lastTask();
    company.setRange(rangeOf(whole));
    company.withhold(now.withheld);
    company.change(() => company.organization.replace(toOrganization(whole)));
    for (const [from, to] of now.renamed) await this.rename(from, to);
    const before = new Map(this.present);
    await this.tell(now.told);
    const task = await synchronize(this.rollcall, this.source);
    if (task.status === 'HELD') await decide(this.rollcall.api, { taskId: task.id, approve: true });
    await this.idle();

    // An event may have brought somebody whose department was moved out of the scope without one; the run has them leave again.
    for (const [id, row] of await this.people(`'SUSPENDED'`)) if (!this.known.has(id)) this.known.set(id, row);
    const { present, invalid } = expected(this.known, now, scope, inScope, this.edited);
    this.present = present;
    for (const [id, row] of present) this.known.set(id, row);
    // Who is removed has no manager any more, and comes back without.
    for (const id of now.graceEnds ? gone : [])
      if (!present.has(id)) this.known.set(id, { ...this.known.get(id), manager: null });
    const { rows: tasks } = await this.sql.query(`SELECT id, failure FROM sync_task WHERE id > $1 ORDER BY id`, [last]);
    expect(tasks.map((row) => row.failure)).toEqual(tasks.map(() => null));
    expect(Object.fromEntries(await this.people(PRESENT))).toEqual(Object.fromEntries(present));
    const tree = expectedTree(now, inScope, this.departmentNames);
    this.departmentNames = tree.names;
    expect(await this.tree()).toEqual(tree.lines);
    const ids = tasks.map((row) => toTypedId('task', row.id));
    await this.compareRecords(ids, before, now.told.users.length + now.told.departments.length > 0);
    await this.compareGroups(ids, before, now, inScope);
    const again = await synchronize(this.rollcall, this.source);
    const loud = again.counters.filter((c) => c.action !== 'NONE' && (!invalid || c.planned > c.failed));
    expect(loud).toEqual([]);
    if (!invalid && now.users.some((u) => u.status !== 5)) expect(again.status).toBe('SUCCEEDED');
  }

  private async edit(edits: State['edits']): Promise<void> {
    for (const [userid, position] of edits) {
      const person = this.present.get(userid);
      if (!person || (position === null && !this.edited.has(userid))) continue;
      const { rows } = await this.sql.query('SELECT local_id AS id FROM link WHERE external_id = $1', [userid]);
      const change = position === null ? { takeBack: ['position'] } : { position };
      await this.change('updateEmployee', { id: toTypedId('employee', rows[0].id), ...change });
      if (position === null) this.edited.delete(userid);
      else {
        this.edited.add(userid);
        const row = { ...person, position };
        this.present.set(userid, row);
        this.known.set(userid, row);
      }
    }
  }

  private async rename(from: string, to: string): Promise<void> {
    await tellNewId(this.rollcall, from, to);
    for (const people of [this.present, this.known]) {
      const person = people.get(from);
      people.delete(from);
      if (person) people.set(to, person);
    }
    if (this.edited.delete(from)) this.edited.add(to);
  }

  private async tell({ users, departments }: State['told']): Promise<void> {
    if (users.length + departments.length === 0) return;
    const { company } = this.rollcall.sandbox;
    const url = this.rollcall.url.replace('/graphql', `/callbacks/wecom/${this.source}`);
    company.callback = { address: { ...KEYS, url }, form: 'full' };
    company.push([
      ...users.map((UserID) => ({ changeType: 'update_user', fields: { UserID } })),
      ...departments.map((id) => ({ changeType: 'update_party', fields: { Id: String(id) } })),
    ]);
    company.callback = undefined;
    await company.deliveries.settled();
    await this.idle();
  }

  /** Waits until every task has ended, and none is due. */
  private async idle(): Promise<void> {
    for (let i = 0; i < 400; i++) {
      const { rows } = await this.sql.query(
        `SELECT EXISTS (SELECT FROM sync_task WHERE status IN ('QUEUED', 'RUNNING'))
             OR EXISTS (SELECT FROM identity_source s WHERE automatic_enabled AND type = 'WECOM'
                          AND (next_run_at <= now() OR EXISTS (SELECT FROM directory_event e WHERE e.task_id IS NULL))) AS busy`,
      );
      if (!rows[0].busy) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error('Something is still open.');
  }

  private async lastTask(): Promise<string> {
    const { rows } = await this.sql.query('SELECT id FROM sync_task ORDER BY id DESC LIMIT 1');
    return rows[0]?.id ?? '00000000-0000-0000-0000-000000000000';
  }

  private async recorded(taskIds: readonly string[], objectType: string) {
    const lists = await Promise.all(taskIds.map((id) => recordsOf(this.rollcall.api, id, { objectType })));
    // Refused values change nothing.
    return lists.flat().filter((r) => r.result === 'APPLIED');
  }

  /** @param events whether there were any: what they bring meanwhile a full run may take back, such as by another scope */
  private async compareRecords(taskIds: readonly string[], before: Model, events: boolean): Promise<void> {
    const applied = await this.recorded(taskIds, 'EMPLOYEE');
    // Who is removed was not present before.
    const records = applied.filter((r) => r.action !== 'REMOVE').map((r) => r.externalId);
    const differing = [...new Set([...before.keys(), ...this.present.keys()])].filter(
      (id) => JSON.stringify(before.get(id)) !== JSON.stringify(this.present.get(id)),
    );
    for (const id of differing) expect(records).toContain(id);
    for (const id of events ? [] : records) expect([id, differing.includes(id)]).toEqual([id, true]);
  }

  private async compareGroups(
    taskIds: readonly string[],
    before: Model,
    now: State,
    inScope: ReadonlySet<number>,
  ): Promise<void> {
    const groups = expectedGroups(now, this.present, inScope, this.groupNames);
    expect(await this.groupsHere()).toEqual(groups);
    const touched = (await this.recorded(taskIds, 'GROUP')).map((r) => r.externalId);
    // Somebody's new id makes no difference to the groups that they are in, nor does their leaving: they are not shown.
    const stood = new Map(this.groups.map((line) => groupOf(withNewMembers(line, now.renamed))));
    for (const [id, group] of groups.map(groupOf)) {
      const former = stood.get(id);
      const comes = group.users.some((user) => !former?.users.includes(user) && before.has(user));
      if (!former || former.name !== group.name || former.departments !== group.departments || comes)
        expect(touched).toContain(id);
    }
    this.groups = groups;
  }

  private async people(statuses: string): Promise<Model> {
    const { rows } = await this.sql.query(
      `SELECT l.external_id AS id, e.username, e.extension_values ->> 'badge' AS badge, e.display_name AS name, e.position, e.mobile, e.email,
              boss.external_id AS manager, e.status, main.external_id AS main,
              ARRAY(SELECT d.external_id || CASE WHEN m.is_leader THEN ' leader ' ELSE ' ' END || coalesce(m."order", 0)
                      FROM membership m JOIN link d ON d.local_id = m.department_id WHERE m.employee_id = e.id) AS places
         FROM employee e JOIN link l ON l.local_id = e.id LEFT JOIN link boss ON boss.local_id = e.manager_id
         LEFT JOIN link main ON main.local_id = e.main_department_id
        WHERE e.status IN (${statuses})`,
    );
    const compared = ['name', 'position', 'mobile', 'email'];
    return new Map(
      rows.map(({ id, ...row }) => [
        id,
        {
          ...row,
          ...Object.fromEntries(compared.map((field) => [field, canonical(field, row[field])])),
          places: row.places.sort().join(','),
        },
      ]),
    );
  }

  private async tree(): Promise<string[]> {
    const { rows } = await this.sql.query(
      `SELECT l.external_id || ' ' || coalesce(p.external_id, '-') || ' ' || d."order" AS line, d.name FROM department d JOIN link l ON l.local_id = d.id
         LEFT JOIN link p ON p.local_id = d.parent_id ORDER BY 1`,
    );
    return rows.map((row) => `${row.line} ${canonical('name', row.name)}`).sort();
  }

  /** Groups with those present and the departments that are in them, in one line each. */
  private async groupsHere(): Promise<string[]> {
    const { rows } = await this.sql.query(
      `SELECT l.external_id AS id, g.name,
              ARRAY(SELECT p.external_id FROM directory_group_employee m JOIN link p ON p.local_id = m.employee_id JOIN employee e ON e.id = m.employee_id
                     WHERE m.group_id = g.id AND e.status IN (${PRESENT})) AS users,
              ARRAY(SELECT d.external_id FROM directory_group_department m JOIN link d ON d.local_id = m.department_id WHERE m.group_id = g.id) AS departments
         FROM directory_group g JOIN link l ON l.local_id = g.id`,
    );
    return rows.map((row) => groupLine(row.id, canonical('name', row.name), row.users, row.departments)).sort();
  }
}

/**
 * The state with those under their new ids who can be: they are here, and stay, and nobody has the new id yet. Where their former ones
 * are used again, whoever has them is in all else as they were.
 */
function withNewIds(
  now: State,
  here: Model,
  known: Model,
  scope: readonly number[],
  inScope: ReadonlySet<number>,
): State {
  const coming = comingPeople(seen(now), scope, inScope).map((u) => u.userid);
  const renamed: [string, string][] = [];
  for (const [from, to] of now.renamed) {
    const named = renamed.flat();
    const goesOn = named.includes(from) && newId(from, renamed) === from;
    const has = here.has(from) && coming.includes(from) && !named.includes(from);
    if ((goesOn || has) && from !== to && !known.has(to) && !named.includes(to)) renamed.push([from, to]);
  }
  const users = now.users.map((u) => ({
    ...u,
    userid: newId(u.userid, renamed),
    boss: u.boss === undefined ? undefined : newId(u.boss, renamed),
  }));
  const successors = now.users
    .filter((u) => now.reused && newId(u.userid, renamed) !== u.userid)
    .map((u) => ({ ...u, badge: undefined }));
  const tagged = now.tags.map((tag) => ({ ...tag, users: tag.users.map((id) => newId(id, renamed)) }));
  return { ...now, users: [...users, ...successors], tags: tagged, renamed };
}

/** What somebody's id becomes by these changes, one after the other. */
function newId(id: string, renamed: State['renamed']): string {
  return renamed.reduce((at, [from, to]) => (at === from ? to : at), id);
}

function groupOf(line: string) {
  const [id, name, users, departments] = JSON.parse(line) as [string, string, string[], string[]];
  return [id, { name, users, departments: departments.join() }] as const;
}

function withNewMembers(line: string, renamed: State['renamed']): string {
  const [id, name, users, departments] = JSON.parse(line) as [string, string, string[], string[]];
  return groupLine(id, name, [...new Set(users.map((user) => newId(user, renamed)))], departments);
}

const RUNS = Number(process.env['ROLLCALL_PROPERTY_RUNS'] ?? 6);

describe('synchronization is exact', () => {
  it(
    'for any organisation, however it changes',
    async () => {
      await fc.assert(
        fc.asyncProperty(history, async (states) => {
          const rollcall = await startRollcall({
            environment: { ROLLCALL_PUBLIC_URL: 'https://rollcall.example.com' },
          });
          try {
            const world = new World(rollcall);
            await world.connect(states.every((state) => state.users.some((u) => u.userid === ANCHOR)));
            for (const state of states) await world.become(state);
          } finally {
            await rollcall.stop();
          }
        }),
        {
          numRuns: RUNS,
          // A run costs seconds: what is found is reported as it is, and a run that hangs is a finding too.
          endOnFailure: true,
          timeout: 60_000,
        },
      );
    },
    120_000 + RUNS * 10_000,
  );
});
