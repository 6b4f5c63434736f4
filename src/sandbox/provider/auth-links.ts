import { randomBytes } from 'node:crypto';

/** Source: developer.work.weixin.qq.com/document/path/98744 */
export const LINK_SECONDS = 864_000;

/** What stands behind a QR code. */
export interface AuthLink {
  /** Undefined for the template's own QR code. */
  readonly state: string | undefined;
  /** Milliseconds; undefined for one without end. */
  readonly expiresAt: number | undefined;
}

/** The links behind QR codes, by the last part of their address. */
export class AuthLinks {
  private readonly links = new Map<string, AuthLink>();

  constructor(private readonly origin: () => string) {}

  /** The link of a template's own QR code, which has no state. */
  ofTemplate(templateId: string): string {
    this.links.set(templateId, { state: undefined, expiresAt: undefined });
    return this.address(templateId);
  }

  /** A link that brings the state back. */
  withState(state: string): string {
    const key = randomBytes(24).toString('base64url');
    this.links.set(key, { state, expiresAt: Date.now() + LINK_SECONDS * 1000 });
    return this.address(key);
  }

  /** @throws Error where there is none, or it is too old */
  byKey(key: string): AuthLink {
    const link = this.links.get(key);
    if (!link) throw new Error('There is no such authorization link.');
    if (link.expiresAt !== undefined && link.expiresAt <= Date.now()) {
      throw new Error('The authorization link is older than ten days: have a new one made.');
    }
    return link;
  }

  /** @throws Error where it is none of this sandbox's, or it is too old */
  byUrl(url: string): AuthLink {
    return this.byKey(url.slice(url.lastIndexOf('/') + 1));
  }

  /** The latest one with the state. @throws Error where there is none */
  byState(state: string): AuthLink {
    const link = [...this.links.values()].findLast((one) => one.state === state);
    if (!link) throw new Error(`No authorization link was made with the state "${state}".`);
    return link;
  }

  private address(key: string): string {
    return `${this.origin()}/authorize/${key}`;
  }
}
