/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Which employees to list; all conditions together. */
export type EmployeeFilter = {
  /** true: only those blocked, false: only those not. */
  blocked?: boolean | null | undefined;
  /** Members of this department only; an unknown one has none. */
  departmentId?: string | null | undefined;
  /** Members of this directory group only; the people of its departments are none by that. Not together with asOf. */
  directoryGroupId?: string | null | undefined;
  /** Of one of these employment statuses. */
  employmentStatus?: Array<EmploymentStatus> | null | undefined;
  /** With these extension values, all of them. */
  extensionValues?: Array<ExtensionFilter> | null | undefined;
  /** Of this identity source only. */
  identitySourceId?: string | null | undefined;
  /** With departmentId: also members of the departments below it. */
  includeSubtree?: boolean | null | undefined;
  /** Of one of these statuses; those present when absent. */
  status?: Array<EmployeeStatus> | null | undefined;
  /** Found in display name (Chinese, its pinyin or initials), user name, English name, e-mail or numbers, ignoring case; viewers cannot search the last two. One or two letters are found at the beginning of a word. As of a past moment it is found as it was written: no pinyin. */
  text?: string | null | undefined;
};

/** How to sort employees. */
export type EmployeeOrder = {
  /** Which end first. */
  direction?: OrderDirection;
  /** With EXTENSION_FIELD, and needed there: the field’s identifier. */
  extensionKey?: string | null | undefined;
  /** By what. */
  field: EmployeeOrderField;
};

/** What employees can be sorted by. Equal ones follow each other as they came. */
export type EmployeeOrderField =
  /** When they came. */
  | 'CREATED_AT'
  /** Display name in pinyin order: by syllable and tone, character by character, the surname as surnames are read; Latin names stand among them by their letters. For the moments in which a large synchronization’s people are being prepared, a list begins as they came; a list once begun goes on in its order. */
  | 'DISPLAY_NAME'
  /** The value of `extensionKey`: numbers as numbers, days as days, everything else by code point; those without one come last in both directions. */
  | 'EXTENSION_FIELD'
  /** Job title by code point; those without one come last in both directions. */
  | 'POSITION'
  /** Status, by the alphabet. */
  | 'STATUS'
  /** When anything about them last changed. */
  | 'UPDATED_AT'
  /** User name, ignoring case. */
  | 'USERNAME';

/** How a person stands. ACTIVE, INACTIVE and DISABLED are present. */
export type EmployeeStatus =
  /** In the directory and usable. */
  | 'ACTIVE'
  /** Disabled in the directory. */
  | 'DISABLED'
  /** In the directory, not activated there yet. */
  | 'INACTIVE'
  /** Gone for longer than the grace period. */
  | 'REMOVED'
  /** Gone from the directory; removed after the grace period, or back with the same id. */
  | 'SUSPENDED';

/** How a person is employed. */
export type EmploymentStatus =
  /** A contractor. */
  | 'CONTRACTOR'
  /** An intern. */
  | 'INTERN'
  /** Has left. */
  | 'LEFT'
  /** On leave. */
  | 'ON_LEAVE'
  /** On probation. */
  | 'PROBATION'
  /** Regular employment. */
  | 'REGULAR'
  /** Not told. */
  | 'UNKNOWN';

/** A condition on an extension field; all of the operators that are given together. Values are texts in any form that the field takes ("7" also finds 7.0). */
export type ExtensionFilter = {
  /** At least so large, or not before. Of NUMBER and DATE. */
  atLeast?: string | null | undefined;
  /** At most so large, or not after. Of NUMBER and DATE. */
  atMost?: string | null | undefined;
  /** Has this in it, ignoring case. Of TEXT. */
  contains?: string | null | undefined;
  /** With exactly this value; null: without one. Of every type. */
  equals?: string | null | undefined;
  /** true: without a value, false: with one, whichever it is. Of every type. */
  isEmpty?: boolean | null | undefined;
  /** The field’s identifier. */
  key: string;
  /** With one of these values. Of every type. */
  oneOf?: Array<string> | null | undefined;
  /** Begins with this, as it is written. Of TEXT. */
  startsWith?: string | null | undefined;
};

/** Which end of the order comes first. */
export type OrderDirection =
  /** The smallest or oldest first. */
  | 'ASC'
  /** The largest or newest first. */
  | 'DESC';

