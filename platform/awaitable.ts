/**
 * A value, or a promise of it: a codec answers at once unless it has to load a library or to yield.
 */
export type Awaitable<T> = T | Promise<T>;

/** Goes on with the value: at once when it is there, else when it comes. */
export function whenReady<T, U>(
  value: Awaitable<T>,
  next: (value: T) => Awaitable<U>,
): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
