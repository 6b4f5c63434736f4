import { Field, ID, InputType, ObjectType } from 'type-graphql';
import { UserError } from '../../api/user-error';
import { SyncTaskObject } from './sync-task.type';

@InputType({ description: 'Which removals to approve or to reject.' })
export class DecideHeldRecordsInput {
  @Field(() => ID, { description: 'The held task.' })
  taskId: string;

  @Field(() => Boolean, {
    description:
      'True removes them now; false keeps them, and they are not asked about again before they are seen again.',
  })
  approve: boolean;

  @Field(() => [ID], { nullable: true, description: 'These records only; all that are held when left out.' })
  recordIds?: string[] | null;
}

@ObjectType({ description: 'What became of decideHeldRecords.' })
export class DecideHeldRecordsPayload {
  @Field(() => SyncTaskObject, { nullable: true, description: 'The task as it is now; null when refused.' })
  syncTask: SyncTaskObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@InputType({ description: 'Which preview to apply.' })
export class ApplyPreviewInput {
  @Field(() => ID, { description: 'A finished task of mode PREVIEW.' })
  taskId: string;
}

@ObjectType({ description: 'What became of applyPreview.' })
export class ApplyPreviewPayload {
  @Field(() => SyncTaskObject, { nullable: true, description: 'The task that applies it; null when refused.' })
  syncTask: SyncTaskObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}

@InputType({ description: 'Which task to undo.' })
export class RevertSyncTaskInput {
  @Field(() => ID, { description: 'A finished task that applied something.' })
  taskId: string;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Leaves automatic synchronization on, although its next run brings everything back.',
  })
  keepAutomaticSynchronization: boolean;
}

@ObjectType({ description: 'What became of revertSyncTask.' })
export class RevertSyncTaskPayload {
  @Field(() => SyncTaskObject, { nullable: true, description: 'The task that undoes it; null when refused.' })
  syncTask: SyncTaskObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}
