import { randomBytes } from 'node:crypto';
import type { CallbackAddress, Deliveries } from '../callbacks/delivery';
import type { ProviderSettings } from './settings';
import { type SuiteEvent, suiteMessage } from './suite-messages';

/** Source: developer.work.weixin.qq.com/document/path/97162 */
const TICKET_LIFETIME_MS = 30 * 60_000;
const TICKETS_KEPT = 3;

/** The template of a customised app: its callback address, and the tickets that it is sent. */
export class Template {
  /** Whether companies can authorize it. */
  online = true;
  callback: CallbackAddress | undefined;
  private tickets: { readonly value: string; readonly issuedAt: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly settings: () => ProviderSettings,
    private readonly deliveries: Deliveries,
  ) {}

  /**
   * Checks the address as WeCom does, and sends it a ticket at once.
   * @throws Error that says what was wrong with the answer
   */
  async setCallback(address: CallbackAddress): Promise<void> {
    await this.deliveries.verify(address, this.settings().corpId);
    this.callback = address;
    this.sendTicket();
  }

  /** Makes a ticket and sends it, and others after it. @returns the ticket */
  sendTicket(): string {
    const value = randomBytes(48).toString('base64url');
    this.tickets = [...this.tickets, { value, issuedAt: Date.now() }].slice(-TICKETS_KEPT);
    this.tell({ infoType: 'suite_ticket', SuiteTicket: value });
    this.schedule();
    return value;
  }

  /** Whether it is one of the last three, and less than 30 minutes old. */
  acceptsTicket(value: string): boolean {
    const ticket = this.tickets.find((one) => one.value === value);
    return ticket !== undefined && Date.now() - ticket.issuedAt < TICKET_LIFETIME_MS;
  }

  /** Pushes an event to the address, if there is one. */
  tell(event: SuiteEvent): void {
    const { templateId } = this.settings();
    if (this.callback) this.deliveries.push(this.callback, templateId, '', [suiteMessage(templateId, event)]);
  }

  /** Lets the next ticket come after the seconds that are set now. */
  schedule(): void {
    this.stop();
    if (!this.callback) return;
    this.timer = setTimeout(() => this.sendTicket(), this.settings().ticketSeconds * 1000);
    this.timer.unref();
  }

  /** Sends no more tickets. */
  stop(): void {
    clearTimeout(this.timer);
  }
}
