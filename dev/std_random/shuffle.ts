/** Numbers from 0 up to but not including 1, as of `Math.random`. */
export type Prng = typeof Math.random;

/** Options of {@linkcode shuffle}. */
export interface RandomOptions {
  /** Where the chance comes from. By default `Math.random`. */
  prng?: Prng;
}

/** The items in an order of chance, in a new array. */
export function shuffle<T>(items: readonly T[], options: RandomOptions = {}): T[] {
  const { prng = Math.random } = options;
  const result = [...items];
  for (let left = result.length; left > 1; left--) {
    const chosen = Math.floor(prng() * left);
    [result[left - 1], result[chosen]] = [result[chosen], result[left - 1]];
  }
  return result;
}
