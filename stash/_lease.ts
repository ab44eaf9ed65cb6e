import type { CompleteEngine } from "../engines/_derived.ts";
import type { Entry, NewEntry } from "../engines/engine.ts";

/** Options of a lease. */
export interface LeaseOptions {
  /** How long it lasts when nobody renews it, ms. */
  ms: number;
  /** Whether the holder is at work; while it is not, the lease is not renewed. Default: always. */
  isActive?: () => boolean;
}

/**
 * The right to compute one result, held by one process at a time: an entry that only one can create. It is renewed
 * until it is released, and lapses when its holder is killed.
 */
export class Lease {
  readonly #leases: CompleteEngine;
  readonly #key: string;
  readonly #ms: number;
  readonly #isActive: () => boolean;
  /** JSON text, as what people look at in a store is. */
  readonly #token = JSON.stringify(crypto.randomUUID());
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<void> | undefined;
  #released = false;

  private constructor(leases: CompleteEngine, key: string, options: LeaseOptions) {
    this.#leases = leases;
    this.#key = key;
    this.#ms = options.ms;
    this.#isActive = options.isActive ?? (() => true);
  }

  /** Takes the lease; `undefined` when another holder has it. */
  static async take(
    leases: CompleteEngine,
    key: string,
    options: LeaseOptions,
  ): Promise<Lease | undefined> {
    if (await leases.has(key)) return undefined;
    const lease = new Lease(leases, key, options);
    if (!await leases.compareAndSet(key, undefined, lease.#entry())) return undefined;
    lease.#arm();
    return lease;
  }

  /** Whether nobody has taken it over. */
  async held(): Promise<boolean> {
    return await this.#current() !== undefined;
  }

  /** Lets the next one have it. Idempotent. */
  async release(): Promise<void> {
    this.#released = true;
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
    Deno.unrefTimer(this.#timer);
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
      // The backend may be back by the next time; if not, the lease lapses and a late result is not stored.
      held = true;
    }
    if (held && !this.#released) this.#arm();
  }
}
