import { randomBytes } from 'node:crypto';
import { type ContactEvent, type EventForm, eventsBetween, eventXml } from './callbacks/contact-events';
import { type CallbackAddress, Deliveries } from './callbacks/delivery';
import { WecomRefusal } from './errors';
import type { Organization, OrganizationState } from './organization';
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
  /** Seconds that a path is closed after its limit was exceeded. */
  readonly blockSeconds: number;
}

/** How WeCom leaves out what an app may not see; which of the three it does is not documented. */
export interface Withholding {
  /** Names of user/get's fields. */
  readonly fields: readonly string[];
  readonly style: 'absent' | 'empty' | 'null';
}

export const DEFAULT_COMPANY: CompanySettings = {
  corpId: 'ww0123456789abcdef',
  agentId: '1000002',
  secret: 'sandbox-secret-not-for-production',
  tokenLifetime: 7200,
  callsPerMinute: 10_000,
  concurrency: 100,
  maxMembersPerAnswer: 30_000,
  blockSeconds: 60,
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
  /** Addresses that may call; empty: all. */
  allowedAddresses: readonly string[] = [];
  /** Whether a range without departments is answered with 60011 instead of an empty list. */
  refusesWithoutDepartments = false;
  callback: { readonly address: CallbackAddress; readonly form: EventForm } | undefined;
  readonly deliveries = new Deliveries();
  private withheldFields: Withholding = { fields: [], style: 'absent' };
  private readonly blocked = new Map<string, number>();

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

  get withheld(): Withholding {
    return this.withheldFields;
  }

  withhold(withholding: Withholding): void {
    this.withheldFields = withholding;
    this.changed();
  }

  /** Changes the organisation and tells the callback what changed, as WeCom would. */
  change(edit: () => void): void {
    const before = this.callback && copyOf(this.organization.state());
    edit();
    this.changed();
    if (before && this.callback) this.push(eventsBetween(before, this.organization.state(), this.callback.form));
  }

  /** Pushes events to the callback address, if there is one. */
  push(events: readonly ContactEvent[]): void {
    if (!this.callback) return;
    const { corpId, agentId } = this.settings;
    const messages = events.map((event) => ({ what: event.changeType, xml: eventXml(corpId, event) }));
    this.deliveries.push(this.callback.address, corpId, agentId, messages);
  }

  /** To be called after the organisation was changed. */
  changed(): void {
    this.cut = undefined;
  }

  get visible(): VisibleOrganization {
    this.cut ??= new VisibleOrganization(this.organization, this.visibleRange, this.withheldFields);
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

  /** @throws WecomRefusal 60020 */
  requireAddress(address: string): void {
    if (this.allowedAddresses.length > 0 && !this.allowedAddresses.includes(address)) throw new WecomRefusal(60020);
  }

  /**
   * Takes one call's place; what it returns gives the place back.
   * @param debug calls with debug=1 have a limit of their own: 5 a minute
   * @throws WecomRefusal 45009 or 45033
   */
  enter(path: string, debug: boolean): () => void {
    const now = Date.now();
    if ((this.blocked.get(path) ?? 0) > now) throw new WecomRefusal(45009);
    this.count(debug ? 'debug' : path, debug ? DEBUG_CALLS_PER_MINUTE : this.settings.callsPerMinute, path);
    const running = this.running.get(path) ?? 0;
    if (running >= this.settings.concurrency) throw new WecomRefusal(45033);
    this.running.set(path, running + 1);
    return () => this.running.set(path, (this.running.get(path) ?? 1) - 1);
  }

  private count(name: string, limit: number, path: string): void {
    const now = Date.now();
    const recent = this.calls.get(name) ?? [];
    while (recent.length > 0 && (recent[0] ?? 0) < now - 60_000) recent.shift();
    if (recent.length >= limit) {
      // Over a minute's limit the path stays closed for a minute. Source: developer.work.weixin.qq.com/document/path/90312
      if (name === path) this.blocked.set(path, now + this.settings.blockSeconds * 1000);
      throw new WecomRefusal(45009);
    }
    recent.push(now);
    this.calls.set(name, recent);
  }
}

const DEBUG_CALLS_PER_MINUTE = 5;

/** Deep enough for comparing: departments, users and tags are replaced as wholes. */
function copyOf(state: OrganizationState): OrganizationState {
  return { ...state, departments: [...state.departments], users: [...state.users], tags: [...state.tags] };
}
