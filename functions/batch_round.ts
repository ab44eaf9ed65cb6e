/**
 * Values that are made together. Each has a flight of its own, which equal calls join and which
 * stores it or not; what the flights do together is to get the right to make their values, with a
 * few round trips for all, and to call the function.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { groupsOf } from "../engines/each.ts";
import { delay } from "../platform/timers.ts";
import { isNested, Operation } from "../store/contention.ts";
import { forEach } from "../store/groups.ts";
import type { Handle } from "../store/handle.ts";
import { LeaseWatch } from "../store/leases.ts";
import { typeOf } from "../store/options.ts";
import { ComputedRun } from "./computation.ts";
import type { Job } from "./job.ts";
import { Claim, CLAIMED, type Claimed, type Wish } from "./claim.ts";
import { claim, claimEach } from "./claiming.ts";
import { invalidatedSince, storeResult } from "./result.ts";
import type { Flying, Landed, Seat } from "./single_flight.ts";

/** What a batch makes, and how. */
export interface BatchWork {
  /** Where the values are stored. */
  readonly target: Handle;
  /** The most ids of one call. */
  readonly maxBatch: number;
  /** The limit of one call, ms. */
  readonly timeout: number | undefined;
  /**
   * The value of an id: where it is stored and how. What this computes is the id, as it was when it
   * was asked for.
   */
  job(id: unknown): Job;
  /** The canonical text of the key of an id. */
  text(id: unknown): string;
  /** What is to be done before calls, once for those that begin together; it does not fail. */
  prepare?(): Promise<void>;
  /** Calls the function. */
  call(ids: unknown[]): unknown;
}

/** Errors that are about one value of a call. */
const ofOne = new WeakMap<Error, "given" | "met">();

/**
 * What an error has to do with one value: a function gave it in the place of that, or it was met in
 * storing that. `undefined`: it is why a call failed.
 */
export function aboutOne(error: unknown): "given" | "met" | undefined {
  return error instanceof Error ? ofOne.get(error) : undefined;
}

/** What becomes of a flight: its value in stored form, or what has been found instead. */
type Made = Awaited<ReturnType<Seat["fly"]>>;

/** A value that is to be made: what is its own, from round to round. */
export class Member implements Seat {
  readonly job: Job;
  /** Its place among those that were asked for together. */
  place = 0;
  /** The right to have it made. */
  claimed: Claim | undefined;
  #round: Round | undefined;
  #isWaitedFor = false;
  #flying: Flying | undefined;
  #made: PromiseWithResolvers<Made> | undefined;
  #asCaller: (<T>(body: () => T) => T) | undefined;
  #watch: LeaseWatch | undefined;

  constructor(job: Job) {
    this.job = job;
  }

  /** Takes the place in a round that has been kept for it. */
  enter(round: Round, place: number): void {
    this.#round = round;
    this.place = place;
    this.#isWaitedFor = true;
  }

  fly(flying: Flying): Promise<Made> {
    const round = this.#round!;
    this.#flying = flying;
    this.#made = Promise.withResolvers();
    // Where nobody is part of anything there is no need: it takes as long as all the rest.
    if (round.isNested || isNested()) this.#asCaller = AsyncLocalStorage.snapshot();
    round.add(this);
    this.waits();
    return this.#made.promise;
  }

  waits(): void {
    if (!this.#isWaitedFor) return;
    this.#isWaitedFor = false;
    this.#round!.decided();
  }

  /** Its flight, once that has taken the seat. */
  get flying(): Flying {
    return this.#flying!;
  }

  get wish(): Wish {
    return this.flying.wish;
  }

  /** What has been seen of another's lease so far. */
  get watch(): LeaseWatch {
    return this.#watch ??= new LeaseWatch();
  }

  /** Does something as part of what its own caller is part of. */
  asCaller<T>(body: () => T): T {
    return this.#asCaller === undefined ? body() : this.#asCaller(body);
  }

  resolve(made: Made): void {
    this.#made!.resolve(made);
  }

  reject(error: unknown): void {
    this.#made!.reject(error);
  }
}

/** Values that were asked for together and were not there. It is made as the first who asked. */
export class Round {
  /** How many they are. */
  count = 0;
  /** Whether the first who asked is part of an operation. */
  readonly isNested: boolean = isNested();
  readonly #asFirst = AsyncLocalStorage.snapshot();
  readonly #work: BatchWork;
  readonly #members: Member[] = [];
  /** How many are among the members, or wait for somebody of this process who is at it. */
  #decided = 0;
  #isClosed = false;
  #pausing: Promise<void> | undefined;

  constructor(work: BatchWork) {
    this.#work = work;
  }

