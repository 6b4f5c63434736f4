import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { transaction } from '../../database/transaction';
import { type WorkingTable, type WorkingTables, withWorkingTables } from '../../database/working-tables';
import type { EventLog } from '../../events/event-log';
import type { MappedObjectType } from '../../field-mapping/field-mapping';
import type { ApplyAhead } from '../apply/ahead';
import type { Findings } from '../read/certificate';
import { forgetPlan } from '../task/forget-plan';
import type { Run } from '../task/lease';
import type { ProgressReporter } from '../task/progress';
import { changingPlanned, tellRecords } from '../task/record-events';
import type { CounterState, SyncActionName } from '../task/sync-task.entity';
import * as changedIds from './changed-ids';
import { type Counted, countRecords, openOf, sum, unchanged } from './counters';
import * as departments from './departments';
import * as employees from './employees';
import * as fields from './fields';
import { gate, type RemovableType } from './gate';
import * as groups from './groups';
import * as leavers from './leavers';
import { refuseTakenValues } from './taken-values';

const DEPARTMENT_STATEMENTS = [
  fields.COLLECT_MAPPED_FIELDS,
  departments.COLLECT_SCOPE_HERE,
  departments.COLLECT_READ_DEPARTMENTS,
  departments.COLLECT_DEPARTMENTS,
  departments.COLLECT_KEPT_DEPARTMENTS,
  departments.FORGET_UNKNOWN_PARENTS,
  departments.CUT_CYCLES,
  departments.RESOLVE_PARENTS,
  departments.COLLECT_HERE,
  departments.DESCRIBE_PATHS,
  departments.COLLECT_TARGETS,
  departments.RECORD_DEPARTMENTS,
];

/** Of more people than one chunk: they are looked for by their turn, and managers by their key. */
const INDEX_PEOPLE = `
CREATE UNIQUE INDEX ON plan_employee (turn);
CREATE UNIQUE INDEX ON manager_target (external_key);
CREATE INDEX ON department_target (local_id)`;

const COLLECT_PEOPLE = [employees.COLLECT_EMPLOYEES, employees.COLLECT_MANAGERS];

/** Of tables that live as long as one plan a small sample tells enough. */
const SETTINGS = `SET LOCAL work_mem = '64MB'; SET LOCAL default_statistics_target = 10`;

/**
 * A part does not wait for the disk: what a server that crashes forgets of it was never told, since giving an event its number
 * brings everything before it to disk, and so does the end of the plan.
 */
const WITHOUT_WAITING = 'SET LOCAL synchronous_commit = off';

/** People whose records one statement writes: few at first, so that the first are seen at once. */
const FIRST_CHUNK = 500;
const LARGEST_CHUNK = 20_000;

/** What may give somebody or something a value that must be unique. */
const TAKING: readonly SyncActionName[] = ['CREATE', 'UPDATE', 'MOVE', 'RESTORE', 'RENAME_ID'];

/** So many new records make the planner's figures of them wrong: it would look through all of them for each of them. */
const MANY = 1_000;
const ANALYSE_RECORDS = 'ANALYZE sync_record (task_id, object_type, action, result, local_id)';

/**
 * The third and fourth step: snapshot rows against the local organisation, as sets; every difference becomes one record, and
 * removals over the limits are held.
 */
export class Planner {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventLog,
  ) {}

  /**
   * Makes a task's plan, or makes it anew: what was planned before is forgotten. What a part finds is shown while the next one is
   * worked out; only `planned_at` says that the plan is whole.
   * @param ahead applies a first plan while it is made; undefined where it is not to be applied, or not yet
   * @returns how many tasks of the source had been applied before it was begun
   */
  async plan(run: Run, findings: Findings, progress: ProgressReporter, ahead?: ApplyAhead): Promise<number> {
    progress.update({ phase: 'PLANNING' });
    return withWorkingTables(this.dataSource, async (tables) => {
      const applied = await countApplied(tables.client, run);
      await new Planning(tables, this.events, run, findings, progress, ahead).make();
      return applied;
    });
  }
}

/** How many tasks of the run's source have been applied, as this connection sees it now. */
export async function countApplied(client: PoolClient, { task }: Run): Promise<number> {
  const { rows } = await client.query(
    'SELECT count(*)::int AS applied FROM sync_task WHERE identity_source_id = $1 AND applied_at IS NOT NULL',
    [task.identitySourceId],
  );
  return rows[0].applied;
}

/** SQL, or a table that it fills. */
type Statement = string | WorkingTable;

/** One plan being made, on one connection: a transaction for each part. */
class Planning {
  private readonly client: PoolClient;
  private counters: readonly CounterState[] = [];
  private lastOrdinal = 0;
  /** How many people have lost their id to somebody else. */
  private displaced = 0;

