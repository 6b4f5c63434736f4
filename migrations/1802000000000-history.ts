import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Former versions of the organisation, kept by triggers so that no writer can forget them. Each transaction that changes it is
 * one numbered change; a row carries the change that it stands `since`, a former version also the one it stood `until`.
 */
export class History1802000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

/** Held from the moment a change is given until its commit can be seen; who asks for a moment waits for it. */
const COMMIT_LOCK = 7_255_504;

/** Versioned tables with what identifies a row. */
const KEYS = { department: ['id'], employee: ['id'], membership: ['employee_id', 'department_id'] };

const CHANGES = [
  // `at` is NULL until the commit; `late`: a change with a larger number was committed before.
  `CREATE TABLE organisation_change (
     number bigint PRIMARY KEY,
     at timestamptz,
     late boolean NOT NULL DEFAULT false
   )`,
  `CREATE SEQUENCE organisation_change_number OWNED BY organisation_change.number`,
  `CREATE INDEX organisation_change_at_idx ON organisation_change (at) WHERE NOT late`,
  `CREATE INDEX organisation_change_late_idx ON organisation_change (at) WHERE late`,
  // What every row stands since that was here before history was kept.
  `INSERT INTO organisation_change (number, at) VALUES (0, '-infinity')`,
  `CREATE TABLE organisation_history (one boolean PRIMARY KEY DEFAULT true CHECK (one), kept_from timestamptz NOT NULL)`,
  `INSERT INTO organisation_history (kept_from)
   SELECT CASE WHEN EXISTS (SELECT FROM department) OR EXISTS (SELECT FROM employee) THEN clock_timestamp() ELSE '-infinity' END`,
  `CREATE FUNCTION open_change() RETURNS void LANGUAGE plpgsql AS $$
   DECLARE change bigint;
   BEGIN
     IF coalesce(current_setting('rollcall.change', true), '') = '' THEN
       change := nextval('organisation_change_number');
       INSERT INTO organisation_change (number) VALUES (change);
       PERFORM set_config('rollcall.change', change::text, true);
     END IF;
   END $$`,
  // So simple that the planner puts its body in its place: it is the default of a column that bulk inserts fill.
  `CREATE FUNCTION current_change() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
     SELECT current_setting('rollcall.change')::bigint
   $$`,
  // Deferred to the commit. One change at a time gets its moment, so that the order of moments is that of commits, and two
  // never share one, whatever the clock does.
  `CREATE FUNCTION date_change() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM pg_advisory_xact_lock(${COMMIT_LOCK});
     -- A paused process must not keep everybody waiting.
     PERFORM set_config('idle_in_transaction_session_timeout', '15000', true);
     UPDATE organisation_change
        SET at = greatest(clock_timestamp(), (SELECT max(c.at) FROM organisation_change c) + interval '1 microsecond'),
            late = EXISTS (SELECT FROM organisation_change c WHERE c.number > NEW.number)
      WHERE number = NEW.number;
     RETURN NULL;
   END $$`,
  `CREATE CONSTRAINT TRIGGER organisation_change_dated AFTER INSERT ON organisation_change DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW WHEN (NEW.at IS NULL) EXECUTE FUNCTION date_change()`,
  // Which changes had been committed at a moment: those up to `last` without those in `overtaken`. The lock lets whoever is
  // committing come to its end, so that nothing is committed later with a moment up to this one. `overtaken` is NULL while a
  // transaction runs that had begun by then: it may have a number below `last`, and nobody sees it before its commit.
  `CREATE FUNCTION organisation_moment(asked timestamptz)
     RETURNS TABLE (last bigint, overtaken bigint[], kept_from timestamptz, is_past boolean) LANGUAGE plpgsql AS $$
   DECLARE settled boolean; newest bigint;
   BEGIN
     PERFORM pg_advisory_xact_lock_shared(${COMMIT_LOCK});
     SELECT c.number INTO newest FROM organisation_change c WHERE NOT c.late AND c.at <= asked ORDER BY c.at DESC LIMIT 1;
     SELECT NOT EXISTS (
       SELECT FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND coalesce(a.backend_type, 'client backend') = 'client backend'
          AND coalesce(a.xact_start <= asked, a.state IS DISTINCT FROM 'idle')) INTO settled;
     RETURN QUERY
       SELECT newest,
              CASE WHEN settled THEN
                ARRAY(SELECT c.number FROM organisation_change c WHERE c.late AND c.at > asked AND c.number < newest) END,
              h.kept_from, asked <= clock_timestamp()
         FROM organisation_history h;
   END $$`,
];

