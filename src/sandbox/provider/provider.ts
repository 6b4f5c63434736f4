import { randomBytes } from 'node:crypto';
import { CallLimits, requireAddress } from '../call-limits';
import type { CallbackAddress } from '../callbacks/delivery';
import type { Company } from '../company';
import { IssuedToken } from '../issued-token';
import type { Organization } from '../organization';
import type { VisibleRange } from '../visible';
import { AuthCodes, type CodeContent } from './auth-codes';
import { type AuthLink, AuthLinks } from './auth-links';
import { type AppProvider, type AuthorizingCompany, CustomizedApp } from './customized-app';
import { EncryptedIds } from './encrypted-ids';
import { requirePermissions } from './permissions';
import type { ProviderSettings } from './settings';
import { Template } from './template';

/** What a company's administrator decides; all has a default. */
export interface AuthorizeOptions {
  /** The link behind the QR code that was scanned. */
  readonly url?: string | undefined;
  /** In the link's place: the state that it was made with. With neither, the template's own QR code is scanned. */
  readonly state?: string | undefined;
  /** Another company than the sandbox's own. */
  readonly company?: AuthorizingCompany | undefined;
  readonly permissions?: readonly string[] | undefined;
  /** As an authorization from before June 2022, whose ids are not encrypted. */
  readonly plainIds?: boolean | undefined;
  readonly range?: VisibleRange | undefined;
  /** Whether create_auth brings the link's state back; get_permanent_code always does. */
  readonly sendState?: boolean | undefined;
  /** Authorizes once more what is authorized already, as after a cancel that nobody heard of. */
  readonly again?: boolean | undefined;
}

/** A company's authorization of the template. */
export interface Authorization {
  /** As the provider is told it. */
  readonly corpId: string;
  readonly company: AuthorizingCompany;
  readonly app: CustomizedApp;
  /** What change_auth brings back. */
  readonly state: string;
  readonly authorizedAt: number;
}

export interface Authorized {
  /** As the provider is told it. */
  readonly corpId: string;
  readonly agentId: string;
  readonly authCode: string;
}

/** Self-built apps come before it by custom. */
const FIRST_AGENT_ID = 1_000_005;
const CORP_ID = /^(ww|wx)[0-9a-f]{16}$/i;

/** A service provider with one template, and the companies that have authorized it. */
export class Provider implements AppProvider {
  readonly template: Template;
  readonly links: AuthLinks;
  readonly suiteToken: IssuedToken;
  readonly providerToken: IssuedToken;
  readonly ids: EncryptedIds;
  /** Addresses that may call, as the provider and as any of its apps; empty: all. */
  allowedAddresses: readonly string[] = [];
  private readonly limits: CallLimits;
  private current: ProviderSettings;
  private readonly codes = new AuthCodes();
  private readonly byCorp = new Map<string, Authorization>();
  /** Permanent codes of cancelled authorizations. */
  private readonly cancelledCodes = new Set<string>();
  private readonly cancelledCorpIds = new Set<string>();
  private nextAgentId: number;

  /**
   * @param selfBuilt the sandbox's own company: its organisation, limits and deliveries are the apps' too
   * @param origin where the sandbox is reached
   */
  constructor(
    settings: ProviderSettings,
    private readonly selfBuilt: Company,
    origin: () => string,
  ) {
    this.current = settings;
    this.limits = new CallLimits(selfBuilt.settings);
    this.ids = new EncryptedIds(settings.corpId, () => this.current.idLength);
    this.template = new Template(() => this.current, this.deliveries);
    this.links = new AuthLinks(origin);
    this.links.ofTemplate(settings.templateId);
    const { tokenLifetime, countsDown } = selfBuilt.settings;
    this.suiteToken = new IssuedToken(tokenLifetime, countsDown, { missing: 41022, unknown: 40082, expired: 42009 });
    this.providerToken = new IssuedToken(tokenLifetime, countsDown, { missing: 41001, unknown: 40014, expired: 42001 });
    this.nextAgentId = Math.max(FIRST_AGENT_ID, Number(selfBuilt.settings.agentId) + 1);
  }

