import type { MigrationInterface, QueryRunner } from 'typeorm';

const GIN_INDEXES = ['tokens', 'names', 'contacts'].map((column) => `employee_search_${column}_idx`);

/**
 * The search text of many people is merged into its indexes at once, and made by one process at a time. What waits to be merged is
 * counted into the cost of every search: connections keep it at 64 kB, but while the text of many people is made.
 */
export class SearchInBulk1810000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const index of GIN_INDEXES) await runner.query(`ALTER INDEX IF EXISTS ${index} SET (fastupdate = on)`);
    await runner.query('ALTER TABLE search_pending ADD taken_until timestamptz');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE search_pending DROP taken_until');
    for (const index of GIN_INDEXES) {
      await runner.query(`ALTER INDEX IF EXISTS ${index} SET (fastupdate = off)`);
      // Without it, what waits to be merged would wait for the next vacuum.
      await runner.query(`SELECT gin_clean_pending_list(oid) FROM pg_class WHERE oid = to_regclass('${index}')`);
    }
  }
}