const BEGIN_CHANGE = [
  `CREATE FUNCTION begin_change() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM open_change();
     RETURN NULL;
   END $$`,
  // When an object was last touched is no difference worth a version.
  `CREATE FUNCTION begin_version() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     NEW.since := OLD.since;
     IF TG_TABLE_NAME <> 'membership' THEN OLD.updated_at := NEW.updated_at; END IF;
     IF OLD IS DISTINCT FROM NEW THEN NEW.since := current_change(); END IF;
     RETURN NEW;
   END $$`,
];

/** A version is written by one statement, however many rows a change has; what comes and goes within one change leaves none. */
function versions(table: keyof typeof KEYS): string[] {
  const key = KEYS[table].map((column) => `latter.${column} = former.${column}`).join(' AND ');
  return [
    // Rows here before are marked without being rewritten.
    `ALTER TABLE ${table} ADD since bigint NOT NULL DEFAULT 0`,
    `ALTER TABLE ${table} ALTER since SET DEFAULT current_change()`,
    // \`until\` comes first, so that a column added to both tables stays in line.
    `CREATE TABLE ${table}_version (until bigint NOT NULL, LIKE ${table})`,
    `CREATE INDEX ${table}_version_until_idx ON ${table}_version (until)`,
    `CREATE FUNCTION keep_former_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       INSERT INTO ${table}_version
       SELECT current_change(), former.* FROM former LEFT JOIN latter ON ${key}
        WHERE former.since <> current_change() AND coalesce(latter.since, current_change()) = current_change();
       RETURN NULL;
     END $$`,
    `CREATE FUNCTION keep_deleted_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       INSERT INTO ${table}_version SELECT current_change(), former.* FROM former WHERE former.since <> current_change();
       RETURN NULL;
     END $$`,
    `CREATE TRIGGER ${table}_change_begun BEFORE INSERT OR UPDATE OR DELETE ON ${table} FOR EACH STATEMENT
       EXECUTE FUNCTION begin_change()`,
    `CREATE TRIGGER ${table}_version_begun BEFORE UPDATE ON ${table} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
       EXECUTE FUNCTION begin_version()`,
    `CREATE TRIGGER ${table}_former_kept AFTER UPDATE ON ${table} REFERENCING OLD TABLE AS former NEW TABLE AS latter
       FOR EACH STATEMENT EXECUTE FUNCTION keep_former_${table}()`,
    `CREATE TRIGGER ${table}_deleted_kept AFTER DELETE ON ${table} REFERENCING OLD TABLE AS former
       FOR EACH STATEMENT EXECUTE FUNCTION keep_deleted_${table}()`,
  ];
}

/** Those that the lists of today have: former versions are found and sorted the same way. */
const INDEXES = [
  `CREATE INDEX department_version_idx ON department_version (id, until)`,
  `CREATE INDEX department_version_parent_idx ON department_version (parent_id)`,
  `CREATE INDEX employee_version_idx ON employee_version (id, until)`,
  `CREATE INDEX employee_version_display_name_idx ON employee_version ((display_name COLLATE "C"), id)`,
  `CREATE INDEX employee_version_username_idx ON employee_version (lower(username), id)`,
  `CREATE INDEX membership_version_employee_idx ON membership_version (employee_id, department_id)`,
  `CREATE INDEX membership_version_department_idx ON membership_version (department_id, employee_id)`,
];