  /** @throws WecomRefusal 60020 */
  requireAddress(address: string): void {
    requireAddress(this.allowedAddresses, address);
  }

  /** As {@link Company.enter}, for what is called with the provider's own tokens. */
  enter(path: string, debug: boolean): () => void {
    return this.limits.enter(path, debug);
  }

  get settings(): ProviderSettings {
    return this.current;
  }

  get deliveries() {
    return this.selfBuilt.deliveries;
  }

  get organization(): Organization {
    return this.selfBuilt.organization;
  }

  get templateCallback(): CallbackAddress | undefined {
    return this.template.callback;
  }

  /** The sandbox's own company, by the name of its topmost department. */
  get ownCompany(): AuthorizingCompany {
    const { departments } = this.organization;
    const top = departments.get(1) ?? [...departments.values()].find((one) => !departments.has(one.parentId));
    return { corpId: this.selfBuilt.settings.corpId, name: top?.name ?? 'Sandbox' };
  }

  /** Those in force. */
  get authorizations(): readonly Authorization[] {
    return [...this.byCorp.values()];
  }

  /** Changes switches while it runs. */
  configure(
    changes: Partial<Pick<ProviderSettings, 'ticketSeconds' | 'prefill' | 'receiveId' | 'afterCancel' | 'idLength'>>,
  ): void {
    this.current = { ...this.current, ...changes };
    if (changes.ticketSeconds !== undefined) this.template.schedule();
  }

  /** Checks the template's address, keeps it and sends it a ticket. @throws Error that says what was wrong with the answer */
  setTemplateCallback(address: CallbackAddress): Promise<void> {
    return this.template.setCallback(address);
  }

  /** Sends a ticket now. @returns it */
  sendTicket(): string {
    return this.template.sendTicket();
  }

  /**
   * A company's administrator scans a QR code and agrees: the company gets an app, and the template hears of it.
   * @throws Error that says what is wrong; errcodes 842002 and 842006 are named in it
   */
  authorize(options: AuthorizeOptions = {}): Authorized {
    const link = this.linkOf(options);
    const company = options.company ?? this.ownCompany;
    requirePermissions(options.permissions ?? []);
    const former = this.formerOf(company, options.again ?? false);
    if (former) this.end(former);
    const app = this.makeApp(company, options);
    const state = options.sendState === false ? '' : (link?.state ?? '');
    const { corpId, agentId } = app.settings;
    this.byCorp.set(corpId, { corpId, company, app, state, authorizedAt: Date.now() });
    const authCode = this.codes.issue({ app, replacement: undefined, state: link?.state });
    this.template.tell({ infoType: 'create_auth', AuthCode: authCode, State: state });
    return { corpId, agentId, authCode };
  }

  /** The administrator takes the authorization back. @param corpId plain or encrypted @throws Error where there is none */
  cancel(corpId: string): void {
    const authorization = this.authorizationOf(corpId);
    this.end(authorization);
    this.template.tell({ infoType: 'cancel_auth', AuthCorpId: authorization.corpId });
  }

  /**
   * The provider asks for another permanent code; the former one ends when the new one was fetched.
   * @returns the code that fetches it
   * @throws Error where the company has not authorized
   */
  resetPermanentCode(corpId: string): string {
    const { app } = this.authorizationOf(corpId);
    const authCode = this.codes.issue({ app, replacement: newPermanentCode(), state: undefined });
    this.template.tell({ infoType: 'reset_permanent_code', AuthCode: authCode });
    return authCode;
  }

  /** Uses a code up: from now on its app's permanent code is the one that it was for. Undefined where it is not good. */
  exchange(authCode: string): CodeContent | undefined {
    const content = this.codes.take(authCode);
    if (content?.replacement) content.app.replaceSecret(content.replacement);
    return content;
  }

