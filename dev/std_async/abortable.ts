/** What `p` comes to, or the signal's reason, whichever is first. */
export function abortable<T>(p: Promise<T>, signal: AbortSignal): Promise<T>;
/** What `p` yields until the signal is aborted, which then throws its reason. */
export function abortable<T>(p: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T>;
export function abortable<T>(
  p: Promise<T> | AsyncIterable<T>,
  signal: AbortSignal,
): Promise<T> | AsyncGenerator<T> {
  return p instanceof Promise ? settled(p, signal) : yielded(p, signal);
}

async function settled<T>(p: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([aborted, p]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function* yielded<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = items[Symbol.asyncIterator]();
  let finished = false;
  try {
    while (true) {
      const { done, value } = await settled(Promise.resolve(iterator.next()), signal);
      if (done) {
        finished = true;
        return;
      }
      yield value;
    }
  } finally {
    // Not awaited: what was aborted may never come to an end.
    if (!finished) iterator.return?.()?.catch(() => {});
  }
}
