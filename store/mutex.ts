/** One caller at a time per name, in the order in which they came. */
const tails = new Map<string, Promise<void>>();

/**
 * Runs `body` when all earlier bodies of that name in this process have ended. It keeps the callers
 * of one process from failing each other's `compareAndSet`: between processes that decides alone.
 */
export async function exclusive<T>(name: string, body: () => Promise<T>): Promise<T> {
  const before = tails.get(name);
  const { promise, resolve } = Promise.withResolvers<void>();
  tails.set(name, promise);
  if (before) await before;
  try {
    return await body();
  } finally {
    if (tails.get(name) === promise) tails.delete(name);
    resolve();
  }
}
