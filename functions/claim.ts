/**
 * The right to compute a result, and to store it while nobody has decided otherwise since it was
 * granted. Whoever writes or removes the key tells the runs of this process (store/runs.ts), takes
 * the lease away from those of others (store/leases.ts), or has changed the entry.
 */
import type { Store } from "../engines/complete.ts";
import type { Entry, NewEntry } from "../engines/engine.ts";
import { backoff } from "../store/contention.ts";
import type { Handle } from "../store/handle.ts";
import { opened, type StoredEntry, valueOf } from "../store/header.ts";
import { Lease } from "../store/leases.ts";
import { registerRun } from "../store/runs.ts";
import type { Job } from "./job.ts";

/**
 * What is wanted: a fresh result (`"any"`), one unless another process is making it
 * (`"unclaimed"`), one whose making began after the call (`"new"`); or, by who has a stale one, a
 * newer one, waited for (`"newer"`) or not (`"refresh"`), unless a refresh failed a short time ago.
 */
export type Wish = "any" | "unclaimed" | "new" | "newer" | "refresh";

/** Another process is making the result, and the wish was not to wait. */
export const CLAIMED: unique symbol = Symbol("claimed");

/** A refresh failed a short time ago: the stale result will do. */
export const SPARED: unique symbol = Symbol("spared");

/** What a claim brought: the right to compute, or a result that makes it needless, or neither. */
export type Claimed = Claim | { readonly found: Entry } | typeof CLAIMED | typeof SPARED;

/** The right to compute a result, and to store it while nobody has decided otherwise. */
export class Claim {
  readonly #store: Store | undefined;
  readonly #key: string;
  readonly #lease: Lease | undefined;
  readonly #target: Handle;
  readonly #unregister: () => void;
  /** What was stored when the claim was granted: it must be as it was when the result is. */
  before: Entry | undefined;
  /** The number of the last invalidation of tags before the claim was granted. */
  seq = 0;
  /** Whether its result is not stored. */
  readonly isBeside: boolean;
  #isOvertaken = false;
  #whenOvertaken: (() => void) | undefined;

  /**
   * @param lease What other processes know of it; none where they need not.
   * @param isBeside Whether another process has the right to store the result: this one only makes
   * it. So does who does without the store, of which nothing is asked then.
   */
  constructor(
    store: Store | undefined,
    { target, text }: Job,
    lease: Lease | undefined,
    isBeside: boolean,
  ) {
    this.#store = store;
    this.#key = text;
    this.#lease = lease;
    this.#target = target;
    this.isBeside = isBeside;
    this.#unregister = registerRun(target.place, text, {
      overtaken: () => {
        this.#isOvertaken = true;
        this.#whenOvertaken?.();
      },
    });
  }

  /** Has something done when somebody decides otherwise, or at once when that has happened. */
  onOvertaken(action: () => void): void {
    if (this.#isOvertaken) action();
    else this.#whenOvertaken = action;
  }

  /** Looks at what is stored: a result that is there must be as it was when this is stored. */
  async look(): Promise<Entry | undefined> {
    // Together: on a server the two are one round trip.
    [this.seq, this.before] = await Promise.all([
      this.#target.tagSpace().clock(),
      this.#store!.get(this.#key),
    ]);
    return this.before;
  }

  /** Stores a result, unless somebody has decided otherwise; whether it did. */
  async store(next: NewEntry): Promise<boolean> {
    if (this.isBeside) return false;
    let expected = this.before;
    for (let attempt = 0; !this.#isOvertaken; attempt++) {
      const done = await this.#replace(expected, next);
      if (done !== undefined) return done;
      const current = await this.#store!.get(this.#key);
      if (current !== undefined && !(expected && isSameState(current, expected))) return false;
      // What is gone has ended or was evicted: who removes it takes the lease or says so.
      if (current === undefined && expected !== undefined && this.#wasRemoved(expected)) {
        return false;
      }
      expected = current;
      await backoff(attempt);
    }
    return false;
  }

  /**
   * Whether nobody has decided otherwise: a process that removes the key takes the lease away, and
   * tells no other one.
   */
  async isHeld(): Promise<boolean> {
    if (this.#isOvertaken) return false;
    try {
      return this.#lease === undefined || await this.#lease.current() !== undefined;
    } catch {
      // To store the result, or to look for it, says what is wrong.
      return true;
    }
  }

  /** Lets others have it. */
  async release(): Promise<void> {
    await Claim.releaseEach([this]);
  }

  /** Lets others have the results of one store. */
  static async releaseEach(claims: readonly Claim[]): Promise<void> {
    for (const claim of claims) claim.#unregister();
    const held = claims.filter((claim) => claim.#lease !== undefined);
    if (held.length === 0) return;
    const releasing = Lease.releaseEach(held.map((claim) => claim.#lease!)).then(() => {
      for (const claim of held) claim.#target.release(claim.#lease!);
    });
    // Where the store does not answer, it would keep the callers of a result that is there waiting.
    if (!held[0].#target.bypass?.isDown) await releasing;
  }

  /** Looks at the leases of many claims on one store at once, before their results are stored. */
  static async foresee(claims: readonly Claim[]): Promise<void> {
    const held = claims.flatMap((claim) => claim.#lease ?? []);
    if (held.length > 0) await Lease.foresee(held);
  }

  /** One try; `undefined`: the entry was not as expected. */
  async #replace(expected: Entry | undefined, next: NewEntry): Promise<boolean | undefined> {
    const [store, key, lease] = [this.#store!, this.#key, this.#lease];
    if (lease === undefined) return await store.compareAndSet(key, expected, next) || undefined;
    const current = lease.takeForeseen() ?? await lease.current();
    if (current === undefined) return false;
    if (store.supports.guard === true) {
      if (await store.compareAndSet(key, expected, next, lease.guard(current))) return true;
      return await lease.current() === undefined ? false : undefined;
    }
    if (!await lease.announceStoring(current)) return false;
    if (!await store.compareAndSet(key, expected, next)) return undefined;
    if (await lease.current() !== undefined) return true;
    // Who waited for the store to end has given up and taken the lease: the result goes again.
    const stored = await store.get(key);
    if (stored !== undefined && isSameBytes(valueOf(stored), valueOf(next))) {
      await store.compareAndSet(key, stored, undefined);
    }
    return false;
  }

  /**
   * Whether an entry that was there when the claim was granted, and is gone, was removed by another
   * process between taking the lease away and now: its deadline does not say why it is gone.
   */
  #wasRemoved({ expiresAt }: Entry): boolean {
    return this.#lease !== undefined && (expiresAt === undefined || Date.now() < expiresAt);
  }
}

/**
 * Whether an entry is as it was but for its deadline, which `touch` moves, and what is noted of a
 * refresh that failed.
 */
function isSameState(current: Entry, before: Entry): boolean {
  if (current.timestamp !== before.timestamp) return false;
  const [now, then] = [opened(current), opened(before)];
  return isSameBytes(now.value, then.value) && stateOf(now) === stateOf(then);
}

function stateOf({ header = {} }: StoredEntry): string {
  return JSON.stringify({ ...header, retry: undefined, row: undefined });
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
