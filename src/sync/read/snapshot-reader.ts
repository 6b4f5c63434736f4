import type { DataSource } from 'typeorm';
import {
  type DirectoryConnector,
  type DirectoryExtent,
  hasGroups,
  NotPermitted,
} from '../../connector/directory-connector';
import type { OpenedConnector } from '../../connector/registry';
import { inTransaction } from '../../database/transaction';
import { claimEvents, freeUnreadable } from '../task/event-task';
import type { Run } from '../task/lease';
import type { ProgressReporter } from '../task/progress';
import {
  type Certified,
  confirmAbsences,
  storeCertificate,
  storeEventCertificate,
  type WhatWasRead,
} from './certificate';
import { departmentsFoundAgain, departmentsLackingPeople, tellDoubts } from './lists-again';
import { hasGraceEnded, readMissingAgain } from './read-again';
import { readNamed, typesToRead } from './read-named';
import { SnapshotConnector } from './snapshot-connector';
import { type AnyPage, COUNTED, Stage, type StagedBatch } from './stage';
import type { StagedType } from './staged-rows';
import { requireDepartments } from './told-groups';
import { fieldsWithdrawn, lastShownFields } from './withdrawn-fields';

interface NamedDepartment {
  readonly id: string;
  readonly name: string;
}

/** The first two steps of a task: the directory's answers become rows, and the snapshot that they make is certified. */
export class SnapshotReader {
  private readonly connector: DirectoryConnector;
  private readonly notTold: OpenedConnector['notTold'];

  constructor(
    private readonly dataSource: DataSource,
    opened: OpenedConnector,
    private readonly run: Run,
    private readonly progress: ProgressReporter,
  ) {
    const { snapshotTaskId } = run.task.settings;
    this.connector = snapshotTaskId
      ? new SnapshotConnector(dataSource, snapshotTaskId, opened.connector)
      : opened.connector;
    this.notTold = opened.notTold;
  }

  /** Reads and certifies; what an interrupted attempt has stored is not read again. */
  async read(): Promise<Certified> {
    this.progress.update({ phase: 'FETCHING' });
    await this.forgetUnreadable();
    const certified = this.run.task.trigger === 'EVENT' ? await this.readEvents() : await this.readSnapshot();
    this.showCalls();
    return certified;
  }

  /** What an interrupted attempt could not read is read anew. */
  private async forgetUnreadable(): Promise<void> {
    const { task, lease } = this.run;
    await inTransaction(this.dataSource, async (client) => {
      await client.query('DELETE FROM task_page WHERE task_id = $1 AND page_id IS NULL', [task.id]);
      await lease.confirm(client);
    });
  }

  /** An event task reads only what callbacks named and what that leads to; nothing is concluded from what it does not read. */
  private async readEvents(): Promise<Certified> {
    const { dataSource, connector, run } = this;
    await claimEvents(dataSource, run);
    const types = this.types();
    if (run.task.includesEmployees && hasGroups(connector)) types.push('GROUP');
    // Each object that is read may lead to others.
    for (;;) {
      const open = await typesToRead(dataSource, run, types);
      if (open.length === 0) break;
      for (const type of open) await this.stageNamed(type);
    }
    await freeUnreadable(dataSource, run);
    return storeEventCertificate(dataSource, connector, run);
  }

  private async stageNamed(type: StagedType): Promise<void> {
    const stage = await this.stage(type);
    await stage.write(readNamed(this.dataSource, this.connector, this.run, type), this.showCalls);
  }

  private async readSnapshot(): Promise<Certified> {
    const { dataSource, connector, run } = this;
    const read = await this.readAll();
    let certified = await storeCertificate(dataSource, connector, run, read);
    const types = await this.typesToReadAgain(certified);
    // An earlier attempt may have read what was missing, and not the lists that this leads to.
    const isResumed = run.lease.fence > 1;
    let lists = 0;
    for (const type of types) {
      const missing = await this.readMissing(type);
      if ((missing > 0 || isResumed) && run.task.includesEmployees)
        lists += await this.readListsAgain(type, read.extent);
    }
    if (lists > 0) certified = await storeCertificate(dataSource, connector, run, read);
    if (types.length > 0) certified = await confirmAbsences(dataSource, connector, run, certified, this.listsInDoubt);
    const { employeesRead } = certified.certificate;
    if (run.task.includesEmployees)
      this.progress.update({ employeesDone: employeesRead, employeesTotal: employeesRead });
    return certified;
  }

