import type { CallbackAddress, Deliveries } from '../callbacks/delivery';
import { type AppCallback, Company, type CompanySettings } from '../company';
import { WecomRefusal } from '../errors';
import type { Organization, OrganizationState, SandboxUser } from '../organization';
import type { AppView, VisibleOrganization, VisibleRange } from '../visible';
import type { EncryptedIds } from './encrypted-ids';
import { requirePermissions, WHOLE_STRUCTURE, withheldOfDepartments, withheldOfMembers } from './permissions';
import type { ProviderSettings } from './settings';
import { rangeMessage } from './suite-messages';
import { toldChanges } from './told-changes';

/** What an app needs of its provider. */
export interface AppProvider {
  readonly settings: ProviderSettings;
  readonly ids: EncryptedIds;
  readonly templateCallback: CallbackAddress | undefined;
  readonly deliveries: Deliveries;
  requireAddress(address: string): void;
  /** The company's administrator changed what the app may do. */
  authorizationChanged(app: CustomizedApp): void;
}

/** The company that an app was made in. */
export interface AuthorizingCompany {
  /** Plain. */
  readonly corpId: string;
  readonly name: string;
}

const DISABLED = 2;
const ONLINE = 2;

/**
 * The app that a company gets when it authorizes a template: told less than a self-built one, and with ids encrypted for the
 * provider, unless it was authorized before June 2022. Source: developer.work.weixin.qq.com/document/path/97104
 */
export class CustomizedApp extends Company {
  private granted: readonly string[] = [];
  /** 0 to be developed, 1 in development, 2 online, 3 online with a newer version. */
  publishStatus = 2;
  /** How all but agent/get is refused until the app is online; whether it is at all is not documented. */
  untilOnline: 48002 | 60011 | 50003 | undefined;
  /** Whether the template's address is used where {@link callback} has none. */
  isPrefilled = true;
  /** As {@link ProviderSettings.receiveId}, for this app. */
  receives: ProviderSettings['receiveId'] | undefined;
  private readonly own: { -readonly [K in keyof CompanySettings]: CompanySettings[K] };

  /** @param settings `corpId` is as the provider is told it, `secret` is the permanent code */
  constructor(
    settings: CompanySettings,
    organization: Organization,
    private readonly provider: AppProvider,
    readonly company: AuthorizingCompany,
    readonly plainIds: boolean,
  ) {
    const own = { ...settings };
    super(own, organization, provider.deliveries);
    this.own = own;
  }

  get permissions(): readonly string[] {
    return this.granted;
  }

  /** @throws Error for a permission that there is not */
  grant(permissions: readonly string[]): void {
    requirePermissions(permissions);
    this.granted = [...new Set(permissions)];
    this.invalidate();
  }

  /** Sets the range before anybody knows the app, so that nobody is told. */
  startWith(range: VisibleRange): void {
    super.setRange(this.plainRange(range));
  }

  /** Tells the template, and the app of each member that came or went. Members may be named by either id. */
  override setRange(range: VisibleRange): void {
    const former = this.visible;
    super.setRange(this.plainRange(range));
    this.provider.authorizationChanged(this);
    this.tellOfMembers(former);
  }

  override get closed(): boolean {
    return super.closed;
  }

  override set closed(closed: boolean) {
    if (closed === super.closed) return;
    super.closed = closed;
    this.provider.authorizationChanged(this);
  }

  /** The provider's list counts, and the company's where it has one. */
  override requireAddress(address: string): void {
    this.provider.requireAddress(address);
    super.requireAddress(address);
  }

  override requireOpen(path: string): void {
    super.requireOpen(path);
    if (this.untilOnline && this.publishStatus < ONLINE && path !== 'agent/get')
      throw new WecomRefusal(this.untilOnline);
  }

  /** Encrypted corp ids compare exactly. */
  override hasCorpId(corpId: string): boolean {
    return this.plainIds ? super.hasCorpId(corpId) : corpId === this.settings.corpId;
  }

  /** Puts another permanent code in the place of the one so far. */
  replaceSecret(secret: string): void {
    this.own.secret = secret;
  }

  /** Tells the app no more. */
  end(): void {
    this.organization.unwatch(this);
    this.revokeToken();
  }

  override beforeChange(): boolean {
    // What the app sees must be known before the change, for telling what became of it.
    return super.beforeChange() && this.visible !== undefined;
  }

  override afterChange(before: OrganizationState | undefined): void {
    if (!before) {
      this.invalidate();
      return;
    }
    const former = this.visible;
    this.invalidate();
    const state = this.organization.state();
    this.push(toldChanges({ visible: former, state: before }, { visible: this.visible, state }));
    this.tellOfMembers(former);
  }

  override agentDetails(): Record<string, unknown> {
    return { name: this.provider.settings.templateName, customized_publish_status: this.publishStatus };
  }

  protected override view(): AppView {
    const { fields, style } = this.withheld;
    const { ids } = this.provider;
    return {
      memberId: this.plainIds ? (userid) => userid : (userid) => ids.memberId(this.company.corpId, userid),
      encryptsIds: !this.plainIds,
      withheld: { fields: [...withheldOfMembers(this.granted), ...fields], style },
      withheldOfDepartments: withheldOfDepartments(this.granted),
      wholeStructure: this.granted.includes(WHOLE_STRUCTURE),
    };
  }

  protected override get target(): AppCallback | undefined {
    const { settings, templateCallback } = this.provider;
    if (this.callback || !settings.prefill || !this.isPrefilled || !templateCallback) return this.callback;
    return { address: templateCallback, form: 'full' };
  }

  protected override get receiveId(): string {
    const receives = this.receives ?? this.provider.settings.receiveId;
    return receives === 'plain' ? this.company.corpId : this.settings.corpId;
  }

  /** One message for each member that came into the range, joined in it, left it or was disabled. */
  private tellOfMembers(former: VisibleOrganization): void {
    if (!this.target) return;
    const [was, is] = [usable(former), usable(this.visible)];
    const { memberId } = this.visible.view;
    const tell = (what: 'subscribe' | 'unsubscribe', user: SandboxUser) =>
      rangeMessage(what, this.receiveId, memberId(user.userid), this.settings.agentId);
    // Another userid is not another member.
    const key = (user: SandboxUser) => (user.formerUserid ?? user.userid).toLowerCase();
    const [before, after] = [new Set(was.map(key)), new Set(is.map(key))];
    this.send([
      ...is.filter((user) => !before.has(key(user))).map((user) => tell('subscribe', user)),
      ...was.filter((user) => !after.has(key(user))).map((user) => tell('unsubscribe', user)),
    ]);
  }

  private plainRange(range: VisibleRange): VisibleRange {
    if (this.plainIds || range.users.length === 0) return range;
    const { users } = this.organization;
    const plain = new Map([...users.keys()].map((id) => [this.visible.view.memberId(id), id]));
    return { ...range, users: range.users.map((id) => plain.get(id) ?? id) };
  }
}

function usable(visible: VisibleOrganization): SandboxUser[] {
  return [...visible.allUsers()].filter((user) => user.status !== DISABLED);
}
