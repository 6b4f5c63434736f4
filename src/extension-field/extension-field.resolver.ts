import {
  Arg,
  Ctx,
  Field,
  FieldResolver,
  ID,
  InputType,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { Node } from '../api/node';
import { UserError, UserErrorCode } from '../api/user-error';
import type { MappedObjectType } from '../field-mapping/field-mapping';
import { ExtensionFieldTypeEnum } from '../identity-source/third-party.type';
import { toTypedId, uuidOf } from '../platform/typed-id';
import { SyncObjectTypeEnum } from '../sync/api/sync-task.type';
import type { ExtensionFieldRow, FieldOutcome } from './extension-field.service';
import type { ExtensionFieldTypeName } from './extension-value';

@ObjectType('ExtensionField', {
  implements: Node,
  description:
    'An administrator-defined field of employees or departments, of all sources. Values are in `extensionValues` of the object, filters and orders name it by `key`.',
})
export class ExtensionFieldObject extends Node {
  @Field(() => String, { description: 'Its identifier: a-z, 0-9 and _; it never changes.' })
  key: string;

  @Field(() => String, { description: 'What people call it: 1 to 64 characters.' })
  displayName: string;

  @Field(() => String, { nullable: true, description: 'What it is for: at most 512 characters.' })
  description: string | null;

  @Field(() => ExtensionFieldTypeEnum, { description: 'What it holds.' })
  type: ExtensionFieldTypeName;

  @Field(() => [String], { description: 'What a CHOICE chooses from; empty for the other types.' })
  options: string[];

  @Field(() => Boolean, {
    description:
      'Whether people and departments kept here must have it; synchronized ones have what their directory tells.',
  })
  required: boolean;

  @Field(() => Boolean, { description: 'Whether no two of those present in a source may have the same value.' })
  unique: boolean;

  @Field(() => SyncObjectTypeEnum, { description: 'Of departments or of employees.' })
  objectType: MappedObjectType;
}

@InputType({ description: 'A new extension field.' })
export class CreateExtensionFieldInput {
  @Field(() => SyncObjectTypeEnum, { defaultValue: 'EMPLOYEE', description: 'Of departments or of employees.' })
  objectType: MappedObjectType;

  @Field(() => String, { description: 'Its identifier: a letter a-z, then at most 39 of a-z, 0-9 and _.' })
  key: string;

  @Field(() => String, { description: '1 to 64 characters.' })
  displayName: string;

  @Field(() => String, { nullable: true, description: 'What it is for: at most 512 characters.' })
  description?: string | null;

  @Field(() => ExtensionFieldTypeEnum, { defaultValue: 'TEXT', description: 'What it holds.' })
  type: ExtensionFieldTypeName;

  @Field(() => [String], {
    nullable: true,
    description: 'What a CHOICE chooses from, and needed for it: 1 to 500 different texts.',
  })
  options?: string[] | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      'Whether people and departments kept here must have it; synchronized ones have what their directory tells.',
  })
  required: boolean;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Whether no two of those present in a source may share a value.',
  })
  unique: boolean;
}

@InputType({ description: 'Changes to an extension field: absent is unchanged.' })
export class UpdateExtensionFieldInput {
  @Field(() => ID, { description: 'The field.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 64 characters.' })
  displayName?: string | null;

  @Field(() => String, { nullable: true, description: 'What it is for: at most 512 characters; null clears.' })
  description?: string | null;

  @Field(() => ExtensionFieldTypeEnum, {
    nullable: true,
    description:
      'Refused where values are there that would not fit, with examples. A CHOICE that becomes another type loses its options.',
  })
  type?: ExtensionFieldTypeName | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Refused where values are there that would be none of them, with examples.',
  })
  options?: string[] | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'Whether people and departments kept here must have it; synchronized ones have what their directory tells.',
  })
  required?: boolean | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Refused where two of those present in a source have the same value, with examples.',
  })
  unique?: boolean | null;
}

