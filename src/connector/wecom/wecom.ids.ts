/**
 * How WeCom's ids compare. A self-built app is told plain ids, which ignore case; a provider's app is told ids encrypted for that
 * provider, which do not. Which of the two a company's app gets shows in the form of its corp id, for the two change together.
 * Source: developer.work.weixin.qq.com/document/path/97104
 */

/** Whose app a company is connected with: its own, or a service provider's. */
export type WecomMode = 'SELF_BUILT' | 'SERVICE_PROVIDER';

/** `ww` or `wx` and 16 hexadecimal digits. */
const PLAIN_CORP_ID = /^w[wx][0-9a-f]{16}$/i;
/** What encrypted corp ids have been seen to look like. */
const ENCRYPTED_CORP_ID = /^wp[A-Za-z0-9_-]{10,62}$/;

export function isPlainCorpId(corpId: string): boolean {
  return PLAIN_CORP_ID.test(corpId);
}

/** Whether the app of this company is told encrypted ids. Their exact form is not documented: a provider is told no other but plain ones. */
export function hasEncryptedIds(corpId: string, mode: WecomMode): boolean {
  return mode === 'SERVICE_PROVIDER' ? !isPlainCorpId(corpId) : ENCRYPTED_CORP_ID.test(corpId);
}

/** The form in which a corp id compares. */
export function corpKey(corpId: string, mode: WecomMode): string {
  return hasEncryptedIds(corpId, mode) ? corpId : corpId.toLowerCase();
}

/** The form in which an id of that company's members, departments and tags compares. */
export function wecomKey(corpId: string, mode: WecomMode, externalId: string): string {
  return hasEncryptedIds(corpId, mode) ? externalId : externalId.toLowerCase();
}

/**
 * Ids that are not in `seen` yet, each once; from now on they are. WeCom may name somebody twice, and in another case.
 * @param keyOf the form in which ids compare
 */
export function uniqueIds(ids: readonly string[], keyOf: (id: string) => string, seen = new Set<string>()): string[] {
  return ids.filter((id) => {
    const key = keyOf(id);
    return !seen.has(key) && seen.add(key);
  });
}
