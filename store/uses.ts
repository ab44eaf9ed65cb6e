/**
 * Which keys of a store were used when, as far as this process knows, and which of them go first.
 *
 * What it knows is bounded: of more keys the longest unused are forgotten, and a key that it doesn't
 * know is a stranger, of whom no more is known than when the entry was set.
 */
import { type Used, UseOrder } from "../engines/use_order.ts";
import type { EvictPolicy } from "./options.ts";

/** The most keys that are remembered, … */
const MOST_KEYS = 65_536;
/** … and the most characters of them. */
const MOST_CHARACTERS = 8_000_000;
/** How many strangers wait to be compared with what is known. */
const MOST_STRANGERS = 256;
/** How many keys are compared for one that goes, where no order tells which it is. */
export const SAMPLE = 16;

/** What is known of the use of a key. */
export interface Use {
  /** The last use, or with the policy `oldest` when the entry was set; ms since the epoch. */
  readonly time: number;
  /** How often. */
  readonly count: number;
}

/** A key, and its place in the order of use. */
interface Known extends Used<Known> {
  readonly key: string;
  time: number;
  /** What others know already. */
  count: number;
  /** What nobody else has been told. */
  added: number;
  /** Bytes of its entry, while it is known to be there. */
  size: number | undefined;
}

/** The uses of a store's keys. */
export class Uses {
  readonly #policy: EvictPolicy;
  readonly #known = new Map<string, Known>();
  readonly #order = new UseOrder<Known>();
  #characters = 0;
  /** Whether the sizes of any are known. */
  #hasSizes = false;
  readonly #strangers = new Map<string, number>();
  readonly #untold = new Set<Known>();
  /** Goes round what is known, for the policy that has no order. */
  #next: Known | undefined;
  #forgotten = 0;
  /** The time of the last use. */
  #last = 0;

  /** @param policy Which keys go first. */
  constructor(policy: EvictPolicy) {
    this.#policy = policy;
  }

  /** Whether a read counts as a use. */
  get countsReads(): boolean {
    return this.#policy !== "oldest";
  }

  /** How many keys have uses that nobody else has been told of. */
  get untold(): number {
    return this.#untold.size;
  }

  /** How many keys have been forgotten: they are strangers again. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /**
   * Bytes of the entry of a key that is known to be there; `undefined` when that is not known, `null`
   * when nothing is known of the key at all.
   */
  sizeOf(key: string): number | undefined | null {
    const known = this.#known.get(key);
    return known === undefined ? null : known.size;
  }

