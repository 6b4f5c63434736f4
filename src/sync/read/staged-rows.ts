import { hash } from 'node:crypto';
import type {
  DirectoryConnector,
  HasFields,
  ThirdPartyDepartment,
  ThirdPartyEmployee,
  ThirdPartyGroup,
} from '../../connector/directory-connector';
import { type CopyValue, copyLine } from '../../database/copy';
import { filledFields, type SyncObjectTypeName } from '../../field-mapping/field-mapping';
import type { Mapped, Mapper } from '../../field-mapping/mapper';
import { INVALID } from '../../field-mapping/transforms';

export type StagedType = SyncObjectTypeName;

export type StagedObject = ThirdPartyDepartment | ThirdPartyEmployee | ThirdPartyGroup;

/** The tables of staged rows, with the columns that a row's values stand for in their order. */
export const STAGED_COLUMNS: Readonly<Record<StagedType, string>> = {
  DEPARTMENT:
    'staged_department (page_id, external_key, external_id, parent_key, "order", leader_keys, third_party, mapped, hash, invalid)',
  EMPLOYEE: `staged_employee (page_id, external_key, external_id, status, manager_key, main_department_key, department_keys,
     leader_flags, orders, third_party, mapped, hash, invalid)`,
  GROUP: 'staged_group (page_id, external_key, external_id, name, employee_keys, department_keys, third_party, hash)',
};

/** What is stored of a page's objects. */
export interface StagedRows {
  readonly keys: readonly string[];
  /** Third-party fields that somebody on the page has. */
  readonly filled: readonly string[];
  /** Objects that count as read with this page. */
  readonly counted: number;
  /** The rows, as COPY takes them: outside JavaScript's heap, since they wait for the rest of their batch. */
  readonly lines: Buffer;
}

export interface RowSettings {
  readonly map: Mapper;
  /** Decides as well what is made of the values, so that it is part of each row's hash. */
  readonly settingsVersion: string;
  /** By third-party field: values that stand where the directory tells nothing. */
  readonly notTold: Readonly<Record<string, readonly string[]>>;
}

/** Makes the rows of a page's objects. */
export class RowEncoder {
  constructor(
    private readonly connector: DirectoryConnector,
    private readonly settings: RowSettings,
  ) {}

  /** Of two objects with one key on a page the later counts. */
  encode(pageId: number, pageKey: string, objects: readonly StagedObject[]): StagedRows {
    const lines = new Map<string, string>();
    const counted = new Set<string>();
    const filled = new Set<string>();
    for (const object of objects) {
      const key = this.connector.keyOf(object.externalId);
      if (!('memberships' in object) || this.countsOn(pageKey, object)) counted.add(key);
      const told = filledFields(object.fields);
      for (const name in told) if (!this.settings.notTold[name]?.includes(told[name] ?? '')) filled.add(name);
      lines.set(key, copyLine([pageId, key, object.externalId, ...this.row(object, told)]));
    }
    return {
      keys: [...lines.keys()],
      filled: [...filled],
      counted: counted.size,
      lines: Buffer.from([...lines.values()].join('')),
    };
  }

  private row(object: StagedObject, told: Record<string, string>): readonly CopyValue[] {
    if ('memberships' in object) return this.employeeRow(object, told);
    return 'leaderIds' in object ? this.departmentRow(object, told) : this.groupRow(object, told);
  }

  private groupRow(g: ThirdPartyGroup, told: Record<string, string>): readonly CopyValue[] {
    const keys = (ids: readonly string[]) => [...new Set(ids.map((id) => this.connector.keyOf(id)))];
    const name = told['name'] ?? null;
    const lines = (ids: readonly string[]) => (ids.length > 0 ? ids.join('\n') : null);
    const departments = g.departmentIds ?? [];
    const shown = { ...told, employees: lines(g.employeeIds), departments: lines(departments) };
    return [name, keys(g.employeeIds), keys(departments), JSON.stringify(shown), digest(name ?? '')];
  }

  /** Somebody who is in several departments counts on the page of one: the main one, or the first. */
  private countsOn(pageKey: string, { memberships, mainDepartmentId }: ThirdPartyEmployee): boolean {
    const place = mainDepartmentId ?? memberships[0]?.departmentId;
    return place === undefined || pageKey === `employees-of:${place}`;
  }

  private departmentRow(d: ThirdPartyDepartment, told: Record<string, string>): readonly CopyValue[] {
    const { values, invalid } = this.mapped(d, told);
    const leaders = d.leaderIds ? d.leaderIds.map((id) => this.connector.keyOf(id)) : null;
    const parent = d.parentId === null ? null : this.connector.keyOf(d.parentId);
    const mapped = JSON.stringify(values);
    const { unusable, parentId, order } = d;
    const shown = JSON.stringify({ ...told, unusable, parent: parentId, order: order === null ? null : String(order) });
    return [parent, d.order, leaders, shown, mapped, this.hash(mapped, invalid), noneAsNull(invalid)];
  }

  private employeeRow(e: ThirdPartyEmployee, told: Record<string, string>): readonly CopyValue[] {
    const { values, invalid } = this.mapped(e, told);
    const manager = values['manager'] === undefined ? null : this.connector.keyOf(values['manager']);
    const main = e.mainDepartmentId === null ? null : this.connector.keyOf(e.mainDepartmentId);
    const departments = e.memberships.map((m) => this.connector.keyOf(m.departmentId));
    const leaders = e.memberships.map((m) => m.isLeader ?? null);
    const orders = e.memberships.map((m) => m.order);
    const mapped = JSON.stringify(values);
    const places = e.memberships.map((m) => m.departmentId).join('\n');
    const shown = JSON.stringify(
      Object.assign(told, {
        unusable: e.unusable,
        status: e.status,
        mainDepartment: e.mainDepartmentId,
        departments: places,
      }),
    );
    const place = [e.status, manager, main, departments, leaders, orders];
    return [...place, shown, mapped, this.hash(mapped, invalid), noneAsNull(invalid)];
  }

  private mapped(object: HasFields & { readonly externalId: string }, told: Record<string, string>): Mapped {
    const { externalId, unusable } = object;
    if (!unusable) return this.settings.map(externalId, told);
    const none = Object.fromEntries(unusable.map((name) => [name, INVALID] as const));
    return this.settings.map(externalId, { ...told, ...none });
  }

  /** With what cannot be used, which is to be told, and the settings, which decide as well what is made of the values. */
  private hash(mapped: string, invalid: readonly string[]): string {
    return digest(mapped + invalid.join() + this.settings.settingsVersion);
  }
}

function digest(text: string): string {
  return `\\x${hash('md5', text)}`;
}

/** An empty array costs bytes in every row; NULL costs none. */
function noneAsNull(names: readonly string[]): readonly string[] | null {
  return names.length > 0 ? names : null;
}
