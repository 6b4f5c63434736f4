import { Arg, Args, Ctx, Field, ID, InputType, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { RequestContext } from '../api/context';
import { Node } from '../api/node';
import { connectionOf, type Page, PageArgs, readPage } from '../api/pagination';
import { DateTime } from '../api/scalars';
import { UserError, UserErrorCode } from '../api/user-error';
import { toTypedId, uuidOf } from '../platform/typed-id';
import type { RoleName } from './actor';
import { type ApiTokenRow, TOKEN_COLUMNS } from './api-token.service';
import { Role } from './role';
import { RoleEnum } from './viewer.resolver';

const MAX_NAME = 100;

@ObjectType('ApiToken', {
  implements: Node,
  description: 'A credential for programs. The token itself is never shown again.',
})
export class ApiTokenObject extends Node {
  @Field(() => String, { description: 'What it is called.' })
  name: string;

  @Field(() => RoleEnum, { description: 'What it may do.' })
  role: RoleName;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; null when it does not.' })
  expiresAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was revoked; null when it was not.' })
  revokedAt: Date | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt: Date;

  @Field(() => String, { nullable: true, description: 'Who made it; null for the server itself.' })
  createdBy: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last used, to the minute; null when it was not.' })
  lastUsedAt: Date | null;
}

export const ApiTokenConnection = connectionOf(ApiTokenObject, 'ApiToken');

@InputType({ description: 'A new API token.' })
export class CreateApiTokenInput {
  @Field(() => String, { description: '1 to 100 characters: who or what uses it.' })
  name: string;

  @Field(() => RoleEnum, { description: 'What it may do.' })
  role: RoleName;

  @Field(() => DateTime, { nullable: true, description: 'When it ends, in the future; never when absent.' })
  expiresAt?: Date | null;
}

@ObjectType({ description: 'What became of createApiToken.' })
export class CreateApiTokenPayload {
  @Field(() => ApiTokenObject, { nullable: true, description: 'The token’s entry; null when refused.' })
  apiToken: ApiTokenObject | null;

  @Field(() => String, { nullable: true, description: 'The token itself. It is shown this once and stored as a hash.' })
  token: string | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@InputType({ description: 'Which API token to revoke.' })
export class RevokeApiTokenInput {
  @Field(() => ID, { description: 'The token’s entry.' })
  id: string;
}

@ObjectType({ description: 'What became of revokeApiToken.' })
export class RevokeApiTokenPayload {
  @Field(() => ApiTokenObject, { nullable: true, description: 'The token’s entry as it is now; null when refused.' })
  apiToken: ApiTokenObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@Resolver(() => ApiTokenObject)
export class ApiTokenResolver {
  @Role('ADMINISTRATOR')
  @Query(() => ApiTokenConnection, { description: 'All API tokens, newest first, ended ones included.' })
  apiTokens(@Ctx() ctx: RequestContext, @Args(() => PageArgs) page: PageArgs): Promise<Page<ApiTokenObject>> {
    const list = {
      columns: TOKEN_COLUMNS,
      from: 'api_token',
      where: [],
      parameters: [],
      sort: [{ sql: 'id', type: 'uuid' } as const],
      descending: true,
    };
    return readPage<ApiTokenRow, ApiTokenObject>(ctx.dataSource, list, page, toApiToken);
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => CreateApiTokenPayload, { description: 'Makes an API token. It is shown this once.' })
  async createApiToken(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => CreateApiTokenInput, { description: 'The new token.' }) input: CreateApiTokenInput,
  ): Promise<CreateApiTokenPayload> {
    const name = input.name.trim();
    if (name === '' || [...name].length > MAX_NAME) return refused(`A name has 1 to ${MAX_NAME} characters.`, 'name');
    if (input.expiresAt && input.expiresAt.getTime() <= Date.now())
      return refused('The end lies in the past.', 'expiresAt');
    const { row, token } = await ctx.tokens.create(name, input.role, input.expiresAt ?? null, ctx.actor.name);
    return { apiToken: toApiToken(row), token, userErrors: [] };
  }

  @Role('ADMINISTRATOR')
  @Mutation(() => RevokeApiTokenPayload, { description: 'Ends an API token for good, with its live subscriptions.' })
  async revokeApiToken(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => RevokeApiTokenInput, { description: 'Which one.' }) input: RevokeApiTokenInput,
  ): Promise<RevokeApiTokenPayload> {
    const row = await ctx.tokens.revoke(uuidOf('token', input.id));
    if (row) return { apiToken: toApiToken(row), userErrors: [] };
    const message = 'There is no API token with this id.';
    return { apiToken: null, userErrors: [{ code: UserErrorCode.NOT_FOUND, message, field: ['input', 'id'] }] };
  }
}

function toApiToken(row: ApiTokenRow): ApiTokenObject {
  return Object.assign(new ApiTokenObject(), row, { id: toTypedId('token', row.id) });
}

function refused(message: string, field: string): CreateApiTokenPayload {
  const userErrors = [{ code: UserErrorCode.INVALID_INPUT, message, field: ['input', field] }];
  return { apiToken: null, token: null, userErrors };
}