  /** @returns how much was missing */
  private async readMissing(type: StagedType): Promise<number> {
    const stage = await this.stage(type);
    let missing = 0;
    await stage.write(readMissingAgain(this.dataSource, this.connector, this.run, type), ({ pages }) => {
      missing += pages;
      this.showCalls();
    });
    return missing;
  }

  /**
   * The lists of people that were not asked for, or not whole, since somebody or something that was missing is there. Whoever has
   * just moved is on theirs by now.
   * @returns how many they are
   */
  private async readListsAgain(type: StagedType, extent: DirectoryExtent): Promise<number> {
    const ids = type === 'DEPARTMENT' ? await this.unlisted() : type === 'EMPLOYEE' ? await this.lacking() : [];
    if (ids.length > 0) await this.readPeopleOf(ids, extent);
    return ids.length;
  }

  private readonly listsInDoubt = async (): Promise<string[]> =>
    this.run.task.includesEmployees ? tellDoubts(await this.unlisted(), await this.lacking()) : [];

  private async unlisted(): Promise<string[]> {
    const tree = await this.departmentsInScope();
    const ids = tree.map((department) => department.id);
    return departmentsFoundAgain(this.dataSource, this.run, ids);
  }

  private lacking(): Promise<string[]> {
    return departmentsLackingPeople(this.dataSource, this.run);
  }

  private async readPeopleOf(departmentIds: readonly string[], extent: DirectoryExtent): Promise<void> {
    const stage = await this.stage('EMPLOYEE');
    const only = { ...extent, employeeIds: [], groupIds: [] };
    const options = { ...stage.options(), alreadyRead: () => false };
    await stage.write(this.connector.employees(only, departmentIds, options), this.showCalls);
  }

  /** Of what something may be missing: from the very pages of the former snapshot only whoever is about to be removed. */
  private async typesToReadAgain({ certificate, findings }: Certified): Promise<StagedType[]> {
    if (!certificate.complete) return [];
    if (!findings.same) return certificate.groupsComplete ? [...this.types(), 'GROUP'] : this.types();
    return (await hasGraceEnded(this.dataSource, this.run)) ? ['EMPLOYEE'] : [];
  }

  private async readAll(): Promise<WhatWasRead> {
    const { connector, run } = this;
    const extent = await connector.extent(run.signal);
    const departments = await this.stage('DEPARTMENT');
    await departments.write(connector.departments(extent, departments.options()), () => undefined);
    const tree = await this.departmentsInScope();
    this.progress.update({ departmentsTotal: tree.length });
    if (!run.task.includesEmployees) {
      this.progress.update({ departmentsDone: tree.length });
      return { extent, fieldsWithdrawn: [], groups: false, groupsLeftAlone: undefined };
    }
    const employees = await this.stage('EMPLOYEE');
    const ids = tree.map((department) => department.id);
    const onBatch = await this.showBatches(tree);
    await employees.write(connector.employees(extent, ids, employees.options()), onBatch);
    this.progress.update({ departmentsDone: tree.length });
    return { extent, fieldsWithdrawn: await this.fieldsWithdrawn(extent, ids), ...(await this.readGroups()) };
  }

  /** Fields that nobody has who was read late, where whoever showed them last does not any more either. */
  private async fieldsWithdrawn(extent: DirectoryExtent, departmentIds: readonly string[]): Promise<string[]> {
    const { dataSource, connector, run } = this;
    const lastShown = await lastShownFields(dataSource, connector, run, departmentIds);
    if (lastShown.length === 0) return [];
    await this.readPeopleOf([...new Set(lastShown.map(({ departmentId }) => departmentId))], extent);
    return fieldsWithdrawn(dataSource, connector, run, lastShown);
  }

