import type { DataSource } from 'typeorm';
import { inTransaction } from '../database/transaction';
import type { SecretBox } from '../platform/secret-box';

/** Every place where a sealed secret is kept: table, column, and what it is sealed for. */
const PLACES = [
  { table: 'identity_source', column: 'sealed_secret', context: 'id' },
  { table: 'identity_source', column: 'sealed_callback_token', context: 'id' },
  { table: 'identity_source', column: 'sealed_callback_key', context: 'id' },
  { table: 'provider_callback', column: 'sealed_message', context: 'id' },
  { table: 'provider_callback', column: 'sealed_answer', context: 'id' },
  { table: 'suite_ticket', column: 'sealed_ticket', context: 'suite_id' },
  { table: 'access_token', column: 'sealed_token', context: 'key' },
] as const;

/**
 * Seals every stored secret with the key in use; all of them or, where one cannot be opened, none.
 * @returns how many were sealed anew
 * @throws AppError SECRET_UNREADABLE that names the key that is missing
 */
export async function rotateSecrets(dataSource: DataSource, secrets: SecretBox): Promise<number> {
  return inTransaction(dataSource, async (client) => {
    let rotated = 0;
    for (const { table, column, context } of PLACES) {
      const { rows } = await client.query<{ context: string; sealed: string }>(
        `SELECT ${context}::text AS context, ${column} AS sealed FROM ${table} WHERE ${column} <> '' FOR UPDATE`,
      );
      for (const row of rows.filter(({ sealed }) => !secrets.isCurrent(sealed))) {
        const sealed = secrets.seal(secrets.open(row.sealed, row.context), row.context);
        await client.query(`UPDATE ${table} SET ${column} = $2 WHERE ${context}::text = $1`, [row.context, sealed]);
        rotated += 1;
      }
    }
    return rotated;
  });
}
