import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The whole foundation: sources, the local organisation, snapshots, tasks, records, events, access. */
export class Foundation1795000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...FUNCTIONS, ...SOURCES, ...ORGANISATION, ...SYNCHRONIZATION, ...SNAPSHOT, ...EVENTS]) {
      await runner.query(statement);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP FUNCTION number_events(), canonical(text, text)`);
    await runner.query(`DROP TABLE event_counter, event, staged_employee, staged_department, task_page, snapshot_page,
      sync_record, sync_task, link, membership, employee, department, idempotency_key, access_token, api_token,
      identity_source`);
    await runner.query(`DROP FUNCTION new_id()`);
  }
}

const FUNCTIONS = [
  // UUID version 7 (RFC 9562): time-ordered, so that new rows go to the end of every index. PostgreSQL 18 has its own; 15 is supported.
  `CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
     SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
       PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
   $$`,
  // How two values of a field compare: composed (NFC) and trimmed; e-mail without case; phones by digits and the plus sign.
  `CREATE FUNCTION canonical(field text, value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
     SELECT NULLIF(CASE
       WHEN value IS NULL THEN NULL
       WHEN field = 'email' THEN lower(btrim(normalize(value, NFC), E' \\t\\r\\n\\u3000'))
       WHEN field IN ('mobile', 'telephone') AND value ~ '^[-+() .0-9]+$' THEN regexp_replace(value, '[^+0-9]', '', 'g')
       ELSE btrim(normalize(value, NFC), E' \\t\\r\\n\\u3000') END, '')
   $$`,
];

const SOURCES = [
  `CREATE TABLE identity_source (
     id uuid PRIMARY KEY DEFAULT new_id(),
     type text NOT NULL CHECK (type IN ('WECOM', 'CUSTOM')),
     name text NOT NULL,
     description text,
     status text NOT NULL CHECK (status IN ('ENABLED', 'CLOSED')),
     schema text,
     wecom_mode text CHECK (wecom_mode IN ('SERVICE_PROVIDER', 'SELF_BUILT')),
     corp_id text,
     agent_id text,
     sealed_secret text,
     secret_changed_at timestamptz,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now(),
     deleted_at timestamptz,
     CHECK ((type = 'WECOM') = (wecom_mode IS NOT NULL))
   )`,
  `CREATE UNIQUE INDEX identity_source_name_idx ON identity_source (lower(name)) WHERE deleted_at IS NULL`,
  `CREATE TABLE api_token (
     id uuid PRIMARY KEY DEFAULT new_id(),
     name text NOT NULL,
     role text NOT NULL CHECK (role IN ('VIEWER', 'OPERATOR', 'ADMINISTRATOR')),
     token_hash bytea NOT NULL UNIQUE,
     expires_at timestamptz,
     revoked_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE TABLE access_token (
     key text PRIMARY KEY,
     sealed_token text,
     expires_at timestamptz NOT NULL DEFAULT '-infinity'
   )`,
  `CREATE TABLE idempotency_key (
     operation text NOT NULL,
     key text NOT NULL,
     input_digest bytea NOT NULL,
     object_id uuid NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (operation, key)
   )`,
];

const ORGANISATION = [
  `CREATE TABLE department (
     id uuid PRIMARY KEY DEFAULT new_id(),
     identity_source_id uuid NOT NULL REFERENCES identity_source,
     parent_id uuid REFERENCES department DEFERRABLE INITIALLY DEFERRED,
     name text NOT NULL,
     english_name text,
     "order" bigint,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX department_parent_idx ON department (parent_id)`,
  `CREATE INDEX department_source_idx ON department (identity_source_id, id)`,
  `CREATE TABLE employee (
     id uuid PRIMARY KEY DEFAULT new_id(),
     identity_source_id uuid NOT NULL REFERENCES identity_source,
     username text NOT NULL,
     display_name text NOT NULL,
     english_name text,
     position text,
     email text,
     mobile text,
     telephone text,
     address text,
     gender text CHECK (gender IN ('MALE', 'FEMALE', 'UNKNOWN')),
     employment_status text NOT NULL DEFAULT 'UNKNOWN'
       CHECK (employment_status IN ('REGULAR', 'PROBATION', 'INTERN', 'CONTRACTOR', 'ON_LEAVE', 'LEFT', 'UNKNOWN')),
     status text NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE', 'DISABLED', 'SUSPENDED', 'REMOVED')),
     manager_id uuid REFERENCES employee ON DELETE SET NULL,
     main_department_id uuid REFERENCES department ON DELETE SET NULL,
     suspended_at timestamptz,
     removal_due_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now(),
     -- Deferred, so that two people can swap user names within one run.
     CONSTRAINT employee_username_taken EXCLUDE (identity_source_id WITH =, lower(username) WITH =)
       WHERE (status IN ('ACTIVE', 'INACTIVE', 'DISABLED')) DEFERRABLE INITIALLY DEFERRED
   )`,
  `CREATE INDEX employee_source_idx ON employee (identity_source_id, id)`,
  `CREATE INDEX employee_manager_idx ON employee (manager_id) WHERE manager_id IS NOT NULL`,
  `CREATE INDEX employee_main_department_idx ON employee (main_department_id)`,
  `CREATE TABLE membership (
     employee_id uuid NOT NULL REFERENCES employee ON DELETE CASCADE,
     department_id uuid NOT NULL REFERENCES department ON DELETE CASCADE,
     is_leader boolean NOT NULL DEFAULT false,
     "order" bigint,
     PRIMARY KEY (employee_id, department_id)
   )`,
  `CREATE INDEX membership_department_idx ON membership (department_id, employee_id)`,
  // What a directory's object is here, apart from the wide rows, so that an unchanged person costs no write.
  `CREATE TABLE link (
     identity_source_id uuid NOT NULL,
     kind text NOT NULL CHECK (kind IN ('DEPARTMENT', 'EMPLOYEE', 'GROUP')),
     external_key text NOT NULL,
     external_id text NOT NULL,
     local_id uuid NOT NULL,
     hash bytea,
     read_at timestamptz NOT NULL,
     missing_since timestamptz,
     unresolved text[],
     PRIMARY KEY (identity_source_id, kind, external_key)
   )`,
  `CREATE UNIQUE INDEX link_local_idx ON link (local_id)`,
  `CREATE INDEX link_unresolved_idx ON link (identity_source_id) WHERE unresolved IS NOT NULL`,
];

const SYNCHRONIZATION = [
  `CREATE TABLE sync_task (
     id uuid PRIMARY KEY DEFAULT new_id(),
     identity_source_id uuid NOT NULL REFERENCES identity_source,
     mode text NOT NULL CHECK (mode IN ('APPLY', 'PREVIEW')),
     trigger text NOT NULL CHECK (trigger IN ('MANUAL', 'SCHEDULED', 'EVENT', 'REVERT')),
     status text NOT NULL DEFAULT 'QUEUED'
       CHECK (status IN ('QUEUED', 'RUNNING', 'HELD', 'SUCCEEDED', 'PARTIALLY_SUCCEEDED', 'FAILED', 'CANCELED')),
     started_by text,
     includes_employees boolean NOT NULL DEFAULT true,
     queued_at timestamptz NOT NULL DEFAULT now(),
     started_at timestamptz,
     finished_at timestamptz,
     applied_at timestamptz,
     cancel_requested_at timestamptz,
     fence integer NOT NULL DEFAULT 0,
     lease_until timestamptz,
     progress jsonb NOT NULL DEFAULT '{}',
     counters jsonb NOT NULL DEFAULT '[]',
     certificate jsonb,
     extent jsonb,
     failure jsonb,
     mappings jsonb NOT NULL,
     mapping_version text NOT NULL,
     planned_at timestamptz,
     last_sequence bigint NOT NULL DEFAULT 0
   )`,
  `CREATE UNIQUE INDEX one_open_task_per_source ON sync_task (identity_source_id, (trigger = 'EVENT'))
     WHERE status IN ('QUEUED', 'RUNNING')`,
  `CREATE INDEX sync_task_source_idx ON sync_task (identity_source_id, id)`,
  // One row for each object that a task changes; result NULL: what the task's own state says (planned, then applied).
  `CREATE TABLE sync_record (
     id uuid PRIMARY KEY DEFAULT new_id(),
     task_id uuid NOT NULL,
     ordinal integer NOT NULL,
     object_type text NOT NULL,
     external_key text NOT NULL,
     external_id text NOT NULL,
     local_id uuid,
     name text NOT NULL,
     action text NOT NULL,
     result text CHECK (result IN ('HELD', 'SKIPPED', 'FAILED')),
     reason_code text,
     third_party jsonb,
     before jsonb,
     after jsonb,
     changed text[] NOT NULL DEFAULT '{}',
     edges jsonb,
     hash bytea,
     read_at timestamptz
   )`,
  `CREATE UNIQUE INDEX sync_record_task_idx ON sync_record (task_id, ordinal)`,
];

const SNAPSHOT = [
  // One version of one answer of the directory. Several tasks' snapshots share it while it stays the same.
  `CREATE TABLE snapshot_page (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     identity_source_id uuid NOT NULL,
     object_type text NOT NULL,
     page_key text NOT NULL,
     digest text NOT NULL,
     mapping_version text NOT NULL,
     keys text[] NOT NULL,
     applied boolean NOT NULL DEFAULT false
   )`,
  `CREATE INDEX snapshot_page_source_idx ON snapshot_page (identity_source_id)`,
  // Which page versions a task's snapshot is made of; page_id NULL: it could not be read.
  `CREATE TABLE task_page (
     task_id uuid NOT NULL REFERENCES sync_task ON DELETE CASCADE,
     object_type text NOT NULL,
     page_key text NOT NULL,
     page_id bigint REFERENCES snapshot_page,
     read_at timestamptz NOT NULL,
     problem text,
     PRIMARY KEY (task_id, object_type, page_key)
   )`,
  `CREATE INDEX task_page_page_idx ON task_page (page_id)`,
  `CREATE TABLE staged_department (
     page_id bigint NOT NULL,
     external_key text NOT NULL,
     external_id text NOT NULL,
     parent_key text,
     "order" bigint,
     leader_keys text[],
     third_party jsonb NOT NULL,
     mapped jsonb NOT NULL,
     hash bytea NOT NULL,
     PRIMARY KEY (page_id, external_key)
   )`,
  `CREATE TABLE staged_employee (
     page_id bigint NOT NULL,
     external_key text NOT NULL,
     external_id text NOT NULL,
     status text NOT NULL,
     manager_key text,
     main_department_key text,
     department_keys text[] NOT NULL,
     leader_flags boolean[] NOT NULL,
     orders bigint[] NOT NULL,
     third_party jsonb NOT NULL,
     mapped jsonb NOT NULL,
     hash bytea NOT NULL,
     PRIMARY KEY (page_id, external_key)
   )`,
];

const EVENTS = [
  // What subscriptions deliver. Written in the transaction it tells of, numbered right after its commit. An event about a
  // run of records takes as many numbers as there are records.
  `CREATE TABLE event (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     sequence bigint UNIQUE,
     size integer NOT NULL DEFAULT 1,
     kind text NOT NULL CHECK (kind IN ('TASK', 'RECORDS')),
     identity_source_id uuid NOT NULL,
     task_id uuid NOT NULL,
     first_ordinal integer,
     payload jsonb NOT NULL DEFAULT '{}',
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX event_pending_idx ON event (id) WHERE sequence IS NULL`,
  `CREATE INDEX event_task_idx ON event (task_id, sequence)`,
  `CREATE TABLE event_counter (one boolean PRIMARY KEY DEFAULT true CHECK (one), last bigint NOT NULL)`,
  `INSERT INTO event_counter (last) VALUES (0)`,
  // Numbers every committed event that has none yet; the counter's row lock makes it serial, and each statement sees what
  // was committed before it began, so a number once given is never followed by a smaller one.
  `CREATE FUNCTION number_events() RETURNS bigint LANGUAGE plpgsql AS $$
   DECLARE start bigint; total bigint;
   BEGIN
     SELECT last INTO start FROM event_counter FOR UPDATE;
     WITH pending AS (
       SELECT id, size, sum(size) OVER (ORDER BY id) AS running FROM event WHERE sequence IS NULL
     ), numbered AS (
       UPDATE event SET sequence = start + pending.running FROM pending WHERE event.id = pending.id
       RETURNING event.sequence, event.task_id
     ), per_task AS (
       SELECT task_id, max(sequence) AS sequence FROM numbered GROUP BY task_id
     ), tasks AS (
       UPDATE sync_task SET last_sequence = per_task.sequence FROM per_task WHERE sync_task.id = per_task.task_id
     )
     SELECT max(sequence) INTO total FROM numbered;
     IF total IS NULL THEN RETURN start; END IF;
     UPDATE event_counter SET last = total;
     PERFORM pg_notify('rollcall_event', total::text);
     RETURN total;
   END $$`,
];
