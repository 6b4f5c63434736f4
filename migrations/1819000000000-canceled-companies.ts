import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When a company last cancelled, also one that no source is connected to: a consent from before, which is worked off beside the
 * cancellation and ends after it, must not connect the company for good.
 */
export class CanceledCompanies1819000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE canceled_company (
         corp_key text PRIMARY KEY,
         -- WeCom's clock, in seconds.
         stamp bigint NOT NULL
       )`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE canceled_company');
  }
}
