/** What happens in a stash, as a stream of server-sent events. */
import type { HashStash } from "../mod.ts";
import { messageOf } from "../engines/errors.ts";
import { startTimer, stopTimer, type Timer } from "../platform/timers.ts";
import { handleOf } from "../stash/hash_stash.ts";
import { EVENT_TYPES, type StashEvent, type StashEventDetail } from "../store/events.ts";
import { showKey } from "../store/show.ts";
import { shortened } from "./words.ts";

/** Pages that may watch at once: each costs what its events cost. */
const MOST_STREAMS = 16;
/** Events that are told one by one of those within … */
const MOST_EVENTS = 40;
/** … this time, ms; the others are counted. */
const INTERVAL = 250;
/** After so long without an event a sign of life, by which a connection that is gone is noticed, ms. */
const SILENCE = 15_000;
/** Messages that wait for a slow reader; then events are counted only. */
const WAITING = 16;

/** The streams of one stash: closing that ends them. */
export class EventStreams implements AsyncDisposable {
  readonly #stash: HashStash;
  readonly #ends = new Set<() => void>();
  #isWatched = false;
  #isClosed = false;

  /** Listens to nothing until somebody watches. */
  constructor(stash: HashStash) {
    this.#stash = stash;
  }

  /** A stream of what happens from now on, until the reader goes or the stash is closed. */
  response(): Response {
    if (!this.#isWatched) handleOf(this.#stash).adopt(this);
    this.#isWatched = true;
    // A browser asks no more after such an answer.
    if (this.#isClosed) return unavailable("The stash is closed");
    if (this.#ends.size >= MOST_STREAMS) {
      return unavailable("Too many pages watch already: close some");
    }
    return new Response(this.#stream().pipeThrough(new TextEncoderStream()), {
      headers: { "content-type": "text/event-stream" },
    });
  }

  /** Ends all streams, for good. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const end of this.#ends) end();
    return Promise.resolve();
  }

  #stream(): ReadableStream<string> {
    const listening = new AbortController();
    const told: object[] = [];
    let more = 0;
    let timer: Timer | undefined;
    let end: () => void;
    const stop = () => {
      listening.abort();
      stopTimer(timer);
      this.#ends.delete(end);
    };
    const start = (controller: ReadableStreamDefaultController<string>) => {
      end = () => {
        stop();
        controller.close();
      };
      this.#ends.add(end);
      const wait = (ms: number) => {
        stopTimer(timer);
        timer = startTimer(send, ms);
      };
      const send = () => {
        const isFull = (controller.desiredSize ?? 0) <= 0;
        if (isFull) more += told.splice(0).length;
        else if (told.length === 0 && more === 0) controller.enqueue(": nothing new\n\n");
        else {
          controller.enqueue(`data: ${JSON.stringify({ events: told.splice(0), more })}\n\n`);
          more = 0;
        }
        wait(SILENCE);
      };
      const listen = (event: StashEvent) => {
        if (told.length === 0 && more === 0) wait(INTERVAL);
        if (told.length >= MOST_EVENTS) more++;
        else told.push(toldOf(event.type, event.detail));
      };
      for (const type of EVENT_TYPES) {
        this.#stash.events.addEventListener(type, listen, { signal: listening.signal });
      }
      controller.enqueue("retry: 3000\n\n");
      wait(SILENCE);
    };
    return new ReadableStream({ start, cancel: stop }, { highWaterMark: WAITING });
  }
}

function unavailable(message: string): Response {
  return new Response(`${message}\n`, {
    status: 503,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

/** An event as the page gets it. */
function toldOf(
  type: string,
  { dbname, key, ms, bytes, count, outcome, error }: StashEventDetail,
): object {
  return {
    type,
    time: Date.now(),
    dbname,
    key: key === undefined ? undefined : shortened(showKey(key), 200),
    ms,
    bytes,
    count,
    outcome,
    error: error === undefined ? undefined : shortened(messageOf(error), 300),
  };
}
