import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The pace of calls to a directory, held by all processes together; what a killed worker leaves undone after its commit; and how
 * many people a page adds to those that were read.
 */
export class SharedPace1805000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // One row for each app and path: when the next call may be made that no process has taken yet.
    await runner.query(`CREATE TABLE call_pace (key text PRIMARY KEY, next_at timestamptz NOT NULL)`);
    await runner.query(`ALTER TABLE sync_task ADD tidied_at timestamptz`);
    await runner.query(`UPDATE sync_task SET tidied_at = applied_at`);
    await runner.query(
      `CREATE INDEX sync_task_untidied_idx ON sync_task (applied_at) WHERE tidied_at IS NULL AND applied_at IS NOT NULL`,
    );
    // Somebody in several departments is on several pages and counted on one of them.
    await runner.query(`ALTER TABLE snapshot_page ADD counted integer`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE snapshot_page DROP counted`);
    await runner.query(`ALTER TABLE sync_task DROP tidied_at`);
    await runner.query(`DROP TABLE call_pace`);
  }
}
