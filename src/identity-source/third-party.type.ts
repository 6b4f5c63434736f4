import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { PageInfo } from '../api/pagination';
import { DateTime } from '../api/scalars';
import { SyncObjectTypeEnum } from '../sync/api/sync-task.type';
import { SyncScopeModeEnum } from './synchronization-settings.type';

@ObjectType({ description: 'A department as the directory shows it.' })
export class ThirdPartyDepartment {
  @Field(() => String, { description: 'The directory’s id.' })
  id: string;

  @Field(() => String, { description: 'Its name; the id where the name is withheld.' })
  name: string;

  @Field(() => [String], { description: 'Names from the top down to this one.' })
  path: string[];

  @Field(() => String, { nullable: true, description: 'The parent’s id; null at the top of what can be seen.' })
  parentId: string | null;

  @Field(() => Boolean, { description: 'Whether there are departments below it.' })
  hasChildren: boolean;

  @Field(() => Boolean, { description: 'Whether it can be seen now, or could when it was last read.' })
  visible: boolean;
}

@ObjectType({ description: 'One ThirdPartyDepartment of a page, with its cursor.' })
export class ThirdPartyDepartmentEdge {
  @Field(() => ThirdPartyDepartment, { description: 'The element itself.' })
  node: ThirdPartyDepartment;

  @Field(() => String, { description: 'Send it as `after` to go on from here.' })
  cursor: string;
}

@ObjectType({ description: 'A page of a list of ThirdPartyDepartment.' })
export class ThirdPartyDepartmentConnection {
  @Field(() => [ThirdPartyDepartmentEdge], { description: 'The page’s elements with their cursors.' })
  edges: ThirdPartyDepartmentEdge[];

  @Field(() => [ThirdPartyDepartment], { description: 'The page’s elements.' })
  nodes: ThirdPartyDepartment[];

  @Field(() => PageInfo, { description: 'Where this page lies in the list.' })
  pageInfo: PageInfo;

  @Field(() => Int, { description: 'How many the whole list has.' })
  totalCount: number;
}

@ObjectType({ description: 'Which part of the directory is synchronized; its departments as last seen.' })
export class SyncScope {
  @Field(() => SyncScopeModeEnum, { description: 'All, or chosen departments.' })
  mode: 'ALL' | 'PARTIAL';

  @Field(() => [ThirdPartyDepartment], { description: 'The chosen ones; none with ALL.' })
  departments: ThirdPartyDepartment[];
}

@ObjectType({ description: 'What the directory lets Rollcall see, read live.' })
export class VisibilityScope {
  @Field(() => [ThirdPartyDepartment], { description: 'Departments, each with all below it.' })
  departments: ThirdPartyDepartment[];

  @Field(() => [String], { description: 'People named by themselves.' })
  employeeIds: string[];

  @Field(() => [String], { description: 'Tags; the people and departments tagged.' })
  tagIds: string[];

  @Field(() => [ThirdPartyDepartment], { description: 'Chosen for synchronization, but not visible.' })
  outsideSyncScope: ThirdPartyDepartment[];

  @Field(() => DateTime, { description: 'When it was read.' })
  fetchedAt: Date;
}

export const ExtensionFieldTypeEnum = {
  TEXT: 'TEXT',
  NUMBER: 'NUMBER',
  BOOLEAN: 'BOOLEAN',
  DATE: 'DATE',
  CHOICE: 'CHOICE',
} as const;
registerEnumType(ExtensionFieldTypeEnum, {
  name: 'ExtensionFieldType',
  description: 'What a field can hold.',
  valuesConfig: {
    TEXT: { description: 'Any text.' },
    NUMBER: { description: 'A decimal number.' },
    BOOLEAN: { description: 'True or false.' },
    DATE: { description: 'A day: YYYY-MM-DD.' },
    CHOICE: { description: 'One of the options.' },
  },
});

@ObjectType({
  description: 'A field that a mapping can read or fill. Counts and samples are the last complete snapshot’s.',
})
export class MappableField {
  @Field(() => SyncObjectTypeEnum, { description: 'Of departments or of employees.' })
  objectType: string;

  @Field(() => String, { description: 'Its name in mappings.' })
  name: string;

  @Field(() => String, { description: 'What people call it.' })
  label: string;

  @Field(() => ExtensionFieldTypeEnum, { description: 'What it holds.' })
  type: keyof typeof ExtensionFieldTypeEnum;

  @Field(() => Int, { nullable: true, description: 'How many have it; null before the first complete snapshot.' })
  filled: number | null;

  @Field(() => Int, { nullable: true, description: 'Of how many; null before the first complete snapshot.' })
  total: number | null;

  @Field(() => [String], { description: 'Up to three of its values.' })
  samples: string[];
}

export const CheckOutcomeEnum = { PASSED: 'PASSED', WARNING: 'WARNING', FAILED: 'FAILED', SKIPPED: 'SKIPPED' } as const;
registerEnumType(CheckOutcomeEnum, {
  name: 'CheckOutcome',
  description: 'How a check went.',
  valuesConfig: {
    PASSED: { description: 'As it should be.' },
    WARNING: { description: 'It works, but something should be looked at.' },
    FAILED: { description: 'It does not work; the advice says what to do.' },
    SKIPPED: { description: 'Not tried.' },
  },
});

@ObjectType({ description: 'One thing that must be right for the connection to work.' })
export class ConnectionCheck {
  @Field(() => String, { description: 'Such as CREDENTIAL or VISIBILITY_SCOPE; stable.' })
  name: string;

  @Field(() => CheckOutcomeEnum, { description: 'How it went.' })
  outcome: keyof typeof CheckOutcomeEnum;

  @Field(() => String, { description: 'What was found.' })
  message: string;

  @Field(() => String, {
    nullable: true,
    description: 'What to do, naming the step in the directory’s console; null where nothing is.',
  })
  advice: string | null;

  @Field(() => String, { nullable: true, description: 'The directory’s own code; null without one.' })
  thirdPartyCode: string | null;

  @Field(() => DateTime, { description: 'When it was tried.' })
  checkedAt: Date;
}

@ObjectType({ description: 'Whom disabling a source would touch.' })
export class DisableImpact {
  @Field(() => Int, { description: 'Employees present.' })
  employees: number;

  @Field(() => Int, { description: 'Sessions that would end.' })
  liveSessions: number;

  @Field(() => Int, { description: 'User groups that would lose members.' })
  userGroups: number;

  @Field(() => Int, { description: 'Access policies that would lose members.' })
  accessPolicies: number;
}
