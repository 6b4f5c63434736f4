import express, { type Response, type Router } from 'express';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Actor } from '../access/actor';
import type { RequestContext } from '../api/context';
import { inputOf, sendFile, write } from '../api/exports';
import { actorOf } from '../api/requests';
import type { ExtensionFieldRow } from '../extension-field/extension-field.service';
import { EXTENSION_PREFIX } from '../field-mapping/field-mapping';
import { csvCell } from '../platform/csv';
import { fileNames, joinPaths } from './department-paths';
import { IMPORT_COLUMNS, READ_ONLY_COLUMNS } from './employee-file';
import { listEmployees } from './organisation.list';
import type { EmployeeFilter, EmployeeObject, EmployeeOrder } from './organisation.type';

/** As many as a page can have. */
const AT_ONCE = 500;

export interface EmployeeExportOptions {
  readonly schema: GraphQLSchema;
  /** What the lists are read with; a new one for each page, so that nothing of the former ones is held. */
  readonly createContext: (actor: Actor) => RequestContext;
  readonly log: Logger;
}

/**
 * People as CSV, streamed: those that `employees(filter, orderBy)` lists, given as the JSON of its variables. What importEmployees
 * takes is in the form in which it takes it; viewers get personal values masked.
 */
export function employeeExport(options: EmployeeExportOptions): Router {
  const router = express.Router();
  router.get('/employees.csv', (request, response) =>
    sendFile(response, options.log, async () => {
      const filter = inputOf<EmployeeFilter>(options.schema, 'EmployeeFilter', request.query['filter']);
      const orderBy = inputOf<EmployeeOrder>(options.schema, 'EmployeeOrder', request.query['orderBy']);
      await send(options, actorOf(response), filter, orderBy, response);
    }),
  );
  return router;
}

async function send(
  options: EmployeeExportOptions,
  actor: Actor,
  filter: EmployeeFilter | undefined,
  orderBy: EmployeeOrder | undefined,
  response: Response,
): Promise<void> {
  const fields = await employeeFields(options.createContext(actor));
  const columns = [...IMPORT_COLUMNS, ...fields.map(({ key }) => EXTENSION_PREFIX + key), ...READ_ONLY_COLUMNS];
  for (let after: string | null = null; ; ) {
    const ctx = options.createContext(actor);
    const page = await listEmployees(ctx, filter, orderBy, { first: AT_ONCE, after });
    const rows = await cellsOfPage(ctx, page.nodes, fields);
    if (after === null) begin(response, columns);
    await write(response, rows.map((cells) => line(columns.map((column) => cells[column] ?? null))).join(''));
    after = page.pageInfo.endCursor;
    if (!page.pageInfo.hasNextPage || response.destroyed) break;
  }
}

/** Only once the first page was read, so that a filter which does not fit is still answered as such. */
function begin(response: Response, columns: readonly string[]): void {
  response.type('text/csv; charset=utf-8').attachment('employees.csv');
  // The mark tells spreadsheets that the text is UTF-8.
  response.write(`\ufeff${line(columns)}`);
}

async function employeeFields({ loaders }: RequestContext): Promise<ExtensionFieldRow[]> {
  return (await loaders.extensionFields.load('all')).filter(({ objectType }) => objectType === 'EMPLOYEE');
}

type Cells = Readonly<Record<string, string | null>>;

async function cellsOfPage(
  ctx: RequestContext,
  people: readonly EmployeeObject[],
  fields: readonly ExtensionFieldRow[],
): Promise<Cells[]> {
  const places = await Promise.all(people.map(({ uuid }) => ctx.loaders.memberships.load(uuid)));
  const departments = new Set(places.flat().map(({ departmentId }) => departmentId));
  const names = await fileNames(ctx.dataSource, [...departments]);
  return Promise.all(people.map((employee, i) => cellsOf(ctx, employee, places[i] ?? [], names, fields)));
}

async function cellsOf(
  { loaders }: RequestContext,
  employee: EmployeeObject,
  memberships: readonly { departmentId: string; isLeader: boolean }[],
  names: ReadonlyMap<string, string>,
  fields: readonly ExtensionFieldRow[],
): Promise<Cells> {
  const [manager, source, links] = await Promise.all([
    employee.managerId ? loaders.employee.load(employee.managerId) : null,
    loaders.source.load(employee.identitySourceId),
    loaders.externalId.load(employee.uuid),
  ]);
  const isMain = (place: { departmentId: string }) => place.departmentId === employee.mainDepartmentId;
  const places = [...memberships].sort((a, b) => Number(isMain(b)) - Number(isMain(a)));
  const named = (some: typeof places) => some.map(({ departmentId }) => names.get(departmentId) ?? '');
  const { username, displayName, englishName, position, email, mobile, telephone, address, gender } = employee;
  return {
    ...{ username, displayName, englishName, position, email, mobile, telephone, address, gender },
    employmentStatus: employee.employmentStatus,
    departments: joinPaths(named(places), places.some(isMain)),
    leaderOf: joinPaths(named(places.filter(({ isLeader }) => isLeader)), true),
    manager: manager?.username ?? null,
    ...Object.fromEntries(fields.map(({ key }) => [EXTENSION_PREFIX + key, employee.extensionTexts[key] ?? null])),
    status: employee.status,
    identitySource: source?.name ?? null,
    externalId: links[0]?.externalId ?? null,
    blockedReason: employee.blockedReason,
    updatedAt: employee.updatedAt.toISOString(),
  };
}

function line(cells: readonly (string | null)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}
