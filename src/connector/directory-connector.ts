import { AppError } from '../platform/app-error';

/**
 * The whole surface between Rollcall and one directory. A connector knows its directory and nothing of the database or
 * of GraphQL; the sync engine knows this file and nothing of any directory.
 */

/** A field of the directory as it was received: text, several texts (direct leaders), or nothing. */
export type ThirdPartyValue = string | readonly string[] | null;

/** Values by the directory's own field names (WeCom: `name`, `mobile`, `extattr.工号`). An absent key was not told. */
export type ThirdPartyFields = Readonly<Record<string, ThirdPartyValue>>;

/** What is told of a department's or a person's fields. */
export interface HasFields {
  readonly fields: ThirdPartyFields;
  /** Fields whose value is of no type that a field can have, such as an object; `fields` shows it as text. Absent where there are none. */
  readonly unusable?: readonly string[];
}

/** One department as the directory tells it. */
export interface ThirdPartyDepartment extends HasFields {
  /** As received; compare by {@link DirectoryConnector.keyOf}. */
  readonly externalId: string;
  /** Null at the top. May name a department that is not visible. */
  readonly parentId: string | null;
  /** Larger comes first; null where the directory has no order. Unsigned 32-bit in WeCom. */
  readonly order: number | null;
  /** External ids of the people who lead it; undefined where the directory does not say. */
  readonly leaderIds: readonly string[] | undefined;
}

/** One person's place in one department. */
export interface ThirdPartyMembership {
  readonly departmentId: string;
  /** Undefined: the person's answer does not say; the department's `leaderIds` decide. */
  readonly isLeader: boolean | undefined;
  /** Larger comes first within the department; null where not told. */
  readonly order: number | null;
}

/** `LEFT` is a leaver although the directory still names the person (WeCom status 5). */
export type ThirdPartyStatus = 'ACTIVE' | 'INACTIVE' | 'DISABLED' | 'LEFT';

/** One person as the directory tells it, whole: every visible department is named, whichever answer it came in. */
export interface ThirdPartyEmployee extends HasFields {
  readonly externalId: string;
  readonly status: ThirdPartyStatus;
  readonly memberships: readonly ThirdPartyMembership[];
  /** Null when none is told or visible. */
  readonly mainDepartmentId: string | null;
}

/** One group as the directory tells it, whole, as far as its members can be seen. */
export interface ThirdPartyGroup {
  readonly externalId: string;
  readonly fields: ThirdPartyFields;
  /** External ids of the people who are in it by themselves. */
  readonly employeeIds: readonly string[];
  /** External ids of the departments that are in it; undefined where the directory does not say. */
  readonly departmentIds: readonly string[] | undefined;
}

/** What one answer of the directory held. Keys stay the same from run to run, so that answers can be compared. */
export interface DirectoryPage<T> {
  /** Such as `departments`, `employees-of:12` (a department's people) or `employee:zhangsan` (one person). */
  readonly key: string;
  /** When the request was sent that was answered, not one that was tried in vain before: nothing in the answer is older. */
  readonly readAt: Date;
  readonly content: PageContent<T>;
}

export type PageContent<T> =
  | {
      readonly kind: 'read';
      /** Of the answer's bytes; equal digests mean equal content. Hexadecimal. */
      readonly digest: string;
      readonly objects: readonly T[];
      /** Elements of the answer that name no object (no id), told in words; the snapshot is then not complete. */
      readonly problems: readonly string[];
    }
  /** The bytes are those of the known digest, so nothing was parsed. */
  | { readonly kind: 'unchanged'; readonly digest: string }
  /** Could not be read after all retries; reading went on with the next page. */
  | { readonly kind: 'unreadable'; readonly error: DirectoryError };

/** How one read of the directory is to be done. */
export interface ReadOptions {
  readonly signal: AbortSignal;
  /** The digest under which this page's content is already stored, if it is: a conditional read. */
  knownDigest(pageKey: string): string | undefined;
  /** Pages that an earlier attempt of the same task has read; they are not yielded again. */
  alreadyRead(pageKey: string): boolean;
}

/** What the directory lets us see, asked before everything else. External ids, as received. */
export interface DirectoryExtent {
  readonly departmentIds: readonly string[];
  readonly employeeIds: readonly string[];
  readonly groupIds: readonly string[];
}

/** Calls made and time waited since the connector was opened. */
export interface ReadStatistics {
  readonly calls: number;
  readonly throttledMs: number;
}

export interface DirectoryConnector {
  /** How ids compare: equal keys, same object. WeCom: plain ids ignoring case, encrypted ids exactly. */
  keyOf(externalId: string): string;

  /**
   * Proves the credentials and asks what is visible.
   * @throws DirectoryError when the directory refuses or cannot be reached
   */
  extent(signal: AbortSignal): Promise<DirectoryExtent>;

