import { Field, ObjectType } from 'type-graphql';
import { seesMasked, shown } from '../access/masking';
import type { RequestContext } from '../api/context';
import { connectionOf, type ListQuery, type Page, type PageArgs, readPage } from '../api/pagination';
import { DateTime } from '../api/scalars';

@ObjectType({ description: 'One change of one field of a person: what, from, to, and by whom.' })
export class TimelineEntry {
  @Field(() => DateTime, { description: 'When.' })
  at: Date;

  @Field(() => String, {
    description:
      'What: a field as comparisons name it (mobile, departments, extension.grade), "created", or "blocked", whose value is the reason.',
  })
  field: string;

  @Field(() => String, {
    nullable: true,
    description: 'The value before; null for nothing. Personal values are masked for viewers.',
  })
  from: string | null;

  @Field(() => String, { nullable: true, description: 'The value afterwards; null for nothing.' })
  to: string | null;

  @Field(() => String, { nullable: true, description: 'Who changed it here; null where a task did.' })
  actor: string | null;

  syncTaskId: string | null;
}

export const TimelineConnection = connectionOf(TimelineEntry, 'Timeline', 'TimelineEntry');

/** What was edited here and what synchronization applied, as one list. $1: the person. */
const ENTRIES = `(
  SELECT c.at, c.id::text AS key, c.field, c.value_from AS "from", c.value_to AS "to", c.actor, NULL::uuid AS "syncTaskId"
    FROM employee_change c WHERE c.employee_id = $1
  UNION ALL
  SELECT coalesce(r.applied_at, t.applied_at), r.id::text || f.field, f.field, r.before ->> f.field, r.after ->> f.field, NULL, t.id
    FROM sync_record r JOIN sync_task t ON t.id = r.task_id, unnest(r.changed) AS f (field)
   WHERE r.object_type = 'EMPLOYEE' AND r.local_id = $1 AND r.result IS NULL AND t.applied_at IS NOT NULL
) entry`;

/** A person's timeline, newest first. */
export function readTimeline(ctx: RequestContext, employeeId: string, page: PageArgs): Promise<Page<TimelineEntry>> {
  const list: ListQuery = {
    columns: 'entry.*',
    from: ENTRIES,
    where: [],
    parameters: [employeeId],
    sort: [
      { sql: `(extract(epoch FROM entry.at) * 1000000)::bigint`, type: 'bigint' },
      { sql: 'entry.key', type: 'text' },
    ],
    descending: true,
  };
  const role = ctx.actor.role;
  return readPage<TimelineEntry, TimelineEntry>(ctx.dataSource, list, page, (row) =>
    Object.assign(
      new TimelineEntry(),
      row,
      seesMasked(role) ? { from: shown(row.field, row.from, role), to: shown(row.field, row.to, role) } : {},
    ),
  );
}
