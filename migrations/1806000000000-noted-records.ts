import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The few records of a task that something is to be said about are found without looking through all the others. */
export class NotedRecords1806000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX sync_record_held_idx`);
    await runner.query(
      `CREATE INDEX sync_record_noted_idx ON sync_record (task_id, result) WHERE result IS NOT NULL OR reason_code IS NOT NULL`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX sync_record_noted_idx`);
    await runner.query(`CREATE INDEX sync_record_held_idx ON sync_record (task_id) WHERE result = 'HELD'`);
  }
}
