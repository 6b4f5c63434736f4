import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { type DirectoryConnector, type DirectoryExtent, GROUP_LIST_PAGE } from '../../connector/directory-connector';
import { AppError } from '../../platform/app-error';
import type { Run } from '../task/lease';
import type { CertificateState } from '../task/sync-task.entity';
import { certify, lostFrom, REASONS_SHOWN, type SnapshotExtent, type SnapshotFacts, shrankReason } from './certify';
import type { StagedType } from './staged-rows';

/** How a read of the directory went, beside its pages. */
export interface WhatWasRead {
  readonly extent: DirectoryExtent;
  /** Third-party fields of people that the directory stopped showing meanwhile. */
  readonly fieldsWithdrawn: readonly string[];
  /** Whether groups were asked for. */
  readonly groups: boolean;
  /** Why they may not be read, in plain words. */
  readonly groupsLeftAlone: string | undefined;
}

/** The certificate of a run's snapshot, counted, judged and stored. */
export async function storeCertificate(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  read: WhatWasRead,
): Promise<Certified> {
  const same = run.task.settings.scope.mode === 'ALL' ? await isSameSnapshot(dataSource, run) : undefined;
  const facts = await countFacts(dataSource, connector, run, read, same);
  const { lost, ...verdict } = certify(facts);
  const certificate: CertificateState = {
    ...verdict,
    departmentsRead: facts.departments,
    employeesRead: facts.employees,
    groupsRead: facts.groups?.groups ?? 0,
    pagesRead: facts.pages,
    sourceCalls: connector.statistics().calls,
    unconfirmed: 0,
    fieldsWithdrawn: facts.fieldsWithdrawn,
    scopeFingerprint: createHash('sha256').update(JSON.stringify(facts.extent)).digest('hex').slice(0, 16),
  };
  await writeTask(dataSource, run, `certificate = $3, extent = $4, extent_accepted = $5, filled = (${FILLED})`, [
    JSON.stringify(certificate),
    JSON.stringify(facts.extent),
    verdict.complete && lost.length === 0 && run.task.mode === 'APPLY',
    read.fieldsWithdrawn,
    run.task.settings.snapshotTaskId ?? null,
  ]);
  return { certificate, findings: { lost, same: same !== undefined } };
}

/** What the plan must know of a snapshot beside its certificate. */
export interface Findings {
  /** What could be seen the last time and no longer can. */
  readonly lost: readonly string[];
  /** The snapshot is made of the very pages that the local organisation reflects: nobody is new and nobody is missing. */
  readonly same: boolean;
}

export interface Certified {
  readonly certificate: CertificateState;
  readonly findings: Findings;
}

/** Counts of the former snapshot when this one is made of the same pages and nothing was left over then. */
async function isSameSnapshot(dataSource: DataSource, run: Run): Promise<Counts | undefined> {
  const [former] = await dataSource.query(
    `SELECT id, certificate FROM sync_task f
      WHERE identity_source_id = $1 AND mode = 'APPLY' AND trigger <> 'EVENT' AND applied_at IS NOT NULL ORDER BY id DESC LIMIT 1`,
    [run.task.identitySourceId],
  );
  if (!former) return undefined;
  const [row] = await dataSource.query(
    `SELECT f.status = 'SUCCEEDED' AND f.settings_version = t.settings_version AND f.includes_employees AND t.includes_employees
            AND NOT EXISTS (SELECT FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
                             WHERE (tp.task_id = t.id AND NOT p.applied)
                                OR (tp.task_id = f.id AND tp.page_key LIKE 'again:%' AND p.keys <> '{}'))
            -- Nor was anything left undecided, because it could not be read again or something newer was read or applied of it: events
            -- since that read began, or since the preview was asked for that was applied.
            AND NOT EXISTS (SELECT FROM task_page tp WHERE tp.task_id = f.id AND tp.page_id IS NULL)
            AND NOT EXISTS (SELECT FROM sync_task e
                             WHERE e.identity_source_id = t.identity_source_id AND e.trigger = 'EVENT'
                               AND e.applied_at >= coalesce(o.queued_at, f.started_at)
                               AND (e.started_at <= f.applied_at OR EXISTS (SELECT FROM sync_record r WHERE r.task_id = e.id)))
            AND NOT EXISTS (${PAGES} t.id EXCEPT ${PAGES} f.id) AND NOT EXISTS (${PAGES} f.id EXCEPT ${PAGES} t.id) AS same
       FROM sync_task t, sync_task f LEFT JOIN sync_task o ON o.id = f.origin_id WHERE t.id = $1 AND f.id = $2`,
    [run.task.id, former.id],
  );
  if (!row.same) return undefined;
  const { departmentsRead, employeesRead, groupsRead } = former.certificate as CertificateState;
  return { departments: departmentsRead, employees: employeesRead, groups: groupsRead };
}

