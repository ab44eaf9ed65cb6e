/**
 * What near tiers say to those of other processes, and hear from them: one line for each bus. A
 * message is JSON: who says it, of which store, and the keys that have changed, never their values.
 *
 * Nothing rests on it alone. What is no message of ours is passed over, what is lost is followed by
 * time, and what can't be sent is told to who listens to the stash's events.
 */
import { hash } from "../codec/hash.ts";
import type { Awaitable, Bus } from "../engines/engine.ts";
import { inTime, startTimer, stopTimer, type Timer, unrefTimer } from "../platform/timers.ts";
import { typeOf } from "./options.ts";

/** The most bytes of a message that has keys: a bus need not carry more. */
const MOST_BYTES = 7_000;
/** Names of more bytes than this, as JSON, are sent as their hash. */
const MOST_NAME_BYTES = 1_000;
/** Beyond so many keys of a store that wait to be sent, it is said that all may have changed. */
const MOST_WAITING = 2_000;
/** Longer ones, in UTF-16 units, are none of ours. */
const LONGEST_MESSAGE = 65_536;
/** How long a message may take to be sent, and a subscription to be ended, ms. */
const LIMIT = 5_000;
/** The first and the longest pause before it is tried again to subscribe, ms. */
const PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

/** What this process knows its own messages by. */
const SELF = crypto.randomUUID();

const encoder = new TextEncoder();

/** Keeps something in memory of a store. */
export interface Listener {
  /** The stash's name. */
  readonly name: string;
  /** The store inside it. */
  readonly dbname: string;
  /** Another process may have changed these keys; `undefined`: any, or messages were lost. */
  changed(keys: readonly string[] | undefined): void;
  /** Something is wrong with a bus that it has joined; `key`: when it is about no other. */
  failed(bus: Bus, error: unknown, key?: string): void;
}

/** What of a store is to be told. */
interface Change {
  readonly name: string;
  readonly dbname: string;
  /** `undefined`: all of them. */
  keys: Set<string> | undefined;
  deep: boolean;
}

/** A message as it is sent, with names as they are `shortened`. */
interface Message extends Pick<Change, "name" | "dbname"> {
  readonly from: string;
  /** Absent: all keys. */
  readonly keys?: readonly string[];
  /** Of the stores nested in this one, too. */
  readonly deep?: boolean;
}

const lines = new Map<Bus, BusLine>();

/** A bus, as it is used by all near tiers of this process. */
export class BusLine {
  readonly #bus: Bus;
  /** How many have joined for each. */
  readonly #listeners = new Map<Listener, number>();
  readonly #waiting = new Map<string, Change>();
  /** The messages of the change that is being told, but for those that have been sent. */
  readonly #unsent = new Set<Message>();
  #sending: Promise<void> | undefined;
  readonly #subscribing: Promise<void>;
  #unsubscribe: (() => Awaitable<void>) | undefined;
  #pause: Timer | undefined;
  #endPause: (() => void) | undefined;
  #isOver = false;

  /** @param first Who is told when it can't be subscribed at once. */
  private constructor(bus: Bus, first: Listener) {
    this.#bus = bus;
    this.#listeners.set(first, 0);
    this.#subscribing = this.#subscribe();
  }

  /** The line of a bus, if anybody listens to it. */
  static of(bus: Bus): BusLine | undefined {
    return lines.get(bus);
  }

  /** Listens to a bus, until `leave` has been called as often. */
  static join(bus: Bus, listener: Listener): void {
    let line = lines.get(bus);
    if (line === undefined) lines.set(bus, line = new BusLine(bus, listener));
    line.#listeners.set(listener, (line.#listeners.get(listener) ?? 0) + 1);
  }

  /** Listens no more; the last one to leave ends the subscription. */
  static async leave(bus: Bus, listener: Listener): Promise<void> {
    const line = lines.get(bus);
    if (line !== undefined) await line.#leave(listener);
  }

