import { checkNames } from "../store/options.ts";
import { formatPercent, formatSize, formatTime } from "./text.ts";
import { median, provable, resample, seededRandom } from "./statistics.ts";
import {
  codecName,
  hasSerializers,
  type Operation,
  OPERATIONS,
  type ProfileRow,
  type RowCodec,
} from "./row.ts";

/** What can be asked to be small: the time of an operation, or the stored size. */
export type Goal = Operation | "size";

/** What the best engine and codec are wanted for. */
export interface BestOptions {
  /** One thing that counts. Default: `mix`. */
  operation?: Goal;
  /** The size or sizes that count, as in the rows. Default: all, each as much as the others. */
  size?: number | number[];
  /** How much each thing counts. Default: `{ read: 1, write: 1 }`. */
  mix?: Partial<Record<Goal, number>>;
  /** The engine or engines to choose from. Default: all. */
  engine?: string | string[];
}

/** An engine with a codec, and how far behind the best one it is. */
export interface Candidate extends RowCodec {
  /** The engine's name. */
  engine: string;
  /**
   * The time that one operation of the mix takes, s: the weighted mean of the medians, and over
   * several sizes their geometric mean; `NaN` when only the size counts.
   */
  time: number;
  /**
   * Stored bytes per byte of JSON, the geometric mean over the sizes; `NaN` where that was not
   * measured.
   */
  ratio: number;
  /** How many times as much it costs as the best; 1 for the best itself. */
  factor: number;
  /**
   * How probable it is, going by the noise of the measurements, that it really is behind the best:
   * 0.5 to 1.
   */
  confidence: number;
  /** Whether it is clearly behind: by 5 % or more, and that to 95 % or more. */
  sure: boolean;
}

/** The recommendation of `profile.best()`. */
export interface Best extends Candidate {
  /** What it is the best for, in words. */
  goal: string;
  /** The sizes it was judged by. */
  sizes: number[];
  /** All candidates, the best first. */
  ranking: Candidate[];
  /** The best candidate of another engine, when there is one. */
  nextEngine?: Candidate;
  /** The best candidate of this engine with another codec, when there is one. */
  nextCodec?: Candidate;
  /** The whole in words: what, by how much, how sure. */
  verdict: string;
}

/** How often the measurements are drawn again to see how much the noise decides. */
const DRAWS = 1_000;

/** A difference below this is of no use to anybody, however sure. */
const LEAST_FACTOR = 1.05;

interface Measured extends RowCodec {
  engine: string;
  /** Per size: the times of each operation of the mix. */
  times: Map<Operation, number[]>[];
  /** Per size: stored bytes per byte of JSON. */
  ratios: number[];
}

/**
 * The engine and codec that do best in these rows.
 *
 * Judged by medians, so that outliers don't decide. How sure is found by drawing the measurements
 * again at random (bootstrap), and is never more than their number can prove.
 *
 * @throws {TypeError | RangeError} When the options ask for something else than the rows have.
 * @throws {Error} When no engine ran all that counts.
 */
export function best(rows: readonly ProfileRow[], options: BestOptions = {}): Best {
  const found = findBest(rows, options);
  if (found) return found;
  const engines = namesOf(options.engine) ?? "those profiled";
  const goal = goalOf(weightsOf(options));
  throw new Error(`Cannot recommend an engine for ${goal}: none of ${engines} ran all of it`);
}

/**
 * As `best`, but nothing when no engine ran all that counts.
 *
 * @param among What the verdict calls the engines to choose from; by default their names, and
 * nothing when they are all.
 */
