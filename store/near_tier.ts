/**
 * What this process keeps in its memory of a store: one tier for each store, whichever handles use
 * it. It knows of every write of this process, as whatever opens a store says so (`Writes`), and of
 * those of others by what a bus brings; what it hears of nobody is trusted for a limited time.
 */
import type { WriteEnd, WriteWatch } from "../engines/complete.ts";
import type { Bus, Entry, NewEntry } from "../engines/engine.ts";
import { bytesOf } from "../engines/memory/store.ts";
import { type Used, UseOrder } from "../engines/use_order.ts";
import { BusLine, type Listener } from "./bus_line.ts";

/** An entry as it is kept: one that was written here has no revision. */
export type NearEntry = Omit<Entry, "revision"> & Partial<Pick<Entry, "revision">>;

/** What is kept under a key. */
export interface NearItem extends Used<NearItem> {
  readonly key: string;
  /** `undefined`: it is known that the key is absent. */
  readonly entry: NearEntry | undefined;
  /** When it was so: the time when the read or write of it began, ms since the epoch. */
  readonly since: number;
  readonly bytes: number;
}

/** How much is kept. */
export interface NearLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Reads and writes of one key that are under way. */
interface Traffic {
  count: number;
  /** How many of them write. */
  writes: number;
  /** Changes with each message about the key and with each write, when it begins and when it ends. */
  epoch: number;
}

/** A read or a write that is under way. */
export interface Visit {
  readonly key: string;
  readonly traffic: Traffic;
  readonly epoch: number;
  readonly allEpoch: number;
  readonly began: number;
}

/** One of the handles that have a tier open. */
export interface NearHolder extends NearLimits {
  /** By what other processes are told, and tell. */
  readonly bus?: Bus;
  /** Is told of what goes wrong with the bus. */
  report(error: unknown, key?: string): void;
}

/** The near tier of one store. */
export class NearTier implements Listener {
  readonly name: string;
  readonly dbname: string;
  readonly #items = new Map<string, NearItem>();
  readonly #order = new UseOrder<NearItem>();
  /** Only of what is under way: nothing is kept of keys that nobody is at. */
  readonly #traffic = new Map<string, Traffic>();
  /** As the epoch of a key, for all keys. */
  #allEpoch = 0;
  /** How many writes of all keys are under way. */
  #allWrites = 0;
  #bytes = 0;
  readonly #holders = new Set<NearHolder>();
  /** Those of whoever has the widest: a store is kept once, for all of them. */
  #limits: NearLimits = { maxEntries: 0, maxBytes: 0 };

  constructor(name: string, dbname: string) {
    this.name = name;
    this.dbname = dbname;
  }

  /** What is kept under a key, and not older than `ttl`, ms. */
  find(key: string, ttl: number): NearItem | undefined {
    const item = this.#items.get(key);
    if (item === undefined) return undefined;
    const now = Date.now();
    const age = now - item.since;
    // A clock that was set back says nothing of how old it is.
    if (age < 0 || age >= ttl) return undefined;
    if (item.entry?.expiresAt !== undefined && item.entry.expiresAt <= now) return undefined;
    this.#order.use(item);
    return item;
  }

