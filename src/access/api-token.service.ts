import { createHash, randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Secret } from '../config/config';
import { selectPrepared } from '../database/rows';
import type { Actor, RoleName } from './actor';

/** An API token's row, without the token. */
export interface ApiTokenRow {
  readonly id: string;
  readonly name: string;
  readonly role: RoleName;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly createdAt: Date;
  readonly createdBy: string | null;
  readonly lastUsedAt: Date | null;
}

export const TOKEN_COLUMNS = `id, name, role, expires_at AS "expiresAt", revoked_at AS "revokedAt", created_at AS "createdAt",
  created_by AS "createdBy", last_used_at AS "lastUsedAt"`;

const USABLE = `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`;
/** When a token was last used is noted no more often than this. */
const USE_NOTED_EVERY = `interval '1 minute'`;

/** API tokens: stored as hashes, so that a copy of the database lets nobody in. */
export class ApiTokenService {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Sees to it that an administrator can come in, where no token is configured.
   * @returns the token when it was made now: the only time it can be shown
   */
  async ensureAdministrator(): Promise<string | undefined> {
    const [existing] = await this.dataSource.query(
      `SELECT 1 FROM api_token WHERE role = 'ADMINISTRATOR' AND ${USABLE}`,
    );
    if (existing) return undefined;
    return (await this.create('administrator (first start)', 'ADMINISTRATOR', null, null)).token;
  }

  /** Makes a token. @returns its row, and the token itself, which cannot be read again */
  async create(
    name: string,
    role: RoleName,
    expiresAt: Date | null,
    createdBy: string | null,
  ): Promise<{ row: ApiTokenRow; token: string }> {
    const token = `rollcall_${randomBytes(32).toString('base64url')}`;
    const [row] = await this.dataSource.query(
      `INSERT INTO api_token (name, role, token_hash, expires_at, created_by) VALUES ($1, $2, $3, $4, $5) RETURNING ${TOKEN_COLUMNS}`,
      [name, role, hashOf(token), expiresAt, createdBy],
    );
    return { row, token };
  }

  /** Ends a token for good; revoking it twice changes nothing. @returns undefined where there is none */
  async revoke(id: string): Promise<ApiTokenRow | undefined> {
    const [rows] = await this.dataSource.query(
      `UPDATE api_token SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING ${TOKEN_COLUMNS}`,
      [id],
    );
    return rows[0];
  }

  /** The caller behind a token, or undefined: unknown, revoked or expired. */
  async authenticate(token: string): Promise<Actor | undefined> {
    const [row] = await selectPrepared<Actor & { isToBeNoted: boolean }>(
      this.dataSource,
      `SELECT id AS "tokenId", name, role, expires_at AS "expiresAt",
              coalesce(last_used_at < now() - ${USE_NOTED_EVERY}, true) AS "isToBeNoted"
         FROM api_token WHERE token_hash = $1 AND ${USABLE}`,
      [hashOf(token)],
    );
    if (!row) return undefined;
    const { isToBeNoted, ...actor } = row;
    if (isToBeNoted) {
      await this.dataSource.query('UPDATE api_token SET last_used_at = now() WHERE id = $1', [actor.tokenId]);
    }
    return actor;
  }

  /** Which of these tokens can still be used. */
  async stillUsable(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.dataSource.query(`SELECT id FROM api_token WHERE id = ANY ($1::uuid[]) AND ${USABLE}`, [
      ids,
    ]);
    return new Set(rows.map((row: { id: string }) => row.id));
  }

  /** The configured administrator's token; one that was changed replaces the former one, which stops working. */
  async storeConfigured(configured: Secret): Promise<void> {
    const token = configured.reveal();
    const name = 'administrator (configured)';
    await this.dataSource.query(`DELETE FROM api_token WHERE name = $1 AND token_hash <> $2`, [name, hashOf(token)]);
    await this.dataSource.query(
      `INSERT INTO api_token (name, role, token_hash) VALUES ($1, 'ADMINISTRATOR', $2) ON CONFLICT (token_hash) DO NOTHING`,
      [name, hashOf(token)],
    );
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
