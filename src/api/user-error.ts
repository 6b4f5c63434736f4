import { Field, ObjectType, registerEnumType } from 'type-graphql';

/** What a caller can act on. Grows by codes, never changes one. */
export enum UserErrorCode {
  INVALID_NAME = 'INVALID_NAME',
  NAME_TAKEN = 'NAME_TAKEN',
  INVALID_INPUT = 'INVALID_INPUT',
  NOT_FOUND = 'NOT_FOUND',
  VERSION_CONFLICT = 'VERSION_CONFLICT',
  ENABLED_SOURCE_LIMIT = 'ENABLED_SOURCE_LIMIT',
  CUSTOM_SOURCE_LIMIT = 'CUSTOM_SOURCE_LIMIT',
  SOURCE_CLOSED = 'SOURCE_CLOSED',
  SCHEMA_INVALID = 'SCHEMA_INVALID',
  SYNC_NOT_APPLICABLE = 'SYNC_NOT_APPLICABLE',
  TASK_RUNNING = 'TASK_RUNNING',
  TASK_NOT_CANCELABLE = 'TASK_NOT_CANCELABLE',
  SOURCE_ENABLED = 'SOURCE_ENABLED',
  AUTHORIZATION_REQUIRED = 'AUTHORIZATION_REQUIRED',
  AUTHORIZATION_EXPIRED = 'AUTHORIZATION_EXPIRED',
  AUTHORIZATION_REFUSED = 'AUTHORIZATION_REFUSED',
  COMPANY_ALREADY_CONNECTED = 'COMPANY_ALREADY_CONNECTED',
  TASK_NOT_REVERTIBLE = 'TASK_NOT_REVERTIBLE',
  PREVIEW_STALE = 'PREVIEW_STALE',
  CHANGED_MEANWHILE = 'CHANGED_MEANWHILE',
  DATABASE_INTERRUPTED = 'DATABASE_INTERRUPTED',
  NOTHING_HELD = 'NOTHING_HELD',
  MAPPING_INVALID = 'MAPPING_INVALID',
  FIELD_MANAGED_BY_SOURCE = 'FIELD_MANAGED_BY_SOURCE',
  EXTENSION_FIELD_IN_USE = 'EXTENSION_FIELD_IN_USE',
  VALUE_TAKEN = 'VALUE_TAKEN',
  DEPARTMENT_NOT_EMPTY = 'DEPARTMENT_NOT_EMPTY',
  DEPARTMENT_CYCLE = 'DEPARTMENT_CYCLE',
  IDEMPOTENCY_KEY_REUSED = 'IDEMPOTENCY_KEY_REUSED',
  UPSTREAM_UNREACHABLE = 'UPSTREAM_UNREACHABLE',
  UPSTREAM_REFUSED = 'UPSTREAM_REFUSED',
  UPSTREAM_RATE_LIMITED = 'UPSTREAM_RATE_LIMITED',
  SECRET_UNREADABLE = 'SECRET_UNREADABLE',
  INTERNAL = 'INTERNAL',
}
registerEnumType(UserErrorCode, {
  name: 'UserErrorCode',
  description: 'What a refusal is about; stable, for programs.',
  valuesConfig: {
    INVALID_NAME: { description: 'The name breaks the rules for names; the message has them.' },
    NAME_TAKEN: { description: 'Another object of this kind has this name or identifier: choose another.' },
    INVALID_INPUT: {
      description:
        'A value does not fit its field, or something is in its way; the message says what, and which form it has.',
    },
    NOT_FOUND: {
      description: 'There is no object of that type with this id: it was deleted, or the id is of another type.',
    },
    VERSION_CONFLICT: {
      description:
        'Somebody changed the object in between: read it again, and send the change with what you have read.',
    },
    ENABLED_SOURCE_LIMIT: {
      description:
        'As many sources as allowed are enabled; the message names them: disable one, or raise ROLLCALL_ENABLED_SOURCE_LIMIT.',
    },
    CUSTOM_SOURCE_LIMIT: {
      description: 'As many custom sources as allowed are enabled: disable one, or raise ROLLCALL_CUSTOM_SOURCE_LIMIT.',
    },
    SOURCE_CLOSED: { description: 'The identity source is closed: enable it first.' },
    SCHEMA_INVALID: {
      description: 'The Schema value is not one of WeCom’s form: copy it again from where WeCom shows it.',
    },
    SYNC_NOT_APPLICABLE: {
      description:
        'This identity source has no directory to read: its people are kept here, by createEmployee or importEmployees.',
    },
    TASK_RUNNING: {
      description: 'A task is open that this would disturb: wait until it has ended, or cancel it by cancelSyncTask.',
    },
    TASK_NOT_CANCELABLE: { description: 'The task has ended: what it did can be taken back by revertSyncTask.' },
    SOURCE_ENABLED: { description: 'The identity source is enabled: disable it first.' },
    AUTHORIZATION_REQUIRED: { description: 'No company has authorized the source: startAuthorization first.' },
    AUTHORIZATION_EXPIRED: { description: 'The authorization link has expired: start another one.' },
    AUTHORIZATION_REFUSED: { description: 'The authorization came to nothing; the message says why.' },
    COMPANY_ALREADY_CONNECTED: { description: 'Another source is connected to this company; the message names it.' },
    TASK_NOT_REVERTIBLE: { description: 'The task cannot be undone; the message says why.' },
    PREVIEW_STALE: { description: 'Something changed since the preview: make another one and apply that.' },
    CHANGED_MEANWHILE: {
      description:
        'Something here was changed each time that the task had made its plan: start it again when less is edited.',
    },
    DATABASE_INTERRUPTED: {
      description:
        'The database went away again and again while the task ran: see to it by the server’s log, then start the task again.',
    },
    NOTHING_HELD: {
      description:
        'Nothing of what was named waits for approval: it was decided already, or has lapsed; read the task again.',
    },
    MAPPING_INVALID: {
      description:
        'A field mapping cannot be used; the message says which and why. thirdPartyFields and localFields of the source list what there is.',
    },
    FIELD_MANAGED_BY_SOURCE: {
      description:
        'The directory decides this: change it there, and the next run brings it. Here only position and employmentStatus of a synchronized person are edited.',
    },
    EXTENSION_FIELD_IN_USE: {
      description: 'The extension field is used; the message says by what: take it out there first.',
    },
    VALUE_TAKEN: { description: 'Another has this value, which must be unique: give another, or change theirs first.' },
    DEPARTMENT_NOT_EMPTY: { description: 'People or departments are in it: move them first.' },
    DEPARTMENT_CYCLE: { description: 'A department cannot be moved below itself: choose a parent outside of it.' },
    IDEMPOTENCY_KEY_REUSED: {
      description: 'The idempotency key was used with another input: take a new key for another request.',
    },
    UPSTREAM_UNREACHABLE: {
      description:
        'The directory did not answer, or not with its API: check the network and WECOM_API_URL, and try again.',
    },
    UPSTREAM_REFUSED: {
      description:
        'The directory refused; the message has its code and what to do there. runConnectionChecks tells more.',
    },
    UPSTREAM_RATE_LIMITED: {
      description:
        'The directory asked to slow down for longer than we wait: try again later, or lower WECOM_CALLS_PER_MINUTE.',
    },
    SECRET_UNREADABLE: {
      description:
        'A stored secret was sealed with another encryption key: start with that key among ROLLCALL_FORMER_ENCRYPTION_KEYS, or enter the secret again.',
    },
    INTERNAL: { description: 'A fault of the server; its log has the details: try again, and report it if it stays.' },
  },
});

@ObjectType({
  description: 'Why a mutation was refused, or a task failed, in a form that programs and people can act on.',
})
export class UserError {
  @Field(() => UserErrorCode, { description: 'Stable, for programs.' })
  code: UserErrorCode;

  @Field(() => String, { description: 'Plain English, for people; says what to do.' })
  message: string;

  @Field(() => [String], {
    nullable: true,
    description: 'Path into the input, such as ["input", "name"]; null when it is about no single value.',
  })
  field: readonly string[] | null;
}