  /** The app of a company. @param corpId plain or encrypted @throws Error where it has not authorized */
  appOf(corpId: string): CustomizedApp {
    return this.authorizationOf(corpId).app;
  }

  /** Where an authorization is in force for a corp id as the provider is told it. */
  find(corpId: string): Authorization | undefined {
    return this.authorizations.find(({ app }) => app.hasCorpId(corpId));
  }

  /** @param corpId plain or encrypted @throws Error where it has not authorized */
  authorizationOf(corpId: string): Authorization {
    const plain = corpId.toLowerCase();
    const found = this.find(corpId) ?? this.authorizations.find((one) => one.company.corpId.toLowerCase() === plain);
    if (!found) throw new Error(`No company "${corpId}" has authorized the template.`);
    return found;
  }

  /** Changes what an app may be told, and tells the template. @throws Error for a permission that there is not */
  setPermissions(corpId: string, permissions: readonly string[]): void {
    const { app } = this.authorizationOf(corpId);
    app.grant(permissions);
    this.authorizationChanged(app);
  }

  authorizationChanged(app: CustomizedApp): void {
    const authorization = this.byCorp.get(app.settings.corpId);
    if (authorization?.app !== app) return;
    this.template.tell({ infoType: 'change_auth', AuthCorpId: authorization.corpId, State: authorization.state });
  }

  /** Whether the permanent code was good until its authorization was cancelled. */
  isCancelledCode(secret: string): boolean {
    return this.cancelledCodes.has(secret);
  }

  /** Whether the company, by the corp id that the provider was told, had authorized the template and cancelled it. */
  hasCancelled(corpId: string): boolean {
    return this.cancelledCorpIds.has(corpId) && !this.find(corpId);
  }

  /** Ends the suite's and the provider's token early, as WeCom may. */
  revokeToken(): void {
    this.suiteToken.revoke();
    this.providerToken.revoke();
  }

  /** Sends nothing more by itself, nor when the organisation changes. */
  stop(): void {
    this.template.stop();
    for (const { app } of this.authorizations) this.organization.unwatch(app);
  }

  private linkOf({ url, state }: AuthorizeOptions): AuthLink | undefined {
    if (url !== undefined) return this.links.byUrl(url);
    return state === undefined ? undefined : this.links.byState(state);
  }

  /** The authorization that another one of the company would take the place of. @throws Error where there may be none */
  private formerOf({ corpId, name }: AuthorizingCompany, again: boolean): Authorization | undefined {
    if (!this.template.online) throw new Error('842002: the template is not online.');
    if (!CORP_ID.test(corpId)) throw new Error(`"${corpId}" is no corp id: "ww" or "wx" and 16 hexadecimal digits.`);
    if (name.trim() === '') throw new Error('The company needs a name.');
    const former = this.authorizations.find((one) => one.company.corpId.toLowerCase() === corpId.toLowerCase());
    if (former && !again) throw new Error('842006: the company has authorized this template already.');
    return former;
  }

  private makeApp(company: AuthorizingCompany, options: AuthorizeOptions): CustomizedApp {
    const plainIds = options.plainIds ?? false;
    const settings = {
      ...this.selfBuilt.settings,
      corpId: plainIds ? company.corpId : this.ids.corpId(company.corpId),
      agentId: String(this.nextAgentId++),
      secret: newPermanentCode(),
    };
    const app = new CustomizedApp(settings, this.organization, this, company, plainIds);
    app.grant(options.permissions ?? []);
    if (options.range) app.startWith(options.range);
    return app;
  }

  private end({ corpId, app }: Authorization): void {
    app.end();
    this.codes.forget(app);
    this.cancelledCodes.add(app.settings.secret);
    this.cancelledCorpIds.add(corpId);
    this.byCorp.delete(corpId);
  }
}

function newPermanentCode(): string {
  return randomBytes(48).toString('base64url');
}
