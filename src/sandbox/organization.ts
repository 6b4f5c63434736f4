import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { projectRoot } from '../platform/project-root';

/**
 * An organisation as a file: one state, or a state with its history of changes. The format is that of the files beside this
 * one (`organizations/README.md`).
 */

const department = z.looseObject({
  id: z.number().int().min(1),
  parentId: z.number().int().min(0),
  name: z.string(),
  order: z.number().int().min(0).default(0),
  name_en: z.string().optional(),
});

const user = z.looseObject({
  userid: z.string().min(1).max(64),
  /** What it was before it was changed, which WeCom allows once. */
  formerUserid: z.string().optional(),
  name: z.string(),
  departments: z.array(z.number().int()),
  mainDepartment: z.number().int().optional(),
  isLeaderInDept: z.array(z.number()).default([]),
  order: z.array(z.number()).optional(),
  position: z.string().default(''),
  status: z.number().int().default(1),
  extattr: z.array(z.looseObject({ name: z.string(), value: z.string() })).default([]),
  email: z.string().optional(),
  mobile: z.string().optional(),
  alias: z.string().optional(),
  gender: z.string().optional(),
  telephone: z.string().optional(),
  address: z.string().optional(),
  biz_mail: z.string().optional(),
  direct_leader: z.array(z.string()).optional(),
});

const tag = z.looseObject({
  id: z.number().int(),
  name: z.string(),
  users: z.array(z.string()).default([]),
  departments: z.array(z.number()).default([]),
});

export const organizationState = z.looseObject({
  departments: z.array(department),
  users: z.array(user),
  tags: z.array(tag).default([]),
});

export type SandboxDepartment = z.infer<typeof department>;
export type SandboxUser = z.infer<typeof user>;
export type SandboxTag = z.infer<typeof tag>;
export type OrganizationState = z.infer<typeof organizationState>;

type Operation =
  | { op: 'dept.create'; dept: SandboxDepartment }
  | { op: 'dept.update'; id: number; set: Partial<SandboxDepartment> }
  | { op: 'dept.delete'; id: number }
  | { op: 'user.create'; user: SandboxUser }
  | { op: 'user.update'; userid: string; set: Partial<SandboxUser>; unset?: string[] }
  | { op: 'user.delete'; userid: string };

interface Revision {
  readonly rev: number;
  readonly at: string;
  readonly ops: readonly Operation[];
  readonly sha256?: string;
}

/** Somebody who wants to know when an organisation changes: each app of its company. */
export interface OrganizationWatcher {
  /** Called before a change; whether the state before it is wanted. */
  beforeChange(): boolean;
  /** Called after it. @param before undefined where nobody is to be told what changed */
  afterChange(before: OrganizationState | undefined): void;
}

/** An organisation that can be moved forward through its recorded revisions. */
export class Organization {
  readonly departments = new Map<number, SandboxDepartment>();
  readonly users = new Map<string, SandboxUser>();
  readonly tags = new Map<number, SandboxTag>();
  private readonly watchers = new Set<OrganizationWatcher>();
  private current = 0;

  constructor(
    state: OrganizationState,
    private readonly revisions: readonly Revision[] = [],
  ) {
    this.replace(state);
  }

  get revision(): number {
    return this.current;
  }

  /** The last revision that the file has; 0 for a file with one state. */
  get lastRevision(): number {
    return this.revisions.at(-1)?.rev ?? 0;
  }

  /** When the current revision was made, where the file says. */
  get revisedAt(): string | undefined {
    return this.revisions.find((revision) => revision.rev === this.current)?.at;
  }

  replace(state: OrganizationState): void {
    this.departments.clear();
    this.users.clear();
    this.tags.clear();
    for (const d of state.departments) this.departments.set(d.id, d);
    for (const u of state.users) this.users.set(u.userid, u);
    for (const t of state.tags) this.tags.set(t.id, t);
  }

  watch(watcher: OrganizationWatcher): void {
    this.watchers.add(watcher);
  }

  unwatch(watcher: OrganizationWatcher): void {
    this.watchers.delete(watcher);
  }

  /** Makes a change of which the watchers are told. */
  change(edit: () => void): void {
    const wanted = [...this.watchers].filter((watcher) => watcher.beforeChange());
    const before = wanted.length > 0 ? this.state() : undefined;
    edit();
    for (const watcher of this.watchers) watcher.afterChange(wanted.includes(watcher) ? before : undefined);
  }