  /** A read of a key begins; `leave` it. */
  enter(key: string): Visit {
    let traffic = this.#traffic.get(key);
    if (traffic === undefined) {
      this.#traffic.set(key, traffic = { count: 0, writes: 0, epoch: 0 });
    }
    traffic.count++;
    const { epoch } = traffic;
    return { key, traffic, epoch, allEpoch: this.#allEpoch, began: Date.now() };
  }

  /** It has ended. */
  leave({ key, traffic }: Visit): void {
    if (--traffic.count === 0) this.#traffic.delete(key);
  }

  /**
   * Keeps what a read has found, unless somebody has written the key or told of it since the read
   * began.
   *
   * @param isKept Whether a key that is absent is kept as such.
   * @returns What there is now to be given to the reader: the same at the next read.
   */
  fill(
    visit: Visit,
    found: NearEntry | undefined,
    isKept: boolean,
  ): NearEntry | undefined {
    const { key, traffic, epoch, allEpoch, began } = visit;
    if (traffic.epoch !== epoch || traffic.writes > 0) return found;
    if (this.#allEpoch !== allEpoch || this.#allWrites > 0) return found;
    if (found !== undefined || isKept) return this.#put(key, found, began);
    this.#drop(key);
    return found;
  }

  /** A write begins that is known to this process. */
  beginWrite(key: string): Visit {
    this.forget(key);
    const visit = this.enter(key);
    visit.traffic.writes++;
    return visit;
  }

  /**
   * It has ended.
   *
   * @param entry What stands under the key now, when nobody else has changed it; absent: not known.
   */
  endWrite(visit: Visit, entry: NewEntry | undefined): void {
    const { key, traffic, epoch, allEpoch, began } = visit;
    traffic.writes--;
    const isAlone = traffic.epoch === epoch && traffic.writes === 0 &&
      this.#allEpoch === allEpoch && this.#allWrites === 0;
    this.forget(key);
    this.leave(visit);
    if (entry === undefined || !isAlone) return;
    const { value, expiresAt, timestamp } = entry;
    if (expiresAt !== undefined && expiresAt <= Date.now()) return;
    this.#put(key, { value, expiresAt, timestamp }, began);
  }

  /** A write of all keys begins. */
  beginWriteOfAll(): void {
    this.#allWrites++;
    this.forgetAll();
  }

  /** It has ended. */
  endWriteOfAll(): void {
    this.#allWrites--;
    this.forgetAll();
  }

  /** Something has happened to a key: what was read of it before is not served. */
  forget(key: string): void {
    const traffic = this.#traffic.get(key);
    if (traffic !== undefined) traffic.epoch++;
    this.#drop(key);
  }

  /** Something may have happened to any key. */
  forgetAll(): void {
    this.#allEpoch++;
    this.#items.clear();
    this.#order.clear();
    this.#bytes = 0;
  }

  /** Whether nobody has it open any more. */
  get isUnused(): boolean {
    return this.#holders.size === 0;
  }

  /** Somebody opens it. */
  hold(holder: NearHolder): void {
    this.#holders.add(holder);
    this.#limits = this.#widest();
    if (holder.bus !== undefined) BusLine.join(holder.bus, this);
  }

  /** And closes it. */
  async release(holder: NearHolder): Promise<void> {
    // It is told of what can't be sent any more.
    const left = holder.bus && BusLine.leave(holder.bus, this);
    this.#holders.delete(holder);
    this.#limits = this.#widest();
    await left;
  }

  /** Tells other processes of a change here; `undefined`: of any key. */
  tell(keys: readonly string[] | undefined, deep: boolean): void {
    const buses = new Set<Bus>();
    for (const { bus } of this.#holders) if (bus !== undefined) buses.add(bus);
    for (const bus of buses) BusLine.of(bus)?.tell(this, keys, deep);
  }

  changed(keys: readonly string[] | undefined): void {
    if (keys === undefined) this.forgetAll();
    else for (const key of keys) this.forget(key);
  }

  failed(bus: Bus, error: unknown, key?: string): void {
    for (const holder of this.#holders) if (holder.bus === bus) holder.report(error, key);
  }

  #put(
    key: string,
    entry: NearEntry | undefined,
    since: number,
  ): NearEntry | undefined {
    const { maxEntries, maxBytes } = this.#limits;
    this.#drop(key);
    const bytes = bytesOf(key, entry?.value.byteLength ?? 0);
    if (bytes > maxBytes || maxEntries === 0) return entry;
    const kept = entry && compact(entry);
    const item = { key, entry: kept, since, bytes, older: undefined, newer: undefined };
    this.#items.set(key, item);
    this.#order.add(item);
    this.#bytes += bytes;
    while (this.#items.size > maxEntries || this.#bytes > maxBytes) {
      this.#drop(this.#order.oldest!.key);
    }
    return kept;
  }

  #drop(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#items.delete(key);
    this.#order.remove(item);
    this.#bytes -= item.bytes;
  }

  #widest(): NearLimits {
    const holders = [...this.#holders];
    return {
      maxEntries: Math.max(0, ...holders.map(({ maxEntries }) => maxEntries)),
      maxBytes: Math.max(0, ...holders.map(({ maxBytes }) => maxBytes)),
    };
  }
}

/** A part of a larger buffer, such as one that a server's answers came in, would keep all of it. */
function compact(entry: NearEntry): NearEntry {
  const { value } = entry;
  if (value.byteLength === value.buffer.byteLength) return entry;
  return { ...entry, value: new Uint8Array(value) };
}

/** The tiers of this process, by the identity of their stores. */
const tiers = new Map<string, NearTier>();

/** The tier of a store, for one more who opens it. */
export function holdTier(
  { place, name, dbname }: {
    readonly place: string;
    readonly name: string;
    readonly dbname: string;
  },
  holder: NearHolder,
): NearTier {
  let tier = tiers.get(place);
  if (tier === undefined) tiers.set(place, tier = new NearTier(name, dbname));
  tier.hold(holder);
  return tier;
}

/** One who had it open needs it no more. */
export async function releaseTier(
  place: string,
  tier: NearTier,
  holder: NearHolder,
): Promise<void> {
  // While there is somebody to be told that it can't be.
  if (holder.bus !== undefined) await BusLine.sent(holder.bus);
  const released = tier.release(holder);
  if (tier.isUnused && tiers.get(place) === tier) tiers.delete(place);
  await released;
}

/**
 * Has the tiers of this process know what a store's handle writes, and where there is a bus those of
 * others.
 */
export class Writes implements WriteWatch {
  readonly #place: string;
  readonly #isInside: (place: string, outer: string) => boolean;

  /**
   * @param place The store's identity.
   * @param isInside Tells whether a store is nested in another.
   */
  constructor(place: string, isInside: (place: string, outer: string) => boolean) {
    this.#place = place;
    this.#isInside = isInside;
  }

  begin(keys: string | readonly string[] | undefined, deep = false): WriteEnd | undefined {
    // All that it costs a process without near tiers.
    if (tiers.size === 0) return undefined;
    const tier = tiers.get(this.#place);
    if (keys === undefined) return this.#beginAll(tier, deep);
    if (tier === undefined) return undefined;
    if (typeof keys === "string") {
      const visit = tier.beginWrite(keys);
      return (isChange, entries) => {
        tier.endWrite(visit, isChange ? entries?.[0] : undefined);
        if (isChange) tier.tell([keys], false);
      };
    }
    const last = new Map(keys.map((key, i) => [key, i]));
    const visits = Array.from(last, ([key, i]): [Visit, number] => [tier.beginWrite(key), i]);
    return (isChange, entries) => {
      for (const [visit, i] of visits) tier.endWrite(visit, entries?.[i]);
      if (isChange && last.size > 0) tier.tell([...last.keys()], false);
    };
  }

  #beginAll(tier: NearTier | undefined, deep: boolean): WriteEnd | undefined {
    const inside = deep
      ? [...tiers].filter(([place]) => this.#isInside(place, this.#place)).map(([, tier]) => tier)
      : [];
    const all = tier === undefined ? inside : [tier, ...inside];
    if (all.length === 0) return undefined;
    for (const one of all) one.beginWriteOfAll();
    return () => {
      for (const one of all) one.endWriteOfAll();
      if (tier !== undefined) tier.tell(undefined, deep);
      else for (const one of inside) one.tell(undefined, false);
    };
  }
}
