import { once } from 'node:events';
import express, { type Request, type Response, type Router } from 'express';
import { coerceInputValue, type GraphQLSchema, isInputType } from 'graphql';
import type { Logger } from 'pino';
import type { Actor } from '../access/actor';
import type { Authenticator } from '../access/authenticator';
import type { RequestContext } from '../api/context';
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
  readonly authenticator: Authenticator;
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
  router.get('/employees.csv', async (request, response) => {
    const actor = await options.authenticator.authenticate(request.headers.authorization);
    if (!actor) {
      response.status(401).set('www-authenticate', 'Bearer').json({ error: 'This needs a valid API token.' });
      return;
    }
    await answer(options, actor, request, response);
  });
  return router;
}

async function answer(
  options: EmployeeExportOptions,
  actor: Actor,
  request: Request,
  response: Response,
): Promise<void> {
  try {
    const filter = inputOf<EmployeeFilter>(options.schema, 'EmployeeFilter', request.query['filter']);
    const orderBy = inputOf<EmployeeOrder>(options.schema, 'EmployeeOrder', request.query['orderBy']);
    await send(options, actor, filter, orderBy, response);
  } catch (error) {
    const code = (error as { extensions?: { code?: string } }).extensions?.code;
    if (!response.headersSent && (error instanceof BadQuery || code === 'BAD_USER_INPUT')) {
      response.status(400).json({ error: (error as Error).message });
      return;
    }
    options.log.warn({ err: error }, 'export.failed');
    // What was sent cannot be taken back; a cut connection tells that the file is not whole.
    response.destroy();
  }
}

class BadQuery extends Error {}

/** A query parameter as the GraphQL input of that type. @throws BadQuery with the places that do not fit */
function inputOf<T>(schema: GraphQLSchema, typeName: string, given: unknown): T | undefined {
  if (given === undefined || given === '') return undefined;
  const type = schema.getType(typeName);
  if (typeof given !== 'string' || !isInputType(type)) throw new BadQuery(`Give one ${typeName}, as JSON.`);
  const problems: string[] = [];
  const value = coerceInputValue(parsed(typeName, given), type, (path, _value, error) =>
    problems.push([path.join('.'), error.message].filter((part) => part !== '').join(': ')),
  );
  if (problems.length > 0) throw new BadQuery(problems.join(' '));
  return (value as T | null) ?? undefined;
}

function parsed(typeName: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadQuery(`This is not the JSON of an ${typeName}.`);
  }
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
  response.end();
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

async function write(response: Response, text: string): Promise<void> {
  if (text !== '' && !response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
}
