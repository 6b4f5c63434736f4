import type { AuthorizationStatusName } from './source-authorization';

/** The link that a scanned state belongs to. */
export interface ScannedLink {
  readonly authorizationId: string;
  readonly sourceId: string;
  readonly status: AuthorizationStatusName;
  readonly expiresAt: Date;
  readonly sourceDeleted: boolean;
  /** Whether its source is another company's: connected with it, or with people of it that are still to be removed. */
  readonly ofAnother: boolean;
}

/** A source that the company has here already. */
export interface KnownCompany {
  readonly sourceId: string;
  /** False once the company has cancelled. */
  readonly connected: boolean;
}

/** Why a state binds nothing. */
export type UnboundReason = 'NO_STATE' | 'UNKNOWN_STATE' | 'EXPIRED_STATE' | 'USED_STATE' | 'OTHER_COMPANY';

/** What a company's consent does here. */
export type CompanyDecision =
  /** The link's source gets the company. */
  | { readonly kind: 'BIND'; readonly sourceId: string; readonly authorizationId: string }
  /** The company has a source already: that one gets the new secret, and the link is refused. */
  | { readonly kind: 'REFUSE'; readonly sourceId: string; readonly authorizationId: string; readonly existing: string }
  /** No link that binds, but the company is known: its source gets the new secret. */
  | { readonly kind: 'REUSE'; readonly sourceId: string; readonly reason: UnboundReason }
  /** Nobody waits for this company: it gets a closed source of its own. */
  | { readonly kind: 'APPEAR'; readonly reason: UnboundReason };

/**
 * A code can be exchanged once and a company authorizes once, so every consent ends with its secret at some source. Pure.
 * @param state null for the template's own QR code
 * @param scannedAt WeCom's time
 */
export function decideCompany(
  state: string | null,
  link: ScannedLink | undefined,
  known: KnownCompany | undefined,
  scannedAt: Date,
): CompanyDecision {
  const reason = unbound(state, link, known, scannedAt);
  if (reason) return known ? { kind: 'REUSE', sourceId: known.sourceId, reason } : { kind: 'APPEAR', reason };
  const { sourceId, authorizationId } = link as ScannedLink;
  return known?.connected && known.sourceId !== sourceId
    ? { kind: 'REFUSE', sourceId, authorizationId, existing: known.sourceId }
    : { kind: 'BIND', sourceId, authorizationId };
}

function unbound(
  state: string | null,
  link: ScannedLink | undefined,
  known: KnownCompany | undefined,
  scannedAt: Date,
): UnboundReason | undefined {
  if (!state) return 'NO_STATE';
  if (!link || link.sourceDeleted) return 'UNKNOWN_STATE';
  if (link.ofAnother) return 'OTHER_COMPANY';
  // Told late: it was scanned in time, and only our own clock has ended it meanwhile.
  if (link.status === 'PENDING' || link.status === 'EXPIRED')
    return scannedAt > link.expiresAt ? 'EXPIRED_STATE' : undefined;
  return known?.sourceId === link.sourceId && link.status === 'AUTHORIZED' ? undefined : 'USED_STATE';
}
