import { mutate } from './organisation-view';
import type { TestRollcall } from './rollcall';

/** Has a source bring departments' names, people's ids and names, and of people what is said: third-party fields by the local ones. */
export async function mapPeople(
  rollcall: TestRollcall,
  source: string,
  more: Readonly<Record<string, string>>,
): Promise<void> {
  const people = { username: 'userid', displayName: 'name', ...more };
  const fieldMappings = [
    { objectType: 'DEPARTMENT', localField: 'name', thirdPartyField: 'name' },
    ...Object.entries(people).map(([localField, thirdPartyField]) => ({
      objectType: 'EMPLOYEE',
      localField,
      thirdPartyField,
    })),
  ];
  const { userErrors } = await mutate(
    rollcall,
    'configureSynchronization',
    { id: source, fieldMappings },
    'identitySource { id }',
  );
  expect(userErrors).toEqual([]);
}

/** Has a source bring people's names and badges only, of which no two people have the same. */
export async function mapBadges(rollcall: TestRollcall, source: string): Promise<void> {
  const field = { key: 'badge', displayName: '工牌', unique: true };
  await mutate(rollcall, 'createExtensionField', field, 'extensionField { id }');
  await mapPeople(rollcall, source, { 'extension.badge': 'extattr.工牌' });
}

/** What somebody in the sandbox's company has to have for that. */
export function badge(value: string) {
  return { extattr: [{ name: '工牌', value }] };
}
