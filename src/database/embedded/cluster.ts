import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AppError } from '../../platform/app-error';
import { installBinaries, packagedBinaries } from './binaries';
import { type ServerUser, serverUser } from './server-user';

/** Where root keeps what another user must reach: the programs, and the data of a folder that this user cannot get to. */
const SHARED_FOLDER = '/var/lib/rollcall';
/** Names the data folder that a cluster there belongs to. */
const OWNER_FILE = 'data-dir';
/** What a start works with. */
export interface Cluster {
  readonly user: ServerUser;
  readonly binaries: string;
  /** PostgreSQL's data folder. */
  readonly folder: string;
  readonly logFile: string;
  readonly password: string;
}

/**
 * The cluster of a data folder, made where there is none.
 * @param dataDir absolute
 * @throws AppError CONFIG_INVALID where this machine cannot run it, or another user or version has made it
 */
export function prepareCluster(dataDir: string): Cluster {
  const user = serverUser();
  const packaged = packagedBinaries();
  const asRoot = user.ids.uid !== undefined;
  const shared = asRoot ? SHARED_FOLDER : dataDir;
  const binaries = installBinaries(packaged, path.join(shared, `postgresql-${packaged.version}`), user);
  const home = asRoot ? homeFor(user, dataDir) : dataDir;
  const cluster = {
    user,
    binaries,
    folder: path.join(home, 'postgres'),
    logFile: path.join(home, 'postgres.log'),
    password: passwordBeside(dataDir, home),
  };
  if (!existsSync(cluster.folder)) initialise(cluster);
  requireOwner(cluster);
  requireVersion(cluster);
  return cluster;
}

/**
 * In the data folder, which may be all that outlives a container, wherever PostgreSQL's user gets there; elsewhere if not, as
 * below a home that is root's alone.
 */
function homeFor(user: ServerUser, dataDir: string): string {
  if (user.canEnter(path.dirname(dataDir))) {
    // Through, but not to look around: what is another's here has a mode of its own.
    chmodSync(dataDir, 0o711);
    return dataDir;
  }
  const home = path.join(SHARED_FOLDER, createHash('sha256').update(dataDir).digest('hex').slice(0, 16));
  mkdirSync(home, { recursive: true, mode: 0o755 });
  writeFileSync(path.join(dataDir, 'postgres-is-in'), `${home}\n`);
  writeFileSync(path.join(home, OWNER_FILE), dataDir);
  removeForgotten();
  return home;
}

/**
 * Clusters whose data folder was a temporary one (a demo's, a test's) and is gone. Others stay: a data folder that is missing may
 * be on a disk that is not mounted.
 */
function removeForgotten(): void {
  for (const entry of readdirSync(SHARED_FOLDER)) {
    const owner = path.join(SHARED_FOLDER, entry, OWNER_FILE);
    if (!existsSync(owner)) continue;
    const dataDir = readFileSync(owner, 'utf8');
    if (dataDir.startsWith(`${realpathSync(tmpdir())}${path.sep}`) && !existsSync(dataDir)) {
      rmSync(path.dirname(owner), { recursive: true, force: true });
    }
  }
}

function passwordBeside(dataDir: string, home: string): string {
  const file = path.join(dataDir, 'postgres.password');
  if (!existsSync(file) || !existsSync(path.join(home, 'postgres'))) {
    writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o600 });
  }
  return readFileSync(file, 'utf8').trim();
}

/** Made under another name and renamed when it is whole, so that a killed start leaves no half cluster. */
function initialise(cluster: Cluster): void {
  const temporary = `${cluster.folder}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { mode: 0o700 });
  const passwordFile = `${temporary}.password`;
  writeFileSync(passwordFile, cluster.password, { mode: 0o600 });
  const { uid, gid } = cluster.user.ids;
  if (uid !== undefined && gid !== undefined) for (const file of [temporary, passwordFile]) chownSync(file, uid, gid);
  const result = spawnSync(
    path.join(cluster.binaries, 'bin', 'initdb'),
    [
      '--pgdata',
      temporary,
      '--username',
      'rollcall',
      '--pwfile',
      passwordFile,
      '--auth',
      'scram-sha-256',
      '--encoding',
      'UTF8',
      '--locale-provider',
      'builtin',
      '--builtin-locale',
      'C.UTF-8',
      '--locale',
      'C',
      '--no-sync',
    ],
    { ...cluster.user.ids, cwd: '/', env: environment(cluster), encoding: 'utf8' },
  );
  rmSync(passwordFile, { force: true });
  if (result.status !== 0) {
    throw new Error(
      `PostgreSQL could not make its data folder: ${result.error?.message ?? `${result.stdout}\n${result.stderr}`}`,
    );
  }
  renameSync(temporary, cluster.folder);
}

/** PostgreSQL works on its own user's folder alone; a start as another user than before must say so, and not begin an empty one. */
function requireOwner({ folder, user }: Cluster): void {
  const mine = user.ids.uid ?? process.getuid?.();
  const { uid } = statSync(folder);
  if (mine === undefined || uid === mine) return;
  const message = `${folder} belongs to the user with number ${uid}, but PostgreSQL is to run as ${user.name} (${mine}): start Rollcall as the user that made it, or give the folder to the other with chown -R.`;
  throw new AppError('CONFIG_INVALID', message);
}

function requireVersion(cluster: Cluster): void {
  const made = readFileSync(path.join(cluster.folder, 'PG_VERSION'), 'utf8').trim();
  const major = path.basename(cluster.binaries).replace('postgresql-', '').split('.')[0];
  if (made === major) return;
  const message = `${cluster.folder} was made by PostgreSQL ${made}, but this Rollcall brings ${major}: move the data over with pg_dump, or set DATABASE_URL.`;
  throw new AppError('CONFIG_INVALID', message);
}

/** What PostgreSQL's programs are started with. */
export function environment(cluster: Cluster): NodeJS.ProcessEnv {
  const lib = path.join(cluster.binaries, 'lib');
  return { PATH: process.env['PATH'], LC_ALL: 'C', LD_LIBRARY_PATH: lib, DYLD_LIBRARY_PATH: lib, TZ: 'UTC' };
}
