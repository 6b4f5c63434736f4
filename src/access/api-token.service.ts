import { createHash, randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Secret } from '../config/config';
import type { Actor } from './actor';

/** API tokens: stored as hashes, so that a copy of the database lets nobody in. */
export class ApiTokenService {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Sees to it that an administrator can come in: with the configured token, or else with one made now.
   * @returns the token when it was made now: the only time it can be shown
   */
  async ensureAdministrator(configured: Secret | undefined): Promise<string | undefined> {
    if (configured) {
      await this.store('administrator (configured)', configured.reveal());
      return undefined;
    }
    const [existing] = await this.dataSource.query(
      `SELECT 1 FROM api_token WHERE role = 'ADMINISTRATOR' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
    );
    if (existing) return undefined;
    const token = `rollcall_${randomBytes(32).toString('base64url')}`;
    await this.store('administrator (first start)', token);
    return token;
  }

  /** The caller behind an `Authorization: Bearer` value, or undefined: unknown, revoked or expired. */
  async authenticate(authorization: string | undefined): Promise<Actor | undefined> {
    const token = /^Bearer +(\S{1,512})$/i.exec(authorization ?? '')?.[1];
    if (!token) return undefined;
    const [row] = await this.dataSource.query(
      `SELECT id AS "tokenId", name, role, expires_at AS "expiresAt" FROM api_token
        WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
      [hashOf(token)],
    );
    return row;
  }

  private async store(name: string, token: string): Promise<void> {
    // A configured token that was changed replaces the former one, which stops working.
    if (name.includes('configured')) {
      await this.dataSource.query(`DELETE FROM api_token WHERE name = $1 AND token_hash <> $2`, [name, hashOf(token)]);
    }
    await this.dataSource.query(
      `INSERT INTO api_token (name, role, token_hash) VALUES ($1, 'ADMINISTRATOR', $2) ON CONFLICT (token_hash) DO NOTHING`,
      [name, hashOf(token)],
    );
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
