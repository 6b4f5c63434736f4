import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { AppError } from '../../platform/app-error';

/** The user that PostgreSQL runs as: this one, or, as PostgreSQL refuses root, another that the system has. */
export interface ServerUser {
  readonly name: string;
  /** What spawn takes; empty for this process's own user. */
  readonly ids: { readonly uid?: number; readonly gid?: number };
  /** Asked of the system, not worked out: every folder above must let the user through. */
  canRead(file: string): boolean;
  canEnter(folder: string): boolean;
}

/** initdb looks its user up, so it must be one that the system lists. */
const UNPRIVILEGED = ['postgres', 'nobody'];

/** @throws AppError CONFIG_INVALID as root on a system without an unprivileged user */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return { name: 'the current user', ids: {}, canRead: () => true, canEnter: () => true };
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of UNPRIVILEGED) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? [];
    if (uid === undefined || gid === undefined) continue;
    const ids = { uid: Number(uid), gid: Number(gid) };
    const may = (test: '-r' | '-x') => (file: string) =>
      spawnSync('/bin/sh', ['-c', `test ${test} "$0"`, file], { ...ids, cwd: '/' }).status === 0;
    return { name, ids, canRead: may('-r'), canEnter: may('-x') };
  }
  throw new AppError(
    'CONFIG_INVALID',
    'PostgreSQL does not run as root, and the system has neither a user "postgres" nor "nobody": run Rollcall as an ordinary user, or set DATABASE_URL.',
  );
}
