/** What a credential may do; each role includes the ones before it. */
export const ROLES = ['VIEWER', 'OPERATOR', 'ADMINISTRATOR'] as const;
export type RoleName = (typeof ROLES)[number];

/** Who is calling. */
export interface Actor {
  /** Of an API token its row; of a JWT `oidc:` and its subject. */
  readonly tokenId: string;
  readonly name: string;
  readonly role: RoleName;
  readonly expiresAt: Date | null;
}

export function includesRole(held: RoleName, needed: RoleName): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}