/** What a task is doing. */
export type SyncPhase =
  /** Changing the local organisation. */
  | 'APPLYING'
  /** Reading the directory. */
  | 'FETCHING'
  /** Ended. */
  | 'FINISHED'
  /** Comparing what was read with what is here. */
  | 'PLANNING'
  /** Not begun. */
  | 'WAITING';

/** How a task stands. */
export type SyncTaskStatus =
  /** Canceled before anything was applied. */
  | 'CANCELED'
  /** Nothing was applied; `failure` says why. */
  | 'FAILED'
  /** What was safe is applied; the rest waits for approval. */
  | 'HELD'
  /** Something was not read, or an object failed; the certificate and the records say what. */
  | 'PARTIALLY_SUCCEEDED'
  /** Waits for a worker. */
  | 'QUEUED'
  /** A worker is at it. */
  | 'RUNNING'
  /** The snapshot was proven complete and nothing failed. */
  | 'SUCCEEDED';

/** What a refusal is about; stable, for programs. */
export type UserErrorCode =
  /** The authorization link has expired: start another one. */
  | 'AUTHORIZATION_EXPIRED'
  /** The authorization came to nothing; the message says why. */
  | 'AUTHORIZATION_REFUSED'
  /** No company has authorized the source: startAuthorization first. */
  | 'AUTHORIZATION_REQUIRED'
  /** Something here was changed each time that the task had made its plan: start it again when less is edited. */
  | 'CHANGED_MEANWHILE'
  /** Another source is connected to this company; the message names it. */
  | 'COMPANY_ALREADY_CONNECTED'
  /** As many custom sources as allowed are enabled: disable one, or raise ROLLCALL_CUSTOM_SOURCE_LIMIT. */
  | 'CUSTOM_SOURCE_LIMIT'
  /** The database went away again and again while the task ran: see to it by the server’s log, then start the task again. */
  | 'DATABASE_INTERRUPTED'
  /** A department cannot be moved below itself: choose a parent outside of it. */
  | 'DEPARTMENT_CYCLE'
  /** People or departments are in it: move them first. */
  | 'DEPARTMENT_NOT_EMPTY'
  /** As many sources as allowed are enabled; the message names them: disable one, or raise ROLLCALL_ENABLED_SOURCE_LIMIT. */
  | 'ENABLED_SOURCE_LIMIT'
  /** The extension field is used; the message says by what: take it out there first. */
  | 'EXTENSION_FIELD_IN_USE'
  /** The directory decides this: change it there, and the next run brings it. Here only position and employmentStatus of a synchronized person are edited. */
  | 'FIELD_MANAGED_BY_SOURCE'
  /** The idempotency key was used with another input: take a new key for another request. */
  | 'IDEMPOTENCY_KEY_REUSED'
  /** A fault of the server; its log has the details: try again, and report it if it stays. */
  | 'INTERNAL'
  /** A value does not fit its field, or something is in its way; the message says what, and which form it has. */
  | 'INVALID_INPUT'
  /** The name breaks the rules for names; the message has them. */
  | 'INVALID_NAME'
  /** A field mapping cannot be used; the message says which and why. thirdPartyFields and localFields of the source list what there is. */
  | 'MAPPING_INVALID'
  /** Another object of this kind has this name or identifier: choose another. */
  | 'NAME_TAKEN'
  /** Nothing of what was named waits for approval: it was decided already, or has lapsed; read the task again. */
  | 'NOTHING_HELD'
  /** There is no object of that type with this id: it was deleted, or the id is of another type. */
  | 'NOT_FOUND'
  /** Something changed since the preview: make another one and apply that. */
  | 'PREVIEW_STALE'
  /** The Schema value is not one of WeCom’s form: copy it again from where WeCom shows it. */
  | 'SCHEMA_INVALID'
  /** A stored secret was sealed with another encryption key: start with that key among ROLLCALL_FORMER_ENCRYPTION_KEYS, or enter the secret again. */
  | 'SECRET_UNREADABLE'
  /** The identity source is closed: enable it first. */
  | 'SOURCE_CLOSED'
  /** The identity source is enabled: disable it first. */
  | 'SOURCE_ENABLED'
  /** This identity source has no directory to read: its people are kept here, by createEmployee or importEmployees. */
  | 'SYNC_NOT_APPLICABLE'
  /** The task has ended: what it did can be taken back by revertSyncTask. */
  | 'TASK_NOT_CANCELABLE'
  /** The task cannot be undone; the message says why. */
  | 'TASK_NOT_REVERTIBLE'
  /** A task is open that this would disturb: wait until it has ended, or cancel it by cancelSyncTask. */
  | 'TASK_RUNNING'
  /** The directory asked to slow down for longer than we wait: try again later, or lower WECOM_CALLS_PER_MINUTE. */
  | 'UPSTREAM_RATE_LIMITED'
  /** The directory refused; the message has its code and what to do there. runConnectionChecks tells more. */
  | 'UPSTREAM_REFUSED'
  /** The directory did not answer, or not with its API: check the network and WECOM_API_URL, and try again. */
  | 'UPSTREAM_UNREACHABLE'
  /** Another has this value, which must be unique: give another, or change theirs first. */
  | 'VALUE_TAKEN'
  /** Somebody changed the object in between: read it again, and send the change with what you have read. */
  | 'VERSION_CONFLICT';

