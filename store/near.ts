/**
 * The near tier: a store whose values are read from this process's memory where that has them. The
 * engine decides all the same: what `get`, `compareAndSet`, listings and counts answer comes from
 * it.
 */
import type { Store } from "../engines/complete.ts";
import { Decorator } from "../engines/decorator.ts";
import type { Awaitable, Bus, Entry, EntryValue } from "../engines/engine.ts";
import { whenReady } from "../platform/awaitable.ts";
import {
  holdTier,
  type NearEntry,
  type NearHolder,
  type NearItem,
  type NearTier,
  releaseTier,
  type Visit,
} from "./near_tier.ts";
import type { CheckedNear } from "./options.ts";

/** What a near tier is for. */
export interface NearSettings {
  /** The stash's name. */
  readonly name: string;
  /** The store inside it. */
  readonly dbname: string;
  /** The store's identity in this process. */
  readonly place: string;
  readonly near: CheckedNear;
  /** Whether it is kept, too, that a key is absent. */
  readonly keepsAbsence: boolean;
  /** Counts what came from memory. */
  readonly counts?: { hits: number };
  /** Tells of what goes wrong with the bus. */
  readonly report: (error: unknown, key?: string) => void;
}

/** A store with this process's memory in front of it. */
export class Near extends Decorator {
  readonly #options: NearSettings;
  readonly #ttl: number;
  readonly #counts: { hits: number };
  /** From `open` to `close`. */
  #tier: NearTier | undefined;
  #holder: NearHolder | undefined;

  /**
   * @param inner The store, which tells the tiers of what it writes (`Writes`).
   * @param options Which store it is, and what is kept.
   */
  constructor(inner: Store, options: NearSettings) {
    super(inner);
    this.#options = options;
    this.#ttl = options.near.ttl;
    this.#counts = options.counts ?? { hits: 0 };
  }

  /** The same store, with all that is read coming from the engine. */
  get direct(): Store {
    return new Direct(this, this.inner);
  }

  override async open(): Promise<void> {
    await this.inner.open();
    if (this.#tier !== undefined) return;
    let bus: Bus | undefined;
    try {
      bus = this.#bus();
    } catch (error) {
      await this.inner.close();
      throw error;
    }
    const { near: { maxEntries, maxBytes }, report } = this.#options;
    this.#holder = { maxEntries, maxBytes, bus, report };
    this.#tier = holdTier(this.#options, this.#holder);
  }

  override async close(): Promise<void> {
    const [tier, holder] = [this.#tier, this.#holder];
    this.#tier = this.#holder = undefined;
    try {
      // While there is a connection to say the last things by.
      if (tier !== undefined) await releaseTier(this.#options.place, tier, holder!);
    } finally {
      await this.inner.close();
    }
  }

  override getValue(key: string): Awaitable<EntryValue | undefined> {
    const item = this.#tier?.find(key, this.#ttl);
    if (item === undefined) return this.get(key);
    this.#counts.hits++;
    return item.entry;
  }

  override getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    const items = keys.map((key) => this.#tier?.find(key, this.#ttl));
    const missing = keys.filter((_, i) => items[i] === undefined);
    this.#counts.hits += keys.length - missing.length;
    if (missing.length === 0) return items.map((item) => item!.entry);
    return whenReady(this.getMany(missing), (found) => merged(items, found));
  }

  override get(key: string): Awaitable<Entry | undefined> {
    const tier = this.#tier;
    if (tier === undefined) return this.inner.get(key);
    const visit = tier.enter(key);
    return left(tier, [visit], () => this.inner.get(key), (found) => {
      return this.#fill(tier, visit, found);
    });
  }

  override getMany(keys: string[]): Awaitable<(Entry | undefined)[]> {
    const tier = this.#tier;
    if (tier === undefined) return this.inner.getMany(keys);
    const visits = keys.map((key) => tier.enter(key));
    return left(tier, visits, () => this.inner.getMany(keys), (found) => {
      return found.map((entry, i) => this.#fill(tier, visits[i], entry));
    });
  }

  #fill(tier: NearTier, visit: Visit, found: Entry | undefined): Entry | undefined {
    const { keepsAbsence } = this.#options;
    return tier.fill(visit, found, keepsAbsence) as Entry | undefined;
  }

  #bus(): Bus | undefined {
    const { bus } = this.#options.near;
    if (bus === false) return undefined;
    if (typeof bus === "object") return bus;
    const own = this.inner.bus();
    if (own === undefined && bus === true) {
      throw new TypeError(
        `Engine "${this.name}" has no bus here: leave near.bus out, and other processes follow ` +
          "within near.ttl, or give a bus of your own",
      );
    }
    return own;
  }
}

/** What reads from the engine and writes as the near store does. */
class Direct extends Decorator {
  readonly #engine: Store;

  constructor(near: Near, engine: Store) {
    super(near);
    this.#engine = engine;
  }

  override getValue(key: string): Awaitable<EntryValue | undefined> {
    return this.#engine.getValue(key);
  }

  override getValues(keys: string[]): Awaitable<(EntryValue | undefined)[]> {
    return this.#engine.getValues(keys);
  }
}

/** Reads, and leaves the keys afterwards whatever comes of it. */
function left<T>(
  tier: NearTier,
  visits: readonly Visit[],
  read: () => Awaitable<T>,
  fill: (found: T) => T,
): Awaitable<T> {
  const leave = () => {
    for (const visit of visits) tier.leave(visit);
  };
  let isLater = false;
  try {
    const found = read();
    if (!(found instanceof Promise)) return fill(found);
    isLater = true;
    return found.then(fill).finally(leave);
  } finally {
    if (!isLater) leave();
  }
}

/** What memory had, and what was found of the rest, in the order of the keys. */
function merged(
  items: readonly (NearItem | undefined)[],
  found: readonly (Entry | undefined)[],
): (NearEntry | undefined)[] {
  let next = 0;
  return items.map((item) => item === undefined ? found[next++] : item.entry);
}
