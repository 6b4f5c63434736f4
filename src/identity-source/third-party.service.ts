import type { DataSource } from 'typeorm';
import type {
  ConnectorCheck,
  DirectoryConnector,
  DirectoryExtent,
  ThirdPartyDepartment as ToldDepartment,
} from '../connector/directory-connector';
import { CONNECTORS, type OpenedConnector } from '../connector/registry';
import { filledFields, LOCAL_FIELDS } from '../field-mapping/field-mapping';
import type { IdentitySource } from './identity-source.entity';
import type { ConnectionCheck, MappableField, ThirdPartyDepartment, VisibilityScope } from './third-party.type';

/** The live tree is read at most so often for one source: a wizard opens many nodes one after the other. */
const TREE_LIFE_MS = 30_000;
const LIVE_READ_MS = 20_000;
const SAMPLES = 3;

export type SourceCheck = (source: IdentitySource) => Promise<ConnectorCheck>;

/** What the directory is and shows: read live, or from the last complete snapshot. */
export class ThirdPartyService {
  private readonly trees = new Map<string, { until: number; tree: Promise<ThirdPartyDepartment[]> }>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly openConnector: (identitySourceId: string) => Promise<OpenedConnector>,
    /** Checks of what is around the connector: callbacks, licences. */
    private readonly moreChecks: readonly SourceCheck[] = [],
  ) {}

  /** Every visible department, read live. @throws DirectoryError */
  async liveTree(source: string): Promise<ThirdPartyDepartment[]> {
    const known = this.trees.get(source);
    if (known && known.until > Date.now()) return known.tree;
    const tree = this.readTree(source);
    this.trees.set(source, { until: Date.now() + TREE_LIFE_MS, tree });
    tree.catch(() => this.trees.delete(source));
    return tree;
  }

  /** @throws DirectoryError */
  async visibilityScope(source: IdentitySource): Promise<VisibilityScope> {
    const { connector } = await this.openConnector(source.id);
    const extent = await connector.extent(AbortSignal.timeout(LIVE_READ_MS));
    const tree = new Map((await this.liveTree(source.id)).map((d) => [d.id, d]));
    const chosen = source.scopeMode === 'PARTIAL' ? source.scopeDepartmentIds : [];
    return {
      departments: extent.departmentIds.map((id) => tree.get(id) ?? unseen(id)),
      employeeIds: [...extent.employeeIds],
      tagIds: [...extent.groupIds],
      outsideSyncScope: chosen.filter((id) => !tree.has(id)).map(unseen),
      fetchedAt: new Date(),
    };
  }

  /** The chosen departments as the last snapshot had them. */
  async chosenDepartments(source: IdentitySource): Promise<ThirdPartyDepartment[]> {
    if (source.scopeMode === 'ALL' || source.scopeDepartmentIds.length === 0) return [];
    const rows: { id: string; name: string; parentId: string | null }[] = await this.dataSource.query(
      `SELECT DISTINCT ON (s.external_key) s.external_id AS id, s.mapped ->> 'name' AS name, s.third_party ->> 'parent' AS "parentId"
         FROM task_page tp JOIN staged_department s ON s.page_id = tp.page_id
        WHERE tp.task_id = (${LAST_SNAPSHOT}) ORDER BY s.external_key`,
      [source.id],
    );
    const tree = new Map(withPaths(rows).map((d) => [d.id, d]));
    return source.scopeDepartmentIds.map((id) => tree.get(id) ?? unseen(id));
  }

  /** What the directory can tell, with how much of it is filled. */
  async fields(source: IdentitySource): Promise<MappableField[]> {
    if (source.type === 'CUSTOM') return [];
    const coverage: Coverage[] = await this.dataSource.query(COVERAGE, [source.id]);
    const told = new Map(coverage.map((row) => [`${row.objectType} ${row.name}`, row]));
    const totals = new Map(coverage.map((row) => [row.objectType, row.total]));
    const known = CONNECTORS[source.type].fields.map(({ objectType, name, label }) => ({ objectType, name, label }));
    const names = new Set(known.map((field) => `${field.objectType} ${field.name}`));
    const custom = coverage
      .filter((row) => row.name.startsWith('extattr.') && !names.has(`${row.objectType} ${row.name}`))
      .map(({ objectType, name }) => ({ objectType, name, label: name.slice('extattr.'.length) }));
    return [...known, ...custom].map((field) => {
      const row = told.get(`${field.objectType} ${field.name}`);
      const total = totals.get(field.objectType) ?? null;
      return {
        ...field,
        type: 'TEXT',
        filled: total === null ? null : (row?.filled ?? 0),
        total,
        samples: row?.samples ?? [],
      };
    });
  }

  /** Runs the connector's checks and keeps their results. */
  async runChecks(source: IdentitySource): Promise<ConnectionCheck[]> {
    const { connector } = await this.openConnector(source.id);
    const checks = await connector.check(AbortSignal.timeout(LIVE_READ_MS * 3));
    const outside = await this.outsideScopeCheck(source, connector);
    const around = await Promise.all(this.moreChecks.map((check) => check(source)));
    const found = [...checks, ...around, ...(outside ? [outside] : [])];
    await this.dataSource.query(
      `INSERT INTO connection_check (identity_source_id, checks, checked_at) VALUES ($1, $2, now())
       ON CONFLICT (identity_source_id) DO UPDATE SET checks = excluded.checks, checked_at = excluded.checked_at`,
      [source.id, JSON.stringify(found)],
    );
    return this.latestChecks(source.id);
  }

  async latestChecks(source: string): Promise<ConnectionCheck[]> {
    const [row] = await this.dataSource.query(
      'SELECT checks, checked_at AS "checkedAt" FROM connection_check WHERE identity_source_id = $1',
      [source],
    );
    return (row?.checks ?? []).map((check: ConnectionCheck) => ({ ...check, checkedAt: row.checkedAt }));
  }

  private async outsideScopeCheck(source: IdentitySource, connector: DirectoryConnector) {
    if (source.scopeMode === 'ALL') return undefined;
    let extent: DirectoryExtent;
    try {
      extent = await connector.extent(AbortSignal.timeout(LIVE_READ_MS));
    } catch {
      return undefined;
    }
    const tree = new Set((await this.liveTree(source.id).catch(() => [])).map((d) => d.id));
    const lost = source.scopeDepartmentIds.filter((id) => !tree.has(id));
    const name = 'SYNC_SCOPE';
    if (lost.length === 0) {
      const message = `Every chosen department can be seen (of ${extent.departmentIds.length} in the visible range).`;
      return { name, outcome: 'PASSED', message, advice: null, thirdPartyCode: null };
    }
    return {
      name,
      outcome: 'FAILED',
      message: `Chosen for synchronization, but not visible: ${lost.join(', ')}.`,
      advice:
        'Add them to the visible range (应用管理 > the app > 可见范围), or take them out of the synchronization scope.',
      thirdPartyCode: null,
    };
  }

  private async readTree(source: string): Promise<ThirdPartyDepartment[]> {
    const { connector } = await this.openConnector(source);
    const signal = AbortSignal.timeout(LIVE_READ_MS);
    const extent = await connector.extent(signal);
    const told: ToldDepartment[] = [];
    const options = { signal, knownDigest: () => undefined, alreadyRead: () => false };
    for await (const page of connector.departments(extent, options)) {
      if (page.content.kind === 'read') told.push(...page.content.objects);
    }
    told.sort((a, b) => (b.order ?? 0) - (a.order ?? 0));
    return withPaths(
      told.map((d) => ({
        id: d.externalId,
        name: filledFields(d.fields)['name'] ?? d.externalId,
        parentId: d.parentId,
      })),
    );
  }
}

