import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Of one object waits what names it and, each by itself, every id that it is said to have got: an id that was given up, got by somebody
 * else and given up again before it was read had only the last of the two, which is another person's.
 */
export class EachChangeOfAnId1817000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX directory_event_waiting_idx');
    await runner.query(
      `CREATE UNIQUE INDEX directory_event_waiting_idx ON directory_event (identity_source_id, object_type, external_key, new_external_key)
         NULLS NOT DISTINCT WHERE task_id IS NULL`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    // The last one told stays, as it did before.
    await runner.query(
      `DELETE FROM directory_event e WHERE task_id IS NULL AND EXISTS (
         SELECT FROM directory_event l
          WHERE l.task_id IS NULL AND (l.identity_source_id, l.object_type, l.external_key) = (e.identity_source_id, e.object_type, e.external_key)
            AND (l.new_external_key IS NOT NULL, l.received_at, l.id) > (e.new_external_key IS NOT NULL, e.received_at, e.id))`,
    );
    await runner.query('DROP INDEX directory_event_waiting_idx');
    await runner.query(
      `CREATE UNIQUE INDEX directory_event_waiting_idx ON directory_event (identity_source_id, object_type, external_key) WHERE task_id IS NULL`,
    );
  }
}
