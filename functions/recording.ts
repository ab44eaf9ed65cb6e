/**
 * Async generators: handed to the caller while they run, and stored when they have ended. Equal
 * calls meanwhile read the same recording, so the generator runs once.
 */
import { keepError } from "./kept_errors.ts";
import { replayAsync, toStored } from "./replay.ts";
import { ABSENT } from "../store/handle.ts";
import type { Job } from "./job.ts";
import { claim, identity, recall, storeResult, type Turn, type Wish } from "./single_flight.ts";
import { orAborted } from "./waiting.ts";

type Source = AsyncGenerator<unknown, unknown, unknown>;
type Reader = AsyncGenerator<unknown, unknown, void>;

/** How a recording ended. */
type End = { readonly returned: unknown } | { readonly error: unknown };

/** The recordings of this process that have not ended, by what they record. */
const recordings = new Map<string, { isNew: boolean; opening: Promise<Opened> }>();

type Opened = Recording | { readonly stored: unknown };

/**
 * What the generator yields, from its start: from the store, of the run that is recorded already,
 * or of a run of its own.
 *
 * @param start Calls the generator function.
 */
export async function record(
  job: Job,
  start: () => Source,
  wish: Wish,
  signal?: AbortSignal,
): Promise<Reader> {
  signal?.throwIfAborted();
  if (wish === "any") {
    const stored = await recall(job);
    if (stored !== ABSENT) return replayAsync(stored);
  }
  const id = await identity(job);
  for (;;) {
    const running = recordings.get(id);
    const joins = running !== undefined && (wish === "any" || running.isNew);
    const opened = await orAborted(joins ? running.opening : open(job, start, wish, id), signal);
    if (!(opened instanceof Recording)) return replayAsync(opened.stored);
    if (!opened.isAbandoned) return opened.read();
  }
}

function open(job: Job, start: () => Source, wish: Wish, id: string): Promise<Opened> {
  const forget = () => {
    if (recordings.get(id)?.opening === opening) recordings.delete(id);
  };
  const opening = begin(job, start, wish, forget);
  recordings.set(id, { isNew: wish === "new", opening });
  // The caller may have left: then nobody is to be told.
  opening.then((opened) => opened instanceof Recording || forget(), forget);
  return opening;
}

async function begin(
  job: Job,
  start: () => Source,
  wish: Wish,
  onEnd: () => void,
): Promise<Opened> {
  return await job.target.run("compute result", async (store) => {
    const { signal } = new AbortController();
    const run: { recording?: Recording } = {};
    const isActive = () => run.recording?.isActive(job.options.lease) ?? true;
    const claimed = await claim(store, job, wish, signal, isActive);
    if (claimed === undefined || "found" in claimed) {
      return { stored: claimed && await job.target.read(claimed.found, job.text) };
    }
    try {
      return run.recording = new Recording(job, start(), claimed.turn, onEnd);
    } catch (error) {
      await claimed.turn.release();
      throw error;
    }
  });
}

/**
 * A run of an async generator that several readers follow, each from its start. It advances when
 * one of them asks for more.
 */
class Recording {
  readonly #job: Job;
  readonly #turn: Turn;
  readonly #onEnd: () => void;
  readonly #source: Source;
  readonly #yielded: unknown[] = [];
  #end: End | undefined;
  #advancing: Promise<void> | undefined;
  #readers = 0;
  #lastActive = Date.now();
  /** Whether it was left before its end: it has no more to read. */
  isAbandoned = false;

  constructor(job: Job, source: Source, turn: Turn, onEnd: () => void) {
    this.#job = job;
    this.#turn = turn;
    this.#onEnd = onEnd;
    this.#source = source;
  }

  /**
   * Whether the generator runs, or did within the last `ms`: one that nobody asks for more is not
   * waited for.
   */
  isActive(ms: number): boolean {
    return this.#advancing !== undefined || Date.now() - this.#lastActive < ms;
  }

  /** What it yields, from the start. */
  read(): Reader {
    this.#readers++;
    let position = 0;
    let left = false;
    let last: Promise<unknown> = Promise.resolve();
    const leave = async () => {
      if (left) return;
      left = true;
      if (--this.#readers === 0 && this.#end === undefined) await this.#abandon();
    };
    const next = async (): Promise<IteratorResult<unknown, unknown>> => {
      if (left) return { done: true, value: undefined };
      while (position === this.#yielded.length && this.#end === undefined) {
        await (this.#advancing ??= this.#advance());
      }
      if (position < this.#yielded.length) return { done: false, value: this.#yielded[position++] };
      await leave();
      if ("error" in this.#end!) throw this.#end.error;
      return { done: true, value: this.#end!.returned };
    };
    // One after the other, as in any async generator.
    const inTurn = <T>(body: () => Promise<T>): Promise<T> => {
      const result = last.then(body);
      last = result.catch(() => undefined);
      return result;
    };
    const reader: Reader = {
      next: () => inTurn(next),
      return: (value) =>
        inTurn(async () => {
          await leave();
          return { done: true, value: await value };
        }),
      throw: (error) =>
        inTurn(async () => {
          await leave();
          throw error;
        }),
      [Symbol.asyncIterator]: () => reader,
      [Symbol.asyncDispose]: async () => void await reader.return(undefined),
    };
    return reader;
  }

  async #advance(): Promise<void> {
    try {
      const { done, value } = await this.#nextItem();
      if (done) await this.#finish(value);
      else this.#yielded.push(value);
    } catch (error) {
      await this.#close({ error });
    } finally {
      this.#lastActive = Date.now();
      this.#advancing = undefined;
    }
  }

  async #nextItem(): Promise<IteratorResult<unknown, unknown>> {
    try {
      return await this.#source.next();
    } catch (error) {
      await keepError(this.#job, error);
      throw error;
    }
  }

  async #finish(returned: unknown): Promise<void> {
    const { target } = this.#job;
    // Stored before the last reader is told, so that it is there when the loop of the caller has
    // ended.
    await target.run("store result", async (store) => {
      await storeResult(store, this.#job, toStored(this.#yielded, returned), this.#turn);
    });
    await this.#close({ returned });
  }

  /** Nobody reads on: an incomplete result is not stored. */
  async #abandon(): Promise<void> {
    await this.#advancing;
    if (this.#end !== undefined || this.#readers > 0) return;
    this.isAbandoned = true;
    await this.#close({ returned: undefined });
    await this.#source.return(undefined);
  }

  async #close(end: End): Promise<void> {
    this.#end = end;
    this.#onEnd();
    await this.#turn.release();
  }
}
