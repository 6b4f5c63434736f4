import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Somebody may be written before their manager is, in one transaction that says so. */
export class ManagersDeferred1809000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE employee ALTER CONSTRAINT employee_manager_id_fkey DEFERRABLE INITIALLY IMMEDIATE');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE employee ALTER CONSTRAINT employee_manager_id_fkey NOT DEFERRABLE');
  }
}
