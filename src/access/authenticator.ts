import type { Actor } from './actor';
import type { ApiTokenService } from './api-token.service';
import type { OidcVerifier } from './oidc';

/** Larger than any token of ours, and than most issuers' JWTs. */
const MAX_CREDENTIAL = 8_192;

/** Finds out who is calling: by an API token, or by a JWT of the configured issuer. */
export class Authenticator {
  constructor(
    readonly tokens: ApiTokenService,
    private readonly oidc: OidcVerifier | undefined,
  ) {}

  /** The caller behind an `Authorization: Bearer` value, or undefined. */
  async authenticate(authorization: string | undefined): Promise<Actor | undefined> {
    if (!authorization || authorization.length > MAX_CREDENTIAL) return undefined;
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (!token) return undefined;
    const known = await this.tokens.authenticate(token);
    if (known || !this.oidc || token.split('.').length !== 3) return known;
    return this.oidc.authenticate(token);
  }

  /** Those of some callers whose credential has ended meanwhile. */
  async ended(actors: readonly Actor[]): Promise<ReadonlySet<Actor>> {
    const isToken = (actor: Actor) => !actor.tokenId.startsWith('oidc:');
    const ids = [...new Set(actors.filter(isToken).map((actor) => actor.tokenId))];
    const usable = ids.length > 0 ? await this.tokens.stillUsable(ids) : new Set<string>();
    const isOver = (actor: Actor) =>
      isToken(actor) ? !usable.has(actor.tokenId) : (actor.expiresAt?.getTime() ?? 0) <= Date.now();
    return new Set(actors.filter(isOver));
  }
}