const PAGES = `SELECT page_key, page_id FROM task_page WHERE page_key NOT LIKE 'again:%' AND task_id =`;

interface Counts {
  readonly departments: number;
  readonly employees: number;
  readonly groups: number;
}

/** What an event task read: complete when every named object could be read, which says nothing about any other. */
export async function storeEventCertificate(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
): Promise<Certified> {
  const types = await dataSource.query(
    `SELECT object_type AS type, count(*)::int AS pages,
            coalesce((array_agg(problem) FILTER (WHERE problem IS NOT NULL))[1:${REASONS_SHOWN}], '{}') AS problems
       FROM task_page WHERE task_id = $1 GROUP BY object_type`,
    [run.task.id],
  );
  const of = (type: StagedType): { pages: number; problems: string[] } =>
    types.find((row: { type: string }) => row.type === type) ?? { pages: 0, problems: [] };
  const [departments, employees, groups] = [of('DEPARTMENT'), of('EMPLOYEE'), of('GROUP')];
  const problems = [...departments.problems, ...employees.problems];
  const certificate: CertificateState = {
    complete: problems.length === 0,
    groupsComplete: groups.pages > 0 ? groups.problems.length === 0 : null,
    reasons: [...problems, ...groups.problems],
    departmentsRead: departments.pages,
    employeesRead: employees.pages,
    groupsRead: groups.pages,
    pagesRead: departments.pages + employees.pages + groups.pages,
    sourceCalls: connector.statistics().calls,
    unconfirmed: 0,
    scopeFingerprint: '',
  };
  return confirmAbsences(dataSource, connector, run, { certificate, findings: { lost: [], same: false } });
}

/**
 * Looks at what was read by itself: whatever could not be read stays, and the certificate says so; and where something is gone,
 * the visible range is asked once more, since a range that shrank meanwhile makes people look gone too.
 * @param listsInDoubt lists that lacked what is there, in plain words: what else they lacked is not known
 */
export async function confirmAbsences(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  { certificate, findings }: Certified,
  listsInDoubt: () => Promise<readonly string[]> = async () => [],
): Promise<Certified> {
  const [again] = await dataSource.query(
    `SELECT count(problem)::int AS unread, bool_or(problem IS NULL AND p.keys = '{}') AS gone, bool_or(p.keys <> '{}') AS found,
            coalesce((array_agg(problem ORDER BY tp.page_key) FILTER (WHERE problem IS NOT NULL))[1:${REASONS_SHOWN}], '{}') AS problems
       FROM task_page tp LEFT JOIN snapshot_page p ON p.id = tp.page_id
      WHERE tp.task_id = $1 AND tp.page_key LIKE 'again:%'`,
    [run.task.id],
  );
  const shrank = again.gone ? await lostMeanwhile(dataSource, connector, run) : [];
  const lost = [...new Set([...findings.lost, ...shrank])];
  const event = run.task.trigger === 'EVENT';
  const doubts = again.found && !event ? await listsInDoubt() : [];
  const reasons = [...certificate.reasons, ...(event ? [] : again.problems), ...doubts];
  if (lost.length > findings.lost.length) reasons.push(shrankReason(lost));
  const confirmed = { ...certificate, reasons, unconfirmed: event ? 0 : again.unread + doubts.length };
  await writeTask(dataSource, run, 'certificate = $3, extent_accepted = extent_accepted AND $4', [
    JSON.stringify(confirmed),
    shrank.length === 0,
  ]);
  return { certificate: confirmed, findings: { ...findings, lost } };
}

