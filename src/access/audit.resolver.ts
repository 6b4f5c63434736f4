import { Arg, Args, Ctx, Field, ID, InputType, ObjectType, Query, Resolver, registerEnumType } from 'type-graphql';
import type { RequestContext } from '../api/context';
import { Node } from '../api/node';
import { connectionOf, type ListQuery, type Page, PageArgs, readPage } from '../api/pagination';
import { DateTime, JSONObject } from '../api/scalars';
import { toTypedId } from '../platform/typed-id';
import type { AuditOutcome } from './audit';
import { Role } from './role';

const AuditOutcomeEnum = {
  ACCEPTED: 'ACCEPTED',
  REFUSED: 'REFUSED',
  FORBIDDEN: 'FORBIDDEN',
  FAILED: 'FAILED',
} as const;
registerEnumType(AuditOutcomeEnum, {
  name: 'AuditOutcome',
  description: 'How a mutation went.',
  valuesConfig: {
    ACCEPTED: { description: 'It was done.' },
    REFUSED: { description: 'It was refused; the codes say why.' },
    FORBIDDEN: { description: 'The credential’s role does not allow it.' },
    FAILED: { description: 'It failed by a fault of the server.' },
  },
});

@ObjectType({
  implements: Node,
  description: 'One mutation that somebody called. Secrets are left out, personal values masked.',
})
export class AuditEntry extends Node {
  @Field(() => DateTime, { description: 'When.' })
  at: Date;

  @Field(() => String, { description: 'Who: the credential’s name.' })
  actor: string;

  @Field(() => String, { nullable: true, description: 'From which network address; null where it is not known.' })
  address: string | null;

  @Field(() => String, { description: 'Which mutation.' })
  mutation: string;

  @Field(() => AuditOutcomeEnum, { description: 'How it went.' })
  outcome: AuditOutcome;

  @Field(() => [String], { description: 'Codes of the refusal; empty when it was not refused.' })
  errorCodes: string[];

  @Field(() => ID, {
    nullable: true,
    description: 'The object that it made or was about; null where there is none, or several.',
  })
  objectId: string | null;

  @Field(() => JSONObject, { nullable: true, description: 'What was sent.' })
  input: Record<string, unknown> | null;

  @Field(() => JSONObject, {
    nullable: true,
    description: 'The object before; null where there was none, as of one that it made.',
  })
  before: Record<string, unknown> | null;

  @Field(() => JSONObject, { nullable: true, description: 'The object afterwards; null where nothing was done.' })
  after: Record<string, unknown> | null;
}

export const AuditEntryConnection = connectionOf(AuditEntry, 'AuditEntry');

@InputType({ description: 'Which audit entries to list; all conditions together.' })
export class AuditLogFilter {
  @Field(() => String, { nullable: true, description: 'By this credential only.' })
  actor?: string | null;

  @Field(() => String, { nullable: true, description: 'Of this mutation only.' })
  mutation?: string | null;

  @Field(() => ID, { nullable: true, description: 'About this object only.' })
  objectId?: string | null;

  @Field(() => AuditOutcomeEnum, { nullable: true, description: 'That went this way only.' })
  outcome?: AuditOutcome | null;

  @Field(() => DateTime, { nullable: true, description: 'At this time or later.' })
  since?: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Before this time.' })
  until?: Date | null;
}

@Resolver(() => AuditEntry)
export class AuditResolver {
  @Role('ADMINISTRATOR')
  @Query(() => AuditEntryConnection, { description: 'Who called which mutation, newest first.' })
  auditLog(
    @Ctx() ctx: RequestContext,
    @Args(() => PageArgs) page: PageArgs,
    @Arg('filter', () => AuditLogFilter, { nullable: true, description: 'Which ones.' }) filter?: AuditLogFilter,
  ): Promise<Page<AuditEntry>> {
    const parameters: unknown[] = [];
    const where: string[] = [];
    const add = (sql: string, value: unknown) => {
      if (value != null) where.push(`${sql} $${parameters.push(value)}`);
    };
    add('actor =', filter?.actor);
    add('mutation =', filter?.mutation);
    add('object_id =', filter?.objectId);
    add('outcome =', filter?.outcome);
    add('at >=', filter?.since);
    add('at <', filter?.until);
    const list: ListQuery = {
      columns: `id, at, actor, address, mutation, outcome, error_codes AS "errorCodes", object_id AS "objectId", input, before, after`,
      from: 'audit_entry',
      where,
      parameters,
      sort: [{ sql: 'id', type: 'uuid' }],
      descending: true,
    };
    return readPage<AuditEntry, AuditEntry>(ctx.dataSource, list, page, (row) =>
      Object.assign(new AuditEntry(), row, { id: toTypedId('audit', row.id) }),
    );
  }
}