  constructor(
    private readonly tables: WorkingTables,
    private readonly events: EventLog,
    private readonly run: Run,
    private readonly findings: Findings,
    private readonly progress: ProgressReporter,
    private readonly ahead: ApplyAhead | undefined,
  ) {
    this.client = tables.client;
  }

  async make(): Promise<void> {
    const begun = await this.startOver();
    const { includesEmployees } = this.run.task;
    await this.part([...DEPARTMENT_STATEMENTS, this.skipOlderReads()]);
    if (includesEmployees) await this.people();
    const seen = includesEmployees ? [] : [leavers.SEE_NOBODY];
    await this.part([...seen, departments.RECORD_DEPARTMENT_REMOVALS], 'DEPARTMENT');
    await this.refuseTakenValues(includesEmployees ? ['DEPARTMENT', 'EMPLOYEE'] : ['DEPARTMENT']);
    if (includesEmployees) await this.groups();
    await this.finish(begun);
  }

  /** @returns when the plan was begun, in PostgreSQL's words */
  private startOver(): Promise<string> {
    return this.transaction(async () => {
      await forgetPlan(this.client, this.run.task.id);
      return (await this.client.query('SELECT now()::text AS begun')).rows[0].begun;
    }, WITHOUT_WAITING);
  }

  private async people(): Promise<void> {
    if (!(await this.collectPeople())) return this.leavers();
    const { rows } = await this.client.query<{ new: number; all: number }>(employees.COUNT_CANDIDATES);
    const { new: newcomers, all } = rows[0] as { new: number; all: number };
    if (all > FIRST_CHUNK) await this.part([INDEX_PEOPLE]);
    if (newcomers > FIRST_CHUNK && newcomers === all) this.ahead?.begin();
    await this.inChunks(employees.recordNewEmployees, 1, newcomers);
    await this.inChunks(employees.recordChangedEmployees, newcomers + 1, all);
    await this.leavers();
  }

  /** @returns whether there is anybody to compare */
  private collectPeople(): Promise<boolean> {
    return this.transaction(async () => {
      await this.collectChangedIds();
      const candidates = await this.execute(employees.COLLECT_CANDIDATES);
      if (candidates === 0) await this.tables.leaveEmpty(this.inlined(employees.COLLECT_EMPLOYEES));
      else for (const table of COLLECT_PEOPLE) await this.execute(table);
      return candidates > 0;
    }, WITHOUT_WAITING);
  }

  private async collectChangedIds(): Promise<void> {
    const { rows } = await this.client.query(changedIds.ANY_CHANGES, [this.run.task.identitySourceId]);
    const { COLLECT_RENAMES, COLLECT_DISPLACED } = changedIds;
    if (rows[0].any) {
      await this.execute(COLLECT_RENAMES);
      this.displaced = await this.execute(COLLECT_DISPLACED);
    } else for (const table of [COLLECT_RENAMES, COLLECT_DISPLACED]) await this.tables.leaveEmpty(this.inlined(table));
  }

  private async inChunks(record: (turns: employees.Turns) => string, begin: number, end: number): Promise<void> {
    for (let first = begin, size = FIRST_CHUNK; first <= end; first += size, size = Math.min(LARGEST_CHUNK, size * 2))
      await this.part([record({ first, last: Math.min(end, first + size - 1) })]);
  }

  private async leavers(): Promise<void> {
    await this.part([...this.leaverStatements(), this.skipOlderReads()], 'EMPLOYEE');
  }

  private leaverStatements(): Statement[] {
    // Of a snapshot that is made of the same pages nobody is missing who was not missing before.
    if (this.findings.same && this.displaced === 0) return [leavers.COLLECT_SEEN_OF_DUE, leavers.RECORD_REMOVALS];
    const partial = this.run.task.settings.scope.mode === 'PARTIAL';
    const seen = partial ? leavers.COLLECT_SEEN_IN_SCOPE : leavers.COLLECT_SEEN;
    const byEvents = this.run.task.trigger === 'EVENT';
    const suspensions = leavers.recordSuspensions(byEvents);
    return [seen, leavers.COLLECT_OUTSIDE_SCOPE, suspensions, ...(byEvents ? [] : [leavers.RECORD_REMOVALS])];
  }

  /** Of the part that is being made. */
  private skipOlderReads(): string {
    return fields.skipOlderReads(this.lastOrdinal);
  }

  /** Once removals are judged: somebody whose leaving waits for approval is here, and so are their values. */
  private async refuseTakenValues(types: readonly MappedObjectType[]): Promise<void> {
    const changed = types.filter((type) => openOf(this.counters, type, ...TAKING) > 0);
    if (changed.length === 0) return;
    if (this.lastOrdinal >= MANY) await this.part([ANALYSE_RECORDS]);
    const refused = await this.transaction(async () => {
      let any = false;
      for (const type of changed) any = (await refuseTakenValues(this.client, this.run, type)) || any;
      if (!any) return false;
      await this.execute(changingPlanned(employees.LEAVE_OUT_REFUSED_MANAGERS));
      this.counters = (await countRecords(this.client, this.run.task.id, 0)).counters;
      return true;
    }, WITHOUT_WAITING);
    if (!refused) return;
    await this.ahead?.forget();
    await this.events.publish();
  }

