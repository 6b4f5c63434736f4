import type { DataSource } from 'typeorm';
import {
  type DirectoryConnector,
  DirectoryError,
  type DirectoryExtent,
  type DirectoryPage,
  GROUP_LIST_PAGE,
  type HasGroups,
  NotPermitted,
  type ReadOptions,
  type ThirdPartyDepartment,
  type ThirdPartyEmployee,
  type ThirdPartyGroup,
  type ThirdPartyStatus,
} from '../../connector/directory-connector';
import type { SyncObjectTypeName } from '../../field-mapping/field-mapping';

/**
 * The last complete snapshot in the place of the directory: a preview of other settings reads what was stored, and calls nobody.
 * Only `keyOf` is the real connector's.
 */
export class SnapshotConnector implements DirectoryConnector, HasGroups {
  constructor(
    private readonly dataSource: DataSource,
    private readonly snapshotTaskId: string,
    private readonly real: DirectoryConnector,
  ) {}

  keyOf(externalId: string): string {
    return this.real.keyOf(externalId);
  }

  async extent(): Promise<DirectoryExtent> {
    const [row] = await this.dataSource.query('SELECT extent FROM sync_task WHERE id = $1', [this.snapshotTaskId]);
    return row.extent;
  }

  async *departments(
    _extent: DirectoryExtent,
    options: ReadOptions,
  ): AsyncIterable<DirectoryPage<ThirdPartyDepartment>> {
    for await (const page of this.pages('DEPARTMENT', options)) {
      const rows: StoredDepartment[] = await this.dataSource.query(
        `SELECT external_id AS "externalId", third_party AS told, "order", leader_keys AS "leaderIds"
           FROM staged_department WHERE page_id = $1`,
        [page.id],
      );
      const objects = rows.map(({ externalId, told, order, leaderIds }) => {
        const { parent, order: _, ...fields } = told;
        return { externalId, parentId: parent ?? null, order, fields, leaderIds: leaderIds ?? undefined };
      });
      yield {
        key: page.key,
        readAt: page.readAt,
        content: { kind: 'read', digest: page.digest, objects, problems: [] },
      };
    }
  }

  async *employees(
    _extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<DirectoryPage<ThirdPartyEmployee>> {
    const wanted = new Set(departmentIds.map((id) => `employees-of:${id}`));
    for await (const page of this.pages('EMPLOYEE', options)) {
      if (page.key.startsWith('employees-of:') && !wanted.has(page.key)) continue;
      const rows: StoredEmployee[] = await this.dataSource.query(
        `SELECT external_id AS "externalId", third_party AS told, status, department_keys AS departments, leader_flags AS leaders,
                orders FROM staged_employee WHERE page_id = $1`,
        [page.id],
      );
      yield {
        key: page.key,
        readAt: page.readAt,
        content: { kind: 'read', digest: page.digest, objects: rows.map(toEmployee), problems: [] },
      };
    }
  }

  /** Left alone where the snapshot has not read them whole. */
  async *groups(options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyGroup>> {
    let listed = false;
    for await (const page of this.pages('GROUP', { ...options, alreadyRead: () => false })) {
      listed ||= page.key === GROUP_LIST_PAGE;
      const rows: StoredGroup[] = await this.dataSource.query(
        'SELECT external_id AS "externalId", third_party AS told FROM staged_group WHERE page_id = $1',
        [page.id],
      );
      const { key, readAt, digest } = page;
      if (options.alreadyRead(key)) continue;
      yield { key, readAt, content: { kind: 'read', digest, objects: rows.map(toGroup), problems: [] } };
    }
    if (!listed) throw new NotPermitted(this.notRead('The stored snapshot has no directory groups.'));
  }

  async group(): Promise<never> {
    throw this.notRead();
  }

  async department(): Promise<never> {
    throw this.notRead();
  }

  async employee(): Promise<never> {
    throw this.notRead();
  }

  async check() {
    return [];
  }

  statistics() {
    return { calls: 0, throttledMs: 0 };
  }

  private async *pages(objectType: SyncObjectTypeName, options: ReadOptions) {
    const rows: StoredPage[] = await this.dataSource.query(
      `SELECT p.id, tp.page_key AS key, p.digest, tp.read_at AS "readAt" FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
        WHERE tp.task_id = $1 AND tp.object_type = $2 ORDER BY tp.page_key`,
      [this.snapshotTaskId, objectType],
    );
    for (const row of rows) {
      options.signal.throwIfAborted();
      if (!options.alreadyRead(row.key)) yield row;
    }
  }

  private notRead(message = 'A stored snapshot is not read again.'): DirectoryError {
    return new DirectoryError('UPSTREAM_REFUSED', message, undefined, '');
  }
}

interface StoredPage {
  readonly id: number;
  readonly key: string;
  readonly digest: string;
  readonly readAt: Date;
}

interface StoredDepartment {
  readonly externalId: string;
  readonly told: Record<string, string>;
  readonly order: number | null;
  readonly leaderIds: string[] | null;
}

interface StoredEmployee {
  readonly externalId: string;
  readonly told: Record<string, string>;
  readonly status: ThirdPartyStatus;
  readonly departments: string[];
  readonly leaders: (boolean | null)[];
  readonly orders: (number | null)[];
}

function toEmployee(row: StoredEmployee): ThirdPartyEmployee {
  const { status: _status, departments: _departments, mainDepartment, ...fields } = row.told;
  return {
    externalId: row.externalId,
    status: row.status,
    fields,
    mainDepartmentId: mainDepartment ?? null,
    memberships: row.departments.map((departmentId, i) => ({
      departmentId,
      isLeader: row.leaders[i] ?? undefined,
      order: row.orders[i] ?? null,
    })),
  };
}

interface StoredGroup {
  readonly externalId: string;
  readonly told: { readonly name?: string; readonly employees: string | null; readonly departments: string | null };
}

function toGroup({ externalId, told }: StoredGroup): ThirdPartyGroup {
  const { employees, departments, ...fields } = told;
  const ids = (lines: string | null) => (lines ? lines.split('\n') : []);
  return { externalId, fields, employeeIds: ids(employees), departmentIds: ids(departments) };
}
