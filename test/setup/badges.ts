import { mutate } from './organisation-view';
import type { TestRollcall } from './rollcall';

/** Has a source bring people's names and badges only, of which no two people have the same. */
export async function mapBadges(rollcall: TestRollcall, source: string): Promise<void> {
  const field = { key: 'badge', displayName: '工牌', unique: true };
  await mutate(rollcall, 'createExtensionField', field, 'extensionField { id }');
  const fieldMappings = [
    ['DEPARTMENT', 'name', 'name'],
    ['EMPLOYEE', 'username', 'userid'],
    ['EMPLOYEE', 'displayName', 'name'],
    ['EMPLOYEE', 'extension.badge', 'extattr.工牌'],
  ].map(([objectType, localField, thirdPartyField]) => ({ objectType, localField, thirdPartyField }));
  await mutate(rollcall, 'configureSynchronization', { id: source, fieldMappings }, '__typename');
}

/** What somebody in the sandbox's company has to have for that. */
export function badge(value: string) {
  return { extattr: [{ name: '工牌', value }] };
}
