import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Ids that a directory says it changed are followed from one to the next, and back. Without an index each step went through everything
 * that callbacks ever told, and each plan did, too, to find that nothing of it is about an id. Few events are, so the indexes are small.
 */
export class RenamesByIndex1816000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, key] of INDEXES)
      await runner.query(
        `CREATE INDEX ${name} ON directory_event (identity_source_id, ${key}, received_at) WHERE new_external_key IS NOT NULL`,
      );
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [name] of INDEXES) await runner.query(`DROP INDEX ${name}`);
  }
}

const INDEXES = [
  ['directory_event_new_key_idx', 'new_external_key'],
  ['directory_event_former_key_idx', 'external_key'],
] as const;