/**
 * Sets columns of the task. Parameters of the assignments: $1 task, $3 and on the values.
 * @throws AppError LEASE_LOST
 */
async function writeTask(dataSource: DataSource, run: Run, assignments: string, values: unknown[]): Promise<void> {
  const [, written] = await dataSource.query(
    `UPDATE sync_task SET ${assignments} WHERE id = $1 AND fence = $2 AND status = 'RUNNING'`,
    [run.task.id, run.lease.fence, ...values],
  );
  if (written === 0) throw new AppError('LEASE_LOST', 'Another worker took the task over.');
}

/** What this run, or the last one whose removals were decided, could see, and the directory no longer shows. */
async function lostMeanwhile(dataSource: DataSource, connector: DirectoryConnector, run: Run): Promise<string[]> {
  const [former] = await dataSource.query(
    `SELECT extent FROM sync_task WHERE identity_source_id = $1 AND extent IS NOT NULL AND (id = $2 OR extent_accepted)
      ORDER BY id = $2 DESC, id DESC LIMIT 1`,
    [run.task.identitySourceId, run.task.id],
  );
  if (!former) return [];
  const now = await connector.extent(run.signal);
  return lostFrom(
    { ...former.extent, chosenDepartmentIds: [] },
    { ...now, chosenDepartmentIds: [] },
    run.task.settings.scope,
  );
}

/** The former extent without what today's does not name and the snapshot has all the same: a range that grew names what is above it. */
async function withoutSeen(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  former: SnapshotExtent,
  now: DirectoryExtent,
): Promise<SnapshotExtent> {
  const unnamed = [
    ...former.departmentIds.filter((id) => !now.departmentIds.includes(id)).map((id) => ['DEPARTMENT', id] as const),
    ...former.employeeIds.filter((id) => !now.employeeIds.includes(id)).map((id) => ['EMPLOYEE', id] as const),
  ];
  if (unnamed.length === 0) return former;
  const rows = await dataSource.query(
    `SELECT DISTINCT tp.object_type AS type, k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
      WHERE tp.task_id = $1 AND ((tp.object_type, k) IN (SELECT * FROM unnest($2::text[], $3::text[]))) IS TRUE`,
    [run.task.id, unnamed.map(([type]) => type), unnamed.map(([, id]) => connector.keyOf(id))],
  );
  const seen = new Set(rows.map(({ type, k }: { type: string; k: string }) => `${type} ${k}`));
  const isLeft = (type: StagedType) => (id: string) => !seen.has(`${type} ${connector.keyOf(id)}`);
  return {
    ...former,
    departmentIds: former.departmentIds.filter(isLeft('DEPARTMENT')),
    employeeIds: former.employeeIds.filter(isLeft('EMPLOYEE')),
  };
}

/**
 * The third-party fields that anybody in the snapshot has, by object type. Not what was withdrawn while it was read ($6), by this
 * task or by that whose answers it reads ($7).
 */
const FILLED = `SELECT coalesce(jsonb_object_agg(object_type, fields), '{}') FROM (
  SELECT tp.object_type, jsonb_agg(DISTINCT f) AS fields
    FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.filled) f
   WHERE tp.task_id = $1 AND (tp.object_type <> 'EMPLOYEE' OR f <> ALL ($6::text[]))
     AND coalesce((SELECT stored.filled -> tp.object_type ? f FROM sync_task stored WHERE stored.id = $7), true)
   GROUP BY tp.object_type) by_type`;

