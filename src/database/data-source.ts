import { types as pgTypes } from 'pg';
import { DataSource } from 'typeorm';
import { Foundation1795000000000 } from '../../migrations/1795000000000-foundation';
import { SettingsAndHolding1796000000000 } from '../../migrations/1796000000000-settings-and-holding';
import { Access1797000000000 } from '../../migrations/1797000000000-access';
import { DirectoryEvents1798000000000 } from '../../migrations/1798000000000-directory-events';
import { EmployeeCenter1799000000000 } from '../../migrations/1799000000000-employee-center';
import { Authorization1800000000000 } from '../../migrations/1800000000000-authorization';
import { DirectoryGroups1801000000000 } from '../../migrations/1801000000000-directory-groups';
import { History1802000000000 } from '../../migrations/1802000000000-history';
import { PeopleLists1803000000000 } from '../../migrations/1803000000000-people-lists';
import { SharedPace1805000000000 } from '../../migrations/1805000000000-shared-pace';
import { NotedRecords1806000000000 } from '../../migrations/1806000000000-noted-records';
import { PlansInParts1807000000000 } from '../../migrations/1807000000000-plans-in-parts';
import { UnreadEvents1808000000000 } from '../../migrations/1808000000000-unread-events';
import { ManagersDeferred1809000000000 } from '../../migrations/1809000000000-managers-deferred';
import { SearchInBulk1810000000000 } from '../../migrations/1810000000000-search-in-bulk';
import { DecidedAt1813000000000 } from '../../migrations/1813000000000-decided-at';
import { PhonesWithoutDigits1814000000000 } from '../../migrations/1814000000000-phones-without-digits';
import { VersionsPlannedAnew1815000000000 } from '../../migrations/1815000000000-versions-planned-anew';
import { RenamesByIndex1816000000000 } from '../../migrations/1816000000000-renames-by-index';
import { EachChangeOfAnId1817000000000 } from '../../migrations/1817000000000-each-change-of-an-id';
import { NewIdsAsTold1818000000000 } from '../../migrations/1818000000000-new-ids-as-told';
import { CanceledCompanies1819000000000 } from '../../migrations/1819000000000-canceled-companies';
import { IdentitySource } from '../identity-source/identity-source.entity';
import { DirectoryGroup } from '../organisation/directory-group.entity';
import { Department, Employee, Membership } from '../organisation/organisation.entity';
import { SyncTask } from '../sync/task/sync-task.entity';

const INT8 = 20;
// Sequence numbers and WeCom's orders stay below 2^53, so a JavaScript number holds them exactly.
pgTypes.setTypeParser(INT8, Number);

/** Connections for the API, the worker and its heartbeat; PostgreSQL's default limit is 100 for everybody. */
const POOL_SIZE = 20;

/** A server that is ending may take a connection and never say a word. */
export const CONNECT_LIMIT_MS = 30_000;

/** Longer than any lease needs; what a process that was paused for longer holds must not hold up the others. */
const IDLE_LIMIT_SECONDS = 60;

/**
 * The one place that names entities and migrations. Nothing connects before `initialize()`.
 * @param idleLimitSeconds how long an open transaction may do nothing before PostgreSQL ends it
 */
export function createDataSource(url: string, idleLimitSeconds = IDLE_LIMIT_SECONDS): DataSource {
  return new DataSource({
    type: 'postgres',
    url,
    applicationName: 'rollcall',
    poolSize: POOL_SIZE,
    connectTimeoutMS: CONNECT_LIMIT_MS,
    entities: [IdentitySource, Department, Employee, Membership, DirectoryGroup, SyncTask],
    // Room for the tables that a plan is worked out in; a session takes it only when it makes one. What waits to be merged into the
    // indexes of people's search text stays little, since every search goes through it.
    extra: {
      options: `-c temp_buffers=128MB -c gin_pending_list_limit=64kB -c idle_in_transaction_session_timeout=${idleLimitSeconds}s`,
    },
    migrations: [
      Foundation1795000000000,
      SettingsAndHolding1796000000000,
      Access1797000000000,
      DirectoryEvents1798000000000,
      EmployeeCenter1799000000000,
      Authorization1800000000000,
      DirectoryGroups1801000000000,
      History1802000000000,
      PeopleLists1803000000000,
      SharedPace1805000000000,
      NotedRecords1806000000000,
      PlansInParts1807000000000,
      UnreadEvents1808000000000,
      ManagersDeferred1809000000000,
      SearchInBulk1810000000000,
      DecidedAt1813000000000,
      PhonesWithoutDigits1814000000000,
      VersionsPlannedAnew1815000000000,
      RenamesByIndex1816000000000,
      EachChangeOfAnId1817000000000,
      NewIdsAsTold1818000000000,
      CanceledCompanies1819000000000,
    ],
    migrationsTransactionMode: 'each',
    migrationsTableName: 'migration',
    // Without a listener, a connection that PostgreSQL ends while it is idle would end the whole process.
    poolErrorHandler: () => undefined,
  });
}

const MIGRATION_LOCK = 7_255_501;

/**
 * Brings the database to today's schema; of several processes that start at once one does it, the others wait.
 * @throws Error with a plain message when PostgreSQL is older than 15 or not UTF-8
 */
export async function migrate(dataSource: DataSource): Promise<void> {
  await requireUsableServer(dataSource);
  const runner = dataSource.createQueryRunner();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await dataSource.runMigrations();
  } finally {
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    await runner.release();
  }
}

async function requireUsableServer(dataSource: DataSource): Promise<void> {
  const [row] = await dataSource.query(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding`,
  );
  if (row.version < 150_000) throw new Error(`PostgreSQL 15 or newer is needed; this server is ${row.version}.`);
  if (row.encoding !== 'UTF8') throw new Error(`The database must be encoded in UTF8; this one is ${row.encoding}.`);
}
