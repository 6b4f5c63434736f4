import type { DirectoryExtent, DirectoryPage, ReadOptions, ThirdPartyDepartment } from '../directory-connector';
import { ABOUT_ANOTHER, misshapen, type WecomAnswer, type WecomClient, type WecomCredentials } from './wecom.client';
import { list, parseDepartment, ROOT_DEPARTMENT } from './wecom.dto';
import { WecomError } from './wecom.errors';
import { parseAll, unreadable } from './wecom.pages';
import type { RangeTags, WecomRange } from './wecom.range';

/** Said of a department, a member or a tag that the app does not see. */
export const NOT_VISIBLE = 60011;
/** Which of the two an unknown department has is not documented. */
const UNKNOWN: ReadonlySet<number> = new Set([60003, 60123]);

type DepartmentPage = DirectoryPage<ThirdPartyDepartment>;

/** Departments as an app is told of them: in lists, and one by itself. */
export class WecomDepartments {
  /** Those that were listed: at most 30,000 short ids. */
  private readonly parents = new Map<string, string | null>();
  /** Those that the range names, by themselves or by a tag; all below them can be seen as well. */
  private named: ReadonlySet<string> | undefined;
  /** Whether a tag of the range could not be read, so that others may be named too. */
  private isNamedInPart = false;

  constructor(
    private readonly client: WecomClient,
    private readonly app: WecomCredentials,
    private readonly range: WecomRange,
  ) {}

  /** All that can be seen: the list, and what is visible by a tag alone, of which it is not documented whether the list has it. */
  async *pages(extent: DirectoryExtent, options: ReadOptions): AsyncIterable<DepartmentPage> {
    const all = await this.all(extent, options.signal);
    const listed = new Set(idsOf(all));
    if (!options.alreadyRead(all.key)) yield all;
    for (const id of (await this.range.tagsOf(extent, options.signal)).departmentIds) {
      if (listed.has(id)) continue;
      const below = await this.withAllBelow(id, options.signal);
      if (!below) continue;
      for (const each of idsOf(below)) listed.add(each);
      if (!options.alreadyRead(below.key)) yield below;
    }
  }

  private async all(extent: DirectoryExtent, signal: AbortSignal): Promise<DepartmentPage> {
    const page = { key: 'departments', readAt: new Date() };
    try {
      return this.page(page.key, await this.client.get('department/list', {}, signal));
    } catch (error) {
      // A range of members or tags only shows no department; whether as an empty list or so is not documented.
      if (!(isNotVisible(error) && extent.departmentIds.length === 0)) throw error;
      return { ...page, content: { kind: 'read', digest: 'none', objects: [], problems: [] } };
    }
  }

  /** @returns undefined where the department is gone, or is listed to nobody who asks for it */
  private async withAllBelow(id: string, signal: AbortSignal): Promise<DepartmentPage | undefined> {
    const page = { key: `departments:${id}`, readAt: new Date() };
    try {
      const below = this.page(page.key, await this.client.get('department/list', { id }, signal));
      if (!idsOf(below).includes(id)) throw misshapen('department/list', `an answer without department ${id}`);
      return below;
    } catch (error) {
      if (isUnknownDepartment(error) || isNotVisible(error)) return undefined;
      return { ...page, content: unreadable(error, signal) };
    }
  }

  /** Parsed even when it is known: whose people can be seen depends on the tree. */
  private page(key: string, { readAt, digest, body }: WecomAnswer): DepartmentPage {
    const { objects, problems } = parseAll(body, 'department', parseDepartment);
    for (const department of objects) this.parents.set(department.externalId, department.parentId);
    return { key, readAt, content: { kind: 'read', digest, objects, problems } };
  }

  /**
   * A tag's department with all below it, as far as they were not listed; those that were are read with the scope.
   * @returns their ids; none where it is gone
   * @throws what the directory refuses
   */
  async idsBelow(id: string, signal: AbortSignal): Promise<readonly string[]> {
    if (this.parents.has(id)) return [id];
    try {
      const { body = {} } = await this.client.get('department/simplelist', { id }, signal);
      const below = list(body, 'department_id')
        .map(parseDepartment)
        .filter((department) => department !== undefined);
      for (const department of below) this.parents.set(department.externalId, department.parentId);
      const ids = below.map((department) => department.externalId);
      if (!ids.includes(id)) throw misshapen('department/simplelist', `an answer without department ${id}`);
      return ids;
    } catch (error) {
      if (isUnknownDepartment(error)) return [];
      throw error;
    }
  }

  /** Read by itself; undefined where it is gone, or the app does not see it. */
  async one(id: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    const department = await this.told(id, signal);
    return department && (await this.isVisible(department, signal)) ? department : undefined;
  }

  private async told(id: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined> {
    try {
      const { body } = await this.client.get('department/get', { id }, signal);
      const department = parseDepartment(body?.['department']);
      // An answer about something else says nothing about what was asked for: least of all that it is gone.
      if (department?.externalId !== id) throw misshapen('department/get', ABOUT_ANOTHER);
      return department;
    } catch (error) {
      if (isUnknownDepartment(error) || isNotVisible(error)) return undefined;
      throw error;
    }
  }

  /**
   * A customised app with the permission corp_arch:base:base is told of every department of the company: it sees those in its range,
   * and those below them. Source: developer.work.weixin.qq.com/document/path/96276
   */
  private async isVisible(department: ThirdPartyDepartment, signal: AbortSignal): Promise<boolean> {
    if (this.app.mode !== 'SERVICE_PROVIDER') return true;
    if (!this.named) {
      const extent = await this.range.extent(signal);
      this.noteRange(extent, await this.range.tagsOf(extent, signal));
    }
    if (this.isNamedInPart || this.named?.has(ROOT_DEPARTMENT)) return true;
    const above = new Set<string>();
    for (let at: ThirdPartyDepartment | undefined = department; ; ) {
      if (this.named?.has(at.externalId) || this.parents.has(at.externalId)) return true;
      above.add(at.externalId);
      if (at.parentId === null || above.has(at.parentId)) return false;
      at = await this.told(at.parentId, signal);
      // Without the permission what is above the range is told of no more than anything else outside it.
      if (!at) return true;
    }
  }

  /** Notes which departments the range names. */
  noteRange(extent: DirectoryExtent, tags: RangeTags): void {
    this.named = new Set([...extent.departmentIds, ...tags.departmentIds]);
    this.isNamedInPart = tags.unread.length > 0;
  }

  /** Whether the range names a department that was listed, or one above it. */
  isWithin(id: string): boolean {
    const seen = new Set<string>();
    for (let at: string | null | undefined = id; at && !seen.has(at); at = this.parents.get(at)) {
      if (this.named?.has(at)) return true;
      seen.add(at);
    }
    return false;
  }
}

function idsOf({ content }: DepartmentPage): string[] {
  return content.kind === 'read' ? content.objects.map((department) => department.externalId) : [];
}

export function isUnknownDepartment(error: unknown): boolean {
  return error instanceof WecomError && UNKNOWN.has(error.errcode);
}

export function isNotVisible(error: unknown): boolean {
  return error instanceof WecomError && error.errcode === NOT_VISIBLE;
}
