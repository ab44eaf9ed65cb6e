/**
 * Who computes a key's result, of all processes that use a store. A lease is an entry in a side
 * store that only one process can make, `l/KEY`; a beat, `b/TOKEN`, is one that its holder renews
 * while it lives.
 *
 * Two entries, as they answer two questions. Whether the holder lives is told by the beat's own
 * deadline, by the engine's clock, which is the server's where there is one; so a process that was
 * killed is taken over when its beat has ended. Whether it may still store is told by the lease
 * itself, which stays: whoever takes it over or removes the key replaces or removes it, so that a
 * holder that was stopped for an hour, and goes on, stores only if nobody has decided otherwise.
 */
import { DecodeError } from "../codec/errors.ts";
import type { Store } from "../engines/complete.ts";
import { batches, groupsOf } from "../engines/each.ts";
import type { Entry, EntryValue, Guard, NewEntry } from "../engines/engine.ts";
import { EngineError } from "../engines/errors.ts";
import {
  delay,
  LONGEST_TIMER,
  now,
  startTimer,
  stopTimer,
  type Timer,
  unrefTimer,
} from "../platform/timers.ts";
import { forEach, readAll, removeAll, removeUnchanged } from "./groups.ts";

/** Beats written at once. */
const BEATS = 500;
/** Leases that are taken away at once. */
const AT_ONCE = 500;
/** After so long, ms, a lease whose holder was killed goes by itself; … */
const KEPT = 86_400_000;
/**
 * … and already after so long `prune` takes it: a holder that was stopped for a while, or kept its
 * thread busy, may still store its result.
 */
const SILENT = 3_600_000;
/** How much longer than a lease who waits for it watches a beat that does not change. */
const PATIENCE = 1.5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What is in the entry of a lease. */
interface LeaseState {
  readonly token: string;
  /** How long it lasts without a beat, ms. */
  readonly ms: number;
  /** When its holder last wrote it, by his clock: not every engine keeps the time of an entry. */
  readonly at?: number;
  /**
   * The holder is storing its result, where the engine can't check the lease in the same step:
   * whoever would remove the lease waits.
   */
  readonly storing?: boolean;
}

/** How a lease is held. */
interface LeaseOptions {
  /** How long it lasts when nobody renews it, ms. */
  ms: number;
  /** Whether the holder is at work; while it is not, the beat is not renewed. Default: always. */
  isActive?: () => boolean;
}

/**
 * What one who waits has seen of another's lease: its beat is judged by the engine's clock, and by
 * the watcher's own, for holders whose clock is wrong.
 */
export class LeaseWatch {
  #mark: string | undefined;
  #since = 0;

  /** Whether its holder lives no more. */
  async hasLapsed(leases: Store, lease: Entry): Promise<boolean> {
    const state = stateOf(lease);
    if (state === undefined) return true;
    const asked = now();
    return this.#judge(state, await leases.getValue(beatKey(state.token)), asked);
  }

  /** The same of many leases, each with its watch: one look at their beats. */
  static async haveLapsed(
    leases: Store,
    watched: readonly { readonly watch: LeaseWatch; readonly lease: Entry }[],
  ): Promise<boolean[]> {
    if (watched.length === 0) return [];
    const states = watched.map(({ lease }) => stateOf(lease));
    const asked = now();
    const beats = await readAll(leases, watched.map(({ lease }) => beatKeyOf(lease)));
    return watched.map(({ watch }, i) => {
      const state = states[i];
      return state === undefined || watch.#judge(state, beats[i], asked);
    });
  }

  // The answer may be late, and the beat in it old: that it still stood there is known of the time
  // of the question, that it came of the time of the answer.
  #judge(state: LeaseState, beat: EntryValue | undefined, asked: number): boolean {
    if (beat === undefined) return true;
    const mark = `${state.token} ${decoder.decode(beat.value)}`;
    if (mark !== this.#mark) {
      this.#mark = mark;
      this.#since = now();
    }
    return asked - this.#since > state.ms * PATIENCE;
  }
}

