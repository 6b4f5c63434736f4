import type { DataSource } from 'typeorm';
import {
  type DirectoryConnector,
  DirectoryError,
  type DirectoryExtent,
  type DirectoryPage,
  GROUP_LIST_PAGE,
  type HasFields,
  type HasGroups,
  NotPermitted,
  type PageContent,
  type ReadOptions,
  type ThirdPartyDepartment,
  type ThirdPartyEmployee,
  type ThirdPartyGroup,
  type ThirdPartyStatus,
} from '../../connector/directory-connector';
import type { SyncObjectTypeName } from '../../field-mapping/field-mapping';
import { wholeDigest } from './stage';

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

  departments(_extent: DirectoryExtent, options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyDepartment>> {
    return this.pages('DEPARTMENT', options, async (pageId) => {
      const rows: StoredDepartment[] = await this.dataSource.query(
        `SELECT external_id AS "externalId", third_party AS told, "order", leader_keys AS "leaderIds"
           FROM staged_department WHERE page_id = $1`,
        [pageId],
      );
      return rows.map(toDepartment);
    });
  }

  employees(
    _extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<DirectoryPage<ThirdPartyEmployee>> {
    const wanted = new Set(departmentIds.map((id) => `employees-of:${id}`));
    const notWanted = (key: string) => key.startsWith('employees-of:') && !wanted.has(key);
    const within = { ...options, alreadyRead: (key: string) => notWanted(key) || options.alreadyRead(key) };
    return this.pages('EMPLOYEE', within, async (pageId) => {
      const rows: StoredEmployee[] = await this.dataSource.query(
        `SELECT external_id AS "externalId", third_party AS told, status, department_keys AS departments, leader_flags AS leaders,
                orders FROM staged_employee WHERE page_id = $1`,
        [pageId],
      );
      return rows.map(toEmployee);
    });
  }

  /** Left alone where the snapshot has left them alone. */
  async *groups(options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyGroup>> {
    yield* this.pages('GROUP', options, async (pageId) => {
      const rows: StoredGroup[] = await this.dataSource.query(
        'SELECT external_id AS "externalId", third_party AS told FROM staged_group WHERE page_id = $1',
        [pageId],
      );
      return rows.map(toGroup);
    });
    const listed = await this.dataSource.query(
      `SELECT FROM task_page WHERE task_id = $1 AND object_type = 'GROUP' AND page_key = '${GROUP_LIST_PAGE}'`,
      [this.snapshotTaskId],
    );
    if (listed.length === 0) throw new NotPermitted(notRead('The stored snapshot has no directory groups.'));
  }

  async group(): Promise<never> {
    throw notRead(NOT_ASKED_FOR);
  }

  async department(): Promise<never> {
    throw notRead(NOT_ASKED_FOR);
  }

  async employee(): Promise<never> {
    throw notRead(NOT_ASKED_FOR);
  }

  async check() {
    return [];
  }

  statistics() {
    return { calls: 0, throttledMs: 0 };
  }

  /** Every page of a type as it was read, or could not be read; also the answers about single objects. */
  private async *pages<T>(
    objectType: SyncObjectTypeName,
    options: ReadOptions,
    objectsOf: (pageId: number) => Promise<T[]>,
  ): AsyncIterable<DirectoryPage<T>> {
    const rows: StoredPage[] = await this.dataSource.query(
      `SELECT tp.page_id AS id, tp.page_key AS key, p.digest, tp.read_at AS "readAt", tp.problem
         FROM task_page tp LEFT JOIN snapshot_page p ON p.id = tp.page_id
        WHERE tp.task_id = $1 AND tp.object_type = $2 ORDER BY tp.page_key`,
      [this.snapshotTaskId, objectType],
    );
    for (const { id, key, digest, readAt, problem } of rows) {
      options.signal.throwIfAborted();
      if (options.alreadyRead(key)) continue;
      // As the stage puts it, which names the page itself.
      const problems = problem === null ? [] : [problem.replace(`${key}: `, '')];
      const content: PageContent<T> =
        id === null
          ? { kind: 'unreadable', error: notRead(problems.join()) }
          : { kind: 'read', digest: wholeDigest(digest), objects: await objectsOf(id), problems };
      yield { key, readAt, content };
    }
  }
}

/** Of what is missing and was not read again: nothing is concluded from it. */
const NOT_ASKED_FOR = 'The stored snapshot did not ask for it by itself.';

function notRead(message: string): DirectoryError {
  return new DirectoryError('UPSTREAM_REFUSED', message, undefined, '');
}

interface StoredPage {
  /** Null where it could not be read. */
  readonly id: number | null;
  readonly key: string;
  readonly digest: string;
  readonly readAt: Date;
  readonly problem: string | null;
}

/** What is shown of a row as it was told: of fields, and of what is no field. */
type StoredFields = Record<string, string> & { readonly unusable?: readonly string[] };

function toFields({ unusable, ...fields }: StoredFields): HasFields {
  return unusable ? { fields, unusable } : { fields };
}

interface StoredDepartment {
  readonly externalId: string;
  readonly told: StoredFields;
  readonly order: number | null;
  readonly leaderIds: string[] | null;
}

function toDepartment({ externalId, told, order, leaderIds }: StoredDepartment): ThirdPartyDepartment {
  const { parent, order: _, ...fields } = told;
  return { externalId, parentId: parent ?? null, order, ...toFields(fields), leaderIds: leaderIds ?? undefined };
}

interface StoredEmployee {
  readonly externalId: string;
  readonly told: StoredFields;
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
    ...toFields(fields),
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