export function findBest(
  rows: readonly ProfileRow[],
  options: BestOptions,
  among: string | undefined = namesOf(options.engine),
): Best | undefined {
  checkNames(options, ["operation", "size", "mix", "engine"]);
  const weights = weightsOf(options);
  const sizes = sizesOf(rows, options.size);
  const engines = options.engine === undefined ? undefined : [options.engine].flat();
  const measured = measure(rows, weights, sizes)
    .filter(({ engine }) => engines?.includes(engine) ?? true);
  if (measured.length === 0) return undefined;
  const scored = measured.map((candidate) => ({
    candidate,
    score: score(candidate, weights, median),
    // Of candidates that are equally small the fastest is best.
    rest: speedOf(candidate),
  }));
  scored.sort((a, b) => a.score - b.score || a.rest - b.rest);
  const [winner] = scored;
  // One source of random numbers for all, or the draws would go up and down together.
  const random = seededRandom(1);
  const winnerDraws = draw(winner.candidate, weights, random);
  const ranking = scored.map(({ candidate, score }) => {
    const factor = Math.exp(score - winner.score);
    const confidence = candidate === winner.candidate ? 0.5 : Math.min(
      shareBehind(winnerDraws, draw(candidate, weights, random)),
      provableBy(winner.candidate, candidate, weights),
    );
    const { engine, serializer, compress, b64, encoding, ratios } = candidate;
    return {
      engine,
      serializer,
      compress,
      b64,
      encoding,
      time: timeOf(candidate, weights),
      ratio: Math.exp(mean(ratios.map(Math.log))),
      factor,
      confidence,
      sure: factor >= LEAST_FACTOR && confidence >= 0.95,
    };
  });
  const [first, ...others] = ranking;
  const nextEngine = others.find(({ engine }) => engine !== first.engine);
  const nextCodec = others.find(({ engine }) => engine === first.engine);
  const goal = goalOf(weights);
  const answer = { ...first, goal, sizes, ranking, nextEngine, nextCodec };
  return { ...answer, verdict: verdictOf(answer, among) };
}

type Weights = [Goal, number][];

function weightsOf({ operation, mix }: BestOptions): Weights {
  const wanted = operation === undefined ? mix ?? { read: 1, write: 1 } : { [operation]: 1 };
  const goals: readonly string[] = [...OPERATIONS, "size"];
  const weights = Object.entries(wanted).filter(([goal, weight]) => {
    if (!goals.includes(goal)) {
      throw new TypeError(`Unknown operation "${goal}", expected one of: ${goals.join(", ")}`);
    }
    if (!(weight >= 0 && weight < Infinity)) {
      throw new RangeError(`Expected the weight of "${goal}" to be 0 or more, got ${weight}`);
    }
    return weight > 0;
  }) as Weights;
  const sum = weights.reduce((sum, [, weight]) => sum + weight, 0);
  if (sum === 0) throw new RangeError("Expected a mix with a weight above 0");
  return weights.map(([goal, weight]) => [goal, weight / sum]);
}

function sizesOf(rows: readonly ProfileRow[], wanted: BestOptions["size"]): number[] {
  const known = [...new Set(rows.filter(({ error }) => !error).map(({ size }) => size))];
  const sizes = wanted === undefined ? known : [wanted].flat();
  for (const size of sizes) {
    if (!known.includes(size)) {
      throw new RangeError(`Size ${size} was not profiled, expected one of: ${known.join(", ")}`);
    }
  }
  return sizes.toSorted((a, b) => a - b);
}

/** The candidates that ran all that counts. */
function measure(rows: readonly ProfileRow[], weights: Weights, sizes: number[]): Measured[] {
  const groups = Map.groupBy(
    rows.filter((row) => row.error === undefined && sizes.includes(row.size)),
    (row) => JSON.stringify([row.engine, row.serializer, row.encoding]),
  );
  const operations = weights.flatMap(([goal]) => goal === "size" ? [] : [goal]);
  return [...groups.values()].flatMap((group) => {
    const times = sizes.map((size) =>
      Map.groupBy(group.filter((row) => row.size === size), (row) => row.operation)
    );
    const ratios = times.map((bySize) => {
      const stored = bySize.get("write") ?? bySize.get("encode value") ?? bySize.get("read") ?? [];
      return median(stored.map(({ ratio }) => ratio));
    });
    const complete = times.every((bySize) => operations.every((name) => bySize.has(name))) &&
      (operations.length === weights.length || !ratios.some(Number.isNaN));
    if (!complete) return [];
    const { engine, serializer, compress, b64, encoding } = group[0];
    return [{
      engine,
      serializer,
      compress,
      b64,
      encoding,
      times: times.map((bySize) =>
        new Map([...bySize].map(([name, rows]) => [name, rows.map(({ time }) => time)]))
      ),
      ratios,
    }];
  });
}