@InputType({ description: 'Which extension field to delete.' })
export class DeleteExtensionFieldInput {
  @Field(() => ID, { description: 'The field.' })
  id: string;
}

@ObjectType({ description: 'What became of a mutation of an extension field.' })
abstract class FieldPayload {
  @Field(() => ExtensionFieldObject, { nullable: true, description: 'The field; null when refused.' })
  extensionField: ExtensionFieldObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@ObjectType({ description: 'What became of createExtensionField.' })
export class CreateExtensionFieldPayload extends FieldPayload {}

@ObjectType({ description: 'What became of updateExtensionField.' })
export class UpdateExtensionFieldPayload extends FieldPayload {}

@ObjectType({ description: 'What became of deleteExtensionField; the field as it was.' })
export class DeleteExtensionFieldPayload extends FieldPayload {}

@Resolver(() => ExtensionFieldObject)
export class ExtensionFieldResolver {
  @Role('VIEWER')
  @Query(() => [ExtensionFieldObject], { description: 'All extension fields, or those of one object type.' })
  async extensionFields(
    @Ctx() ctx: RequestContext,
    @Arg('objectType', () => SyncObjectTypeEnum, { nullable: true, description: 'Of this type only.' })
    objectType?: MappedObjectType,
  ): Promise<ExtensionFieldObject[]> {
    return (await ctx.extensionFields.list(objectType)).map(toExtensionField);
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => CreateExtensionFieldPayload, {
    description: 'Adds a field beside the built-in ones, for all sources.',
  })
  async createExtensionField(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CreateExtensionFieldInput, { description: 'The new field.' }) input: CreateExtensionFieldInput,
  ): Promise<CreateExtensionFieldPayload> {
    const { unique, description = null, options, ...rest } = input;
    return payload(
      await ctx.extensionFields.create({ ...rest, description, options: options ?? [], isUnique: unique }),
    );
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => UpdateExtensionFieldPayload, {
    description:
      'Changes a field; refused with what is in the way, and while a task that fills it is running. The identifier and the object type never change.',
  })
  async updateExtensionField(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => UpdateExtensionFieldInput, { description: 'The changes.' }) input: UpdateExtensionFieldInput,
  ): Promise<UpdateExtensionFieldPayload> {
    const change = {
      displayName: input.displayName ?? undefined,
      description: input.description,
      type: input.type ?? undefined,
      options: input.options ?? undefined,
      required: input.required ?? undefined,
      isUnique: input.unique ?? undefined,
    };
    return payload(await ctx.extensionFields.update(uuidOf('field', input.id), change));
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => DeleteExtensionFieldPayload, {
    description: 'Deletes a field with its values; refused while it is used.',
  })
  async deleteExtensionField(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => DeleteExtensionFieldInput, { description: 'Which one.' }) input: DeleteExtensionFieldInput,
  ): Promise<DeleteExtensionFieldPayload> {
    return payload(await ctx.extensionFields.delete(uuidOf('field', input.id)));
  }

  @FieldResolver(() => [String], {
    description: 'What uses it, in words, such as "field mapping of WeCom"; while something does it cannot be deleted.',
  })
  async usedBy(@Root() field: ExtensionFieldObject, @Ctx() ctx: RequestContext): Promise<string[]> {
    return (await ctx.loaders.extensionFieldUses.load('all')).get(field.key) ?? [];
  }
}

export function toExtensionField(row: ExtensionFieldRow): ExtensionFieldObject & ExtensionFieldRow {
  return Object.assign(new ExtensionFieldObject(), row, { id: toTypedId('field', row.id), unique: row.isUnique });
}

function payload(outcome: FieldOutcome): CreateExtensionFieldPayload {
  if ('field' in outcome) return { extensionField: toExtensionField(outcome.field), userErrors: [] };
  const userErrors = outcome.refusals.map((r) => ({ code: UserErrorCode[r.code], message: r.message, field: r.field }));
  return { extensionField: null, userErrors };
}
