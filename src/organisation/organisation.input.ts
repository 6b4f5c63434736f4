import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import { DateTime, SafeInt } from '../api/scalars';
import { UserError } from '../api/user-error';
import { DepartmentObject, EmployeeObject, EmploymentStatusEnum, GenderEnum } from './organisation.type';

@InputType({ description: 'One extension field’s value.' })
export class ExtensionValueInput {
  @Field(() => String, { description: 'The field’s identifier, as in ExtensionField.key.' })
  key: string;

  @Field(() => String, {
    nullable: true,
    description:
      'The value as text, in the form of the field’s type: 7.5, true, 2026-01-31, one of the options; null or an empty text clears.',
  })
  value: string | null;
}

@InputType({ description: 'A new department of a custom source.' })
export class CreateDepartmentInput {
  @Field(() => ID, { description: 'The custom source.' })
  identitySourceId: string;

  @Field(() => String, { description: 'Its name: 1 to 128 characters; several may have the same.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Its English name: at most 128 characters.' })
  englishName?: string | null;

  @Field(() => ID, { nullable: true, description: 'The department above; the top level when absent.' })
  parentId?: string | null;

  @Field(() => SafeInt, { nullable: true, description: 'Larger comes first.' })
  order?: number | null;

  @Field(() => [ExtensionValueInput], {
    nullable: true,
    description: 'Extension fields’ values; every required one must be there.',
  })
  extensionValues?: ExtensionValueInput[] | null;
}

@InputType({ description: 'Changes to a department of a custom source: absent is unchanged, null clears.' })
export class UpdateDepartmentInput {
  @Field(() => ID, { description: 'The department.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 128 characters; null is as absent.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Its English name: at most 128 characters.' })
  englishName?: string | null;

  @Field(() => ID, { nullable: true, description: 'Moves it there; null moves it to the top level.' })
  parentId?: string | null;

  @Field(() => SafeInt, { nullable: true, description: 'Larger comes first.' })
  order?: number | null;

  @Field(() => [ExtensionValueInput], { nullable: true, description: 'The values that change; those not named stay.' })
  extensionValues?: ExtensionValueInput[] | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'Its `updatedAt` as you have seen it: refused with VERSION_CONFLICT if somebody changed it in between. Absent: the last change wins.',
  })
  expectedUpdatedAt?: Date | null;
}

@InputType({ description: 'Which department to delete: one of a custom source, with nobody and nothing in it.' })
export class DeleteDepartmentInput {
  @Field(() => ID, { description: 'The department.' })
  id: string;
}

@InputType({ description: 'Somebody’s place in a department.' })
export class MembershipInput {
  @Field(() => ID, { description: 'The department, of the same source.' })
  departmentId: string;

  @Field(() => Boolean, { defaultValue: false, description: 'Whether the person leads it.' })
  isLeader: boolean;

  @Field(() => Boolean, { defaultValue: false, description: 'Whether it is the main one; at most one is.' })
  isMain: boolean;
}

@InputType()
abstract class EmployeeFieldsInput {
  @Field(() => String, {
    nullable: true,
    description: 'English name or alias: at most 256 characters, as every text of a person.',
  })
  englishName?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Job title. Of a synchronized person an edit outlasts the source until it is taken back.',
  })
  position?: string | null;

  @Field(() => String, { nullable: true, description: 'E-mail address; several people may have the same.' })
  email?: string | null;

  @Field(() => String, { nullable: true, description: 'Mobile number.' })
  mobile?: string | null;

  @Field(() => String, { nullable: true, description: 'Land line.' })
  telephone?: string | null;

  @Field(() => String, { nullable: true, description: 'Address.' })
  address?: string | null;

  @Field(() => GenderEnum, { nullable: true, description: 'Gender.' })
  gender?: keyof typeof GenderEnum | null;

  @Field(() => EmploymentStatusEnum, {
    nullable: true,
    description:
      'How the person is employed; null is UNKNOWN. Of a synchronized person an edit outlasts the source until it is taken back.',
  })
  employmentStatus?: keyof typeof EmploymentStatusEnum | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Whom the person reports to: somebody present of the same source, and not themselves.',
  })
  managerId?: string | null;

  @Field(() => [MembershipInput], {
    nullable: true,
    description:
      'All departments the person is in, in place of the former ones; an empty list takes the person out of all, null is as absent.',
  })
  memberships?: MembershipInput[] | null;

  @Field(() => [ExtensionValueInput], {
    nullable: true,
    description: 'The extension values that change; those not named stay. Null is as absent.',
  })
  extensionValues?: ExtensionValueInput[] | null;
}

@InputType({ description: 'A new person of a custom source.' })
export class CreateEmployeeInput extends EmployeeFieldsInput {
  @Field(() => ID, { description: 'The custom source.' })
  identitySourceId: string;

  @Field(() => String, { description: '1 to 256 characters, unique among the source’s present people, ignoring case.' })
  username: string;

  @Field(() => String, { description: 'The name that people read: 1 to 256 characters.' })
  displayName: string;
}

@InputType({
  description:
    'Changes to a person: absent is unchanged, null clears. Of a synchronized person only position and employmentStatus can be edited.',
})
export class UpdateEmployeeInput extends EmployeeFieldsInput {
  @Field(() => ID, { description: 'The person.' })
  id: string;

