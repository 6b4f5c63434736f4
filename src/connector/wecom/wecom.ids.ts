/**
 * How WeCom's ids compare. A self-built app is told plain ids, which ignore case; a provider's app is told ids encrypted for that
 * provider, which do not. Which of the two a company's app gets shows in the form of its corp id, for the two change together.
 * Source: developer.work.weixin.qq.com/document/path/97104
 */

/** `ww` or `wx` and 16 hexadecimal digits. */
const PLAIN_CORP_ID = /^w[wx][0-9a-f]{16}$/i;
/** What encrypted corp ids have been seen to begin with. */
const ENCRYPTED_CORP_ID = /^wp[A-Za-z0-9_-]{10,62}$/;

export function isPlainCorpId(corpId: string): boolean {
  return PLAIN_CORP_ID.test(corpId);
}

/** Whether the app of this company is told encrypted ids. */
export function hasEncryptedIds(corpId: string): boolean {
  return ENCRYPTED_CORP_ID.test(corpId);
}

/** The form in which a corp id compares. */
export function corpKey(corpId: string): string {
  return hasEncryptedIds(corpId) ? corpId : corpId.toLowerCase();
}

/** The form in which an id of that company's members, departments and tags compares. */
export function wecomKey(corpId: string, externalId: string): string {
  return hasEncryptedIds(corpId) ? externalId : externalId.toLowerCase();
}
