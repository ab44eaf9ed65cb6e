/**
 * What the engines' benches do, on a stash and on its bare backend: `get` and `set` of generated
 * objects, and batches of a hundred.
 */
import { join } from "node:path";
import { ENGINE_NAMES, type EngineName } from "../../../engines/mod.ts";
import { HashStash } from "../../../mod.ts";
import { generateData } from "../../data.ts";
import type { Bare } from "./bare.ts";
import { BARE } from "./mod.ts";

/** Bytes of JSON of one value. */
const SIZES = [1_000, 10_000, 100_000];
/**
 * How many entries `get` and `set` take in turn, and of how many values: no key gets the same
 * again, which SQLite would not write.
 */
const KEYS = 20;
const VALUES = 19;
const BATCH = 100;

/** One operation on a stash and the same without one. */
export interface EngineCase {
  /** What is measured: `pairtree: get 1 KB`. */
  readonly name: string;
  /** The backend and JSON. */
  bare(): unknown;
  /** The stash on the same backend. */
  stash(): unknown;
}

/** The engines that arguments name, or all that have a bare backend. */
export function chosenEngines(args: readonly string[]): EngineName[] {
  const known = ENGINE_NAMES.filter((name) => name in BARE);
  const unknown = args.filter((arg) => !known.some((name) => name === arg));
  if (unknown.length > 0) {
    throw new TypeError(`No bench for ${unknown.join(", ")}: the engines are ${known.join(", ")}`);
  }
  return args.length === 0 ? known : known.filter((name) => args.includes(name));
}

/**
 * Opens an engine and its bare backend, below a folder, and gives what to measure and the end of
 * it.
 */
export async function openCases(
  engine: EngineName,
  root: string,
): Promise<AsyncDisposable & { cases: EngineCase[] }> {
  const folder = join(root, engine);
  await Deno.mkdir(join(folder, "bare"), { recursive: true });
  const { openBare } = await loadBare(engine);
  const bare = await openBare(join(folder, "bare"));
  const { engineOptions } = bare;
  const stash = new HashStash({
    name: "bench",
    engine,
    rootDir: join(folder, "stash"),
    engineOptions,
  });
  const cases: EngineCase[] = [];
  for (const size of SIZES) cases.push(...await single(engine, bare, stash, size));
  if (bare.setMany !== undefined) cases.push(...await batches(engine, bare, stash));
  return {
    cases,
    async [Symbol.asyncDispose]() {
      await stash.close();
      await bare.close();
    },
  };
}

function loadBare(engine: EngineName) {
  const load = BARE[engine];
  if (load === undefined) throw new TypeError(`No bare backend for engine "${engine}"`);
  return load();
}

async function single(
  engine: EngineName,
  bare: Bare,
  stash: HashStash,
  size: number,
): Promise<EngineCase[]> {
  const pairs = Array.from(
    { length: KEYS },
    (_, i): [string, unknown] => [`key_${size}_${i}`, generateData(size, i + 1)],
  );
  for (const [key, value] of pairs) {
    await bare.set(key, value);
    await stash.set(key, value);
  }
  let turn = 0;
  const next = (): [string, unknown] => [pairs[turn++ % KEYS][0], pairs[turn % VALUES][1]];
  return [
    {
      name: `${engine}: get ${size / 1_000} KB`,
      bare: () => bare.get(next()[0]),
      stash: () => stash.get(next()[0]),
    },
    {
      name: `${engine}: set ${size / 1_000} KB`,
      bare: () => bare.set(...next()),
      stash: () => stash.set(...next()),
    },
  ];
}

async function batches(engine: EngineName, bare: Bare, stash: HashStash): Promise<EngineCase[]> {
  const pairs = Array.from(
    { length: BATCH },
    (_, i): [string, unknown] => [`batch_${i}`, generateData(SIZES[0], i + 1)],
  );
  const keys = pairs.map(([key]) => key);
  const others = pairs.map(([key], i): [string, unknown] => [key, pairs[(i + 1) % BATCH][1]]);
  let turn = 0;
  const next = () => turn++ % 2 === 0 ? others : pairs;
  await bare.setMany?.(pairs);
  await stash.setMany(pairs);
  return [
    {
      name: `${engine}: getMany ${BATCH} × 1 KB`,
      bare: () => bare.getMany?.(keys),
      stash: () => stash.getMany(keys),
    },
    {
      name: `${engine}: setMany ${BATCH} × 1 KB`,
      bare: () => bare.setMany?.(next()),
      stash: () => stash.setMany(next()),
    },
  ];
}
