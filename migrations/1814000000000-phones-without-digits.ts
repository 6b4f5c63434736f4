import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A phone number of separators alone compares as it stands: without its separators it was no value, as if it were not there. */
export class PhonesWithoutDigits1814000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(canonical('^[-+() .]*[0-9][-+() .0-9]*$'));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(canonical('^[-+() .0-9]+$'));
  }
}

/** How two values of a field compare: composed (NFC) and trimmed; e-mail without case; phones by digits and the plus sign. */
const canonical = (phone: string) => `
CREATE OR REPLACE FUNCTION canonical(field text, value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT NULLIF(CASE
    WHEN value IS NULL THEN NULL
    WHEN field = 'email' THEN lower(btrim(normalize(value, NFC), E' \\t\\r\\n\\u3000'))
    WHEN field IN ('mobile', 'telephone') AND value ~ '${phone}' THEN regexp_replace(value, '[^+0-9]', '', 'g')
    ELSE btrim(normalize(value, NFC), E' \\t\\r\\n\\u3000') END, '')
$$`;
