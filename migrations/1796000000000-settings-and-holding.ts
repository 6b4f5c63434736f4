import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Synchronization settings of a source, values that outlast the source, and removals that wait for approval. */
export class SettingsAndHolding1796000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

const UP = [
  // PostgreSQL 18 makes time-ordered ids by itself, several times faster; 15 is supported too.
  `DO $do$ BEGIN
     IF current_setting('server_version_num')::int >= 180000 THEN
       EXECUTE 'CREATE OR REPLACE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $f$ SELECT uuidv7() $f$';
     END IF;
   END $do$`,
  `ALTER TABLE identity_source
     ADD automatic_enabled boolean NOT NULL DEFAULT true,
     ADD automatic_user_information boolean NOT NULL DEFAULT true,
     ADD cycle_hours integer NOT NULL DEFAULT 24 CHECK (cycle_hours BETWEEN 1 AND 24),
     ADD next_run_at timestamptz,
     ADD scope_mode text NOT NULL DEFAULT 'ALL' CHECK (scope_mode IN ('ALL', 'PARTIAL')),
     ADD scope_department_ids text[] NOT NULL DEFAULT '{}',
     ADD field_mappings jsonb,
     ADD max_removals integer NOT NULL DEFAULT 50 CHECK (max_removals >= 0),
     ADD max_removal_percent double precision NOT NULL DEFAULT 10 CHECK (max_removal_percent BETWEEN 0 AND 100),
     ADD minimum_objects integer NOT NULL DEFAULT 5 CHECK (minimum_objects >= 0),
     ADD leaver_grace_days integer NOT NULL DEFAULT 7 CHECK (leaver_grace_days BETWEEN 0 AND 365)`,
  `CREATE INDEX identity_source_due_idx ON identity_source (next_run_at) WHERE status = 'ENABLED' AND deleted_at IS NULL`,
  // Extension fields' values by key, as text; built-in fields that were edited here although a source tells them.
  `ALTER TABLE employee ADD extension_values jsonb NOT NULL DEFAULT '{}', ADD edited_fields text[] NOT NULL DEFAULT '{}'`,
  `ALTER TABLE department ADD extension_values jsonb NOT NULL DEFAULT '{}'`,
  // Missing, but kept by a person's decision until it is seen again.
  `ALTER TABLE link ADD rejected_at timestamptz`,
  `CREATE INDEX link_rejected_idx ON link (identity_source_id) WHERE rejected_at IS NOT NULL`,
  // A local change clears the hash, so that the next run compares the object again.
  `CREATE INDEX link_changed_idx ON link (identity_source_id) WHERE hash IS NULL`,
  `ALTER TABLE snapshot_page RENAME mapping_version TO settings_version`,
  `ALTER TABLE snapshot_page ADD filled text[] NOT NULL DEFAULT '{}'`,
  `ALTER TABLE staged_department ADD invalid text[]`,
  `ALTER TABLE staged_employee ADD invalid text[]`,
  `ALTER TABLE sync_task RENAME mapping_version TO settings_version`,
  `ALTER TABLE sync_task ADD settings jsonb NOT NULL DEFAULT '{}', ADD filled jsonb, ADD origin_id uuid,
     ADD extent_accepted boolean NOT NULL DEFAULT false`,
  `UPDATE sync_task SET extent_accepted = true WHERE (certificate ->> 'complete')::boolean`,
  `ALTER TABLE sync_record ADD kept jsonb, ADD edges_before jsonb, ADD local_version timestamptz, ADD applied_at timestamptz`,
  `CREATE INDEX sync_record_held_idx ON sync_record (task_id) WHERE result = 'HELD'`,
  `CREATE TABLE connection_check (identity_source_id uuid PRIMARY KEY REFERENCES identity_source, checks jsonb NOT NULL,
     checked_at timestamptz NOT NULL)`,
  // Extension values in the form of a comparison: one field each, marked as such.
  `CREATE FUNCTION extension_fields(held jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
     SELECT coalesce(jsonb_object_agg('extension.' || key, value), '{}') FROM jsonb_each(held)
   $$`,
  // And back: what is stored of a comparison's fields.
  `CREATE FUNCTION extension_values(fields jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
     SELECT coalesce(jsonb_object_agg(substr(key, 11), value), '{}') FROM jsonb_each(fields)
      WHERE key LIKE 'extension.%' AND value <> 'null'
   $$`,
];

const DOWN = [
  `DROP TABLE connection_check`,
  `DROP FUNCTION extension_values(jsonb)`,
  `DROP FUNCTION extension_fields(jsonb)`,
  `DROP INDEX sync_record_held_idx`,
  `ALTER TABLE sync_record DROP kept, DROP edges_before, DROP local_version, DROP applied_at`,
  `ALTER TABLE sync_task DROP settings, DROP filled, DROP origin_id, DROP extent_accepted`,
  `ALTER TABLE sync_task RENAME settings_version TO mapping_version`,
  `ALTER TABLE staged_employee DROP invalid`,
  `ALTER TABLE staged_department DROP invalid`,
  `ALTER TABLE snapshot_page DROP filled`,
  `ALTER TABLE snapshot_page RENAME settings_version TO mapping_version`,
  `DROP INDEX link_changed_idx`,
  `DROP INDEX link_rejected_idx`,
  `ALTER TABLE link DROP rejected_at`,
  `ALTER TABLE department DROP extension_values`,
  `ALTER TABLE employee DROP extension_values, DROP edited_fields`,
  `DROP INDEX identity_source_due_idx`,
  `ALTER TABLE identity_source DROP automatic_enabled, DROP automatic_user_information, DROP cycle_hours, DROP next_run_at,
     DROP scope_mode, DROP scope_department_ids, DROP field_mappings, DROP max_removals, DROP max_removal_percent,
     DROP minimum_objects, DROP leaver_grace_days`,
];