/** The right to compute one result, until it is released or another process takes it over. */
export class Lease implements AsyncDisposable {
  readonly #leases: Store;
  readonly #key: string;
  readonly #options: LeaseOptions;
  readonly #token = crypto.randomUUID();
  #taken = Date.now();
  #beats = 0;
  #foreseen: Entry | undefined;
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #isReleased = false;
  /** Whether it was that of a holder that lives no more. */
  readonly isTakenOver: boolean;

  private constructor(leases: Store, key: string, options: LeaseOptions, isTakenOver: boolean) {
    this.#leases = leases;
    this.#key = leaseKey(key);
    this.#options = options;
    this.isTakenOver = isTakenOver;
  }

  /** Takes the lease of a key; `undefined` when another holder has it and lives. */
  static async take(
    leases: Store,
    key: string,
    options: LeaseOptions,
    watch: LeaseWatch,
  ): Promise<Lease | undefined> {
    const other = await leases.get(leaseKey(key));
    if (other !== undefined && !await watch.hasLapsed(leases, other)) return undefined;
    const lease = new Lease(leases, key, options, other !== undefined);
    const begin = now();
    // The beat first: a lease without one counts as that of a dead process.
    await lease.#beat();
    // That took a while, in which the other may have come back: its lease looks the same as before.
    const isFree = other === undefined || await watch.hasLapsed(leases, other);
    if (!isFree || !await leases.compareAndSet(lease.#key, other, lease.#entry())) {
      await lease.#dropBeat();
      return undefined;
    }
    lease.#arm(begin);
    return lease;
  }

  /** Takes the leases of many keys, each as `take` does, with a few round trips for all. */
  static async takeEach(
    leases: Store,
    wanted: readonly { readonly key: string; readonly watch: LeaseWatch }[],
    options: LeaseOptions,
  ): Promise<PromiseSettledResult<Lease | undefined>[]> {
    const others = await readAll(leases, wanted.map(({ key }) => leaseKey(key)));
    const held = wanted.flatMap(({ watch }, i) => {
      const lease = others[i];
      return lease === undefined ? [] : [{ i, watch, lease }];
    });
    const lapsed = await LeaseWatch.haveLapsed(leases, held);
    const isHeld = new Set(held.filter((_, n) => !lapsed[n]).map(({ i }) => i));
    const begin = now();
    const own = wanted.map(({ key }) => new Lease(leases, key, options, false));
    const beats = own.filter((_, i) => others[i] === undefined).map((lease) => lease.#nextBeat());
    for (const group of groupsOf(beats, BEATS)) await leases.setMany(group);
    const take = async (lease: Lease, i: number): Promise<Lease | undefined> => {
      if (isHeld.has(i)) return undefined;
      const { key, watch } = wanted[i];
      // Taken over from one who may come back: that is seen to key by key.
      if (others[i] !== undefined) return await Lease.take(leases, key, options, watch);
      if (!await leases.compareAndSet(lease.#key, undefined, lease.#entry())) {
        await lease.#dropBeat();
        return undefined;
      }
      lease.#arm(begin);
      return lease;
    };
    // What one key meets is no other's: who has been given a lease has to be told, to release it.
    return await forEach(own, async (lease, i) => (await Promise.allSettled([take(lease, i)]))[0]);
  }

  /** The lease as it stands in the store, if it is still this one. */
  async current(): Promise<Entry | undefined> {
    return this.#ownOf(await this.#leases.get(this.#key));
  }

  /**
   * What {@linkcode foresee} saw, once; `undefined`: nothing. It may be so no more: only for who
   * makes a `compareAndSet` depend on it.
   */
  takeForeseen(): Entry | undefined {
    const foreseen = this.#foreseen;
    this.#foreseen = undefined;
    return foreseen;
  }

  /** Looks at many leases of one store at once, for each to be taken up by `takeForeseen`. */
  static async foresee(own: readonly Lease[]): Promise<void> {
    const entries = await readAll(own[0].#leases, own.map((lease) => lease.#key));
    for (const [i, lease] of own.entries()) lease.#foreseen = lease.#ownOf(entries[i]);
  }

  #ownOf(entry: Entry | undefined): Entry | undefined {
    return entry !== undefined && stateOf(entry)?.token === this.#token ? entry : undefined;
  }

  /** What makes a `compareAndSet` depend on the lease, as {@linkcode current} gave it. */
  guard(current: Entry): Guard {
    return { engine: this.#leases, key: this.#key, expected: current };
  }

  /**
   * Says that the result is being stored, for engines that can't check the lease in the same step;
   * whether the lease was still held.
   */
  async announceStoring(current: Entry): Promise<boolean> {
    await this.#beat();
    return await this.#leases.compareAndSet(this.#key, current, this.#entry(true));
  }

  /** Lets the next one have it. Idempotent, and it rejects never. */
  async release(): Promise<void> {
    await Lease.releaseEach([this]);
  }

  /** Releases the leases of one store. */
  static async releaseEach(all: readonly Lease[]): Promise<void> {
    const own = all.filter((lease) => !lease.#isReleased);
    if (own.length === 0) return;
    for (const lease of own) {
      lease.#isReleased = true;
      stopTimer(lease.#timer);
    }
    for (const lease of own) await lease.#renewing;
    const leases = own[0].#leases;
    try {
      await Lease.foresee(own);
      const held = own.flatMap((lease): [string, Entry][] => {
        const current = lease.#foreseen;
        return current === undefined ? [] : [[lease.#key, current]];
      });
      await Promise.all([
        removeUnchanged(leases, held),
        removeAll(leases, own.map((lease) => beatKey(lease.#token))),
      ]);
    } catch {
      // What the holder had to do is done: the next one only has to wait until the beat ends.
      return;
    }
  }

  /** The same as `release()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #entry(storing?: boolean): NewEntry {
    this.#taken = Date.now();
    const { ms } = this.#options;
    const state: LeaseState = { token: this.#token, ms, at: this.#taken, storing };
    const kept = Math.max(KEPT, 10 * ms);
    return {
      value: encoder.encode(JSON.stringify(state)),
      timestamp: this.#taken,
      expiresAt: this.#taken + kept,
    };
  }

  async #beat(): Promise<void> {
    await this.#leases.set(...this.#nextBeat());
  }

  #nextBeat(): [key: string, beat: NewEntry] {
    const timestamp = Date.now();
    return [beatKey(this.#token), {
      // A count, as who waits must see a beat from the next one whatever the clocks say.
      value: encoder.encode(String(++this.#beats)),
      timestamp,
      expiresAt: timestamp + this.#options.ms,
    }];
  }

  async #dropBeat(): Promise<void> {
    await this.#leases.delete(beatKey(this.#token));
  }

  /**
   * Has the lease renewed next time.
   *
   * @param begin When it was begun to write the last beat, or would have been: the beat's deadline
   * counts from then, however long the write took.
   */
  #arm(begin: number): void {
    const due = begin + this.#options.ms / 3 - now();
    this.#timer = startTimer(() => {
      this.#renewing = this.#renew();
    }, Math.max(0, Math.min(due, LONGEST_TIMER)));
    // What computes keeps the process alive, or nothing does.
    unrefTimer(this.#timer);
  }

  async #renew(): Promise<void> {
    const begin = now();
    let isHeld = true;
    try {
      if (this.#options.isActive?.() ?? true) {
        const current = await this.current();
        isHeld = current !== undefined;
        if (current !== undefined) {
          if (Date.now() - this.#taken > SILENT / 2) {
            await this.#leases.compareAndSet(this.#key, current, this.#entry());
          }
          await this.#beat();
        }
      }
    } catch {
      // The backend may be back by the next time; if not, the beat ends and others take over.
      isHeld = true;
    }
    if (isHeld && !this.#isReleased) this.#arm(begin);
  }
}

/** Takes the leases of all keys that begin so, and are meant, away: see {@linkcode revokeLeases}. */
export async function revokeLeasesOf(
  leases: Store,
  prefix = "",
  isMeant: (key: string) => boolean = () => true,
): Promise<void> {
  for await (const keys of batches(leases.keys(leaseKey(prefix)), AT_ONCE)) {
    await revokeEach(leases, keys.filter((key) => isMeant(key.slice(leaseKey("").length))));
  }
}

/** Takes all leases away, also where their store is damaged: without it nobody holds one. */
export async function revokeAllLeases(leases: Store): Promise<void> {
  try {
    await revokeLeasesOf(leases);
  } catch (error) {
    if (!(error instanceof EngineError || error instanceof DecodeError)) throw error;
    await leases.clear();
  }
}

/**
 * Takes the leases of keys away from whoever computes their results: what they bring is then not
 * stored.
 */
export async function revokeLeases(leases: Store, keys: readonly string[]): Promise<void> {
  const own = keys.map(leaseKey);
  if (own.length === 1) return await revokeEach(leases, own);
  const held = await leases.getValues(own);
  await revokeEach(leases, own.filter((_, i) => held[i] !== undefined));
}

/**
 * Drops what holders that were killed have left. Of those that live, however long they compute, it
 * takes nothing.
 */
export async function pruneLeases(leases: Store): Promise<void> {
  await leases.prune();
  for await (const group of batches(leases.entries(leaseKey("")), AT_ONCE)) {
    const silent = group.filter(([, lease]) => {
      const at = stateOf(lease)?.at;
      return at !== undefined && Date.now() - at >= SILENT;
    });
    const beats = await readAll(leases, silent.map(([, lease]) => beatKeyOf(lease)));
    // One that has been renewed or taken over meanwhile stays.
    await removeUnchanged(leases, silent.filter((_, i) => beats[i] === undefined));
  }
}

async function revokeEach(leases: Store, keys: readonly string[]): Promise<void> {
  let left = keys.map((key) => ({ key, watch: new LeaseWatch() }));
  for (;;) {
    const entries = await readAll(leases, left.map(({ key }) => key));
    const held = left.flatMap((one, i) => {
      const lease = entries[i];
      return lease === undefined ? [] : [{ ...one, lease }];
    });
    if (held.length === 0) return;
    const storing = held.filter(({ lease }) => stateOf(lease)?.storing);
    const lapsed = await LeaseWatch.haveLapsed(leases, storing);
    const waitedFor = new Set(storing.filter((_, i) => !lapsed[i]));
    const free = held.filter((one) => !waitedFor.has(one));
    const removed = await removeUnchanged(leases, free.map(({ key, lease }) => [key, lease]));
    const gone = free.filter((_, i) => removed[i]);
    await removeAll(leases, gone.map(({ lease }) => beatKeyOf(lease)));
    left = [...waitedFor, ...free.filter((_, i) => !removed[i])];
    if (waitedFor.size > 0) await delay(5);
  }
}

function stateOf({ value }: Pick<Entry, "value">): LeaseState | undefined {
  try {
    const state = JSON.parse(decoder.decode(value));
    return typeof state?.token === "string" && typeof state.ms === "number" ? state : undefined;
  } catch {
    // Something else has been written there: nobody holds it.
    return undefined;
  }
}

function leaseKey(key: string): string {
  return `l/${key}`;
}

/** The key of a lease's beat; of what is no lease, one that no beat has. */
function beatKeyOf(lease: Entry): string {
  return beatKey(stateOf(lease)?.token ?? "");
}

function beatKey(token: string): string {
  return `b/${token}`;
}
