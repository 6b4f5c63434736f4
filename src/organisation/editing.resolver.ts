import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { UserErrorCode } from '../api/user-error';
import { uuidOf } from '../platform/typed-id';
import type { Changed, OrganisationRefusal } from './change';
import type { EmployeeChange } from './employee.service';
import { importEmployees } from './employee-import';
import {
  BlockEmployeesInput,
  BlockEmployeesPayload,
  CreateDepartmentInput,
  CreateDepartmentPayload,
  CreateEmployeeInput,
  CreateEmployeePayload,
  DeleteDepartmentInput,
  DeleteDepartmentPayload,
  DeleteEmployeeInput,
  DeleteEmployeePayload,
  ImportEmployeesInput,
  ImportEmployeesPayload,
  UnblockEmployeesInput,
  UnblockEmployeesPayload,
  UpdateDepartmentInput,
  UpdateDepartmentPayload,
  UpdateEmployeeInput,
  UpdateEmployeePayload,
} from './organisation.input';
import { loadDepartment, loadEmployee } from './organisation.resolver';

/** What people change about departments and people. */
@Resolver()
export class EditingResolver {
  @Role('OPERATOR')
  @Mutation(() => CreateDepartmentPayload, { description: 'Makes a department in a custom source.' })
  async createDepartment(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CreateDepartmentInput, { description: 'The new department.' }) input: CreateDepartmentInput,
  ): Promise<CreateDepartmentPayload> {
    const { name, englishName = null, order = null } = input;
    const created = await ctx.departments.create({
      identitySourceId: uuidOf('source', input.identitySourceId),
      name,
      englishName,
      order,
      parentId: input.parentId == null ? null : uuidOf('department', input.parentId),
      extensionValues: input.extensionValues ?? [],
    });
    return departmentPayload(ctx, created);
  }

  @Role('OPERATOR')
  @Mutation(() => UpdateDepartmentPayload, { description: 'Renames or moves a department of a custom source.' })
  async updateDepartment(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => UpdateDepartmentInput, { description: 'The changes.' }) input: UpdateDepartmentInput,
  ): Promise<UpdateDepartmentPayload> {
    const { englishName, order, parentId } = input;
    const updated = await ctx.departments.update(uuidOf('department', input.id), {
      name: input.name ?? undefined,
      englishName,
      order,
      parentId: parentId == null ? parentId : uuidOf('department', parentId),
      extensionValues: input.extensionValues ?? undefined,
      expectedUpdatedAt: input.expectedUpdatedAt,
    });
    return departmentPayload(ctx, updated);
  }

  @Role('OPERATOR')
  @Mutation(() => DeleteDepartmentPayload, { description: 'Deletes an empty department of a custom source.' })
  async deleteDepartment(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DeleteDepartmentInput, { description: 'Which one.' }) input: DeleteDepartmentInput,
  ): Promise<DeleteDepartmentPayload> {
    return departmentPayload(ctx, await ctx.departments.delete(uuidOf('department', input.id)));
  }

  @Role('OPERATOR')
  @Mutation(() => CreateEmployeePayload, { description: 'Adds a person to a custom source.' })
  async createEmployee(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CreateEmployeeInput, { description: 'The new person.' }) input: CreateEmployeeInput,
  ): Promise<CreateEmployeePayload> {
    const source = uuidOf('source', input.identitySourceId);
    return employeePayload(ctx, await ctx.employees.create(ctx.actor, source, toChange(input)));
  }

  @Role('OPERATOR')
  @Mutation(() => ImportEmployeesPayload, {
    description:
      'Adds and changes people of a custom source from CSV, matched by user name, ignoring case; all rows or none. The same file twice changes nothing. Who is not in the file stays.',
  })
  async importEmployees(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => ImportEmployeesInput, { description: 'The file.' }) input: ImportEmployeesInput,
  ): Promise<ImportEmployeesPayload> {
    const { csv, dryRun } = input;
    const source = uuidOf('source', input.identitySourceId);
    const outcome = await importEmployees(ctx.dataSource, ctx.actor, source, csv, dryRun);
    if ('refusals' in outcome) {
      return {
        rows: 0,
        created: 0,
        updated: 0,
        unchanged: 0,
        applied: false,
        errors: [],
        userErrors: toUserErrors(outcome.refusals),
      };
    }
    const { errors, ...counts } = outcome.value;
    return { ...counts, applied: !dryRun && errors.length === 0, errors: errors.slice(0, 500), userErrors: [] };
  }

  @Role('OPERATOR')
  @Mutation(() => UpdateEmployeePayload, {
    description:
      'Changes a person: everything in a custom source, position and employmentStatus elsewhere, which outlast synchronization until they are taken back.',
  })
  async updateEmployee(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => UpdateEmployeeInput, { description: 'The changes.' }) input: UpdateEmployeeInput,
  ): Promise<UpdateEmployeePayload> {
    const { takeBack, expectedUpdatedAt } = input;
    const change = { ...toChange(input), takeBack: takeBack ?? undefined, expectedUpdatedAt };
    return employeePayload(ctx, await ctx.employees.update(ctx.actor, uuidOf('employee', input.id), change));
  }

  @Role('OPERATOR')
  @Mutation(() => DeleteEmployeePayload, { description: 'Takes a person out of a custom source.' })
  async deleteEmployee(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DeleteEmployeeInput, { description: 'Whom.' }) input: DeleteEmployeeInput,
  ): Promise<DeleteEmployeePayload> {
    return employeePayload(ctx, await ctx.employees.delete(ctx.actor, uuidOf('employee', input.id)));
  }

  @Role('OPERATOR')
  @Mutation(() => BlockEmployeesPayload, {
    description: 'Refuses people every access until they are unblocked, whatever their source says.',
  })
  async blockEmployees(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => BlockEmployeesInput, { description: 'Whom, and why.' }) input: BlockEmployeesInput,
  ): Promise<BlockEmployeesPayload> {
    const ids = input.ids.map((id) => uuidOf('employee', id));
    return employeesPayload(ctx, await ctx.employees.block(ctx.actor, ids, input.reason));
  }

  @Role('OPERATOR')
  @Mutation(() => UnblockEmployeesPayload, { description: 'Takes a block back.' })
  async unblockEmployees(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => UnblockEmployeesInput, { description: 'Whom.' }) input: UnblockEmployeesInput,
  ): Promise<UnblockEmployeesPayload> {
    return employeesPayload(
      ctx,
      await ctx.employees.unblock(
        ctx.actor,
        input.ids.map((id) => uuidOf('employee', id)),
      ),
    );
  }
}

