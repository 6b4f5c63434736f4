import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const IN_MEMORY = '/dev/shm';
/** More than the tests' databases and their log take at any time. */
const ENOUGH = 6 * 1024 ** 3;
const PREFIX = 'rollcall-test-';

/**
 * For all that the tests write, their databases first: in memory, where there is plenty. Each of some hundred tests makes and drops a database of
 * three hundred files, and ext4 without a journal looks at every inode freed in the last minutes whenever it makes a file.
 */
export function makeTestFolder(): string {
  const parent = hasRoom(IN_MEMORY) ? IN_MEMORY : tmpdir();
  removeAbandoned(parent);
  const folder = path.join(parent, `${PREFIX}${process.pid}`);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

function hasRoom(folder: string): boolean {
  if (process.platform !== 'linux' || !existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize >= ENOUGH && process.availableMemory() >= ENOUGH;
}

/** Of runs that were killed. */
function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(PREFIX))) {
    if (!isRunning(Number(name.slice(PREFIX.length))))
      rmSync(path.join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