export type ListPeopleQueryVariables = Exact<{
  filter?: EmployeeFilter | null | undefined;
  orderBy?: EmployeeOrder | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ListPeopleQuery = { employees: { nodes: Array<{ id: string, displayName: string, username: string, status: EmployeeStatus, mainDepartment: { path: Array<string> } | null, extensionValues: Array<{ value: string | null, field: { key: string } }> }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type StartTaskMutationVariables = Exact<{
  identitySourceId: string;
  idempotencyKey?: string | null | undefined;
}>;


export type StartTaskMutation = { startSyncTask: { syncTask: { id: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, field: Array<string> | null }> } };

export type WatchTasksSubscriptionVariables = Exact<{
  identitySourceId?: string | null | undefined;
  afterSequence?: number | null | undefined;
}>;


export type WatchTasksSubscription = { syncTasks: { sequence: number, task: { id: string, status: SyncTaskStatus, identitySource: { name: string }, progress: { phase: SyncPhase, percent: number } } } };

export type WatchTaskSubscriptionVariables = Exact<{
  id: string;
  afterSequence?: number | null | undefined;
}>;


export type WatchTaskSubscription = { syncTask: { sequence: number, task: { id: string, status: SyncTaskStatus, progress: { phase: SyncPhase, percent: number }, failure: { code: UserErrorCode, message: string } | null } } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}

export const ListPeopleDocument = new TypedDocumentString(`
    query ListPeople($filter: EmployeeFilter, $orderBy: EmployeeOrder, $first: Int, $after: String) {
  employees(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    nodes {
      id
      displayName
      username
      status
      mainDepartment {
        path
      }
      extensionValues {
        field {
          key
        }
        value
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<ListPeopleQuery, ListPeopleQueryVariables>;
export const StartTaskDocument = new TypedDocumentString(`
    mutation StartTask($identitySourceId: ID!, $idempotencyKey: String) {
  startSyncTask(
    input: {identitySourceId: $identitySourceId, idempotencyKey: $idempotencyKey}
  ) {
    syncTask {
      id
    }
    userErrors {
      code
      message
      field
    }
  }
}
    `) as unknown as TypedDocumentString<StartTaskMutation, StartTaskMutationVariables>;
export const WatchTasksDocument = new TypedDocumentString(`
    subscription WatchTasks($identitySourceId: ID, $afterSequence: SafeInt) {
  syncTasks(identitySourceId: $identitySourceId, afterSequence: $afterSequence) {
    sequence
    task {
      id
      status
      identitySource {
        name
      }
      progress {
        phase
        percent
      }
    }
  }
}
    `) as unknown as TypedDocumentString<WatchTasksSubscription, WatchTasksSubscriptionVariables>;
export const WatchTaskDocument = new TypedDocumentString(`
    subscription WatchTask($id: ID!, $afterSequence: SafeInt) {
  syncTask(id: $id, afterSequence: $afterSequence) {
    sequence
    task {
      id
      status
      progress {
        phase
        percent
      }
      failure {
        code
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<WatchTaskSubscription, WatchTaskSubscriptionVariables>;