  async #leave(listener: Listener): Promise<void> {
    const left = (this.#listeners.get(listener) ?? 0) - 1;
    if (left > 0) this.#listeners.set(listener, left);
    else {
      this.#giveUp(listener);
      this.#listeners.delete(listener);
    }
    if (this.#listeners.size > 0 || this.#isOver) return;
    this.#isOver = true;
    if (lines.get(this.#bus) === this) lines.delete(this.#bus);
    stopTimer(this.#pause);
    this.#endPause?.();
    // What can't be ended is of no use any more all the same.
    await withinLimit(this.#end());
  }

  /** Resolves when all that was told has been sent, or can't be in a reasonable time. */
  static async sent(bus: Bus): Promise<void> {
    const line = lines.get(bus);
    if (line !== undefined) await withinLimit(line.#sending);
  }

  /** Tells other processes of a change; at once, or together with others when the bus is at it. */
  tell({ name, dbname }: Listener, keys: readonly string[] | undefined, deep: boolean): void {
    const id = idOf({ name, dbname });
    let change = this.#waiting.get(id);
    if (change === undefined) {
      this.#waiting.set(id, change = { name, dbname, keys: new Set(), deep: false });
    }
    change.deep ||= deep;
    if (keys === undefined) change.keys = undefined;
    else for (const key of keys) change.keys?.add(key);
    if (change.keys !== undefined && change.keys.size > MOST_WAITING) change.keys = undefined;
    this.#sending ??= this.#send().finally(() => this.#sending = undefined);
  }

  async #send(): Promise<void> {
    while (!this.#isOver) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [id, change] = next;
      this.#waiting.delete(id);
      for (const message of messagesOf(change)) this.#unsent.add(message);
      for (const message of this.#unsent) {
        await this.#publish(message);
        this.#unsent.delete(message);
      }
    }
  }

  /** Who leaves is told of what has not been sent: nobody could be told later. */
  #giveUp(listener: Listener): void {
    const error = new Error(
      "The stash was closed before the bus had taken what was to be told: other processes follow " +
        "within near.ttl",
    );
    const id = idOf(listener);
    for (const part of [...this.#unsent, ...this.#waiting.values()]) {
      if (idOf(part) === id) listener.failed(this.#bus, error, onlyOf(part.keys));
    }
    this.#waiting.delete(id);
    for (const message of this.#unsent) if (idOf(message) === id) this.#unsent.delete(message);
  }

  async #publish(message: Message): Promise<void> {
    try {
      const late = () => new Error(`The bus has not taken a message for ${LIMIT / 1_000} s`);
      const sent = this.#bus.publish(JSON.stringify(message));
      if (sent instanceof Promise) await inTime(sent, LIMIT, late);
    } catch (error) {
      // The write itself is done; other processes follow it by time.
      const id = idOf(message);
      for (const listener of [...this.#listeners.keys()]) {
        if (idOf(listener) === id) listener.failed(this.#bus, error, onlyOf(message.keys));
      }
    }
  }

  async #subscribe(): Promise<void> {
    for (let attempt = 0; !this.#isOver; attempt++) {
      try {
        const end = await this.#bus.subscribe((text) => this.#receive(text), () => this.#missed());
        if (typeof end !== "function") {
          throw new TypeError(
            `Expected subscribe of the bus to give a function that ends it, got ${typeOf(end)}`,
          );
        }
        this.#unsubscribe = end;
        // What was read before it was heard of nothing.
        this.#missed();
        return;
      } catch (error) {
        for (const listener of [...this.#listeners.keys()]) listener.failed(this.#bus, error);
        await this.#rest(Math.min(PAUSE * 2 ** attempt, LONGEST_PAUSE));
      }
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    this.#pause = startTimer(resolve, ms);
    unrefTimer(this.#pause);
    await promise;
  }

  async #end(): Promise<void> {
    await this.#subscribing;
    await this.#unsubscribe?.();
  }

  #receive(text: unknown): void {
    if (this.#isOver) return;
    const message = parsed(text);
    if (message === undefined || message.from === SELF) return;
    const { name, dbname, keys, deep } = message;
    for (const listener of [...this.#listeners.keys()]) {
      if (shortened(listener.name) !== name) continue;
      if (shortened(listener.dbname) === dbname) listener.changed(keys);
      else if (deep && isInside(listener.dbname, dbname)) listener.changed(undefined);
    }
  }

  #missed(): void {
    for (const listener of [...this.#listeners.keys()]) listener.changed(undefined);
  }
}

async function withinLimit(work: Promise<void> | undefined): Promise<void> {
  if (work === undefined) return;
  await inTime(work, LIMIT, () => new Error("The bus is too slow")).catch(() => undefined);
}

/** What a store is known by. */
function idOf({ name, dbname }: Pick<Change, "name" | "dbname">): string {
  return `${shortened(name)}\n${shortened(dbname)}`;
}

/** A name as it stands in messages, which have room for so much. */
function shortened(name: string): string {
  // No UTF-16 unit takes more than six bytes.
  const isShort = name.length * 6 + 2 <= MOST_NAME_BYTES || bytesOf(name) <= MOST_NAME_BYTES;
  return isShort ? name : hash(name);
}

/** Whether a store is nested in one whose name stands in a message. */
function isInside(dbname: string, outer: string): boolean {
  for (let end = dbname.indexOf("/"); end !== -1; end = dbname.indexOf("/", end + 1)) {
    if (shortened(dbname.slice(0, end)) === outer) return true;
  }
  return false;
}

/** The key, when there is one only. */
function onlyOf(keys: Iterable<string> | undefined): string | undefined {
  const [key, more] = keys ?? [];
  return more === undefined ? key : undefined;
}

/** The messages that tell of a change: as many as its keys need. */
function messagesOf({ name, dbname, keys, deep }: Change): Message[] {
  const common = { from: SELF, name: shortened(name), dbname: shortened(dbname) };
  if (keys === undefined || deep) return [{ ...common, deep: deep || undefined }];
  const room = MOST_BYTES - bytesOf({ ...common, keys: [] });
  const messages: Message[] = [];
  let part: string[] = [];
  let size = 0;
  for (const key of keys) {
    const bytes = bytesOf(key) + 1;
    // One that fits in no message.
    if (bytes > room) return [common];
    if (size + bytes > room) {
      messages.push({ ...common, keys: part });
      part = [];
      size = 0;
    }
    part.push(key);
    size += bytes;
  }
  if (part.length > 0) messages.push({ ...common, keys: part });
  return messages;
}

function bytesOf(part: unknown): number {
  return encoder.encode(JSON.stringify(part)).length;
}

/** A message; `undefined` for what is none: anybody may write to a bus. */
function parsed(text: unknown): Message | undefined {
  if (typeof text !== "string" || text.length > LONGEST_MESSAGE) return undefined;
  try {
    const message = JSON.parse(text);
    const { from, name, dbname, keys, deep = false } = message;
    const isText = (value: unknown) => typeof value === "string";
    const isWhole = [from, name, dbname].every(isText) && typeof deep === "boolean" &&
      (keys === undefined || Array.isArray(keys) && keys.every(isText));
    return isWhole ? message : undefined;
  } catch {
    return undefined;
  }
}
