import { createRemoteJWKSet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Actor, ROLES, type RoleName } from './actor';

/** Which issuer's tokens are accepted, and how they tell a role. */
export interface OidcSettings {
  /** The issuer's identifier, exactly as in its tokens' `iss`. */
  readonly issuer: string;
  readonly audience: string;
  /** The claim that names the role, or several of them; dots lead into objects. */
  readonly roleClaim: string;
  /** Roles by the claim's values; VIEWER, OPERATOR and ADMINISTRATOR stand for themselves. */
  readonly roles: Readonly<Record<string, RoleName>>;
}

/** Asymmetric only: a public key must never be usable as a shared secret, and `none` is no signature. Source: RFC 8725, 3.1 */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const CLOCK_TOLERANCE_S = 30;

/** Verifies access tokens of one OpenID Connect issuer. Source: OpenID Connect Discovery 1.0; RFC 7519 */
export class OidcVerifier {
  private keys: Promise<JWTVerifyGetKey> | undefined;

  constructor(private readonly settings: OidcSettings) {}

  /** The caller behind a JWT, or undefined where it is not one that this issuer gave for us, or names no role. */
  async authenticate(token: string): Promise<Actor | undefined> {
    try {
      const { payload } = await jwtVerify(token, await this.keySet(), {
        issuer: this.settings.issuer,
        audience: this.settings.audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
      });
      const role = this.roleOf(payload);
      if (!role) return undefined;
      const name = [payload['preferred_username'], payload['email'], payload.sub].find((n) => typeof n === 'string');
      return {
        tokenId: `oidc:${payload.sub}`,
        name: String(name),
        role,
        expiresAt: new Date((payload.exp ?? 0) * 1000),
      };
    } catch {
      return undefined;
    }
  }

  /** Found by discovery once; the keys behind it are fetched again when a token names an unknown one. */
  private keySet(): Promise<JWTVerifyGetKey> {
    this.keys ??= this.discover().catch((error) => {
      this.keys = undefined;
      throw error;
    });
    return this.keys;
  }

  private async discover(): Promise<JWTVerifyGetKey> {
    const base = this.settings.issuer.replace(/\/+$/, '');
    const answer = await fetch(`${base}/.well-known/openid-configuration`, { signal: AbortSignal.timeout(10_000) });
    const document = (await answer.json()) as { issuer?: string; jwks_uri?: string };
    if (document.issuer !== this.settings.issuer || !document.jwks_uri) {
      throw new Error('The issuer’s discovery document is not its own.');
    }
    return createRemoteJWKSet(new URL(document.jwks_uri));
  }

  private roleOf(payload: Readonly<Record<string, unknown>>): RoleName | undefined {
    const claim = this.settings.roleClaim
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], payload);
    const values = (Array.isArray(claim) ? claim : [claim]).filter((v): v is string => typeof v === 'string');
    const held = values.map((value) => this.settings.roles[value] ?? ROLES.find((role) => role === value));
    return [...ROLES].reverse().find((role) => held.includes(role));
  }
}
