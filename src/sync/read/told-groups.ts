import type { DataSource } from 'typeorm';
import { type DirectoryConnector, DirectoryError, type ThirdPartyGroup } from '../../connector/directory-connector';
import type { Run } from '../task/lease';
import type { AnyPage } from './stage';

/**
 * Groups as they were read, but for those that have departments here and of whose departments nothing was told: that is no
 * answer, least of all that they have none.
 */
export async function* requireDepartments(
  dataSource: DataSource,
  connector: DirectoryConnector,
  run: Run,
  pages: AsyncIterable<AnyPage>,
): AsyncIterable<AnyPage> {
  for await (const page of pages) {
    const untold = page.content.kind === 'read' ? page.content.objects.filter(tellsNoDepartments) : [];
    const keys = untold.map((group) => connector.keyOf(group.externalId));
    const lacks = keys.length > 0 && (await anyHasDepartments(dataSource, run, keys));
    yield lacks ? { key: page.key, readAt: page.readAt, content: { kind: 'unreadable', error: notTold() } } : page;
  }
}

function tellsNoDepartments(object: object): object is ThirdPartyGroup {
  return 'departmentIds' in object && object.departmentIds === undefined;
}

async function anyHasDepartments(dataSource: DataSource, run: Run, keys: readonly string[]): Promise<boolean> {
  const [row] = await dataSource.query(
    `SELECT EXISTS (SELECT FROM link l JOIN directory_group_department m ON m.group_id = l.local_id
                     WHERE l.identity_source_id = $1 AND l.kind = 'GROUP' AND l.external_key = ANY ($2)) AS any`,
    [run.task.identitySourceId, keys],
  );
  return row.any;
}

function notTold(): DirectoryError {
  return new DirectoryError(
    'UPSTREAM_REFUSED',
    'The answer does not tell the departments of a group that has some here.',
    undefined,
    'They are kept. Try again; if it stays, please report it.',
  );
}