  /** It is no longer known of any key whether it is there. */
  forgetSizes(): void {
    if (!this.#hasSizes) return;
    for (const known of this.#known.values()) known.size = undefined;
    this.#hasSizes = false;
  }

  /**
   * A key has just been used.
   *
   * @param size Bytes of its entry, if it is there until this process hears otherwise; `null`: as
   * far as it was known.
   */
  note(key: string, size: number | undefined | null): void {
    let known = this.#known.get(key);
    if (known === undefined) {
      if (this.#strangers.size > 0) this.#strangers.delete(key);
      known = this.#add(key, { time: 0, count: 0 });
    } else {
      if (known === this.#next) this.#next = known.newer;
      this.#order.use(known);
    }
    // Many are used in one millisecond, and clocks can be set back.
    known.time = this.#last = Math.max(Date.now(), this.#last + 1 / 1_024);
    if (size !== null) known.size = size;
    if (typeof size === "number") this.#hasSizes = true;
    if (known.added++ === 0) this.#untold.add(known);
  }

  /** A key is gone. */
  delete(key: string): void {
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      // Of what is gone, or forgotten, nobody need be told.
      this.#untold.delete(known);
      if (known === this.#next) this.#next = known.newer;
      this.#order.remove(known);
      this.#characters -= key.length;
    } else if (this.#strangers.size > 0) this.#strangers.delete(key);
  }

  /** All keys are gone. */
  clear(): void {
    this.#known.clear();
    this.#order.clear();
    this.#next = undefined;
    this.#characters = 0;
    this.#strangers.clear();
    this.#untold.clear();
  }

  /** Whether nothing is known of a key. */
  isStrange(key: string): boolean {
    return !this.#known.has(key) && !this.#strangers.has(key);
  }

  /** How many more strangers are wanted to choose so many keys among them. */
  wantedStrangers(count: number): number {
    return Math.min(count + SAMPLE, MOST_STRANGERS) - this.#strangers.size;
  }

  /**
   * Makes a stranger known that was found in the store.
   *
   * @param time When its entry was set; absent where the engine keeps no times.
   * @param since How long, ms, others may have used it without telling; 0: there are none.
   */
  meet(key: string, time: number | undefined, since: number): void {
    if (!this.isStrange(key)) return;
    const now = Date.now();
    const oldest = this.#order.oldest?.time ?? now;
    if (since === 0) return void this.#strangers.set(key, Math.min(time ?? 0, oldest));
    // As likely to be of old as of late.
    const start = Math.min(oldest, now - since);
    this.#strangers.set(key, time ?? start + Math.random() * (now - start));
  }

  /** The keys that go first, the first of them first; fewer where no more are known. */
  first(count: number, isExempt: (key: string) => boolean): string[] {
    const found: { key: string; time: number; count: number }[] = [];
    for (const [key, time] of this.#strangers) {
      if (!isExempt(key)) found.push({ key, time, count: 1 });
    }
    const isCounted = this.#policy === "lfu";
    const round = isCounted ? this.#sample() : this.#inOrder();
    let left = isCounted ? count * SAMPLE : count;
    for (const known of round) {
      const { key, time } = known;
      if (isExempt(key)) continue;
      found.push({ key, time, count: known.count + known.added });
      if (--left === 0) break;
    }
    if (isCounted) found.sort((a, b) => a.count - b.count || a.time - b.time);
    else found.sort((a, b) => a.time - b.time);
    return found.slice(0, count).map(({ key }) => key);
  }

  /** What nobody else has been told: told from now on. */
  tell(): Map<string, Use> {
    const told = new Map<string, Use>();
    for (const known of this.#untold) {
      told.set(known.key, { time: known.time, count: known.added });
      known.count += known.added;
      known.added = 0;
    }
    this.#untold.clear();
    return told;
  }

  /** What was to be told could not be: it is to be told again. */
  giveBack(told: ReadonlyMap<string, Use>): void {
    for (const [key, { count }] of told) {
      const known = this.#known.get(key);
      // It may have gone meanwhile, and come back.
      if (known === undefined || known.count < count) continue;
      known.count -= count;
      known.added += count;
      this.#untold.add(known);
    }
  }

  /** Takes in what all have told of, this process among them. */
  learn(uses: ReadonlyMap<string, Use>): void {
    const order = [...this.#inOrder()];
    const learned: Known[] = [];
    for (const [key, use] of uses) {
      const known = this.#known.get(key);
      if (known === undefined) {
        this.#strangers.delete(key);
        learned.push(this.#made(key, use));
      } else {
        known.time = Math.max(known.time, use.time);
        known.count = Math.max(known.count, use.count);
      }
    }
    this.#order.clear();
    this.#next = undefined;
    for (const known of [...learned, ...order].sort((a, b) => a.time - b.time)) {
      this.#order.add(known);
    }
    this.#forget();
  }

  #add(key: string, use: Use): Known {
    const known = this.#made(key, use);
    this.#order.add(known);
    this.#forget();
    return known;
  }

  #made(key: string, { time, count }: Use): Known {
    const known: Known = {
      key,
      time,
      count,
      added: 0,
      size: undefined,
      older: undefined,
      newer: undefined,
    };
    this.#known.set(key, known);
    this.#characters += key.length;
    return known;
  }

  #forget(): void {
    while (
      this.#known.size > 1 &&
      (this.#known.size > MOST_KEYS || this.#characters > MOST_CHARACTERS)
    ) {
      this.delete(this.#order.oldest!.key);
      this.#forgotten++;
    }
  }

  *#inOrder(): Generator<Known> {
    for (let known = this.#order.oldest; known !== undefined; known = known.newer) yield known;
  }

  /** The known keys, from where the last sample ended; each once. */
  *#sample(): Generator<Known> {
    for (let left = this.#known.size; left > 0; left--) {
      const known = this.#next ?? this.#order.oldest!;
      this.#next = known.newer;
      yield known;
    }
  }
}

/** Uses as they are stored; the latest of more than `most`. */
export function usesToBytes(uses: ReadonlyMap<string, Use>, most: number): Uint8Array {
  const rows = [...uses].sort(([, a], [, b]) => b.time - a.time).slice(0, most);
  return new TextEncoder().encode(
    JSON.stringify(rows.map(([key, { time, count }]) => [key, time, count])),
  );
}

/** Adds the uses that are stored in these bytes; what is none is passed over. */
export function addUses(to: Map<string, Use>, bytes: Uint8Array): void {
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // Only who goes first hangs on it.
    return;
  }
  if (!Array.isArray(rows)) return;
  for (const row of rows) {
    if (!Array.isArray(row)) continue;
    const [key, time, count] = row;
    if (typeof key !== "string" || !Number.isFinite(time) || !Number.isFinite(count)) continue;
    addUse(to, key, { time, count });
  }
}

/** Adds uses of a key. */
export function addUse(to: Map<string, Use>, key: string, { time, count }: Use): void {
  const before = to.get(key);
  to.set(key, {
    time: Math.max(before?.time ?? 0, time),
    count: (before?.count ?? 0) + count,
  });
}
