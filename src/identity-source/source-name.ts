import type { PoolClient } from 'pg';

const MAX_LENGTH = 100;
/** Room for "-2" and the like. */
const BASE_LENGTH = 95;

/** A name as near as possible to the wanted one that no other source has, ignoring case. */
export async function freeName(client: PoolClient, wanted: string): Promise<string> {
  const base = [...wanted].slice(0, BASE_LENGTH).join('');
  const { rows } = await client.query<{ name: string }>(
    `SELECT lower(name) AS name FROM identity_source WHERE deleted_at IS NULL AND lower(name) LIKE lower($1) || '%'`,
    [base.replace(/[\\%_]/g, '\\$&')],
  );
  const taken = new Set(rows.map((row) => row.name));
  let free = wanted;
  for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${base}-${n}`;
  return free;
}

/** A company's name in the form that a source's name has: what is not allowed in one becomes `-`. */
export function asSourceName(companyName: string | null): string {
  const name = [...(companyName ?? '').normalize('NFC').replace(/[^\p{Script=Han}A-Za-z0-9_-]+/gu, '-')]
    .slice(0, MAX_LENGTH)
    .join('')
    .replace(/^-+|-+$/g, '');
  return [...name].length >= 2 ? name : 'WeCom';
}
