import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A plan can be seen while it is made: an event says which of a task's plans it tells of, since an unfinished one is made again. */
export class PlansInParts1807000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE sync_task ADD plan integer NOT NULL DEFAULT 0`);
    await runner.query(`UPDATE sync_task SET plan = 1 WHERE planned_at IS NOT NULL`);
    await runner.query(`UPDATE event SET payload = payload || jsonb_build_object('plan', t.plan)
      FROM sync_task t WHERE t.id = event.task_id`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM sync_record WHERE task_id IN (SELECT id FROM sync_task WHERE planned_at IS NULL)`);
    await runner.query(`UPDATE event SET payload = payload - 'plan' WHERE task_id IS NOT NULL`);
    await runner.query(`ALTER TABLE sync_task DROP plan`);
  }
}
