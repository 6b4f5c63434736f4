import { createHmac } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * Ids as one provider is told them: always the same for one company or member, another for another provider, and nothing that
 * leads back. Real ones look like it; their exact form is not documented. Source: developer.work.weixin.qq.com/document/path/97104
 */
export class EncryptedIds {
  private readonly made = new Map<string, string>();

  /**
   * @param providerCorpId what keys the ids, so that they outlive a restart
   * @param length how many letters and digits follow the first two
   */
  constructor(
    private readonly providerCorpId: string,
    private readonly length: () => number,
  ) {}

  /** "wp" and letters and digits. Plain corp ids compare ignoring case. */
  corpId(plain: string): string {
    return `wp${this.hash('corp', plain.toLowerCase())}`;
  }

  /** "wo" and letters and digits. Plain userids compare ignoring case. */
  memberId(plainCorpId: string, userid: string): string {
    const text = `${plainCorpId.toLowerCase()}/${userid.toLowerCase()}`;
    const key = `${this.length()}/${text}`;
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const id = `wo${this.hash('member', text)}`;
    this.made.set(key, id);
    return id;
  }

  private hash(kind: string, text: string): string {
    const bytes = createHmac('sha512', `rollcall sandbox ${this.providerCorpId}`).update(`${kind}/${text}`).digest();
    return Array.from(bytes.subarray(0, this.length()), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
  }
}
