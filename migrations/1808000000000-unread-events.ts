import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What callbacks named and no task could read waits again, after a pause. */
export class UnreadEvents1808000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE directory_event ADD not_before timestamptz`);
    await runner.query(`CREATE INDEX sync_task_unread_idx ON sync_task (finished_at)
      WHERE trigger = 'EVENT' AND status IN ('FAILED', 'CANCELED')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX sync_task_unread_idx`);
    await runner.query(`ALTER TABLE directory_event DROP not_before`);
  }
}
