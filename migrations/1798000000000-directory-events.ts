import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Callbacks of a directory, and what they name. */
export class DirectoryEvents1798000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE identity_source ADD sealed_callback_token text, ADD sealed_callback_key text, ADD callback_seen_at timestamptz`,
    );
    // One row for each object that callbacks named and no task has read since: a storm about one person is one row.
    await runner.query(`CREATE TABLE directory_event (
      id uuid PRIMARY KEY DEFAULT new_id(),
      identity_source_id uuid NOT NULL REFERENCES identity_source,
      object_type text NOT NULL CHECK (object_type IN ('DEPARTMENT', 'EMPLOYEE')),
      external_key text NOT NULL,
      external_id text NOT NULL,
      new_external_key text,
      received_at timestamptz NOT NULL DEFAULT now(),
      task_id uuid
    )`);
    await runner.query(
      `CREATE UNIQUE INDEX directory_event_waiting_idx ON directory_event (identity_source_id, object_type, external_key) WHERE task_id IS NULL`,
    );
    await runner.query(`CREATE INDEX directory_event_task_idx ON directory_event (task_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE directory_event`);
    await runner.query(
      `ALTER TABLE identity_source DROP sealed_callback_token, DROP sealed_callback_key, DROP callback_seen_at`,
    );
  }
}