  /** Once it is certain who comes: a newcomer who was refused is a member of nothing. */
  private async groups(): Promise<void> {
    const any = this.findings.same && this.lastOrdinal === 0 ? groups.ANY_WAITING : groups.ANY_GROUPS;
    const { rows } = await this.client.query(inline(any, this.run));
    if (rows[0].any) await this.part([...groups.GROUP_STATEMENTS, this.skipOlderReads()], 'GROUP');
  }

  /**
   * Runs statements and tells what they have recorded, with its commit.
   * @param removals the type whose removals are among it, and are judged before they are told
   */
  private async part(statements: readonly Statement[], removals?: RemovableType): Promise<void> {
    const told = await this.transaction(async () => {
      for (const statement of statements) await this.execute(statement);
      return this.tellRecorded(await this.countRecorded(removals));
    }, WITHOUT_WAITING);
    if (!told) return;
    this.ahead?.follow();
    await this.events.publish();
    this.progress.update({});
  }

  /** @throws AppError LEASE_LOST or TASK_CANCELED, and the signal's reason: nothing of `work` is then written */
  private transaction<T>(work: () => Promise<T>, setting = ''): Promise<T> {
    this.run.signal.throwIfAborted();
    return transaction(this.client, async () => {
      await this.client.query(`${SETTINGS}; ${setting}`);
      await this.run.lease.check(this.client);
      const result = await work();
      await this.run.lease.confirm(this.client);
      return result;
    });
  }

  /** @returns how many rows it was about */
  private async execute(statement: Statement): Promise<number> {
    if (typeof statement !== 'string') return this.tables.fill(this.inlined(statement));
    return (await this.client.query(inline(statement, this.run))).rowCount ?? 0;
  }

  private inlined(table: WorkingTable): WorkingTable {
    return { ...table, rows: inline(table.rows, this.run) };
  }

  private async countRecorded(removals: RemovableType | undefined): Promise<Counted> {
    const { client, run, lastOrdinal } = this;
    const counted = await countRecords(client, run.task.id, lastOrdinal);
    if (!removals) return counted;
    const held = await gate(client, run, this.findings.lost, removals, counted.counters, lastOrdinal);
    return held ? countRecords(client, run.task.id, lastOrdinal) : counted;
  }

  /** @returns whether there is anything new to tell */
  private async tellRecorded({ last, counters }: Counted): Promise<boolean> {
    if (counters.length === 0) return false;
    const { id } = this.run.task;
    await tellRecords(this.client, id, 'PLANNED', this.lastOrdinal + 1);
    this.lastOrdinal = last;
    this.counters = sum([...this.counters, ...counters]);
    await this.client.query('UPDATE sync_task SET counters = $2 WHERE id = $1', [id, JSON.stringify(this.counters)]);
    return true;
  }

  private async countUnchanged(): Promise<CounterState[]> {
    const { rows } = await this.client.query<{ objectType: string; total: number }>(
      `SELECT 'DEPARTMENT' AS "objectType", count(*)::int AS total FROM plan_department
       UNION ALL SELECT 'EMPLOYEE', CASE WHEN $2 THEN (SELECT (certificate ->> 'employeesRead')::int FROM sync_task WHERE id = $1)
                                         ELSE (SELECT count(*)::int FROM seen_key) END
       UNION ALL SELECT 'GROUP', count(DISTINCT k)::int FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
                  WHERE tp.task_id = $1 AND tp.object_type = 'GROUP' HAVING count(*) > 0`,
      [this.run.task.id, this.findings.same],
    );
    return rows.map(({ objectType, total }) => unchanged(objectType, total, this.counters));
  }

  /** @param begun what was applied after that may have come too late for some part of the plan */
  private async finish(begun: string): Promise<void> {
    await this.transaction(async () => {
      const counters = [...this.counters, ...(await this.countUnchanged())];
      await this.client.query(`UPDATE sync_task SET planned_at = $2, counters = $3 WHERE id = $1`, [
        this.run.task.id,
        begun,
        JSON.stringify(counters),
      ]);
    });
    this.progress.update({});
  }
}

/**
 * CREATE TABLE AS takes no parameters, and several statements at once take none; both ids come from the database and are checked to
 * be what they must be.
 */
function inline(statement: string, run: Run): string {
  const ids = [run.task.id, run.task.identitySourceId];
  if (!ids.every((id) => /^[0-9a-f-]{36}$/.test(id))) throw new Error('Not a uuid.');
  return statement.replace(/\$([12])/g, (_, n: string) => `'${ids[Number(n) - 1]}'::uuid`);
}
