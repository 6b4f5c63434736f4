import type { DirectoryExtent } from '../../connector/directory-connector';
import type { ScopeState } from '../task/sync-task.entity';

/** How many reasons a certificate spells out; the rest is counted. */
export const REASONS_SHOWN = 20;

/** What a task could see: what the directory shows, and which of the chosen departments are there. */
export interface SnapshotExtent extends DirectoryExtent {
  /** With a partial scope: the chosen departments that the snapshot has. */
  readonly chosenDepartmentIds: readonly string[];
}

/** What a snapshot has of directory groups. */
export interface GroupFacts {
  readonly groups: number;
  /** Whether the list of groups was read, so that every one of them was asked for. */
  readonly listed: boolean;
  readonly problems: readonly string[];
  readonly problemCount: number;
  /** Why they were not to be read at all; undefined where they were. */
  readonly leftAlone: string | undefined;
}

/** What certifying a snapshot looks at, as counted from its rows. */
export interface SnapshotFacts {
  /** What could not be read, or not understood. */
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly departments: number;
  readonly employees: number;
  readonly pages: number;
  readonly extent: SnapshotExtent;
  /** Fields that the directory stopped showing while it was read. */
  readonly fieldsWithdrawn: readonly string[];
  /** Departments that the extent names and the snapshot lacks. */
  readonly unlistedDepartments: readonly string[];
  /** That of the last complete snapshot whose removals were decided; undefined for the first. */
  readonly formerExtent: SnapshotExtent | undefined;
  readonly includesEmployees: boolean;
  /** Undefined where the directory has none, or only departments were read. */
  readonly groups: GroupFacts | undefined;
  /** Today's settings: a department that is no longer chosen is not lost. */
  readonly scope: ScopeState;
}

/** The verdict on a snapshot. */
export interface Verdict {
  /** Whether absence from it may be believed. */
  readonly complete: boolean;
  /** The same of groups; null where they were left alone. */
  readonly groupsComplete: boolean | null;
  /** What could be seen the last time and no longer can: removals then wait for approval, however few. */
  readonly lost: readonly string[];
  /** Why it is not complete, why removals wait, or what was left alone, in plain words. */
  readonly reasons: string[];
}

/** Whether a snapshot may be believed where something is missing from it. Pure. */
export function certify(facts: SnapshotFacts): Verdict {
  const reasons = spelledOut(facts);
  if (facts.unlistedDepartments.length > 0) {
    reasons.push(
      `Departments of the visible range are not in the list of departments: ${firstOf(facts.unlistedDepartments)}.`,
    );
  }
  if (isEmptyRange(facts.extent)) {
    reasons.push(
      'The visible range is empty, so that nobody can be seen: choose departments, members or tags in the directory’s console.',
    );
  } else if (facts.includesEmployees && facts.employees === 0) {
    reasons.push(
      'The directory showed no employee at all: a withdrawn visible range looks the same as an empty company.',
    );
  }
  if (!facts.includesEmployees && facts.departments === 0) reasons.push('The directory showed no department at all.');
  const complete = reasons.length === 0;
  const lost = facts.formerExtent ? lostFrom(facts.formerExtent, facts.extent, facts.scope) : [];
  if (lost.length > 0) {
    reasons.push(shrankReason(lost));
  }
  if (facts.fieldsWithdrawn.length > 0) {
    reasons.push(
      `The directory stopped showing ${firstOf(facts.fieldsWithdrawn)} while it was read: what is here of that stays.`,
    );
  }
  const { groups } = facts;
  if (groups?.leftAlone) reasons.push(`Directory groups are left alone: ${groups.leftAlone}`);
  if (groups) reasons.push(...spelledOut(groups));
  const groupsComplete = groups && !groups.leftAlone ? groups.listed && groups.problemCount === 0 : null;
  return { complete, groupsComplete, lost, reasons };
}

function isEmptyRange({ departmentIds, employeeIds, groupIds }: SnapshotExtent): boolean {
  return departmentIds.length + employeeIds.length + groupIds.length === 0;
}

function spelledOut({ problems, problemCount }: Pick<SnapshotFacts, 'problems' | 'problemCount'>): string[] {
  const shown = problems.slice(0, REASONS_SHOWN);
  return problemCount > shown.length ? [...shown, `and ${problemCount - shown.length} more pages`] : shown;
}

/** What no longer can be seen, in plain words. Pure. */
export function shrankReason(lost: readonly string[]): string {
  return `What can be seen shrank: ${firstOf(lost)} no longer can. Removals wait for approval.`;
}

/** As many as a reason names. Pure. */
export function firstOf(names: readonly string[]): string {
  const more = names.length > REASONS_SHOWN ? ` and ${names.length - REASONS_SHOWN} more` : '';
  return `${names.slice(0, REASONS_SHOWN).join(', ')}${more}`;
}

/** What was seen, is still chosen, and no longer can be seen. Pure. */
export function lostFrom(former: SnapshotExtent, now: SnapshotExtent, scope: ScopeState): string[] {
  const gone = (label: string, before: readonly string[], after: readonly string[]) => {
    const still = new Set(after);
    return before.filter((id) => !still.has(id)).map((id) => `${label} ${id}`);
  };
  const stillChosen = (former.chosenDepartmentIds ?? []).filter((id) => scope.departmentIds.includes(id));
  return [
    ...gone('department', former.departmentIds, now.departmentIds),
    ...gone('employee', former.employeeIds, now.employeeIds),
    ...gone('group', former.groupIds, now.groupIds),
    ...gone('the chosen department', stillChosen, now.chosenDepartmentIds),
  ];
}
