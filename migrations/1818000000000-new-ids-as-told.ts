import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The id that somebody got as the directory writes it, so that it can be asked for whether it names anybody. */
export class NewIdsAsTold1818000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE directory_event ADD new_external_id text');
    await runner.query(
      'UPDATE directory_event SET new_external_id = new_external_key WHERE new_external_key IS NOT NULL',
    );
    await runner.query(
      `ALTER TABLE directory_event ADD CONSTRAINT directory_event_new_id_check
         CHECK ((new_external_key IS NULL) = (new_external_id IS NULL))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE directory_event DROP new_external_id');
  }
}
