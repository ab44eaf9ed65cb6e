import { errorCode } from "../platform/errors.ts";
import { statSync } from "../platform/files.ts";
import type { Awaitable } from "./engine.ts";

/** One holder's share of a resource. */
export interface Hold<T> {
  /** What is held. */
  readonly resource: T;
  /** Lets go; the last holder's call closes the resource. A second call does nothing. */
  release(): Promise<void>;
}

/** A share of what others may remove or replace: a file. */
export interface FileHold<T> extends Hold<T> {
  /**
   * Whether somebody removed or replaced what the resource was opened from: what is written to it
   * would be lost. Cheap enough to be asked at each operation: known at once when another handle of
   * this process found out, else looked at once a second.
   */
  isOutdated(): boolean;
}

/** Tells what is at the resource's place now; `undefined` when nothing is. */
export type Identify = () => string | undefined;

/** How long a holder may not notice that its resource is outdated, ms. */
const LOOK_EVERY = 1_000;

class Slot<T> {
  readonly opening: Promise<T>;
  readonly #identify: Identify | undefined;
  #identity: string | undefined;
  #isOpen = false;
  #isOutdated = false;
  #lookedAt = 0;
  holders = 0;

  constructor(
    open: (opens: () => void) => Promise<T>,
    close: (resource: T) => Awaitable<void>,
    identify: Identify | undefined,
  ) {
    this.#identify = identify;
    let before: string | undefined;
    const opens = () => {
      try {
        before = identify?.();
      } catch {
        // The opening says it better.
      }
    };
    this.opening = open(opens).then(async (resource) => {
      try {
        this.#identity = identify?.();
        // Replaced since: nobody knows which of the two was opened.
        this.#isOutdated = before !== undefined && before !== this.#identity;
      } catch (error) {
        // Nobody gets it. Of two errors the first says more.
        await (async () => await close(resource))().catch(() => undefined);
        throw error;
      }
      this.#isOpen = true;
      this.#lookedAt = Date.now();
      return resource;
    });
  }

  isOutdated(): boolean {
    if (this.#isOutdated || this.#identify === undefined) return this.#isOutdated;
    const now = Date.now();
    // Clocks can be set back, too.
    if (now - this.#lookedAt < LOOK_EVERY && now >= this.#lookedAt) return false;
    try {
      return this.look();
    } catch {
      // What can't be looked at is used as before.
      return false;
    }
  }

  /** Looks whether the resource is outdated. */
  look(): boolean {
    if (this.#isOutdated || !this.#isOpen || this.#identify === undefined) return this.#isOutdated;
    this.#lookedAt = Date.now();
    return this.#isOutdated = this.#identify() !== this.#identity;
  }
}

/**
 * Resources that are opened once per key in this process, however many handles use them, and closed
 * when the last one lets go: a second connection on one file would cost memory and, with POSIX
 * locks, safety.
 *
 * @typeParam T What is shared.
 * @typeParam K What tells resources apart: a path, mostly.
 *
 * @example
 * ```ts
 * import { SharedResources } from "@hashstash/hashstash/engines";
 *
 * const lists = new SharedResources<string[]>((list) => console.log("closed", list));
 * const first = await lists.acquire("path", () => ["opened once"]);
 * const second = await lists.acquire("path", () => ["never"]);
 * console.log(first.resource === second.resource); // true
 * await first.release();
 * await second.release(); // closed [ "opened once" ]
 * ```
 */
export class SharedResources<T, K = string> {
  readonly #slots = new Map<K, Slot<T>>();
  readonly #closing = new Map<K, Promise<void>>();
  readonly #close: (resource: T) => Awaitable<void>;

  /**
   * Makes it, without resources.
   *
   * @param close Closes a resource that nobody holds any more.
   */
  constructor(close: (resource: T) => Awaitable<void>) {
    this.#close = close;
  }

  /**
   * The resource under this key: the one that others hold, or what `open` makes. When `open` fails,
   * everybody who waited for it gets its error and the next caller tries again.
   *
   * @param key Which resource.
   * @param open Makes it, when nobody holds it. It may call what it is given when what it opens is
   * there, and before it opens that: so somebody who replaces it meanwhile is noticed.
   * @param identify When given, a resource is shared only while this says what it said when the
   * resource had been opened; those who hold an earlier one keep it, and are told that it is
   * outdated.
   */
  async acquire(
    key: K,
    open: (opens: () => void) => Awaitable<T>,
    identify?: Identify,
  ): Promise<FileHold<T>> {
    let slot = this.#slots.get(key);
    if (slot === undefined || slot.look()) {
      const closed = this.#closing.get(key);
      slot = new Slot(
        async (opens) => {
          await closed;
          return await open(opens);
        },
        this.#close,
        identify,
      );
      this.#slots.set(key, slot);
    }
    const own = slot;
    own.holders++;
    try {
      const resource = await own.opening;
      let held = true;
      return {
        resource,
        isOutdated: () => own.isOutdated(),
        release: async () => {
          if (!held) return;
          held = false;
          await this.#release(key, own, resource);
        },
      };
    } catch (error) {
      if (this.#slots.get(key) === own) this.#slots.delete(key);
      throw error;
    }
  }

  async #release(key: K, slot: Slot<T>, resource: T): Promise<void> {
    if (--slot.holders > 0) return;
    if (this.#slots.get(key) !== slot) {
      // Outdated: nobody waits for its files.
      return await this.#close(resource);
    }
    this.#slots.delete(key);
    const closing = (async () => await this.#close(resource))();
    // Whoever opens next waits until the file is free, but is not told of a close that failed.
    const settled = closing.catch(() => undefined).then(() => {
      if (this.#closing.get(key) === settled) this.#closing.delete(key);
    });
    this.#closing.set(key, settled);
    await closing;
  }
}

/** What belongs to a shared resource, by names: made once for each, and gone with the resource. */
export class PartsOf<T extends object, P> {
  readonly #parts = new WeakMap<T, Map<string, P>>();

  /** The part of this name, which `make` makes when there is none. */
  get(resource: T, name: string, make: () => P): P {
    let parts = this.#parts.get(resource);
    if (parts === undefined) this.#parts.set(resource, parts = new Map());
    let part = parts.get(name);
    if (part === undefined) parts.set(name, part = make());
    return part;
  }
}

/**
 * What tells a file or folder from any other that is at its path at another time, as long as
 * somebody has it open; `undefined` when there is none.
 */
export function fileIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

const objectIds = new WeakMap<object, number>();
let objectCount = 0;

/**
 * A number for an object that is a part of what a resource is opened with, for its key; 0 for one
 * without properties.
 */
export function objectId(object: object | undefined): number | undefined {
  if (object === undefined || Object.keys(object).length === 0) return object && 0;
  let id = objectIds.get(object);
  if (id === undefined) objectIds.set(object, id = ++objectCount);
  return id;
}
