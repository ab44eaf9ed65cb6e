/**
 * Where a statement gets its connection from. Not by npm:pg's own pool: that one has a timer for each
 * call, keeps those who wait when it is closed, and has no way to leave a connection that is being
 * made.
 */
import { now, startTimer, stopTimer, type Timer, unrefTimer } from "../../platform/timers.ts";
import { type Client, type ClientOptions, makeClient, type UserPool } from "./client.ts";

/** How long a connection that nobody uses is kept beside another one, ms. */
const IDLE = 30_000;
/** How long the server has to end its side of a connection, ms. */
export const LINGER = 200;

/** Gives a connection back; one that is broken is ended. */
export type GiveBack = (isBroken: boolean) => void;

/** Who gets a connection, or what went wrong. */
export type Borrower = (
  error: unknown,
  client: Client | undefined,
  giveBack: GiveBack,
) => void;

/** Lends connections. */
export interface Lender {
  /** Whether the next one to borrow would have to wait until others give back. */
  readonly isBusy: boolean;
  /** Calls back with a connection: at once when one is free. */
  borrow(borrower: Borrower): void;
  /** Ends the connections; who waits for one is told. */
  close(): Promise<void>;
}

interface Idle {
  readonly client: Client;
  readonly since: number;
}

/** Up to so many connections, made when they are needed. */
export class Pool implements Lender {
  readonly #options: ClientOptions;
  readonly #max: number;
  readonly #onFirst: () => void;
  readonly #idleTime: number;
  readonly #clients = new Set<Client>();
  readonly #connecting = new Set<Client>();
  #idle: Idle[] = [];
  #waiting: Borrower[] = [];
  #sweeping: Timer | undefined;
  #isClosed = false;

  /**
   * @param max The most connections.
   * @param onFirst Is called when there was none before.
   * @param idleTime How long one that nobody uses is kept beside another one, ms.
   */
  constructor(options: ClientOptions, max: number, onFirst: () => void, idleTime = IDLE) {
    this.#options = options;
    this.#max = max;
    this.#onFirst = onFirst;
    this.#idleTime = idleTime;
  }

  get isBusy(): boolean {
    return this.#idle.length === 0 && this.#clients.size >= this.#max;
  }

  borrow(borrower: Borrower): void {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.client.ref();
      this.#lend(idle.client, borrower);
    } else if (this.#isClosed) refuse(borrower, new Error("Connection is closed"));
    else if (this.#clients.size < this.#max) this.#connect(borrower);
    else this.#waiting.push(borrower);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    stopTimer(this.#sweeping);
    this.#idle = [];
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const borrower of waiting) refuse(borrower, new Error("Connection terminated"));
    await Promise.all([...this.#clients].map((client) => {
      const isConnecting = this.#connecting.has(client);
      return new Promise<void>((resolve) => {
        const timer = startTimer(() => destroy(client), isConnecting ? 0 : LINGER);
        client.on("end", () => {
          stopTimer(timer);
          resolve();
        });
        client.ref();
        client.end(() => {});
      });
    }));
  }

  #connect(borrower: Borrower): void {
    if (this.#clients.size === 0) this.#onFirst();
    const client = makeClient(this.#options);
    this.#clients.add(client);
    this.#connecting.add(client);
    // A statement that is under way is told of it; without a listener the program would end.
    client.on("error", () => this.#forget(client));
    client.on("end", () => this.#forget(client));
    client.connect((error) => {
      if (!this.#connecting.delete(client)) return;
      if (!error) {
        this.#lend(client, borrower);
        return;
      }
      // Of its socket nothing is needed any more, whether it broke or the server said no.
      destroy(client);
      this.#clients.delete(client);
      // While there are others it can have one of those: the server may have no more.
      if (this.#idle.length > 0) this.borrow(borrower);
      else if (this.#clients.size > 0 && !this.#isClosed) this.#waiting.unshift(borrower);
      else {
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const one of [borrower, ...waiting]) refuse(one, error);
      }
    });
  }

  #lend(client: Client, borrower: Borrower): void {
    borrower(undefined, client, (isBroken) => this.#giveBack(client, isBroken));
  }

  #giveBack(client: Client, isBroken: boolean): void {
    if (this.#isClosed) return;
    if (isBroken) {
      this.#clients.delete(client);
      destroy(client);
    }
    if (!this.#clients.has(client)) {
      const next = this.#waiting.shift();
      if (next !== undefined) this.borrow(next);
      return;
    }
    const next = this.#waiting.shift();
    if (next !== undefined) {
      this.#lend(client, next);
      return;
    }
    // The program ends by itself while no answer is awaited, though connections are open.
    client.unref();
    this.#idle.push({ client, since: now() });
    if (this.#idle.length > 1) this.#sweeping ??= this.#sweepLater();
  }

  #forget(client: Client): void {
    this.#clients.delete(client);
    this.#idle = this.#idle.filter((idle) => idle.client !== client);
  }

  #sweepLater(): Timer {
    const timer = startTimer(() => {
      this.#sweeping = undefined;
      const since = now() - this.#idleTime;
      // The last one is that which was used last; it stays, for whoever comes next.
      for (const { client } of this.#idle.slice(0, -1).filter((idle) => idle.since <= since)) {
        this.#forget(client);
        client.end(() => {});
      }
      if (this.#idle.length > 1) this.#sweeping = this.#sweepLater();
    }, this.#idleTime);
    unrefTimer(timer);
    return timer;
  }
}

/** The user's own pool, which is not closed. */
export class Borrowed implements Lender {
  readonly isBusy = false;
  readonly #pool: UserPool;

  constructor(pool: UserPool) {
    this.#pool = pool;
  }

  borrow(borrower: Borrower): void {
    this.#pool.connect((error, client, release) => {
      if (error || client === undefined) {
        refuse(borrower, error);
        return;
      }
      // The pool listens while it has it.
      if (client.listenerCount("error") === 0) client.on("error", () => {});
      borrower(undefined, client, (isBroken) => release(isBroken));
    });
  }

  async close(): Promise<void> {}
}

function refuse(borrower: Borrower, error: unknown): void {
  borrower(error, undefined, () => {});
}

/** Leaves a connection, whatever the server does. */
export function destroy(client: Client): void {
  client.connection.stream.destroy();
}
