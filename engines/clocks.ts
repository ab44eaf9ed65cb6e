/** How far two clocks may be apart and still be taken for the same, ms. */
const SLACK = 10;
/** A server that takes longer to answer, ms, says too little of its clock. */
const QUICK = 100;
/** How often a server is asked before anybody relies on its clock. */
const ATTEMPTS = 3;
/** How long what was found holds, ms. */
const AGE = 10_000;

/** Asks a server for its time: seconds, and microseconds beyond them. */
type AskTime = () => Promise<(string | number)[]>;

/**
 * Whether this machine's clock and those of the servers show the same time. While they do, an
 * absolute deadline can be told to the server as it is, exact to the millisecond. When they don't, or
 * nobody knows, the server is told how much time is left, which is right by any clock.
 */
export class Clocks {
  #agree = false;
  #since = -Infinity;
  /** How far this machine's clock was ahead of one that is never set, when they were compared. */
  #ahead = 0;
  #asking: Promise<void> | undefined;
  readonly #servers: () => AskTime[];

  /** @param servers All servers whose clocks count. */
  constructor(servers: () => AskTime[]) {
    this.#servers = servers;
  }

  /** Whether they agree, as far as is known now; looks again in the background now and then. */
  get agree(): boolean {
    if (performance.now() - this.#since > AGE) void this.compare();
    // A clock that was set, or a machine that slept.
    return this.#agree && Math.abs(ahead() - this.#ahead) <= SLACK;
  }

  /** Compares them. */
  compare(): Promise<void> {
    this.#since = performance.now();
    return this.#asking ??= this.#compare().finally(() => this.#asking = undefined);
  }

  /** Nothing is known of the server that was connected to just now. */
  forget(): void {
    this.#agree = false;
    this.#since = -Infinity;
  }

  async #compare(): Promise<void> {
    this.#ahead = ahead();
    try {
      const answers = await Promise.all(this.#servers().map(agrees));
      this.#agree = answers.every((answer) => answer) && answers.length > 0;
    } catch {
      // The user may have no right to ask, or the connection went.
      this.#agree = false;
    }
  }
}

async function agrees(ask: AskTime): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = Date.now();
    const [seconds, microseconds] = await ask();
    const after = Date.now();
    const time = Number(seconds) * 1_000 + Number(microseconds) / 1_000;
    if (after - before <= QUICK) return time >= before - SLACK && time <= after + SLACK;
  }
  return false;
}

function ahead(): number {
  return Date.now() - performance.now();
}
