/**
 * Maps with at most `limit` at work and yields results as they come, in any order. No more than `limit` results are held: the
 * next item is begun only when one was taken. Ends with the first error; what was begun is then awaited and dropped.
 */
export async function* mapConcurrently<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running = new Map<number, Promise<{ id: number; result: R }>>();
  let next = 0;
  const begin = () => {
    const id = next++;
    const item = items[id] as T;
    running.set(
      id,
      map(item).then((result) => ({ id, result })),
    );
  };
  try {
    while (next < items.length && running.size < limit) begin();
    while (running.size > 0) {
      const { id, result } = await Promise.race(running.values());
      running.delete(id);
      if (next < items.length) begin();
      yield result;
    }
  } finally {
    await Promise.allSettled(running.values());
  }
}
