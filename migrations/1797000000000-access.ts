import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who did what. */
export class Access1797000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TABLE audit_entry (
      id uuid PRIMARY KEY DEFAULT new_id(),
      at timestamptz NOT NULL DEFAULT now(),
      actor text NOT NULL,
      address text,
      mutation text NOT NULL,
      input jsonb,
      object_id text,
      outcome text NOT NULL CHECK (outcome IN ('ACCEPTED', 'REFUSED', 'FORBIDDEN', 'FAILED')),
      error_codes text[] NOT NULL DEFAULT '{}',
      before jsonb,
      after jsonb
    )`);
    await runner.query(`CREATE INDEX audit_entry_object_idx ON audit_entry (object_id, id)`);
    await runner.query(`ALTER TABLE api_token ADD created_by text, ADD last_used_at timestamptz`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE api_token DROP created_by, DROP last_used_at`);
    await runner.query(`DROP TABLE audit_entry`);
  }
}
