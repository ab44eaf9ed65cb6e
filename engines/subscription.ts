/**
 * A subscription to what a server sends by itself: on one connection after the other, made anew
 * whenever one is lost.
 */
import { startTimer, stopTimer, type Timer, unrefTimer } from "../platform/timers.ts";

/** The first and the longest pause before it is tried again to connect, ms. */
const PAUSE = 50;
const LONGEST_PAUSE = 1_000;
/** How often a server that says nothing is asked whether it is there, ms. */
const BEAT = 2_000;

/** A connection that gets messages. Nothing of it takes without a limit. */
export interface Link {
  /** Resolves once it has ended, whoever ended it, after `begin` was called. */
  readonly ended: Promise<void>;
  /** Connects, and resolves once no message is missed any more. */
  begin(): Promise<void>;
  /** Resolves when the server is there. */
  ping(): Promise<unknown>;
  /** Ends it soon, in whatever state it is, also a second time. */
  end(): void;
}

/**
 * Subscribes, and resolves once no message is missed any more.
 *
 * @param makeLink Makes a connection, which is not connected yet.
 * @param onGap Is called when a connection was lost and nothing is missed again.
 * @returns Ends it.
 */
export async function subscribeBy(
  makeLink: () => Link,
  onGap: () => void,
): Promise<() => Promise<void>> {
  const subscription = new Subscription(makeLink);
  await subscription.begin();
  const following = subscription.follow(onGap);
  return async () => {
    subscription.end();
    await following;
  };
}

class Subscription {
  readonly #makeLink: () => Link;
  /** Set by `begin`. */
  #link!: Link;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(makeLink: () => Link) {
    this.#makeLink = makeLink;
  }

  async begin(): Promise<void> {
    const link = this.#link = this.#makeLink();
    try {
      await link.begin();
    } catch (error) {
      link.end();
      await link.ended;
      throw error;
    }
  }

  /** Begins anew whenever the connection is lost, and tells of it when nothing is missed any more. */
  async follow(onGap: () => void): Promise<void> {
    while (!this.#isOver) {
      const stopBeat = startBeat(this.#link);
      await this.#link.ended;
      stopBeat();
      for (let attempt = 0; !this.#isOver; attempt++) {
        try {
          await this.begin();
          onGap();
          break;
        } catch {
          // What is wrong with the server is told by what is asked of it.
          await this.#pause(Math.min(PAUSE * 2 ** attempt, LONGEST_PAUSE));
        }
      }
    }
    // It may have been connecting when it was ended.
    this.#link.end();
    await this.#link.ended;
  }

  end(): void {
    this.#isOver = true;
    this.#link.end();
    this.#wake?.();
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = startTimer(resolve, ms);
    unrefTimer(timer);
    await promise;
    stopTimer(timer);
  }
}

/** Finds out that a link is dead though it is open: nothing comes on it, and nothing is missed. */
function startBeat(link: Link): () => void {
  let timer: Timer | undefined;
  let isOver = false;
  const next = () => {
    if (isOver) return;
    timer = startTimer(() => link.ping().then(next, () => link.end()), BEAT);
    unrefTimer(timer);
  };
  next();
  return () => {
    isOver = true;
    stopTimer(timer);
  };
}
