import type { CallbackAddress } from './callback-addresses';

/** A signed message that was refused for its age. */
export interface RefusedForAge {
  readonly at: Date;
  /** How far its time was from this machine's clock. */
  readonly seconds: number;
}

/**
 * Which addresses last refused a signed message for its age: most likely the clock is wrong. It is this machine's clock, so that
 * it is noted in this process alone.
 */
export class CallbackClock {
  private readonly refused = new Map<string, RefusedForAge>();

  refuse(address: CallbackAddress, seconds: number): void {
    this.refused.set(keyOf(address), { at: new Date(), seconds });
  }

  accept(address: CallbackAddress): void {
    this.refused.delete(keyOf(address));
  }

  /** Of the address, or of the template's where that may be used in its place; undefined where the last signed message came in time. */
  of(address: CallbackAddress): RefusedForAge | undefined {
    const ofTemplate = address.templateId === undefined ? undefined : this.refused.get(TEMPLATE);
    return this.refused.get(keyOf(address)) ?? ofTemplate;
  }
}

const TEMPLATE = 'template';

function keyOf({ source }: CallbackAddress): string {
  return source?.id ?? TEMPLATE;
}