  /** After the people, so that whoever is in a group has been read. Without the permission everything else goes on. */
  private async readGroups(): Promise<Pick<WhatWasRead, 'groups' | 'groupsLeftAlone'>> {
    const { dataSource, connector, run } = this;
    if (!hasGroups(connector)) return { groups: false, groupsLeftAlone: undefined };
    const groups = await this.stage('GROUP');
    try {
      const pages = requireDepartments(dataSource, connector, run, connector.groups(groups.options()));
      await groups.write(pages, this.showCalls);
      return { groups: true, groupsLeftAlone: undefined };
    } catch (error) {
      if (!(error instanceof NotPermitted)) throw error;
      return { groups: true, groupsLeftAlone: `${error.message} ${error.advice}` };
    }
  }

  private types(): StagedType[] {
    return this.run.task.includesEmployees ? ['DEPARTMENT', 'EMPLOYEE'] : ['DEPARTMENT'];
  }

  private async stage(type: StagedType): Promise<Stage> {
    // Stored answers have been read by the database's clock already.
    const readAt = this.connector instanceof SnapshotConnector ? (page: AnyPage) => page.readAt : undefined;
    const stage = new Stage(this.dataSource, this.connector, this.run, type, this.notTold, readAt);
    await stage.open();
    return stage;
  }

  private readonly showCalls = () => this.progress.update({ sourceCalls: this.connector.statistics().calls });

  private async showBatches(tree: readonly NamedDepartment[]): Promise<(batch: StagedBatch) => void> {
    const [expected] = await this.dataSource.query(
      `SELECT count(*)::int AS total FROM link WHERE identity_source_id = $1 AND kind = 'EMPLOYEE' AND missing_since IS NULL`,
      [this.run.task.identitySourceId],
    );
    // What an interrupted attempt has read counts, too.
    const [read] = await this.dataSource.query(
      `SELECT count(*)::int AS pages, coalesce(sum(${COUNTED}), 0)::int AS people
         FROM task_page tp LEFT JOIN snapshot_page p ON p.id = tp.page_id WHERE tp.task_id = $1 AND tp.object_type = 'EMPLOYEE'`,
      [this.run.task.id],
    );
    const names = new Map(tree.map((d) => [d.id, d.name]));
    const total = expected.total > 0 ? expected.total : null;
    this.progress.update({ employeesTotal: total });
    let { pages, people } = read;
    return (batch) => {
      pages += batch.pages;
      people += batch.objects;
      const { calls, throttledMs } = this.connector.statistics();
      this.progress.update({
        departmentsDone: Math.min(pages, tree.length),
        employeesDone: people,
        employeesTotal: total === null ? null : Math.max(total, people),
        sourceCalls: calls,
        throttledMs,
        currentDepartment: names.get(batch.lastPageKey.split(':')[1] ?? '') ?? null,
      });
    };
  }

  /** The departments whose people are to be read: all, or the chosen ones with what is below them. */
  private async departmentsInScope(): Promise<NamedDepartment[]> {
    const { mode, departmentIds } = this.run.task.settings.scope;
    return this.dataSource.query(
      `WITH RECURSIVE staged AS MATERIALIZED (
         SELECT DISTINCT ON (s.external_key) s.external_key, s.external_id, s.parent_key, s.mapped ->> 'name' AS name
           FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
          WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' ORDER BY s.external_key
       ), chosen AS (
         SELECT staged.* FROM staged WHERE $2 = 'ALL' OR external_id = ANY ($3)
         UNION
         SELECT staged.* FROM staged JOIN chosen ON staged.parent_key = chosen.external_key
       )
       SELECT external_id AS id, name FROM chosen ORDER BY external_key`,
      [this.run.task.id, mode, departmentIds],
    );
  }
}
