/**
 * The quantile `p` (0 to 1) of numbers in ascending order, interpolated linearly; `NaN` of none.
 */
export function quantile(sorted: readonly number[], p: number): number {
  const position = (sorted.length - 1) * p;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  return below === undefined ? NaN : below + (above - below) * (position % 1);
}

/** The middle of the numbers, which a few slow outliers don't move; `NaN` of none. */
export function median(numbers: readonly number[]): number {
  return quantile(numbers.toSorted((a, b) => a - b), 0.5);
}

/**
 * Random numbers in [0, 1) that are the same for the same seed: Mulberry32. Not those of
 * `@std/random`, of which the same seed would make other data than before.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** As many of the numbers as there are, drawn with repetition. */
export function resample(numbers: readonly number[], random: () => number): number[] {
  return numbers.map(() => numbers[Math.floor(random() * numbers.length)]);
}

/**
 * The most that `n` against `n` measurements can prove: the probability that they are not all in
 * order by mere chance. 0.5 of one, 0.95 of three, 0.996 of five.
 */
export function provable(n: number): number {
  let orders = 1;
  for (let i = 1; i <= n; i++) orders *= (n + i) / i;
  return 1 - 1 / orders;
}
