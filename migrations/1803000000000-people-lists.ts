import type { MigrationInterface, QueryRunner } from 'typeorm';

/** People's lists in every order they can be asked for, and extension fields that are sorted and filtered by what they hold. */
export class PeopleLists1803000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of UP) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const statement of DOWN) await runner.query(statement);
  }
}

/** Indexes of extension fields are made and dropped with their fields. */
const DROP_FIELD_INDEXES = (pattern: string) => `DO $do$ DECLARE name text; BEGIN
  FOR name IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE '${pattern}' LOOP
    EXECUTE format('DROP INDEX %I', name);
  END LOOP;
END $do$`;

const UP = [
  // Sources some of whose people have no search text yet, or an old one: of many people it is made after their commit.
  `CREATE TABLE search_pending (
     identity_source_id uuid PRIMARY KEY REFERENCES identity_source ON DELETE CASCADE,
     change uuid NOT NULL DEFAULT gen_random_uuid(),
     announced_at timestamptz NOT NULL DEFAULT now()
   )`,
  `INSERT INTO search_pending (identity_source_id) SELECT DISTINCT identity_source_id FROM employee`,
  // What there is has no key to sort by: it is made anew.
  `DELETE FROM employee_search`,
  `ALTER TABLE employee_search ADD name_key text COLLATE "C" NOT NULL`,
  `CREATE INDEX employee_search_name_idx ON employee_search (name_key, employee_id)`,
  // Nothing is sorted by it any more, and random names are dear to keep in order.
  `DROP INDEX employee_display_name_idx`,
  `CREATE INDEX employee_status_idx ON employee (status, id)`,
  `CREATE INDEX employee_updated_idx ON employee (updated_at, id)`,
  `CREATE INDEX employee_position_idx ON employee ((position COLLATE "C"), id)`,
  `CREATE INDEX employee_blocked_idx ON employee (id) WHERE blocked_at IS NOT NULL`,
  // An extension value as a number, so that 9 comes before 10; NULL where it is none.
  `CREATE FUNCTION extension_number(value text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
     SELECT CASE WHEN value ~ '^-?[0-9]{1,15}([.][0-9]{1,10})?$' THEN value::numeric END
   $$`,
  DROP_FIELD_INDEXES('employee\\_extension\\_%'),
  DROP_FIELD_INDEXES('department\\_extension\\_%'),
  // As extension-field/extension-index.ts makes them.
  `DO $do$ DECLARE field record; BEGIN
     FOR field IN
       SELECT 'extension_' || replace(id::text, '-', '') || CASE type WHEN 'NUMBER' THEN '_number' ELSE '_text' END AS index_name,
              lower(object_type) AS table_name,
              CASE type WHEN 'NUMBER' THEN format('extension_number(extension_values ->> %L)', key)
                        ELSE format('(extension_values ->> %L) COLLATE "C"', key) END AS value
         FROM extension_field
     LOOP
       EXECUTE format('CREATE INDEX %I ON %I ((%s), id) WHERE (%s) IS NOT NULL', field.index_name, field.table_name, field.value, field.value);
     END LOOP;
   END $do$`,
];

const DOWN = [
  DROP_FIELD_INDEXES('extension\\_%\\_number'),
  DROP_FIELD_INDEXES('extension\\_%\\_text'),
  `DROP FUNCTION extension_number(text)`,
  `DROP INDEX employee_blocked_idx, employee_position_idx, employee_updated_idx, employee_status_idx`,
  `CREATE INDEX employee_display_name_idx ON employee ((display_name COLLATE "C"), id)`,
  `DROP INDEX employee_search_name_idx`,
  `ALTER TABLE employee_search DROP name_key`,
  `DROP TABLE search_pending`,
];