  /** Has a value made together with the others; alone, when they have gone on without it. */
  add(member: Member): void {
    if (this.#isClosed) void this.#goAlone(member);
    else this.#members.push(member);
  }

  /** One less to wait for: after the last, all that are to be made go on. */
  decided(): void {
    if (++this.#decided < this.count) return;
    this.#isClosed = true;
    if (this.#members.length > 0) void this.#asFirst(() => this.#go());
  }

  /** Waits before it is looked again at what others are at: the same time for all. */
  async pause(attempt: number): Promise<void> {
    const ms = Math.min(100, 5 * 2 ** attempt) * (0.5 + Math.random());
    await (this.#pausing ??= delay(ms));
  }

  async #go(): Promise<void> {
    const members = this.#members.toSorted((a, b) => a.place - b.place);
    let outcomes: PromiseSettledResult<Claimed>[];
    try {
      outcomes = await claimEach(members[0].flying.store, members);
    } catch (error) {
      for (const member of members) member.reject(error);
      return;
    }
    const granted = members.filter((member, i) => {
      const outcome = outcomes[i];
      if (outcome.status === "rejected") member.reject(outcome.reason);
      else if (outcome.value instanceof Claim) {
        member.claimed = outcome.value;
        return true;
      } else if (outcome.value === CLAIMED && member.wish !== "unclaimed") {
        // Who has to have it waits for it: the others go on.
        void this.#goAlone(member);
      } else member.resolve(outcome.value);
    });
    if (granted.length > 0) await this.#work.prepare?.();
    for (const group of groupsOf(granted, this.#work.maxBatch)) {
      void new Call(this.#work, group).go();
    }
  }

  async #goAlone(member: Member): Promise<void> {
    const { job, flying: { store, wish, signal } } = member;
    try {
      const claimed = await member.asCaller(() => claim(store, job, wish, signal));
      if (!(claimed instanceof Claim)) return member.resolve(claimed);
      member.claimed = claimed;
      await this.#work.prepare?.();
      void member.asCaller(() => new Call(this.#work, [member]).go());
    } catch (error) {
      member.reject(error);
    }
  }
}

/** What a call of the function made of one id. */
interface Slot {
  readonly value?: unknown;
  /** The Map that it returned has nothing for the id. */
  readonly isMissing?: boolean;
}

/** One call of the function, for some of a round. */
class Call {
  readonly #work: BatchWork;
  readonly #members: readonly Member[];
  readonly #operation: Operation;
  readonly #run: ComputedRun;

  /** @param members Each with the right to have its value made. */
  constructor(work: BatchWork, members: readonly Member[]) {
    const { target, timeout } = work;
    this.#work = work;
    this.#members = members;
    this.#run = new ComputedRun(undefined, timeout);
    this.#operation = new Operation(target.place, `batch of ${members[0].job.text}`, target);
    for (const { claimed, flying } of members) {
      // What the function does that would wait for one of these is refused.
      flying.operation.waitsFor.add(this.#operation);
      claimed!.onOvertaken(flying.onOvertaken);
    }
  }

  /** Calls it, stores what it makes, and lets all who wait know. */
  async go(): Promise<void> {
    const claims = this.#members.map(({ claimed }) => claimed!);
    try {
      const slots = await this.#call();
      await Claim.foresee(claims).catch(() => undefined);
      const outcomes = await forEach(this.#members, (member) => {
        return member.asCaller(() => this.#keep(member, slots.get(member.job.text)!));
      });
      await Claim.releaseEach(claims);
      for (const [i, member] of this.#members.entries()) {
        const outcome = outcomes[i];
        if ("error" in outcome) member.reject(outcome.error);
        else member.resolve(outcome);
      }
    } catch (error) {
      await Claim.releaseEach(claims);
      for (const member of this.#members) member.reject(error);
    }
  }

  async #call(): Promise<Map<string, Slot>> {
    // Where equal calls share nothing, a key may be there more than once.
    const jobs = new Map(this.#members.map(({ job }) => [job.text, job]));
    const ids = Array.from(jobs.values(), (job) => job.compute());
    try {
      const calling = () => this.#run.within(() => this.#operation.run(() => this.#work.call(ids)));
      const made = await this.#work.target.watch.batch(ids.length, calling);
      return this.#slotsOf(made, [...jobs.keys()]);
    } finally {
      this.#run.end();
    }
  }

  #slotsOf(made: unknown, texts: readonly string[]): Map<string, Slot> {
    if (Array.isArray(made)) {
      if (made.length !== texts.length) {
        throw new TypeError(
          `Expected the function to return ${texts.length} values, one for each it was asked for in their order, got ${made.length}`,
        );
      }
      return new Map(texts.map((text, i) => [text, { value: made[i] }]));
    }
    if (!(made instanceof Map)) {
      throw new TypeError(
        `Expected the function to return an array of values or a Map, got ${typeOf(made)}`,
      );
    }
    const values = new Map(Array.from(made, ([id, value]) => [this.#work.text(id), value]));
    return new Map(texts.map((text) => [
      text,
      values.has(text) ? { value: values.get(text) } : { isMissing: true },
    ]));
  }

  /** Stores a value; what has become of it, or why there is none. */
  async #keep(
    { job, claimed }: Member,
    { value, isMissing }: Slot,
  ): Promise<Landed | { readonly error: unknown }> {
    if (value instanceof Error) {
      ofOne.set(value, "given");
      return { error: value };
    }
    try {
      const bytes = await job.target.codec.encode(value);
      const said = isMissing ? { ...this.#run.said, store: false } : this.#run.said;
      const tags = await storeResult(job, value, bytes, claimed!, said, true);
      return { bytes, invalidatedSince: await invalidatedSince(job, claimed!, tags) };
    } catch (error) {
      if (error instanceof Error) ofOne.set(error, "met");
      return { error };
    }
  }
}
