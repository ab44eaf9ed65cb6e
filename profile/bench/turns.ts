/** Two sides of a comparison, timed in turns. */

/** One side: what is done once. */
export type Side = () => unknown;

/** How long to time: short rounds, so that what else the machine does falls on both sides. */
export interface Rounds {
  readonly rounds: number;
  /** How long a round of one side takes, about, ms. */
  readonly ms: number;
}

/**
 * Times two sides in short rounds in which both take turns, and prints the lowest tenth of each in
 * µs, and how many times the first the second is.
 *
 * @returns Both times, µs.
 */
export async function compare(
  name: string,
  [first, second]: readonly [Side, Side],
  { rounds, ms }: Rounds,
): Promise<[first: number, second: number]> {
  const once = Math.max(await time(first, 30), await time(second, 30));
  const times = Math.max(3, Math.ceil(ms * 1_000 / once));
  const sides: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const begins = round % 2;
    for (const side of [begins, 1 - begins]) {
      sides[side].push(await time(side === 0 ? first : second, times));
    }
  }
  const [before, after] = sides.map(lowTenth);
  const columns = [before, after].map((time) => `${time.toFixed(1).padStart(9)} µs`);
  console.log(`${name.padEnd(40)}${columns.join("")}   × ${(after / before).toFixed(2)}`);
  return [before, after];
}

/** µs that one takes. */
async function time(side: Side, times: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < times; i++) await side();
  return (performance.now() - start) / times * 1_000;
}

function lowTenth(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 10)];
}
