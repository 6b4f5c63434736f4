/**
 * Every failure that the project raises on purpose, with whether trying again can help and how loud its log line is.
 * The closed list is what callers, logs and documentation share.
 */
export const APP_ERRORS = {
  /** The configuration is wrong; the message lists every problem. */
  CONFIG_INVALID: { retryable: false, log: 'error' },
  /** The directory did not answer, answered late, or answered something that is not its API. */
  UPSTREAM_UNREACHABLE: { retryable: true, log: 'warn' },
  /** The directory answered and said no; `DirectoryError.thirdPartyCode` has its code. */
  UPSTREAM_REFUSED: { retryable: false, log: 'warn' },
  /** The directory asked us to slow down, for longer than a task waits. */
  UPSTREAM_RATE_LIMITED: { retryable: true, log: 'warn' },
  /** A source that no company has authorized, or whose company has cancelled, has nothing to read its directory with. */
  AUTHORIZATION_REQUIRED: { retryable: false, log: 'info' },
  /** Another worker owns the sync task now; whatever this one still does is rolled back. */
  LEASE_LOST: { retryable: false, log: 'warn' },
  /** Something changed since a preview was made. */
  PREVIEW_STALE: { retryable: false, log: 'info' },
  /** Something here changed again each time that a plan was made. */
  CHANGED_MEANWHILE: { retryable: true, log: 'warn' },
  /** The database went away again and again while a task ran. */
  DATABASE_INTERRUPTED: { retryable: true, log: 'error' },
  /** The sync task was canceled while it ran. */
  TASK_CANCELED: { retryable: false, log: 'info' },
  /** A stored secret cannot be read: the encryption key is not the one it was written with. */
  SECRET_UNREADABLE: { retryable: false, log: 'error' },
} as const;

export type AppErrorCode = keyof typeof APP_ERRORS;

/** A failure with a code from {@link APP_ERRORS}. The message says what to do next and holds no secret. */
export class AppError extends Error {
  constructor(
    readonly code: AppErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }

  get retryable(): boolean {
    return APP_ERRORS[this.code].retryable;
  }
}
