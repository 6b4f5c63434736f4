import { CallLimits, requireAddress } from './call-limits';
import { type ContactEvent, type EventForm, eventsBetween, eventXml } from './callbacks/contact-events';
import { type CallbackAddress, Deliveries, type Message } from './callbacks/delivery';
import { WecomRefusal } from './errors';
import { IssuedToken } from './issued-token';
import type { Organization, OrganizationState, OrganizationWatcher } from './organization';
import { type AppView, PLAIN_VIEW, VisibleOrganization, type VisibleRange } from './visible';

/** What a sandbox is started with; all but the organisation has a default. */
export interface CompanySettings {
  readonly corpId: string;
  readonly agentId: string;
  readonly secret: string;
  /** Seconds. */
  readonly tokenLifetime: number;
  /** Whether a token that is asked for again is told with the seconds that it has left: it is not documented. */
  readonly countsDown: boolean;
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
  countsDown: false,
  callsPerMinute: 10_000,
  concurrency: 100,
  maxMembersPerAnswer: 30_000,
  blockSeconds: 60,
};

/** Where an app's events go, and how complete they are. */
export interface AppCallback {
  readonly address: CallbackAddress;
  readonly form: EventForm;
}

/** One company with one app, self-built as it is here: its token, range, limits and organisation. */
export class Company implements OrganizationWatcher {
  private readonly token: IssuedToken;
  private readonly limits: CallLimits;
  private cut: VisibleOrganization | undefined;
  private visibleRange: VisibleRange = { departments: [1], users: [], tags: [] };
  private isClosed = false;
  /** Addresses that may call; empty: all. */
  allowedAddresses: readonly string[] = [];
  /** Whether gettoken looks at the address as well: it is not documented. */
  tokenNeedsAddress = false;
  /** Whether a list that has no department is answered with 60011 instead of an empty one. */
  refusesWithoutDepartments = false;
  /** Whether departments that are in the range by a tag alone are listed unasked, too. */
  listsTaggedDepartments = false;
  /** How a department is refused that there is not. */
  unknownDepartment: 60003 | 60123 = 60003;
  /** How a member is refused who is there and outside the range. */
  memberOutside: 60111 | 60011 = 60111;
  callback: AppCallback | undefined;
  private withheldFields: Withholding = { fields: [], style: 'absent' };

  constructor(
    readonly settings: CompanySettings,
    readonly organization: Organization,
    readonly deliveries: Deliveries = new Deliveries(),
  ) {
    this.limits = new CallLimits(settings);
    this.token = new IssuedToken(settings.tokenLifetime, settings.countsDown, {
      missing: 41001,
      unknown: 40014,
      expired: 42001,
    });
    organization.watch(this);
  }

  /** Whether the company's administrator has disabled the app. */
  get closed(): boolean {
    return this.isClosed;
  }

  set closed(closed: boolean) {
    this.isClosed = closed;
  }

  get range(): VisibleRange {
    return this.visibleRange;
  }

  setRange(range: VisibleRange): void {
    this.visibleRange = range;
    this.invalidate();
  }

  /** Whether a caller names this company by its corp id; plain ones compare ignoring case. */
  hasCorpId(corpId: string): boolean {
    return corpId.toLowerCase() === this.settings.corpId.toLowerCase();
  }

  acceptsSecret(secret: string): boolean {
    return secret === this.settings.secret;
  }

  /** Whether the token is or was this app's. */
  issued(token: string): boolean {
    return this.token.knows(token);
  }

  get withheld(): Withholding {
    return this.withheldFields;
  }

  withhold(withholding: Withholding): void {
    this.withheldFields = withholding;
    this.invalidate();
  }

  /** Changes the organisation and tells every callback what changed, as WeCom would. */
  change(edit: () => void): void {
    this.organization.change(edit);
  }

  /** To be called after the organisation was changed by other means; nobody is told. */
  changed(): void {
    this.organization.announce();
  }

  beforeChange(): boolean {
    return this.target !== undefined;
  }

  afterChange(before: OrganizationState | undefined): void {
    this.invalidate();
    if (before && this.target) this.push(eventsBetween(before, this.organization.state(), this.target.form));
  }

  /** Pushes events as they are to the callback address, if there is one. */
  push(events: readonly ContactEvent[]): void {
    this.send(events.map((event) => ({ what: event.changeType, xml: eventXml(this.receiveId, event) })));
  }

  get visible(): VisibleOrganization {
    this.cut ??= new VisibleOrganization(this.organization, this.visibleRange, this.view());
    return this.cut;
  }

  /** The same token until it expires. */
  issueToken(): { access_token: string; expires_in: number } {
    const { value, expiresIn } = this.token.issue();
    return { access_token: value, expires_in: expiresIn };
  }

  /** Ends the token early, as WeCom may. */
  revokeToken(): void {
    this.token.revoke();
  }

  /** @throws WecomRefusal 41001, 40014 or 42001 */
  requireToken(value: string | null): void {
    this.token.require(value);
  }

  /** Only agent/get tells of an app that is disabled. @throws WecomRefusal 50003 */
  requireOpen(path: string): void {
    if (this.closed && path !== 'agent/get') throw new WecomRefusal(50003);
  }

  /** @throws WecomRefusal 60020 */
  requireAddress(address: string): void {
    requireAddress(this.allowedAddresses, address);
  }

  /**
   * Takes one call's place; what it returns gives the place back.
   * @param debug calls with debug=1 have a limit of their own: 5 a minute
   * @throws WecomRefusal 45009 or 45033
   */
  enter(path: string, debug: boolean): () => void {
    return this.limits.enter(path, debug);
  }

  /** What agent/get tells of this kind of app beside what all have. */
  agentDetails(): Record<string, unknown> {
    return {};
  }

  /** How members and departments are told to this app. */
  protected view(): AppView {
    return { ...PLAIN_VIEW, withheld: this.withheldFields };
  }

  /** Where events go now. */
  protected get target(): AppCallback | undefined {
    return this.callback;
  }

  /** Whom the app's messages are for. */
  protected get receiveId(): string {
    return this.settings.corpId;
  }

  protected send(messages: readonly Message[]): void {
    if (this.target) this.deliveries.push(this.target.address, this.receiveId, this.settings.agentId, messages);
  }

  /** Lets the visible organisation be made anew. */
  protected invalidate(): void {
    this.cut = undefined;
  }
}
