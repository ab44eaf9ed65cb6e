import type { Store } from "../engines/complete.ts";
import type { Entry, NewEntry } from "../engines/engine.ts";
import { unrefTimer } from "../platform/timers.ts";
import type { Handle } from "../store/handle.ts";
import { RESERVED_DBNAMES } from "../store/options.ts";

/** Options of a lease. */
export interface LeaseOptions {
  /** How long it lasts when nobody renews it, ms. */
  ms: number;
  /** Whether the holder is at work; while it is not, the lease is not renewed. Default: always. */
  isActive?: () => boolean;
}

/**
 * The right to compute one result, held by one process at a time: an entry that only one can
 * create. It is renewed until it is released, and lapses when its holder is killed.
 */
export class Lease implements AsyncDisposable {
  readonly #handle: Handle;
  readonly #leases: Store;
  readonly #key: string;
  readonly #ms: number;
  readonly #isActive: () => boolean;
  /** JSON text, as what people look at in a store is. */
  readonly #token = JSON.stringify(crypto.randomUUID());
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<void> | undefined;
  #released = false;

  private constructor(
    handle: Handle,
    leases: Store,
    key: string,
    options: LeaseOptions,
  ) {
    this.#handle = handle;
    this.#leases = leases;
    this.#key = key;
    this.#ms = options.ms;
    this.#isActive = options.isActive ?? (() => true);
  }

  /**
   * Takes the lease; `undefined` when another holder has it. It is released at the latest when the
   * handle is closed.
   */
  static async take(
    handle: Handle,
    key: string,
    options: LeaseOptions,
  ): Promise<Lease | undefined> {
    const leases = await handle.side(RESERVED_DBNAMES.leases);
    if (await leases.has(key)) return undefined;
    const lease = new Lease(handle, leases, key, options);
    if (!await leases.compareAndSet(key, undefined, lease.#entry())) return undefined;
    handle.adopt(lease);
    lease.#arm();
    return lease;
  }

  /** Whether nobody has taken it over. */
  async held(): Promise<boolean> {
    return !this.#released && await this.#current() !== undefined;
  }

  /** Lets the next one have it. Idempotent. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#handle.release(this);
    clearTimeout(this.#timer);
    await this.#renewing;
    try {
      const current = await this.#current();
      if (current !== undefined) await this.#leases.compareAndSet(this.#key, current, undefined);
    } catch {
      // What the holder had to do is done: the next one only has to wait until the lease lapses.
      return;
    }
  }

  /** The same as `release()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #entry(): NewEntry {
    const timestamp = Date.now();
    const value = new TextEncoder().encode(this.#token);
    return { value, timestamp, expiresAt: timestamp + this.#ms };
  }

  async #current(): Promise<Entry | undefined> {
    const entry = await this.#leases.get(this.#key);
    return entry && new TextDecoder().decode(entry.value) === this.#token ? entry : undefined;
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew();
    }, this.#ms / 3);
    // What computes keeps the process alive, or nothing does.
    unrefTimer(this.#timer);
  }

  async #renew(): Promise<void> {
    let held = true;
    try {
      if (this.#isActive()) {
        const current = await this.#current();
        held = current !== undefined &&
          await this.#leases.compareAndSet(this.#key, current, this.#entry());
      }
    } catch {
      // The backend may be back by the next time; if not, the lease lapses and a late result is not
      // stored.
      held = true;
    }
    if (held && !this.#released) this.#arm();
  }
}
