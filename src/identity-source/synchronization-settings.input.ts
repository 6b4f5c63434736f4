import { Field, InputType, Int } from 'type-graphql';

@InputType({ description: 'When a source synchronizes by itself; absent is unchanged.' })
export class AutomaticSynchronizationInput {
  @Field(() => Boolean, { nullable: true, description: 'Whether it does.' })
  enabled?: boolean | null;

  @Field(() => Int, { nullable: true, description: 'Hours from one run to the next: 1 to 24.' })
  cycleHours?: number | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Whether people and directory groups are wanted, and not departments only.',
  })
  synchronizeUserInformation?: boolean | null;
}

/** Absent and null are both unchanged. */
export function toAutomaticChange(input: AutomaticSynchronizationInput | null | undefined) {
  return input
    ? {
        enabled: input.enabled ?? undefined,
        cycleHours: input.cycleHours ?? undefined,
        synchronizeUserInformation: input.synchronizeUserInformation ?? undefined,
      }
    : undefined;
}
