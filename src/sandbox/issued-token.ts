import { randomBytes } from 'node:crypto';
import { WecomRefusal } from './errors';

/** The errcodes with which one kind of token is refused. */
export interface TokenRefusals {
  readonly missing: number;
  readonly unknown: number;
  readonly expired: number;
}

/** A token of one kind: the same until it expires, and ended early where somebody asks for it. */
export class IssuedToken {
  private token: { value: string; expiresAt: number } | undefined;
  private readonly revoked = new Set<string>();

  constructor(
    readonly lifetime: number,
    /** Whether the seconds that are left are told, and not always the whole lifetime: it is not documented which. */
    private readonly countsDown: boolean,
    private readonly refusals: TokenRefusals,
  ) {}

  /** @returns the token, and the seconds that it is good for */
  issue(): { value: string; expiresIn: number } {
    if (!this.token || this.token.expiresAt <= Date.now()) {
      const value = randomBytes(48).toString('base64url');
      this.token = { value, expiresAt: Date.now() + this.lifetime * 1000 };
    }
    const left = Math.ceil((this.token.expiresAt - Date.now()) / 1000);
    return { value: this.token.value, expiresIn: this.countsDown ? left : this.lifetime };
  }

  /** Ends the token early, as WeCom may. */
  revoke(): void {
    if (this.token) this.revoked.add(this.token.value);
    this.token = undefined;
  }

  /** Whether it was issued here, still good or not. */
  knows(value: string): boolean {
    return value === this.token?.value || this.revoked.has(value);
  }

  /** @throws WecomRefusal where it is missing, unknown or expired */
  require(value: string | null): void {
    if (!value) throw new WecomRefusal(this.refusals.missing);
    if (this.revoked.has(value)) throw new WecomRefusal(this.refusals.expired);
    if (value !== this.token?.value) throw new WecomRefusal(this.refusals.unknown);
    if (this.token.expiresAt <= Date.now()) throw new WecomRefusal(this.refusals.expired);
  }
}
