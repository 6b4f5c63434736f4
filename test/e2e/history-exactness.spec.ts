import fc from 'fast-check';
import { type Answer, momentNow, mutate, organisationView } from '../setup/organisation-view';
import {
  change,
  connectSource,
  decide,
  startRollcall,
  synchronize,
  type TestRollcall,
  user,
  watch,
} from '../setup/rollcall';

/** One thing that happens; numbers choose whom and what. */
type Step = readonly [what: number, a: number, b: number];

const PEOPLE = ['zhangsan', 'lisi', 'wangwu', 'zhaoliu', 'ada', 'bob'];
const NAMES = ['甲', '乙', '𠮷野', "o'Neill"];

/** Everything that can change the organisation, each as a user would do it. */
class World {
  private last: string | undefined;
  private custom = '';

  constructor(
    private readonly rollcall: TestRollcall,
    private readonly source: string,
  ) {}

  async prepare(): Promise<void> {
    const query = '{ identitySources(filter: { type: CUSTOM }) { nodes { id } } }';
    this.custom = (await this.rollcall.api.request<Answer>(query)).identitySources.nodes[0].id;
    await mutate(this.rollcall, 'createExtensionField', { key: 'grade', displayName: '级别' }, 'extensionField { id }');
  }

  async take([what, a, b]: Step): Promise<void> {
    const steps = [
      this.move,
      this.rearrange,
      this.leave,
      this.edit,
      this.block,
      this.importPeople,
      this.undo,
      this.remove,
    ];
    await steps[what % steps.length]?.call(this, a, b);
  }

  private async synchronize(): Promise<void> {
    const task = await synchronize(this.rollcall, this.source);
    if (task.status === 'HELD') await decide(this.rollcall.api, { taskId: task.id, approve: true });
    this.last = task.id;
  }

  private async move(a: number, b: number): Promise<void> {
    change(this.rollcall.sandbox, ({ users, departments }) => {
      const ids = [...departments.keys()];
      const id = PEOPLE[a % PEOPLE.length] ?? '';
      const places = [...new Set([ids[b % ids.length] ?? 1, ids[(a + b) % ids.length] ?? 1])];
      const boss = PEOPLE[b % PEOPLE.length] ?? '';
      const more = users.has(boss) && boss !== id ? { direct_leader: [boss] } : {};
      users.set(
        id,
        user(id, NAMES[b % NAMES.length] ?? '', places, { isLeaderInDept: places.map((p) => p % 2), ...more }),
      );
    });
    await this.synchronize();
  }

  private async rearrange(a: number, b: number): Promise<void> {
    change(this.rollcall.sandbox, ({ users, departments }) => {
      const empty = [...departments.keys()].filter(
        (id) =>
          id > 1 &&
          ![...departments.values()].some((d) => d.parentId === id) &&
          ![...users.values()].some((u) => u.departments.includes(id)),
      );
      if (empty[0]) departments.delete(empty[0]);
      // Under a smaller number: never a circle.
      const id = 2 + (a % 6);
      const above = [...departments.keys()].filter((d) => d < id);
      departments.set(id, {
        id,
        parentId: above[b % above.length] ?? 1,
        name: NAMES[a % NAMES.length] ?? '',
        order: b % 3,
      });
    });
    await this.synchronize();
  }

  private async leave(a: number): Promise<void> {
    change(this.rollcall.sandbox, ({ users }) => {
      if (users.size > 1) users.delete([...users.keys()][a % users.size] ?? '');
    });
    await this.synchronize();
  }

  private async somebody(a: number): Promise<string | undefined> {
    const { nodes } = (await this.rollcall.api.request<Answer>('{ employees { nodes { id } } }')).employees;
    return nodes.length > 0 ? nodes[a % nodes.length].id : undefined;
  }

  private async edit(a: number, b: number): Promise<void> {
    const id = await this.somebody(a);
    const edit = b % 3 === 0 ? { takeBack: ['position'] } : { position: `P${b % 4}` };
    if (id) await mutate(this.rollcall, 'updateEmployee', { id, ...edit }, 'employee { id }');
  }

  private async block(a: number, b: number): Promise<void> {
    const ids = [await this.somebody(a), await this.somebody(b)].filter((id) => id !== undefined);
    if (b % 2) await mutate(this.rollcall, 'blockEmployees', { ids, reason: `R${b}` }, 'employees { id }');
    else await mutate(this.rollcall, 'unblockEmployees', { ids }, 'employees { id }');
  }

  private async importPeople(a: number, b: number): Promise<void> {
    const name = NAMES[a % NAMES.length] ?? '';
    const made = { identitySourceId: this.custom, name: `自建${name}` };
    await mutate(this.rollcall, 'createDepartment', made, 'department { id }');
    const csv = `username,displayName,departments,manager,extension.grade\neve,${name},自建${name},,P${b % 3}\nmax,${name},,eve,\n`;
    await mutate(this.rollcall, 'importEmployees', { identitySourceId: this.custom, csv }, 'applied');
  }

  private async undo(): Promise<void> {
    if (!this.last) return;
    const { syncTask } = await mutate(this.rollcall, 'revertSyncTask', { taskId: this.last }, 'syncTask { id }');
    if (syncTask) await watch(this.rollcall.api, syncTask.id);
  }

  /** What is kept here goes again. */
  private async remove(a: number): Promise<void> {
    const query = `{ employees(filter: { identitySourceId: "${this.custom}" }) { nodes { id } }
      departments(filter: { identitySourceId: "${this.custom}" }) { nodes { id } } }`;
    const { employees, departments } = await this.rollcall.api.request<Answer>(query);
    for (const { id } of employees.nodes.slice(0, 1 + (a % 2)))
      await mutate(this.rollcall, 'deleteEmployee', { id }, 'employee { id }');
    for (const { id } of departments.nodes.slice(0, 1))
      await mutate(this.rollcall, 'deleteDepartment', { id }, 'department { id }');
  }
}

describe('the past is exact', () => {
  it('what the API showed at a moment is what it shows as of that moment, whatever happened since', async () => {
    const steps = fc.array(fc.tuple(fc.nat(7), fc.nat(60), fc.nat(60)), { minLength: 8, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const rollcall = await startRollcall();
        try {
          const world = new World(rollcall, await connectSource(rollcall));
          await world.prepare();
          const shown: { at: string; answer: Answer }[] = [];
          for (const step of [[0, 0, 0] as const, ...taken]) {
            await world.take(step);
            shown.push({ at: await momentNow(rollcall), answer: await organisationView(rollcall) });
          }
          for (const [i, { at, answer }] of shown.entries())
            expect([i, await organisationView(rollcall, at)]).toEqual([i, answer]);
        } finally {
          await rollcall.stop();
        }
      }),
      {
        numRuns: Number(process.env['ROLLCALL_PROPERTY_RUNS'] ?? 3),
        // A run costs seconds: what is found is reported as it is.
        endOnFailure: true,
        timeout: 60_000,
      },
    );
  }, 240_000);
});
