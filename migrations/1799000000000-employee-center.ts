import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Extension fields, blocking, what is changed here, and finding people. */
export class EmployeeCenter1799000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  `CREATE TABLE extension_field (
     id uuid PRIMARY KEY DEFAULT new_id(),
     object_type text NOT NULL CHECK (object_type IN ('DEPARTMENT', 'EMPLOYEE')),
     key text NOT NULL UNIQUE CHECK (key ~ '^[a-z][a-z0-9_]{0,39}$'),
     display_name text NOT NULL,
     description text,
     type text NOT NULL CHECK (type IN ('TEXT', 'NUMBER', 'BOOLEAN', 'DATE', 'CHOICE')),
     options text[] NOT NULL DEFAULT '{}',
     required boolean NOT NULL DEFAULT false,
     is_unique boolean NOT NULL DEFAULT false,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  // Unique values of those present, kept by a trigger so that no writer can forget them; deferred, so that two can be swapped.
  `CREATE TABLE extension_unique_value (
     identity_source_id uuid NOT NULL,
     field_key text NOT NULL,
     value_key text NOT NULL,
     object_id uuid NOT NULL,
     CONSTRAINT extension_value_taken UNIQUE (identity_source_id, field_key, value_key) DEFERRABLE INITIALLY DEFERRED
   )`,
  `CREATE INDEX extension_unique_value_object_idx ON extension_unique_value (object_id)`,
  `CREATE FUNCTION keep_unique_values() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     DELETE FROM extension_unique_value WHERE object_id = NEW.id;
     IF TG_TABLE_NAME = 'department' OR to_jsonb(NEW) ->> 'status' IN ('ACTIVE', 'INACTIVE', 'DISABLED') THEN
       INSERT INTO extension_unique_value (identity_source_id, field_key, value_key, object_id)
       SELECT NEW.identity_source_id, f.key, canonical(f.key, NEW.extension_values ->> f.key), NEW.id
         FROM extension_field f
        WHERE f.is_unique AND f.object_type = upper(TG_TABLE_NAME) AND canonical(f.key, NEW.extension_values ->> f.key) IS NOT NULL;
     END IF;
     RETURN NULL;
   END $$`,
  `CREATE FUNCTION forget_unique_values() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     DELETE FROM extension_unique_value WHERE object_id = OLD.id;
     RETURN NULL;
   END $$`,
  ...['employee', 'department'].flatMap((table) => [
    `CREATE TRIGGER ${table}_unique_values_made AFTER INSERT ON ${table} FOR EACH ROW
       WHEN (NEW.extension_values <> '{}') EXECUTE FUNCTION keep_unique_values()`,
    `CREATE TRIGGER ${table}_unique_values_changed AFTER UPDATE ON ${table} FOR EACH ROW
       WHEN (NEW.extension_values <> '{}' OR OLD.extension_values <> '{}') EXECUTE FUNCTION keep_unique_values()`,
    `CREATE TRIGGER ${table}_unique_values_gone AFTER DELETE ON ${table} FOR EACH ROW
       WHEN (OLD.extension_values <> '{}') EXECUTE FUNCTION forget_unique_values()`,
  ]),
  `ALTER TABLE employee ADD blocked_at timestamptz, ADD blocked_reason text, ADD blocked_by text`,
  // What people changed here; what synchronization changed is in its records.
  `CREATE TABLE employee_change (
     id uuid PRIMARY KEY DEFAULT new_id(),
     employee_id uuid NOT NULL REFERENCES employee ON DELETE CASCADE,
     at timestamptz NOT NULL DEFAULT now(),
     actor text NOT NULL,
     field text NOT NULL,
     value_from text,
     value_to text
   )`,
  `CREATE INDEX employee_change_employee_idx ON employee_change (employee_id, at DESC)`,
  `CREATE INDEX sync_record_employee_idx ON sync_record (local_id, task_id) WHERE object_type = 'EMPLOYEE'`,
  // How people are found: \`names\` and \`contacts\` hold text to search in, \`tokens\` what is too short for trigrams.
  `CREATE TABLE employee_search (
     employee_id uuid PRIMARY KEY REFERENCES employee ON DELETE CASCADE,
     source text NOT NULL,
     names text NOT NULL,
     contacts text NOT NULL,
     tokens text[] NOT NULL
   )`,
  `CREATE INDEX employee_search_tokens_idx ON employee_search USING gin (tokens) WITH (fastupdate = off)`,
  // Without a list of pending entries: the planner would take its length for the cost of every search.
  // pg_trgm comes with PostgreSQL and may be created by the database's owner; without it longer texts are found by a scan.
  `DO $do$ BEGIN
     CREATE EXTENSION IF NOT EXISTS pg_trgm;
     CREATE INDEX employee_search_names_idx ON employee_search USING gin (names gin_trgm_ops) WITH (fastupdate = off);
     CREATE INDEX employee_search_contacts_idx ON employee_search USING gin (contacts gin_trgm_ops) WITH (fastupdate = off);
   EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'pg_trgm cannot be used: %', SQLERRM;
   END $do$`,
  `CREATE INDEX employee_display_name_idx ON employee ((display_name COLLATE "C"), id)`,
  `CREATE INDEX employee_username_idx ON employee (lower(username), id)`,
];

const DOWN = [
  `DROP INDEX employee_username_idx, employee_display_name_idx`,
  `DROP TABLE employee_search`,
  `DROP INDEX sync_record_employee_idx`,
  `DROP TABLE employee_change`,
  `ALTER TABLE employee DROP blocked_at, DROP blocked_reason, DROP blocked_by`,
  ...['employee', 'department'].flatMap((table) =>
    ['made', 'changed', 'gone'].map((what) => `DROP TRIGGER ${table}_unique_values_${what} ON ${table}`),
  ),
  `DROP FUNCTION forget_unique_values()`,
  `DROP FUNCTION keep_unique_values()`,
  `DROP TABLE extension_unique_value`,
  `DROP TABLE extension_field`,
];
