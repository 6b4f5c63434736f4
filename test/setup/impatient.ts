/** What the server waits for WeCom at most, in the time that a test has: a hundredth. Shorter limits stay. */
const FACTOR = 100;
const LONG_MS = 5_000;

/** Runs a part of a test in which live calls to WeCom run out of time soon. */
export async function impatiently<T>(work: () => Promise<T>): Promise<T> {
  const { timeout } = AbortSignal;
  const spy = jest
    .spyOn(AbortSignal, 'timeout')
    .mockImplementation((ms) => timeout.call(AbortSignal, ms > LONG_MS ? ms / FACTOR : ms));
  try {
    return await work();
  } finally {
    spy.mockRestore();
  }
}
