import { Ctx, Field, ObjectType, Query, Resolver, registerEnumType } from 'type-graphql';
import type { RequestContext } from '../api/context';
import { DateTime } from '../api/scalars';
import type { RoleName } from './actor';
import { Role } from './role';

export const RoleEnum = { VIEWER: 'VIEWER', OPERATOR: 'OPERATOR', ADMINISTRATOR: 'ADMINISTRATOR' } as const;
registerEnumType(RoleEnum, {
  name: 'Role',
  description: 'What a credential may do; each includes the ones before it.',
  valuesConfig: {
    VIEWER: { description: 'Reads; personal values are masked.' },
    OPERATOR: { description: 'Also starts, approves and cancels tasks, and edits employees.' },
    ADMINISTRATOR: { description: 'Also changes identity sources, mappings and tokens.' },
  },
});

@ObjectType({ description: 'Who is calling.' })
export class Viewer {
  @Field(() => String, { description: 'The credential’s name.' })
  name: string;

  @Field(() => RoleEnum, { description: 'What it may do.' })
  role: RoleName;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; null when it does not.' })
  expiresAt: Date | null;
}

@Resolver()
export class ViewerResolver {
  @Role('VIEWER')
  @Query(() => Viewer, { description: 'The credential that this request was made with.' })
  viewer(@Ctx() ctx: RequestContext): Viewer {
    const { name, role, expiresAt } = ctx.actor;
    return { name, role, expiresAt };
  }
}
