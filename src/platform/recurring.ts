/**
 * A look that is taken again and again, never two at once. By the time that has passed: a machine's clock that is set back would hold up
 * whatever waits for the next second of the calendar, for as long as that comes late.
 */
export class Recurring {
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;

  /**
   * @param everyMs a look that takes longer is followed by the next one at its time
   * @param onError told what a look threw; the next one is taken all the same
   */
  constructor(
    private readonly everyMs: number,
    private readonly look: () => Promise<unknown>,
    private readonly onError: (error: unknown) => void,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      this.looking ??= this.look()
        .then(() => undefined, this.onError)
        .finally(() => {
          this.looking = undefined;
        });
    }, this.everyMs);
  }

  /** No look is begun any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }
}
