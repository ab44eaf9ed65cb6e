/**
 * A value, or a promise of it: what can be answered at once is, as each promise costs a turn of the
 * event loop.
 */
export type Awaitable<T> = T | Promise<T>;

/** Goes on with the value: at once when it is there, else when it comes. */
export function whenReady<T, U>(
  value: Awaitable<T>,
  next: (value: T) => Awaitable<U>,
): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
