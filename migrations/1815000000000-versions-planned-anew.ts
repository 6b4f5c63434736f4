import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Former versions are found by a plan made for the rows at hand. PL/pgSQL keeps the plan of a statement for as long as a session lasts,
 * also where it joins the rows of a trigger: made for one person whom a callback named, it looked for each of 20,000 by going
 * through all of them, for a minute.
 */
export class VersionsPlannedAnew1815000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [table, keys] of KEYS)
      await runner.query(keepFormer(table, `EXECUTE $sql$${insertFormer(table, keys)}$sql$`));
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [table, keys] of KEYS) await runner.query(keepFormer(table, insertFormer(table, keys)));
  }
}

/** Versioned tables with what identifies a row. */
const KEYS = [
  ['department', ['id']],
  ['employee', ['id']],
  ['membership', ['employee_id', 'department_id']],
] as const;

const insertFormer = (table: string, keys: readonly string[]) => `
     INSERT INTO ${table}_version
     SELECT current_change(), former.* FROM former LEFT JOIN latter ON ${keys.map((key) => `latter.${key} = former.${key}`).join(' AND ')}
      WHERE former.since <> current_change() AND coalesce(latter.since, current_change()) = current_change()`;

const keepFormer = (table: string, statement: string) => `
CREATE OR REPLACE FUNCTION keep_former_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     ${statement};
     RETURN NULL;
   END $$`;
