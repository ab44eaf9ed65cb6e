/**
 * What the cases of the contract are written with: scopes that open stores and clean up, and
 * claims. The claims are our own, because this module is published and must not bring a test
 * library into a program.
 */
import { complete, type Store } from "../complete.ts";
import type { Awaitable, Engine, Entry, EntryValue, NewEntry } from "../engine.ts";
import { delay, inTime } from "../../platform/timers.ts";

/** The store that a case asks the harness for. */
export interface ContractLocation {
  /** The stash's name: new in each case, so that cases share nothing. */
  readonly name: string;
  /** The store inside it; `/` nests. */
  readonly dbname: string;
}

/** What the contract needs to know of an engine. */
export interface ContractHarness {
  /** A new handle, not opened; the same location gives another handle on the same store. */
  create(location: ContractLocation): Awaitable<Engine>;
}

/** A case as it is written: it works on stores of its own scope. */
export interface Case {
  readonly name: string;
  run(scope: Scope): Promise<void>;
}

let scopes = 0;

/** The stores of one run of one case. */
export class Scope {
  readonly #harness: ContractHarness;
  readonly #name = `contract${++scopes}-${crypto.randomUUID().slice(0, 8)}`;
  /** The stores that are open, each with the engine that it completes. */
  readonly #open = new Map<Store, Engine>();

  constructor(harness: ContractHarness) {
    this.#harness = harness;
  }

  /** Opens a handle on a store of this case; `suffix` is added to the case's own name. */
  async open(dbname = "main", suffix = ""): Promise<Store> {
    const location = { name: this.#name + suffix, dbname };
    const engine = await this.#harness.create(location);
    const store = complete(engine);
    await store.open();
    this.#open.set(store, engine);
    return store;
  }

  /** The engine that the harness gave for an open store. */
  engineOf(store: Store): Engine {
    const engine = this.#open.get(store);
    if (engine === undefined) throw new TypeError("The store is not open");
    return engine;
  }

  /** Closes a handle, as a user would. */
  async close(store: Store): Promise<void> {
    this.#open.delete(store);
    await store.close();
  }

  /** Empties and closes what is still open. */
  async end(): Promise<void> {
    for (const store of this.#open.keys()) await store.clear(true);
    for (const store of this.#open.keys()) await store.close();
    this.#open.clear();
  }
}

/** A new entry of text or bytes. */
export function entry(value: string | Uint8Array, expiresAt?: number): NewEntry {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  const timestamp = Date.now();
  return expiresAt === undefined
    ? { value: bytes, timestamp }
    : { value: bytes, timestamp, expiresAt };
}

/** The text of an entry; `undefined` for none. */
export function text(entry: EntryValue | undefined): string | undefined {
  return entry === undefined ? undefined : new TextDecoder().decode(entry.value);
}

/** What `keys` yields, sorted. */
export async function keysOf(engine: Store, prefix?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of engine.keys(prefix)) keys.push(key);
  return keys.sort();
}

/** What `entries` yields, as `key=text`, sorted. */
export async function pairsOf(engine: Store, prefix?: string): Promise<string[]> {
  const pairs: string[] = [];
  for await (const [key, entry] of engine.entries(prefix)) pairs.push(`${key}=${text(entry)}`);
  return pairs.sort();
}

/** The ways to read the entry of a key, which is the only one, in a state that can be compared. */
export function readers(
  engine: Store,
  key: string,
): Record<string, () => Promise<Entry | undefined>> {
  return {
    get: async () => await engine.get(key),
    getMany: async () => (await engine.getMany([key]))[0],
    async entries() {
      for await (const [, found] of engine.entries()) return found;
    },
  };
}

/** Waits until the wall clock shows the time. */
export async function until(time: number): Promise<void> {
  while (Date.now() < time) await delay(1);
}

/** Reads, changes and writes the text of one key by `compareAndSet`, until it takes. */
export async function modify(
  engine: Store,
  key: string,
  change: (text: string | undefined) => string,
): Promise<void> {
  for (;;) {
    const current = await engine.get(key);
    if (await engine.compareAndSet(key, current, entry(change(text(current))))) return;
    // Losers that come back at once would keep each other from winning.
    await delay(Math.random() * 4);
  }
}

/** Rejects when the work takes longer than any engine may, instead of hanging for ever. */
export async function bounded<T>(what: string, work: Awaitable<T>, ms = 20_000): Promise<T> {
  return await inTime(work, ms, () => new Error(`${what}: not done after ${ms} ms`));
}

/** Claims that two plain values or arrays of them are the same. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (Array.isArray(actual) && Array.isArray(expected)) {
    const i = actual.findIndex((item, i) => !Object.is(item, expected[i]));
    if (actual.length === expected.length && i < 0) return;
    const at = i < 0 ? Math.min(actual.length, expected.length) : i;
    throw new Error(
      `${what}: got ${actual.length} items, expected ${expected.length}; ` +
        `item ${at} is ${show(actual[at])}, expected ${show(expected[at])}`,
    );
  }
  if (Object.is(actual, expected)) return;
  throw new Error(`${what}: got ${show(actual)}, expected ${show(expected)}`);
}

/** Claims that an entry is there with exactly these bytes. */
export function sameBytes(actual: Entry | undefined, expected: Uint8Array, what: string): void {
  if (actual === undefined) throw new Error(`${what}: the entry is absent`);
  const { value } = actual;
  if (!(value instanceof Uint8Array)) throw new Error(`${what}: the value is no Uint8Array`);
  same(value.byteLength, expected.byteLength, `${what}, number of bytes`);
  const i = value.findIndex((byte, i) => byte !== expected[i]);
  if (i >= 0) throw new Error(`${what}: byte ${i} is ${value[i]}, expected ${expected[i]}`);
}

/** Claims that something holds. */
export function claim(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}
