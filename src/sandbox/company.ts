import { randomBytes } from 'node:crypto';
import { WecomRefusal } from './errors';
import type { Organization } from './organization';
import { VisibleOrganization, type VisibleRange } from './visible';

/** What a sandbox is started with; all but the organisation has a default. */
export interface CompanySettings {
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
  /** Seconds. */
  readonly tokenLifetime: number;
  /** Calls a minute to one path. Source: developer.work.weixin.qq.com/document/path/90312 */
  readonly callsPerMinute: number;
  /** Calls to one path at the same time. */
  readonly concurrency: number;
  /** People that one answer of user/list may hold. */
  readonly maxMembersPerAnswer: number;
}

export const DEFAULT_COMPANY: CompanySettings = {
  corpId: 'ww0123456789abcdef',
  agentId: '1000002',
  secret: 'sandbox-secret-not-for-production',
  tokenLifetime: 7200,
  callsPerMinute: 10_000,
  concurrency: 100,
  maxMembersPerAnswer: 30_000,
};

/** One company with one self-built app: its token, range, limits and organisation. */
export class Company {
  private token: { value: string; expiresAt: number } | undefined;
  private readonly revoked = new Set<string>();
  private readonly calls = new Map<string, number[]>();
  private readonly running = new Map<string, number>();
  private cut: VisibleOrganization | undefined;
  private visibleRange: VisibleRange = { departments: [1], users: [], tags: [] };
  closed = false;

  constructor(
    readonly settings: CompanySettings,
    readonly organization: Organization,
  ) {}

  get range(): VisibleRange {
    return this.visibleRange;
  }

  setRange(range: VisibleRange): void {
    this.visibleRange = range;
    this.changed();
  }

  /** To be called after the organisation was changed. */
  changed(): void {
    this.cut = undefined;
  }

  get visible(): VisibleOrganization {
    this.cut ??= new VisibleOrganization(this.organization, this.visibleRange);
    return this.cut;
  }

  /** The same token until it expires. */
  issueToken(): { access_token: string; expires_in: number } {
    if (!this.token || this.token.expiresAt <= Date.now()) {
      const value = randomBytes(48).toString('base64url');
      this.token = { value, expiresAt: Date.now() + this.settings.tokenLifetime * 1000 };
    }
    return { access_token: this.token.value, expires_in: this.settings.tokenLifetime };
  }

  /** Ends the token early, as WeCom may. */
  revokeToken(): void {
    if (this.token) this.revoked.add(this.token.value);
    this.token = undefined;
  }

  /** @throws WecomRefusal 41001, 40014 or 42001 */
  requireToken(value: string | null): void {
    if (!value) throw new WecomRefusal(41001);
    if (this.revoked.has(value)) throw new WecomRefusal(42001);
    if (value !== this.token?.value) throw new WecomRefusal(40014);
    if (this.token.expiresAt <= Date.now()) throw new WecomRefusal(42001);
    if (this.closed) throw new WecomRefusal(50003);
  }

  /** @throws WecomRefusal 45009 or 45033 */
  enter(path: string): () => void {
    const minuteAgo = Date.now() - 60_000;
    const recent = this.calls.get(path) ?? [];
    while (recent.length > 0 && (recent[0] ?? 0) < minuteAgo) recent.shift();
    if (recent.length >= this.settings.callsPerMinute) throw new WecomRefusal(45009);
    recent.push(Date.now());
    this.calls.set(path, recent);
    const running = this.running.get(path) ?? 0;
    if (running >= this.settings.concurrency) throw new WecomRefusal(45033);
    this.running.set(path, running + 1);
    return () => this.running.set(path, (this.running.get(path) ?? 1) - 1);
  }
}