  /** Gives a member another userid, wherever it is named. To be called in a change. @throws Error where that cannot be */
  renameUser(userid: string, newUserid: string): void {
    const user = this.users.get(userid);
    if (!user) throw new Error(`There is no member "${userid}".`);
    if (user.formerUserid !== undefined) throw new Error('A userid can be changed once.');
    if (this.users.has(newUserid)) throw new Error(`"${newUserid}" is somebody else’s.`);
    const renamed = (id: string) => (id === userid ? newUserid : id);
    this.users.delete(userid);
    this.users.set(newUserid, { ...user, userid: newUserid, formerUserid: userid });
    for (const [id, other] of this.users) {
      if (other.direct_leader?.includes(userid))
        this.users.set(id, { ...other, direct_leader: other.direct_leader.map(renamed) });
    }
    for (const [id, tag] of this.tags) {
      if (tag.users.includes(userid)) this.tags.set(id, { ...tag, users: tag.users.map(renamed) });
    }
  }

  /** To be called after a change by other means. */
  announce(): void {
    for (const watcher of this.watchers) watcher.afterChange(undefined);
  }

  /** @throws Error when the file has no such later revision */
  advanceTo(revision: number): void {
    if (!Number.isInteger(revision) || revision < this.current || revision > this.lastRevision) {
      throw new Error(
        `Revisions go forward, from ${this.current} to ${this.lastRevision} at most; ${revision} was asked for.`,
      );
    }
    for (const next of this.revisions) {
      if (next.rev <= this.current || next.rev > revision) continue;
      for (const operation of next.ops) this.apply(operation);
    }
    this.current = revision;
  }

  /** A copy deep enough for comparing: departments, users and tags are replaced as wholes. */
  state(): OrganizationState {
    return {
      departments: [...this.departments.values()],
      users: [...this.users.values()],
      tags: [...this.tags.values()],
    };
  }

  /** Over the state in its canonical form; equals the file's own sum of the current revision. */
  checksum(): string {
    const sum = createHash('sha256');
    for (const d of [...this.departments.values()].sort((a, b) => a.id - b.id)) sum.update(`D ${canonical(d)}\n`);
    const byBytes = (a: SandboxUser, b: SandboxUser) => Buffer.compare(Buffer.from(a.userid), Buffer.from(b.userid));
    for (const u of [...this.users.values()].sort(byBytes)) sum.update(`U ${canonical(u)}\n`);
    return sum.digest('hex');
  }

  /** The file's own sum of a revision, where it has one. */
  recordedChecksum(revision: number): string | undefined {
    return this.revisions.find((r) => r.rev === revision)?.sha256;
  }

  private apply(operation: Operation): void {
    switch (operation.op) {
      case 'dept.create':
        this.departments.set(operation.dept.id, operation.dept);
        break;
      case 'dept.update': {
        const former = this.departments.get(operation.id);
        if (former) this.departments.set(operation.id, { ...former, ...operation.set });
        break;
      }
      case 'dept.delete':
        this.departments.delete(operation.id);
        break;
      case 'user.create':
        this.users.set(operation.user.userid, operation.user);
        break;
      case 'user.update': {
        const former = this.users.get(operation.userid);
        if (!former) break;
        const next: SandboxUser = { ...former, ...operation.set };
        for (const key of operation.unset ?? []) delete next[key];
        this.users.set(operation.userid, next);
        break;
      }
      case 'user.delete':
        this.users.delete(operation.userid);
        break;
    }
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, v]) => v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, v]) => `${JSON.stringify(key)}:${canonical(v)}`)}}`;
}

const SHIPPED = path.join(projectRoot(), 'src', 'sandbox', 'organizations');

/** The organisations that come with the project. */
export function shippedOrganizations(): string[] {
  return readdirSync(SHIPPED, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

/**
 * Opens a file, or an organisation that comes with the project.
 * @throws Error that says what is wrong with the file
 */
export function openOrganization(nameOrFile: string): Organization {
  const shipped = path.join(SHIPPED, nameOrFile, 'history.jsonl.gz');
  const file = /^[\w-]+$/.test(nameOrFile) && existsSync(shipped) ? shipped : nameOrFile;
  if (!existsSync(file)) {
    throw new Error(
      `There is no organisation "${nameOrFile}": give a file, or one of ${shippedOrganizations().join(', ')}.`,
    );
  }
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return /\.jsonl(\.gz)?$/.test(file) ? fromHistory(text, file) : new Organization(parseState(JSON.parse(text), file));
}

function fromHistory(text: string, file: string): Organization {
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const [first, ...rest] = lines;
  if (!first?.state) throw new Error(`The first line of ${file} has no "state".`);
  return new Organization(parseState(first.state, file), [{ ...first, ops: [] }, ...rest]);
}

function parseState(value: unknown, file: string): OrganizationState {
  const parsed = organizationState.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`${file} is no organisation:\n${problems.join('\n')}`);
}