interface Coverage {
  readonly objectType: 'DEPARTMENT' | 'EMPLOYEE';
  readonly name: string;
  readonly filled: number;
  readonly total: number;
  readonly samples: string[];
}

/** What an event task read is of single objects, and no snapshot. */
const LAST_SNAPSHOT = `SELECT t.id FROM sync_task t WHERE t.identity_source_id = $1 AND (t.certificate ->> 'complete')::boolean AND t.trigger <> 'EVENT'
  AND EXISTS (SELECT FROM task_page p WHERE p.task_id = t.id) ORDER BY t.id DESC LIMIT 1`;

/** How many objects of the last complete snapshot have each third-party field, each object counted once. */
const COVERAGE = ['DEPARTMENT', 'EMPLOYEE']
  .map(
    (type) => `(
  WITH latest AS MATERIALIZED (
    SELECT DISTINCT ON (s.external_key) s.third_party FROM task_page tp JOIN staged_${type.toLowerCase()} s ON s.page_id = tp.page_id
     WHERE tp.task_id = (${LAST_SNAPSHOT}) AND tp.object_type = '${type}' ORDER BY s.external_key, tp.read_at DESC
  )
  SELECT '${type}' AS "objectType", f.key AS name, count(*)::int AS filled, (SELECT count(*)::int FROM latest) AS total,
         (array_agg(DISTINCT f.value))[1:${SAMPLES}] AS samples
    FROM latest, jsonb_each_text(latest.third_party) f
   WHERE f.key NOT IN ('status', 'departments', 'mainDepartment', 'parent', 'order', 'unusable') AND f.value <> '' GROUP BY f.key)`,
  )
  .join(' UNION ALL ');

/** A department that is named somewhere but cannot be seen. */
function unseen(id: string): ThirdPartyDepartment {
  return { id, name: id, path: [id], parentId: null, hasChildren: false, visible: false };
}

function withPaths(rows: readonly { id: string; name: string; parentId: string | null }[]): ThirdPartyDepartment[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const parents = new Set(rows.map((row) => row.parentId));
  return rows.map((row) => {
    const path: string[] = [];
    const seen = new Set<string>();
    for (let at: typeof row | undefined = row; at && !seen.has(at.id); at = byId.get(at.parentId ?? '')) {
      path.unshift(at.name);
      seen.add(at.id);
    }
    const parentId = row.parentId !== null && byId.has(row.parentId) ? row.parentId : null;
    return { id: row.id, name: row.name, path, parentId, hasChildren: parents.has(row.id), visible: true };
  });
}

/** Built-in local fields that mappings can fill. */
export function localFields(): MappableField[] {
  return Object.entries(LOCAL_FIELDS).flatMap(([objectType, fields]) =>
    Object.entries(fields).map(([name, label]) => ({
      objectType,
      name,
      label,
      type: 'TEXT' as const,
      filled: null,
      total: null,
      samples: [],
    })),
  );
}