/** The logarithm of what the candidate costs; `middle` sums up the times of one operation. */
function score(
  { times, ratios }: Measured,
  weights: Weights,
  middle: (times: number[]) => number,
): number {
  return mean(times.map((bySize, i) => {
    let time = 0;
    let timeWeight = 0;
    let score = 0;
    for (const [goal, weight] of weights) {
      if (goal === "size") {
        score += weight * Math.log(ratios[i]);
      } else {
        timeWeight += weight;
        time += weight * middle(bySize.get(goal)!);
      }
    }
    return timeWeight === 0 ? score : score + timeWeight * Math.log(time / timeWeight);
  }));
}

function timeOf(candidate: Measured, weights: Weights): number {
  const timed = weights.filter(([goal]) => goal !== "size");
  const sum = timed.reduce((sum, [, weight]) => sum + weight, 0);
  const shares: Weights = timed.map(([goal, weight]) => [goal, weight / sum]);
  return timed.length === 0 ? NaN : Math.exp(score(candidate, shares, median));
}

function speedOf(candidate: Measured): number {
  return mean(candidate.times.flatMap((bySize) => [...bySize.values()].map(median).map(Math.log)));
}

/** What the candidate might have cost, had other iterations of the same kind been measured. */
function draw(candidate: Measured, weights: Weights, random: () => number): number[] {
  return Array.from(
    { length: DRAWS },
    () => score(candidate, weights, (times) => median(resample(times, random))),
  );
}

/** How many of the draws agree that the other one costs more; 0.5 when they don't know. */
function shareBehind(winner: number[], other: number[]): number {
  const agreed = winner.map((cost, i) => cost < other[i] ? 1 : cost === other[i] ? 0.5 : 0);
  return Math.max(0.5, mean(agreed));
}

/** How sure the number of measurements allows one to be. Sizes have no noise. */
function provableBy(winner: Measured, other: Measured, weights: Weights): number {
  const counts = [winner, other].flatMap(({ times }) =>
    times.flatMap((bySize) =>
      weights.flatMap(([goal]) => goal === "size" ? [] : [bySize.get(goal)!.length])
    )
  );
  return counts.length === 0 ? 1 : provable(Math.min(...counts));
}

function mean(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

/** The engines to choose from in words; nothing when they are all. */
function namesOf(engines: BestOptions["engine"]): string | undefined {
  return engines && new Intl.ListFormat("en").format([engines].flat());
}

function goalOf(weights: Weights): string {
  if (weights.length === 1) return weights[0][0];
  return weights.map(([goal, weight]) => `${Math.round(100 * weight)} % ${goal}`).join(" + ");
}

/** The recommendation in words: of which engines, what, by how much, how sure. */
function verdictOf(best: Omit<Best, "verdict">, among?: string): string {
  const named = hasSerializers(best.ranking);
  const codec = codecName(best, named);
  const what = best.goal === "read" || best.goal === "write" ? `${best.goal}s` : best.goal;
  const { nextEngine, nextCodec } = best;
  const sizes = best.sizes.map(formatSize).join(", ");
  // The engines store the same bytes.
  const onlySize = Number.isNaN(best.time);
  const texts = [
    `Best${among === undefined ? "" : ` of ${among},`} for ${what} of ${sizes}: ` +
    (onlySize
      ? `${codec}, ${best.ratio.toFixed(2)} of the JSON, on any engine`
      : `${best.engine} with ${codec}, ${formatTime(best.time)}`),
  ];
  if (nextEngine && !onlySize) {
    const name = `${nextEngine.engine} with ${codecName(nextEngine, named)}`;
    texts.push(`The next engine, ${name}, ${behind(nextEngine)}`);
  }
  if (nextCodec) {
    texts.push(`The next codec, ${codecName(nextCodec, named)}, ${behind(nextCodec)}`);
  }
  return `${texts.join(". ")}.`;
}

function behind({ factor, confidence, sure }: Candidate): string {
  if (factor === 1) return "is as good";
  const cost = `costs ${factor.toFixed(2)} times as much`;
  if (factor < LEAST_FACTOR) return `${cost}: no difference that counts`;
  return `${cost} (${sure ? "" : "only "}${formatPercent(confidence)} sure)`;
}
