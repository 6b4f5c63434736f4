/** A service provider with one template of a customised app (代开发自建应用). */
export interface ProviderSettings {
  /** The provider's own corp id. */
  readonly corpId: string;
  readonly secret: string;
  /** "dk" and more; it is the SuiteId of the template's events. */
  readonly templateId: string;
  readonly templateSecret: string;
  /** 2 to 10 characters; what the authorizing administrator reads. */
  readonly templateName: string;
  /** Seconds between two suite tickets. */
  readonly ticketSeconds: number;
  /** Whether an app without a callback address of its own has the template's. */
  readonly prefill: boolean;
  /** Whose corp id an app's own events are sealed for: it is not documented which. */
  readonly receiveId: 'encrypted' | 'plain';
  /** How gettoken refuses a cancelled authorization's code: it is not documented which. */
  readonly afterCancel: 40001 | 40084;
  /** How many letters and digits encrypted ids have after "wp" and "wo": it is not documented. */
  readonly idLength: number;
}

export const DEFAULT_PROVIDER: ProviderSettings = {
  corpId: 'wwfedcba9876543210',
  secret: 'sandbox-provider-secret-not-for-production',
  templateId: 'dk0123456789abcdef',
  templateSecret: 'sandbox-template-secret-not-for-production',
  templateName: 'Rollcall',
  ticketSeconds: 600,
  prefill: true,
  receiveId: 'encrypted',
  afterCancel: 40001,
  idLength: 30,
};
