import type { DataSource } from 'typeorm';
import type { AccessToken, AccessTokenStore } from '../connector/directory-connector';
import { inTransaction } from '../database/transaction';
import type { SecretBox } from '../platform/secret-box';

/**
 * A token is not handed out for its last minute, so that it does not expire on its way; of a short life for its last tenth, for
 * else it would never be handed out again. A directory may tell with a token that is not new how little of its life is left.
 */
const SAFETY_MS = 60_000;
const SAFETY_SHARE = 1 / 10;

/** The transaction is idle while the directory answers once; a process that is paused meanwhile keeps others waiting for so long. */
const FETCH_LIMIT = '120s';

/** Access tokens in PostgreSQL, sealed: one refresh at a time among all callers and processes, by a row lock. */
export class DatabaseTokenStore implements AccessTokenStore {
  private readonly cached = new Map<string, { token: string; until: number }>();
  private readonly refreshing = new Map<string, Promise<string>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly secrets: SecretBox,
  ) {}

  async token(key: string, fetch: () => Promise<AccessToken>, rejected?: string): Promise<string> {
    const cached = this.cached.get(key);
    if (cached && cached.until > Date.now() && cached.token !== rejected) return cached.token;
    const running = this.refreshing.get(key);
    if (running) {
      const token = await running;
      if (token !== rejected) return token;
    }
    const refresh = this.refresh(key, fetch, rejected).finally(() => this.refreshing.delete(key));
    this.refreshing.set(key, refresh);
    return refresh;
  }

  private async refresh(key: string, fetch: () => Promise<AccessToken>, rejected?: string): Promise<string> {
    return inTransaction(this.dataSource, async (client) => {
      await client.query(`SET LOCAL idle_in_transaction_session_timeout = '${FETCH_LIMIT}'`);
      // In one statement, which locks the row: one that is found first can be cleaned up before it is locked.
      const { rows } = await client.query(
        `INSERT INTO access_token (key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET key = excluded.key
         RETURNING sealed_token, expires_at`,
        [key],
      );
      const until = rows[0].expires_at instanceof Date ? rows[0].expires_at.getTime() : 0;
      if (rows[0].sealed_token && until > Date.now()) {
        const stored = this.secrets.open(rows[0].sealed_token, key);
        if (stored !== rejected) return this.remember(key, stored, until);
      }
      const fresh = await fetch();
      const expires = Date.now() + fresh.lifetimeMs - Math.min(SAFETY_MS, fresh.lifetimeMs * SAFETY_SHARE);
      await client.query('UPDATE access_token SET sealed_token = $2, expires_at = $3 WHERE key = $1', [
        key,
        this.secrets.seal(fresh.token, key),
        new Date(expires),
      ]);
      return this.remember(key, fresh.token, expires);
    });
  }

  private remember(key: string, token: string, until: number): string {
    this.cached.set(key, { token, until });
    return token;
  }
}
