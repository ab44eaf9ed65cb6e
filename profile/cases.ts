/**
 * The cases that are timed, shared by `stash.profile()` and the benches: what each operation does,
 * on temporary stashes.
 */
import { generateData } from "./data.ts";
import type { CaseOptions, ProfiledStash } from "./profiled.ts";
import { encodingName, type Operation, type RowCase, type RowCodec } from "./row.ts";

/** Data to profile with: pairs whose values are of about the same size. */
export interface Sample {
  /** What rows say as their `size`. */
  size: number;
  /** At least one. */
  pairs: [key: unknown, value: unknown][];
}

/** What rows say of the engine and codec of a case. */
export type CaseRow = RowCodec & Pick<RowCase, "engine">;

/** One operation on one engine, codec and size, ready to run. */
export interface Case {
  /** What its rows say. */
  readonly row: Omit<RowCase, "iteration">;
  /** Does the operation so many times, one after the other. */
  run(times: number): Promise<void>;
  /** Removes what `run` left in the store. */
  clean(): Promise<void>;
}

/** How many entries there are in a store while it is profiled, if not told otherwise. */
const ENTRIES = 10;

/** Pairs of generated or given data of a size. */
export function sampleOf(
  size: number,
  data: (size: number, index: number) => unknown = (size, index) => generateData(size, index + 1),
): Sample {
  const pairs = Array.from(
    { length: ENTRIES },
    (_, i): Sample["pairs"][number] => [{ part: "profile", number: i }, data(size, i)],
  );
  return { size, pairs };
}

/** Pairs of a stash's own: a random choice, or all when there are few. Reads every entry once. */
export async function entrySample(stash: ProfiledStash, random: () => number): Promise<Sample> {
  const pairs: Sample["pairs"] = [];
  let seen = 0;
  for await (const pair of stash.entries()) {
    // Algorithm R: each entry is as likely to stay as any other.
    const place = seen < ENTRIES ? seen : Math.floor(random() * (seen + 1));
    if (place < ENTRIES) pairs[place] = pair;
    seen++;
  }
  if (seen === 0) {
    throw new RangeError("Cannot profile the entries of a stash that is empty: pass other data");
  }
  const json = await encodeAll(plain(stash), pairs.map(([, value]) => value));
  return { size: meanLength(json), pairs };
}

/**
 * What rows say of a case's engine and codec; opens nothing and needs no permission.
 *
 * @throws {TypeError} On options that no stash can have.
 */
export function describeCase(parent: ProfiledStash, options: CaseOptions): CaseRow {
  const { engine, serializer, compress, b64 } = parent.sub("profile", given(options));
  return { engine, serializer, compress, b64, encoding: encodingName(compress, b64) };
}

/** A temporary stash for a case, not opened yet; disposing of it removes what it stored. */
export function caseStash(parent: ProfiledStash, options: CaseOptions): ProfiledStash {
  return parent.tmp({ ...given(options), ttl: Infinity });
}

/** Without what is undefined, which would not be the parent's but the default. */
function given(options: CaseOptions): CaseOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Fills the stash of a case with the sample and prepares the operations on it. */
export async function prepareCases(
  stash: ProfiledStash,
  about: CaseRow,
  sample: Sample,
  operations: readonly Operation[],
): Promise<Case[]> {
  const { pairs } = sample;
  await stash.setMany(pairs);
  const keys = pairs.map(([key]) => key);
  const values = pairs.map(([, value]) => value);
  const serialized = stash.sub("serialized", { compress: false, b64: false });
  const texts = keys.map((key) => stash.encodeKey(key));
  const serializedValues = await encodeAll(serialized, values);
  const storedValues = await encodeAll(stash, values);
  const json = meanLength(await encodeAll(plain(stash), values));
  const ofKeys = {
    rawSize: meanLength(await encodeAll(plain(stash), keys)),
    storedSize: meanLength(texts.map((text) => new TextEncoder().encode(text))),
  };
  const ofSerialized = { rawSize: json, storedSize: meanLength(serializedValues) };
  const ofStored = { rawSize: json, storedSize: meanLength(storedValues) };
  const sizes: Record<Operation, { rawSize: number; storedSize: number }> = {
    "encode key": ofKeys,
    "decode key": ofKeys,
    "serialize": ofSerialized,
    "deserialize": ofSerialized,
    "encode value": ofStored,
    "decode value": ofStored,
    "write": ofStored,
    "read": ofStored,
  };
  let written = 0;
  let cleaned = 0;
  const newKey = (i: number) => [keys[i % keys.length], i];
  const once: Record<Operation, (i: number) => unknown> = {
    "encode key": (i) => stash.encodeKey(keys[i]),
    "decode key": (i) => stash.decodeKey(texts[i]),
    "serialize": (i) => serialized.encodeValue(values[i]),
    "deserialize": (i) => serialized.decodeValue(serializedValues[i]),
    "encode value": (i) => stash.encodeValue(values[i]),
    "decode value": (i) => stash.decodeValue(storedValues[i]),
    "write": (i) => stash.set(newKey(written++), values[i]),
    "read": (i) => stash.get(keys[i]),
  };
  return operations.map((operation) => {
    const work = once[operation];
    let next = 0;
    return {
      row: {
        ...about,
        operation,
        size: sample.size,
        ...sizes[operation],
      },
      async run(times) {
        for (let i = 0; i < times; i++) {
          const pending = work(next);
          // Operations on keys are synchronous: awaiting them would cost more than they do.
          if (pending instanceof Promise) await pending;
          next = (next + 1) % pairs.length;
        }
      },
      async clean() {
        if (operation !== "write" || cleaned === written) return;
        const from = cleaned;
        cleaned = written;
        await stash.deleteMany(Array.from({ length: written - from }, (_, i) => newKey(from + i)));
      },
    };
  });
}

/** A stash that is never opened, for its codec: JSON, or what is nearest to it. */
function plain(stash: ProfiledStash): ProfiledStash {
  return stash.sub("plain", { serializer: "hashstash", compress: false, b64: false });
}

function encodeAll(stash: ProfiledStash, values: unknown[]): Promise<Uint8Array[]> {
  return Promise.all(values.map((value) => stash.encodeValue(value)));
}

function meanLength(parts: Uint8Array[]): number {
  return Math.round(parts.reduce((sum, { length }) => sum + length, 0) / parts.length);
}