function toChange(input: CreateEmployeeInput | UpdateEmployeeInput): EmployeeChange {
  const { username, displayName, englishName, position, email, mobile, telephone, address, gender, employmentStatus } =
    input;
  return {
    username,
    displayName,
    englishName,
    position,
    email,
    mobile,
    telephone,
    address,
    gender,
    employmentStatus,
    managerId: input.managerId == null ? input.managerId : uuidOf('employee', input.managerId),
    memberships: input.memberships?.map((m) => ({ ...m, departmentId: uuidOf('department', m.departmentId) })),
    extensionValues: input.extensionValues ?? undefined,
  };
}

async function departmentPayload(ctx: RequestContext, outcome: Changed<string>): Promise<CreateDepartmentPayload> {
  if ('refusals' in outcome) return { department: null, userErrors: toUserErrors(outcome.refusals) };
  return { department: await loadDepartment(ctx, outcome.value), userErrors: [] };
}

async function employeePayload(ctx: RequestContext, outcome: Changed<string>): Promise<CreateEmployeePayload> {
  if ('refusals' in outcome) return { employee: null, userErrors: toUserErrors(outcome.refusals) };
  return { employee: await loadEmployee(ctx, outcome.value), userErrors: [] };
}

async function employeesPayload(
  ctx: RequestContext,
  outcome: Changed<readonly string[]>,
): Promise<BlockEmployeesPayload> {
  if ('refusals' in outcome) return { employees: [], userErrors: toUserErrors(outcome.refusals) };
  return { employees: await Promise.all(outcome.value.map((id) => loadEmployee(ctx, id))), userErrors: [] };
}

function toUserErrors(refusals: readonly OrganisationRefusal[]) {
  return refusals.map(({ code, message, field }) => ({ code: UserErrorCode[code], message, field }));
}