async function countObjects(dataSource: DataSource, taskId: string): Promise<Counts> {
  const counts = await dataSource.query(
    `SELECT type, count(*)::int AS total FROM (
       SELECT DISTINCT tp.object_type AS type, k FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id, unnest(p.keys) k
        WHERE tp.task_id = $1 AND tp.page_key NOT LIKE 'again:%') seen GROUP BY type`,
    [taskId],
  );
  const total = (type: string): number => counts.find((row: { type: string }) => row.type === type)?.total ?? 0;
  return { departments: total('DEPARTMENT'), employees: total('EMPLOYEE'), groups: total('GROUP') };
}

/** What could not be read of some pages, as one object: the first so many problems, and how many there are. */
function problemsOf(condition: string, name: string): string {
  return `jsonb_build_object(
    'problemCount', count(problem) FILTER (WHERE ${condition}),
    'problems', coalesce(to_jsonb((array_agg(problem ORDER BY page_key) FILTER (WHERE problem IS NOT NULL AND ${condition}))[1:${REASONS_SHOWN}]), '[]')
  ) AS ${name}`;
}

async function countFacts(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  read: WhatWasRead,
  same: Counts | undefined,
): Promise<SnapshotFacts> {
  const { id, identitySourceId, settings } = run.task;
  const [{ listed, pages, ...problems }] = await dataSource.query(
    `SELECT count(*) FILTER (WHERE page_id IS NOT NULL)::int AS pages,
            coalesce(bool_or(object_type = 'GROUP' AND page_key = '${GROUP_LIST_PAGE}' AND page_id IS NOT NULL), false) AS listed,
            ${problemsOf(`object_type <> 'GROUP'`, 'organisation')}, ${problemsOf(`object_type = 'GROUP'`, 'groups')}
       FROM task_page WHERE task_id = $1 AND page_key NOT LIKE 'again:%'`,
    [id],
  );
  const unlisted = await dataSource.query(
    `SELECT r.id FROM unnest($2::text[], $3::text[]) AS r (key, id)
      WHERE NOT EXISTS (SELECT FROM task_page tp JOIN snapshot_page p ON p.id = tp.page_id
                         WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' AND r.key = ANY (p.keys)) ORDER BY 1`,
    [id, read.extent.departmentIds.map((each) => connector.keyOf(each)), read.extent.departmentIds],
  );
  const chosen = await dataSource.query(
    `SELECT DISTINCT s.external_id AS id FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
      WHERE tp.task_id = $1 AND tp.object_type = 'DEPARTMENT' AND s.external_id = ANY ($2) ORDER BY 1`,
    [id, settings.scope.departmentIds],
  );
  const [former] = await dataSource.query(
    `SELECT extent FROM sync_task WHERE identity_source_id = $1 AND id <> $2 AND extent_accepted AND extent IS NOT NULL
      ORDER BY id DESC LIMIT 1`,
    [identitySourceId, id],
  );
  const counts = same ?? (await countObjects(dataSource, id));
  const { extent, groupsLeftAlone: leftAlone } = read;
  return {
    ...problems.organisation,
    departments: counts.departments,
    employees: counts.employees,
    pages,
    groups: read.groups ? { ...problems.groups, groups: counts.groups, listed, leftAlone } : undefined,
    fieldsWithdrawn: read.fieldsWithdrawn,
    unlistedDepartments: unlisted.map((row: { id: string }) => row.id),
    extent: { ...extent, chosenDepartmentIds: chosen.map((row: { id: string }) => row.id) },
    formerExtent: former && (await withoutSeen(dataSource, connector, run, former.extent, read.extent)),
    scope: settings.scope,
    includesEmployees: run.task.includesEmployees,
  };
}