/** Of links only the directory's ids: what else they hold is synchronization's own, and changes far more often. */
const LINKS = [
  `ALTER TABLE link ADD since bigint NOT NULL DEFAULT 0`,
  `ALTER TABLE link ALTER since SET DEFAULT current_change()`,
  `CREATE TABLE link_version (
     until bigint NOT NULL,
     since bigint NOT NULL,
     local_id uuid NOT NULL,
     external_id text NOT NULL
   )`,
  `CREATE INDEX link_version_until_idx ON link_version (until)`,
  `CREATE INDEX link_version_idx ON link_version (local_id)`,
  `CREATE FUNCTION keep_former_link() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM open_change();
     IF OLD.since <> current_change() THEN
       INSERT INTO link_version (until, since, local_id, external_id)
       VALUES (current_change(), OLD.since, OLD.local_id, OLD.external_id);
     END IF;
     IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
     NEW.since := current_change();
     RETURN NEW;
   END $$`,
  `CREATE TRIGGER link_change_begun BEFORE INSERT ON link FOR EACH STATEMENT EXECUTE FUNCTION begin_change()`,
  `CREATE TRIGGER link_former_kept BEFORE UPDATE ON link FOR EACH ROW
     WHEN ((OLD.local_id, OLD.external_id) IS DISTINCT FROM (NEW.local_id, NEW.external_id)) EXECUTE FUNCTION keep_former_link()`,
  `CREATE TRIGGER link_deleted_kept BEFORE DELETE ON link FOR EACH ROW EXECUTE FUNCTION keep_former_link()`,
];

/** When sources were out of every list; \`until\` is NULL for those that still are. */
const SOURCES = [
  `CREATE TABLE source_deletion (
     identity_source_id uuid NOT NULL,
     since bigint NOT NULL,
     until bigint
   )`,
  `CREATE INDEX source_deletion_source_idx ON source_deletion (identity_source_id)`,
  `INSERT INTO source_deletion (identity_source_id, since) SELECT id, 0 FROM identity_source WHERE deleted_at IS NOT NULL`,
  `CREATE FUNCTION keep_source_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     PERFORM open_change();
     IF NEW.deleted_at IS NULL THEN
       UPDATE source_deletion SET until = current_change() WHERE identity_source_id = NEW.id AND until IS NULL;
     ELSE
       INSERT INTO source_deletion (identity_source_id, since) VALUES (NEW.id, current_change());
     END IF;
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER identity_source_deletion_kept AFTER UPDATE ON identity_source FOR EACH ROW
     WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION keep_source_deletion()`,
];

const TABLES = Object.keys(KEYS) as (keyof typeof KEYS)[];

const UP = [...CHANGES, ...BEGIN_CHANGE, ...TABLES.flatMap(versions), ...INDEXES, ...LINKS, ...SOURCES];

const DOWN = [
  `DROP TRIGGER identity_source_deletion_kept ON identity_source`,
  `DROP FUNCTION keep_source_deletion()`,
  `DROP TABLE source_deletion`,
  ...['change_begun', 'former_kept', 'deleted_kept'].map((name) => `DROP TRIGGER link_${name} ON link`),
  `DROP FUNCTION keep_former_link()`,
  `DROP TABLE link_version`,
  `ALTER TABLE link DROP since`,
  ...TABLES.flatMap((table) => [
    ...['change_begun', 'version_begun', 'former_kept', 'deleted_kept'].map(
      (name) => `DROP TRIGGER ${table}_${name} ON ${table}`,
    ),
    `DROP FUNCTION keep_former_${table}(), keep_deleted_${table}()`,
    `DROP TABLE ${table}_version`,
    `ALTER TABLE ${table} DROP since`,
  ]),
  `DROP FUNCTION begin_change(), begin_version(), organisation_moment(timestamptz), open_change(), current_change()`,
  `DROP TABLE organisation_history, organisation_change`,
  `DROP FUNCTION date_change()`,
];