  /**
   * Every visible department, in pages, in any order. Ends normally only after the last page.
   * @throws DirectoryError when reading on makes no sense (refused, unreachable, aborted)
   */
  departments(extent: DirectoryExtent, options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyDepartment>>;

  /**
   * Every visible person: the direct members of each of `departmentIds`, and those whom `extent` names by themselves or
   * by a group. One person may come in several pages; each answer is whole, and the later read counts.
   * @throws DirectoryError when reading on makes no sense (refused, unreachable, aborted)
   */
  employees(
    extent: DirectoryExtent,
    departmentIds: readonly string[],
    options: ReadOptions,
  ): AsyncIterable<DirectoryPage<ThirdPartyEmployee>>;

  /** One department, read again; undefined once the directory no longer has it or shows it. */
  department(externalId: string, signal: AbortSignal): Promise<ThirdPartyDepartment | undefined>;

  /**
   * One person, read again; undefined once the directory no longer has or shows them.
   * @throws GoneUnlessListed where its answer alone does not say so; DirectoryError
   */
  employee(externalId: string, signal: AbortSignal): Promise<ThirdPartyEmployee | undefined>;

  /**
   * Tries out what an administrator can get wrong in the directory's console.
   * @throws never for what the directory answers: that is what the checks tell
   */
  check(signal: AbortSignal): Promise<ConnectorCheck[]>;

  statistics(): ReadStatistics;
}

/** The key of the page that says that every group was asked for. */
export const GROUP_LIST_PAGE = 'groups';

/** For directories that keep groups beside their tree (WeCom: tags). */
export interface HasGroups {
  /**
   * Every group that can be seen, each a page `group:<id>`. The page {@link GROUP_LIST_PAGE}, which holds none, comes last: it
   * says that all of them were asked for; a list that could not be read makes it unreadable. No unreadable group ends the read.
   * @throws NotPermitted when groups may not be read at all; DirectoryError when nothing else could be read either
   */
  groups(options: ReadOptions): AsyncIterable<DirectoryPage<ThirdPartyGroup>>;

  /**
   * One group, read again; undefined once the directory no longer has it, or lists groups and not this one.
   * @throws NotPermitted where the group may not be read, which says nothing about whether it is there; DirectoryError
   */
  group(externalId: string, signal: AbortSignal): Promise<ThirdPartyGroup | undefined>;
}

export function hasGroups(connector: DirectoryConnector): connector is DirectoryConnector & HasGroups {
  return 'groups' in connector;
}

/** One thing that must be right for the connection to work. */
export interface ConnectorCheck {
  /** Such as CREDENTIAL; stable. */
  readonly name: string;
  readonly outcome: 'PASSED' | 'WARNING' | 'FAILED' | 'SKIPPED';
  /** What was found, in plain words. */
  readonly message: string;
  /** What to do about it, naming the step in the directory's console; null where nothing is to be done. */
  readonly advice: string | null;
  readonly thirdPartyCode: string | null;
}

/** A field that a directory can tell, for mappings. */
export interface ConnectorField {
  readonly objectType: 'DEPARTMENT' | 'EMPLOYEE';
  /** The key in {@link ThirdPartyFields}. */
  readonly name: string;
  /** English, for people. */
  readonly label: string;
  /** Values that the directory puts where it tells nothing (WeCom's gender "0"). */
  readonly notTold?: readonly string[];
}

/**
 * The directory said no, or nothing. The message says in plain words what happened, `advice` what to do about it; neither
 * holds a secret.
 */
export class DirectoryError extends AppError {
  constructor(
    code: 'UPSTREAM_UNREACHABLE' | 'UPSTREAM_REFUSED' | 'UPSTREAM_RATE_LIMITED',
    message: string,
    /** The directory's own error code (WeCom: errcode), as text; undefined when it gave none. */
    readonly thirdPartyCode: string | undefined,
    readonly advice: string,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
  }

  /** Whether nothing else can be read either, so that reading on makes no sense. */
  get stopsReading(): boolean {
    return false;
  }
}

/** The directory does not let this app read objects of one kind: they are left alone, and everything else goes on. */
export class NotPermitted extends DirectoryError {
  constructor(cause: DirectoryError) {
    super('UPSTREAM_REFUSED', cause.message, cause.thirdPartyCode, cause.advice, { cause });
  }
}

/** What the directory says as well of objects that it has: they are gone only where none of its lists, read whole, names them. */
export class GoneUnlessListed extends DirectoryError {
  constructor(cause: DirectoryError) {
    super('UPSTREAM_REFUSED', cause.message, cause.thirdPartyCode, cause.advice, { cause });
  }
}

/** A token of a directory and how long it may be used. */
export interface AccessToken {
  readonly token: string;
  readonly lifetimeMs: number;
}

/** Keeps access tokens for all callers, and in production for all processes. */
export interface AccessTokenStore {
  /**
   * A usable token. `fetch` runs at most once at a time for a key, whoever asks, and everyone who asked meanwhile gets its
   * result. What `fetch` throws reaches all of them.
   * @param key names company and app, never a secret
   * @param rejected a token that the directory has just refused: it is not handed out again
   */
  token(key: string, fetch: () => Promise<AccessToken>, rejected?: string): Promise<string>;
}
