import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { DirectoryConnector, DirectoryExtent } from '../connector/directory-connector';
import type { Run } from './lease';
import type { CertificateState } from './sync-task.entity';

/** How many reasons a certificate spells out; the rest is counted. */
const REASONS_SHOWN = 20;

/** What certifying a snapshot looks at, as counted from its rows. */
export interface SnapshotFacts {
  /** What could not be read, or not understood. */
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly departments: number;
  readonly employees: number;
  readonly pages: number;
  readonly extent: DirectoryExtent;
  /** That of the last complete snapshot; undefined for the first. */
  readonly formerExtent: DirectoryExtent | undefined;
}

/**
 * Whether a snapshot may be believed where something is missing from it. Pure. Complete only if every page was read, it is
 * not empty, and the directory shows no less than the last complete time.
 */
export function certify(facts: SnapshotFacts): Pick<CertificateState, 'complete' | 'reasons'> {
  const reasons = facts.problems.slice(0, REASONS_SHOWN);
  if (facts.problemCount > reasons.length) reasons.push(`and ${facts.problemCount - reasons.length} more pages`);
  if (facts.employees === 0) {
    reasons.push(
      'The directory showed no employee at all: a withdrawn visible range looks the same as an empty company.',
    );
  }
  const lost = facts.formerExtent ? lostFrom(facts.formerExtent, facts.extent) : [];
  if (lost.length > 0) {
    reasons.push(`The visible range shrank: ${lost.slice(0, REASONS_SHOWN).join(', ')} can no longer be seen.`);
  }
  return { complete: reasons.length === 0, reasons };
}

function lostFrom(former: DirectoryExtent, now: DirectoryExtent): string[] {
  const gone = (label: string, before: readonly string[], after: readonly string[]) => {
    const still = new Set(after);
    return before.filter((id) => !still.has(id)).map((id) => `${label} ${id}`);
  };
  return [
    ...gone('department', former.departmentIds, now.departmentIds),
    ...gone('employee', former.employeeIds, now.employeeIds),
    ...gone('group', former.groupIds, now.groupIds),
  ];
}

/** The certificate of a run's snapshot, counted, judged and stored. */
export async function storeCertificate(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  extent: DirectoryExtent,
): Promise<CertificateState> {
  const facts = await countFacts(dataSource, run, extent);
  const certificate: CertificateState = {
    ...certify(facts),
    departmentsRead: facts.departments,
    employeesRead: facts.employees,
    pagesRead: facts.pages,
    sourceCalls: connector.statistics().calls,
    scopeFingerprint: createHash('sha256').update(JSON.stringify(extent)).digest('hex').slice(0, 16),
  };
  await dataSource.query(`UPDATE sync_task SET certificate = $3, extent = $4 WHERE id = $1 AND fence = $2`, [
    run.task.id,
    run.lease.fence,
    JSON.stringify(certificate),
    JSON.stringify(extent),
  ]);
  return certificate;
}

async function countFacts(dataSource: DataSource, run: Run, extent: DirectoryExtent): Promise<SnapshotFacts> {
  const [pages] = await dataSource.query(
    `SELECT count(*) FILTER (WHERE page_id IS NOT NULL)::int AS pages, count(problem)::int AS "problemCount",
            coalesce((array_agg(problem ORDER BY page_key) FILTER (WHERE problem IS NOT NULL))[1:${REASONS_SHOWN}], '{}') AS problems
       FROM task_page WHERE task_id = $1 AND page_key NOT LIKE 'again:%'`,
    [run.task.id],
  );
  const counts = await dataSource.query(
    `SELECT type, count(*)::int AS total FROM (
       SELECT DISTINCT tp.object_type AS type, k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
        WHERE tp.task_id = $1) seen GROUP BY type`,
    [run.task.id],
  );
  const total = (type: string): number => counts.find((row: { type: string }) => row.type === type)?.total ?? 0;
  const [former] = await dataSource.query(
    `SELECT extent FROM sync_task
      WHERE identity_source_id = $1 AND id <> $2 AND (certificate ->> 'complete')::boolean AND extent IS NOT NULL
      ORDER BY id DESC LIMIT 1`,
    [run.task.identitySourceId, run.task.id],
  );
  return {
    ...pages,
    departments: total('DEPARTMENT'),
    employees: total('EMPLOYEE'),
    extent,
    formerExtent: former?.extent,
  };
}