  @Field(() => String, {
    nullable: true,
    description: '1 to 256 characters, unique among the source’s present people, ignoring case.',
  })
  username?: string | null;

  @Field(() => String, { nullable: true, description: 'The name that people read.' })
  displayName?: string | null;

  @Field(() => [String], {
    nullable: true,
    description:
      'Edits of a synchronized person to give up, such as ["position"]: the source’s value comes back with the next run.',
  })
  takeBack?: string[] | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'Its `updatedAt` as you have seen it: refused with VERSION_CONFLICT if somebody changed it in between. Absent: the last change wins.',
  })
  expectedUpdatedAt?: Date | null;
}

@InputType({
  description:
    'Whom to delete: somebody of a custom source. The person is REMOVED and keeps the timeline; the user name is free again.',
})
export class DeleteEmployeeInput {
  @Field(() => ID, { description: 'The person.' })
  id: string;
}

@InputType({ description: 'Whom to block.' })
export class BlockEmployeesInput {
  @Field(() => [ID], { description: '1 to 10,000 people; all of them or, when one is unknown, nobody.' })
  ids: string[];

  @Field(() => String, { description: 'Why: 1 to 500 characters.' })
  reason: string;
}

@InputType({ description: 'Whom to unblock.' })
export class UnblockEmployeesInput {
  @Field(() => [ID], { description: '1 to 10,000 people; all of them or, when one is unknown, nobody.' })
  ids: string[];
}

@ObjectType({ description: 'What became of a mutation of a department.' })
abstract class DepartmentPayload {
  @Field(() => DepartmentObject, {
    nullable: true,
    description: 'The department as it is now; null when refused or deleted.',
  })
  department: DepartmentObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of createDepartment.' })
export class CreateDepartmentPayload extends DepartmentPayload {}
@ObjectType({ description: 'What became of updateDepartment.' })
export class UpdateDepartmentPayload extends DepartmentPayload {}
@ObjectType({ description: 'What became of deleteDepartment.' })
export class DeleteDepartmentPayload extends DepartmentPayload {}

@ObjectType({ description: 'What became of a mutation of a person.' })
abstract class EmployeePayload {
  @Field(() => EmployeeObject, { nullable: true, description: 'The person as they are now; null when refused.' })
  employee: EmployeeObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of createEmployee.' })
export class CreateEmployeePayload extends EmployeePayload {}
@ObjectType({ description: 'What became of updateEmployee.' })
export class UpdateEmployeePayload extends EmployeePayload {}
@ObjectType({ description: 'What became of deleteEmployee.' })
export class DeleteEmployeePayload extends EmployeePayload {}

@ObjectType({ description: 'What became of a mutation of several people.' })
abstract class EmployeesPayload {
  @Field(() => [EmployeeObject], { description: 'The people as they are now; none when refused.' })
  employees: readonly (EmployeeObject | null)[];

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of blockEmployees.' })
export class BlockEmployeesPayload extends EmployeesPayload {}
@ObjectType({ description: 'What became of unblockEmployees.' })
export class UnblockEmployeesPayload extends EmployeesPayload {}

@InputType({ description: 'People as CSV, for a custom source.' })
export class ImportEmployeesInput {
  @Field(() => ID, { description: 'The custom source.' })
  identitySourceId: string;

  @Field(() => String, {
    description:
      'CSV in UTF-8 with a header, separated by commas, semicolons or tabs: username and displayName, and any of englishName, position, email, mobile, telephone, address, gender, employmentStatus, departments (paths such as "Company / Sales", several joined by ";", the main one first, or a ";" first where none is; a backslash before a semicolon or slash of a name; or ids), leaderOf (those of the departments that the person leads), manager (a user name), extension.<key>. An empty cell clears; a column that is not there changes nothing. What GET /exports/employees.csv wrote can be sent back as it is. At most 20,000 rows.',
  })
  csv: string;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Checks every row, counts what would happen, and writes nothing.',
  })
  dryRun: boolean;
}

@ObjectType({ description: 'What is wrong with one row of an import.' })
export class ImportRowError {
  @Field(() => Int, { description: 'Counted as in a spreadsheet: the header is row 1.' })
  row: number;

  @Field(() => String, { nullable: true, description: 'The column; null where it is about the row.' })
  column: string | null;

  @Field(() => String, { description: 'What is wrong, and what would be right.' })
  message: string;
}

@ObjectType({ description: 'What became of importEmployees. While a row is wrong nothing is written.' })
export class ImportEmployeesPayload {
  @Field(() => Int, { description: 'Rows read.' })
  rows: number;

  @Field(() => Int, { description: 'People that were added, or would be.' })
  created: number;

  @Field(() => Int, {
    description: 'People that were changed, or would be. While a row is wrong: those who are here already.',
  })
  updated: number;

  @Field(() => Int, { description: 'People who are here already exactly as the file has them.' })
  unchanged: number;

  @Field(() => Boolean, { description: 'Whether it was written.' })
  applied: boolean;

  @Field(() => [ImportRowError], { description: 'What is wrong, row by row; at most 500.' })
  errors: readonly ImportRowError[];

  @Field(() => [UserError], { description: 'Why it was refused as a whole; empty when it was not.' })
  userErrors: readonly UserError[];
}
