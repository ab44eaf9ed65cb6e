import type { Awaitable } from "./engine.ts";

/** One holder's share of a resource. */
export interface Hold<T> {
  /** What is held. */
  readonly resource: T;
  /** Lets go; the last holder's call closes the resource. A second call does nothing. */
  release(): Promise<void>;
}

interface Slot<T> {
  readonly opening: Promise<T>;
  holders: number;
}

/**
 * Resources that are opened once per key in this process, however many handles use them, and closed
 * when the last one lets go: a second connection on one file would cost memory and, with POSIX
 * locks, safety.
 */
export class SharedResources<T, K = string> {
  readonly #slots = new Map<K, Slot<T>>();
  readonly #closing = new Map<K, Promise<void>>();
  readonly #close: (resource: T) => Awaitable<void>;

  /** @param close Closes a resource that nobody holds any more. */
  constructor(close: (resource: T) => Awaitable<void>) {
    this.#close = close;
  }

  /**
   * The resource under this key: the one that others hold, or what `open` makes. When `open` fails,
   * everybody who waited for it gets its error and the next caller tries again.
   */
  async acquire(key: K, open: () => Awaitable<T>): Promise<Hold<T>> {
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      const closed = this.#closing.get(key);
      const opening = (async () => {
        await closed;
        return await open();
      })();
      slot = { opening, holders: 0 };
      this.#slots.set(key, slot);
    }
    slot.holders++;
    try {
      const resource = await slot.opening;
      let held = true;
      return {
        resource,
        release: async () => {
          if (!held) return;
          held = false;
          await this.#release(key, slot, resource);
        },
      };
    } catch (error) {
      if (this.#slots.get(key) === slot) this.#slots.delete(key);
      throw error;
    }
  }

  async #release(key: K, slot: Slot<T>, resource: T): Promise<void> {
    if (--slot.holders > 0) return;
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
