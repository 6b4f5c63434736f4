import { randomBytes } from 'node:crypto';
import type { CustomizedApp } from './customized-app';

/** Source: developer.work.weixin.qq.com/document/path/100965 */
const LIFETIME_MS = 600_000;

/** What a code is exchanged for. */
export interface CodeContent {
  readonly app: CustomizedApp;
  /** The permanent code that takes the former one's place; undefined where the app's own is told. */
  readonly replacement: string | undefined;
  /** The state of the link that was scanned; undefined where it had none. */
  readonly state: string | undefined;
}

/** Codes that are good once, for ten minutes. */
export class AuthCodes {
  private readonly codes = new Map<string, CodeContent & { readonly expiresAt: number }>();

  issue(content: CodeContent): string {
    const code = randomBytes(64).toString('base64url');
    this.codes.set(code, { ...content, expiresAt: Date.now() + LIFETIME_MS });
    return code;
  }

  /** Uses a code up; undefined where it is unknown, used or too old. */
  take(code: string): CodeContent | undefined {
    const content = this.codes.get(code);
    this.codes.delete(code);
    return content && content.expiresAt > Date.now() ? content : undefined;
  }

  /** Ends the codes of an app. */
  forget(app: CustomizedApp): void {
    for (const [code, content] of this.codes) if (content.app === app) this.codes.delete(code);
  }
}
