/**
 * Messages between the processes that use the stores of one name: a ring of the latest ones in the
 * database itself. Each has a number, so that who comes too late to read one notices the hole.
 *
 * - `"hashstash-bus", name`: the number of the last message
 * - `"hashstash-bus", name, number % SIZE`: the message, with its number
 *
 * Deno KV's `watch` tells of writes by other processes where the database is on a server, but not
 * in a file (Deno 2.9): there the number is read again and again.
 */
import { hash } from "../../codec/hash.ts";
import type { KvDatabase, KvEntryMaybe, KvKey } from "../../platform/kv.ts";
import { delay, startTimer, stopTimer, type Timer, unrefTimer } from "../../platform/timers.ts";
import { groupsOf } from "../each.ts";
import type { Bus } from "../engine.ts";
import { PartsOf } from "../shared.ts";
import { KEYS_PER_READ } from "./chunks.ts";
import type { KvClient } from "./client.ts";

const ROOT = "hashstash-bus";
/** How many messages are kept. */
const SIZE = 128;
/** How long, ms: so that a ring that nobody uses any more goes. */
const KEPT = 86_400_000;
/** How often the number is read where nobody tells of it, ms: 0.1 ms of work each time. */
const POLL = 20;
/** The pause after something went wrong, ms. */
const PAUSE = 1_000;
/** How often it is tried to add a message while other processes add theirs. */
const ATTEMPTS = 50;

/** How to learn of new messages. */
export type Following = "poll" | "watch";

/** A message and its number. */
interface Slot {
  readonly number: number;
  readonly message: string;
}

const buses = new PartsOf<KvDatabase, Bus>();

/** What carries the messages of a name: the same for all who share a database. */
export function busIn(client: KvClient, name: string, following: Following): Bus {
  return buses.get(client.database, name, () => new KvBus(client, name, following));
}

class KvBus implements Bus {
  readonly #client: KvClient;
  readonly #following: Following;
  readonly #head: KvKey;

  constructor(client: KvClient, name: string, following: Following) {
    this.#client = client;
    this.#following = following;
    // A name may be longer than a key.
    this.#head = [ROOT, hash(name)];
  }

  async publish(message: string): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const head = await this.#client.get(this.#head);
      const number = numberOf(head) + 1;
      const slot: Slot = { number, message };
      const kept = { expireIn: KEPT };
      const operation = this.#client.atomic()
        .check({ key: this.#head, versionstamp: head.versionstamp })
        .set(this.#head, number, kept)
        .set(this.#slot(number), slot, kept);
      if ((await this.#client.commit(operation)).ok) return;
      await delay(Math.random() * Math.min(50, attempt));
    }
    throw new Error("too many processes write to the bus at the same time");
  }

  async subscribe(
    onMessage: (message: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>> {
    const reader = new Reader(this, numberOf(await this.#client.get(this.#head)), onMessage, onGap);
    return this.#following === "watch" ? this.#watch(reader) : this.#poll(reader);
  }

  /** The messages from one number to another; `undefined` when some are gone. */
  async messages(first: number, last: number): Promise<string[] | undefined> {
    if (last - first >= SIZE) return undefined;
    const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const messages: string[] = [];
    for (const group of groupsOf(numbers, KEYS_PER_READ)) {
      const found = await this.#client.getMany(group.map((number) => this.#slot(number)));
      for (const [i, { value }] of found.entries()) {
        const slot = value as Partial<Slot> | null;
        if (slot?.number !== group[i] || typeof slot.message !== "string") return undefined;
        messages.push(slot.message);
      }
    }
    return messages;
  }

  #slot(number: number): KvKey {
    return [...this.#head, number % SIZE];
  }

  #poll(reader: Reader): () => Promise<void> {
    let isOver = false;
    let timer: Timer;
    let reading: Promise<void> | undefined;
    const next = (ms: number) => {
      if (isOver) return;
      timer = startTimer(() => {
        reading = this.#client.get(this.#head)
          .then((head) => reader.reached(numberOf(head)))
          .then(() => next(POLL), () => {
            reader.lost();
            next(PAUSE);
          });
      }, ms);
      // The program may end by itself while it only listens.
      unrefTimer(timer);
    };
    next(POLL);
    return async () => {
      isOver = true;
      stopTimer(timer);
      await reading;
    };
  }

  #watch(reader: Reader): () => Promise<void> {
    let isOver = false;
    let timer: Timer | undefined;
    let wake = () => {};
    let stream: ReadableStreamDefaultReader<KvEntryMaybe[]> | undefined;
    const following = (async () => {
      while (!isOver) {
        try {
          stream = this.#client.watch(this.#head).getReader();
          for (let next = await stream.read(); !next.done; next = await stream.read()) {
            await reader.reached(numberOf(next.value[0]));
          }
        } catch {
          reader.lost();
        }
        if (isOver) return;
        await new Promise<void>((resolve) => timer = startTimer(wake = resolve, PAUSE));
      }
    })();
    return async () => {
      isOver = true;
      stopTimer(timer);
      wake();
      await stream?.cancel().catch(() => undefined);
      await following;
    };
  }
}

/** Reads messages in their order, and notices when some are missing. */
class Reader {
  readonly #bus: KvBus;
  readonly #onMessage: (message: string) => void;
  readonly #onGap: () => void;
  #last: number;
  #isLost = false;

  constructor(
    bus: KvBus,
    last: number,
    onMessage: (message: string) => void,
    onGap: () => void,
  ) {
    this.#bus = bus;
    this.#last = last;
    this.#onMessage = onMessage;
    this.#onGap = onGap;
  }

  /** Messages may be missed until it is told of a number again. */
  lost(): void {
    this.#isLost = true;
  }

  /** A message with this number is there. */
  async reached(number: number): Promise<void> {
    const last = this.#last;
    if (number === last && !this.#isLost) return;
    // A ring that has ended by its age begins anew.
    const messages = number < last || this.#isLost
      ? undefined
      : await this.#bus.messages(last + 1, number);
    this.#last = number;
    this.#isLost = false;
    if (messages === undefined) this.#onGap();
    else for (const message of messages) this.#onMessage(message);
  }
}

function numberOf({ value }: KvEntryMaybe): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
