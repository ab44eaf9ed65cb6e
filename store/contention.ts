/**
 * What several changes of one key at the same time need: an order in this process, a pause before
 * another try, and a refusal of what would wait for itself.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { delay } from "../platform/timers.ts";

/**
 * Waits before another try at a contended key: nothing at first, then a random time up to 1, 2, 4 …
 * 64 ms, so that processes that met once don't meet again.
 */
export async function backoff(attempt: number): Promise<void> {
  await delay(Math.random() * Math.min(64, 2 ** attempt / 2));
}

/** A body that runs, or waits for those before it. */
interface Turn {
  /** What it waits for: the turn before it, then what its own function waits for. */
  readonly operation: Operation;
  readonly ended: Promise<void>;
}

/** The last in the queue of each name. */
const tails = new Map<string, Turn>();

/**
 * Runs `body` when all earlier bodies of that name in this process have ended. It keeps the callers
 * of one process from failing each other's `compareAndSet`: between processes that decides alone.
 *
 * @param what What is refused when two would wait for each other.
 * @param body It is given the operation of its turn, to say what that waits for.
 * @throws {TypeError} When an earlier body waits for what the running code is part of.
 */
export async function exclusive<T>(
  name: string,
  what: string,
  body: (turn: Operation) => Promise<T>,
): Promise<T> {
  const before = tails.get(name);
  const operation = new Operation(name, "");
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const turn = { operation, ended };
  if (before === undefined) tails.set(name, turn);
  else {
    await waitingFor(before.operation, what, async () => {
      // Only now: who is refused must not stand in the queue.
      tails.set(name, turn);
      operation.waitsFor.add(before.operation);
      await before.ended;
      operation.waitsFor.delete(before.operation);
    });
  }
  try {
    return await body(operation);
  } finally {
    if (tails.get(name) === turn) tails.delete(name);
    resolve();
  }
}

/** An operation that runs a function of the caller's: what it does may come back to its own key. */
export class Operation {
  /** What it is about: a key of a store, under a name that no other has in this process. */
  readonly subject: string;
  /** The store of the key. */
  readonly place: string;
  /** Who waits for it before it closes. */
  readonly owner: object | undefined;
  /** What it waits for at the moment: calls of its function that have joined other operations. */
  readonly waitsFor: Set<Operation> = new Set();
  #isUnderWay = true;

  /**
   * @param owner Who waits for it before it closes, where that is not all who use the place.
   */
  constructor(place: string, key: string, owner?: object) {
    this.place = place;
    this.subject = place + key;
    this.owner = owner;
  }

  /** Whether its function has not settled: what it has started and left running is not part of it. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Runs the function as the operation. */
  async run<T>(fn: () => T): Promise<Awaited<T>> {
    try {
      return await this.within(fn);
    } finally {
      this.end();
    }
  }

  /** Runs a part of the operation. */
  within<T>(fn: () => T): T {
    return running.run({ operation: this, outer: running.getStore() }, fn);
  }

  /** It has ended. */
  end(): void {
    this.#isUnderWay = false;
  }
}

/** The operations that the running code is part of, from the innermost outwards. */
interface Running {
  readonly operation: Operation;
  readonly outer: Running | undefined;
}

// A chain and no set: a function that calls itself 8,000 deep would copy 8,000 sets.
const running = new AsyncLocalStorage<Running | undefined>();

/** The operations under way that the running code is part of, from the innermost outwards. */
export function* operationsAround(): Generator<Operation> {
  for (let at = running.getStore(); at !== undefined; at = at.outer) {
    if (at.operation.isUnderWay) yield at.operation;
  }
}

/** Whether the running code is part of an operation under way. */
export function isNested(): boolean {
  return running.getStore() !== undefined && !operationsAround().next().done;
}

/**
 * Refuses what the running code, as part of an operation, would wait for itself to do.
 *
 * @param isMeant Whether an operation around is the one that it would wait for.
 * @param what What is refused, and where.
 * @throws {TypeError} When there is such an operation around.
 */
export function refuseWithin(isMeant: (operation: Operation) => boolean, what: string): void {
  if (running.getStore() === undefined) return;
  for (const operation of operationsAround()) {
    if (isMeant(operation)) throw new TypeError(`Cannot ${what}: it would wait for itself`);
  }
}

/**
 * Waits for another operation from inside of one: refused when that one, or one that it waits for,
 * waits for the operation that the running code is part of.
 *
 * @param target What is waited for.
 * @param what What is refused then.
 * @throws {TypeError} When they would wait for each other for ever.
 */
export async function waitingFor<T>(
  target: Operation,
  what: string,
  wait: () => Promise<T>,
): Promise<T> {
  const around = [...operationsAround()];
  if (around.length === 0) return await wait();
  const reached = new Set([target]);
  for (const operation of reached) {
    if (around.includes(operation)) {
      const how = operation === target ? "it would wait for itself" : "they wait for each other";
      throw new TypeError(`Cannot ${what}: ${how}`);
    }
    for (const next of operation.waitsFor) reached.add(next);
  }
  const [innermost] = around;
  innermost.waitsFor.add(target);
  try {
    return await wait();
  } finally {
    innermost.waitsFor.delete(target);
  }
}
