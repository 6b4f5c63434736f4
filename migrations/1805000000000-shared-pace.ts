import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The pace of calls to a directory, held by all processes together, and how many people a page adds to those that were read. */
export class SharedPace1805000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // One row for each app and path: when the next call may be made that no process has taken yet.
    await runner.query(`CREATE TABLE call_pace (key text PRIMARY KEY, next_at timestamptz NOT NULL)`);
    // Somebody in several departments is on several pages and counted on one of them.
    await runner.query(`ALTER TABLE snapshot_page ADD counted integer`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE snapshot_page DROP counted`);
    await runner.query(`DROP TABLE call_pace`);
  }
}
