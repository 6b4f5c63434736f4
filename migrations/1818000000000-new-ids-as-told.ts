import type { MigrationInterface, QueryRunner } from 'typeorm';

const WAITING = 'identity_source_id, object_type, external_key, new_external_key';

/**
 * The id that somebody got as the directory writes it, so that it can be asked for whether it names anybody; and when they got it, as the
 * directory says, so that what is told once more is known again.
 */
export class NewIdsAsTold1818000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE directory_event ADD new_external_id text, ADD changed_at timestamptz');
    await runner.query(
      'UPDATE directory_event SET new_external_id = new_external_key WHERE new_external_key IS NOT NULL',
    );
    await runner.query(
      `ALTER TABLE directory_event ADD CONSTRAINT directory_event_new_id_check
         CHECK ((new_external_key IS NULL) = (new_external_id IS NULL))`,
    );
    await indexWaiting(runner, `${WAITING}, changed_at`);
  }

  async down(runner: QueryRunner): Promise<void> {
    // The last one told stays, as it did before.
    await runner.query(
      `DELETE FROM directory_event e WHERE task_id IS NULL AND EXISTS (
         SELECT FROM directory_event l
          WHERE l.task_id IS NULL AND (l.identity_source_id, l.object_type, l.external_key) = (e.identity_source_id, e.object_type, e.external_key)
            AND l.new_external_key = e.new_external_key AND (l.received_at, l.id) > (e.received_at, e.id))`,
    );
    await indexWaiting(runner, WAITING);
    await runner.query('ALTER TABLE directory_event DROP new_external_id, DROP changed_at');
  }
}

async function indexWaiting(runner: QueryRunner, columns: string): Promise<void> {
  await runner.query('DROP INDEX directory_event_waiting_idx');
  await runner.query(
    `CREATE UNIQUE INDEX directory_event_waiting_idx ON directory_event (${columns}) NULLS NOT DISTINCT WHERE task_id IS NULL`,
  );
}
