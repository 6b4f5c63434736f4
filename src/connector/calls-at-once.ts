/** How many calls run at the same time: fewer once the directory has said that there are too many. */
export class CallsAtOnce {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private limit: number) {}

  /**
   * Makes a call when there is room for it.
   * @param call is told the limit that held when it began
   */
  async run<T>(call: (limit: number) => Promise<T>): Promise<T> {
    while (this.running >= this.limit) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
    try {
      return await call(this.limit);
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  /**
   * Halves the limit, once for all calls that began under the same one.
   * @param former the limit that held when the refused call began
   * @returns false where there was but one call at a time
   */
  lower(former: number): boolean {
    if (former <= 1) return false;
    if (this.limit === former) this.limit = Math.floor(former / 2);
    return true;
  }
}
