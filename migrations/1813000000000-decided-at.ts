import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A decision about held removals outdates the plans that were made before it. */
export class DecidedAt1813000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE sync_task ADD decided_at timestamptz');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE sync_task DROP decided_at');
  }
}
