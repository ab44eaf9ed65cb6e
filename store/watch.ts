/**
 * Who is told of what happens in a store: the listeners of the stash (store/events.ts), subscribers
 * of `node:diagnostics_channel`, and OpenTelemetry (store/telemetry.ts). Whoever watches changes
 * nothing; while nobody does, nothing is made and no clock is read.
 */
import { safeDecodeKey, showKey } from "../engines/errors.ts";
import { channel } from "../platform/system.ts";
import { now } from "../platform/timers.ts";
import {
  EVENT_TYPES,
  type EventFields,
  listeners,
  type StashEventDetail,
  type StashEventMessage,
  StashEvents,
  type StashEventType,
} from "./events.ts";
import { TEMPORARY } from "./options.ts";
import {
  type Attributes,
  errorType,
  findTelemetry,
  type OpenSpan,
  since,
  telemetry,
} from "./telemetry.ts";

/** A channel of `node:diagnostics_channel`. */
interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

/**
 * The channels, from the first operation of this process on: who subscribed before or does later is
 * told.
 */
let channels: Record<StashEventType, Channel> | undefined;

function openChannels(): Record<StashEventType, Channel> {
  findTelemetry();
  const opened = EVENT_TYPES.map((type) => [type, channel(`hashstash:${type}`)]);
  return Object.fromEntries(opened) as Record<StashEventType, Channel>;
}

/** Operations that are counted here, one for each call; `get` and `set` count themselves. */
const OPERATIONS: ReadonlySet<string> = new Set([
  "byteSize",
  "check",
  "clear",
  "delete",
  "deleteMany",
  "getAll",
  "getMany",
  "has",
  "invalidate",
  "load",
  "modify",
  "pop",
  "popItem",
  "prune",
  "setDefault",
  "setMany",
  "size",
  "touch",
  "usage",
]);

/** What is told of the store that events are about. */
interface Watched {
  readonly engine: string;
  readonly options: {
    readonly name: string;
    readonly dbname: string;
    readonly telemetry: { readonly keys: boolean };
  };
}

/** Tells whoever wants to know what happens in one store. */
export class Watch {
  readonly #of: Watched;
  /** That of the stash which a function's store is in: it is told of everything, too. */
  readonly #outer: Watch | undefined;
  #events: StashEvents | undefined;

  constructor(of: Watched, outer?: Watch) {
    this.#of = of;
    this.#outer = outer;
  }

  /** The listeners of this store. */
  get events(): StashEvents {
    return this.#events ??= new StashEvents();
  }

  // Two of one kind, each by the channels' own names: a look at any channel by a name that is handed
  // in shows in a read from memory.
  /** When a reader begins to look something up; 0: nobody wants to know. */
  beginGet(): number {
    const { hit, miss } = channels ??= openChannels();
    return telemetry !== undefined || hit.hasSubscribers || miss.hasSubscribers || listeners > 0
      ? now()
      : 0;
  }

  /** When a function's result is looked up, which may be stale; 0: nobody wants to know. */
  beginRecall(): number {
    const begin = this.beginGet();
    return begin === 0 && channels!.stale.hasSubscribers ? now() : begin;
  }

  /** When a `set` begins; 0: nobody wants to know. */
  beginSet(): number {
    const { set } = channels ??= openChannels();
    return telemetry !== undefined || set.hasSubscribers || listeners > 0 ? now() : 0;
  }

  /** Whether anybody wants to be told of such events. */
  wants(type: StashEventType): boolean {
    const { [type]: channel } = channels ??= openChannels();
    return telemetry !== undefined || channel.hasSubscribers ||
      listeners > 0 && this.#listens(type);
  }

  /** Tells of an event, by the canonical text of its key. */
  tell(type: StashEventType, text?: string, fields: EventFields = {}): void {
    if (!this.wants(type)) return;
    if (type === "evict") telemetry?.evicted(this.#attributes());
    if (listeners > 0) {
      this.#dispatch(type, {
        ...this.#where(),
        get key() {
          return keyOfText(text);
        },
        ...fields,
      });
    }
    const channel = channels?.[type];
    if (channel?.hasSubscribers) channel.publish(this.#message(type, text, fields));
  }

  #message(
    type: StashEventType,
    text: string | undefined,
    { error, ...fields }: EventFields,
  ): StashEventMessage {
    // Subscribers send on what they get to wherever they send: what may tell a key is there for who
    // asks for it, and in no copy and no JSON of the message unless the option says so.
    const { keys: enumerable } = this.#of.options.telemetry;
    const message = {
      type,
      ...this.#where(),
      ...fields,
      ...error === undefined ? {} : { errorType: errorType(error) },
    };
    Object.defineProperty(message, "key", { get: () => keyOfText(text), enumerable });
    if (error !== undefined) Object.defineProperty(message, "error", { value: error, enumerable });
    return message;
  }

  /** The store that it happens in, also where an outer one tells: a key means nothing elsewhere. */
  #where(): { engine: string; name: string; dbname: string } {
    const { engine, options: { name, dbname } } = this.#of;
    return { engine, name, dbname };
  }

  /** Tells what a reader found, and counts it as a `get` when it is known how long that took. */
  looked(type: "hit" | "miss" | "stale", text: string, ms?: number, bytes?: number): void {
    if (!this.wants(type)) return;
    if (ms !== undefined) telemetry?.operation(ms, this.#attributes("get", type));
    this.tell(type, text, {
      ...ms === undefined ? {} : { ms },
      ...bytes === undefined ? {} : { bytes },
    });
  }

  /** Tells of an entry that was stored, and counts it as a `set` when it is known when that began. */
  stored(text: string, bytes: number, begin = 0): void {
    if (!this.wants("set")) return;
    if (begin === 0) return this.tell("set", text, { bytes });
    const ms = since(begin);
    telemetry?.operation(ms, this.#attributes("set", "ok"));
    this.tell("set", text, { ms, bytes });
  }

  /** Runs an operation, and counts it if it is one of those that are. */
  counting<T>(operation: string, body: () => Promise<T>): Promise<T> {
    channels ??= openChannels();
    return telemetry !== undefined && OPERATIONS.has(operation)
      ? this.#counted(operation, body)
      : body();
  }

  async #counted<T>(operation: string, body: () => Promise<T>): Promise<T> {
    const begin = now();
    try {
      const result = await body();
      this.count(operation, begin);
      return result;
    } catch (thrown) {
      this.count(operation, begin, { thrown });
      throw thrown;
    }
  }

  /** Counts an operation. */
  count(operation: string, begin: number, failure?: Failure): void {
    const outcome = failure === undefined ? "ok" : "error";
    const attributes = { ...this.#attributes(operation, outcome), ...errorAttributes(failure) };
    telemetry?.operation(since(begin), attributes);
  }

  /** Tells of a computation or a wait from here on, when anybody wants to know. */
  start(type: "compute" | "wait", text: string): Started | undefined {
    if (!this.wants(type)) return undefined;
    const { keys } = this.#of.options.telemetry;
    const key: Attributes = keys ? { key: showKey(safeDecodeKey(text)) } : {};
    return this.#started(type, text, {}, this.#span(type, key));
  }

  #span(name: string, attributes: Attributes): OpenSpan | undefined {
    return telemetry?.span(`hashstash.${name}`, { ...this.#where(), ...attributes });
  }

  #started(
    type: "compute" | "wait",
    text: string | undefined,
    fields: EventFields,
    span: OpenSpan | undefined,
  ): Started {
    const begin = now();
    return {
      within: (body) => span === undefined ? body() : span.within(body),
      drop: () => span?.end(),
      end: (failure) => {
        const ms = since(begin);
        const outcome = failure === undefined ? "ok" : "error";
        const errors = errorAttributes(failure);
        span?.end(errors["error.type"]);
        if (type === "compute") {
          telemetry?.computed(ms, { ...this.#attributes(), outcome, ...errors });
        }
        const error = failure === undefined ? {} : { error: failure.thrown };
        this.tell(type, text, { ...fields, ms, outcome, ...error });
      },
    };
  }

  /**
   * Tells of a computation or a wait.
   *
   * @param withdrawn Thrown when it was called off: then there is nothing to tell.
   */
  async during<T>(
    type: "compute" | "wait",
    text: string,
    body: () => Promise<T>,
    withdrawn?: symbol,
  ): Promise<T> {
    return await within(this.start(type, text), body, withdrawn);
  }

  /** Tells of a computation that is the call of a function for so many keys at once. */
  async batch<T>(count: number, body: () => Promise<T>): Promise<T> {
    const started = this.wants("compute")
      ? this.#started("compute", undefined, { count }, this.#span("batch", { count }))
      : undefined;
    return await within(started, body);
  }

  #dispatch(type: StashEventType, detail: StashEventDetail): void {
    const events = this.#events;
    if (events?.listens(type)) events.dispatchEvent(new CustomEvent(type, { detail }));
    if (this.#outer !== undefined) this.#outer.#dispatch(type, detail);
  }

  #listens(type: StashEventType): boolean {
    return this.#events?.listens(type) === true ||
      this.#outer !== undefined && this.#outer.#listens(type);
  }

  #attributes(): Attributes;
  #attributes(operation: string, outcome: string): Attributes;
  #attributes(operation?: string, outcome?: string): Attributes {
    const { engine, options } = this.#of;
    // One series of a metric for all that are temporary: each has a name of its own.
    const name = options.name.startsWith(TEMPORARY) ? `${TEMPORARY}*` : options.name;
    return operation === undefined
      ? { engine, name }
      : { operation, outcome: outcome!, engine, name };
  }
}

function keyOfText(text: string | undefined): unknown {
  return text === undefined ? undefined : safeDecodeKey(text);
}

async function within<T>(
  started: Started | undefined,
  body: () => Promise<T>,
  withdrawn?: symbol,
): Promise<T> {
  if (started === undefined) return await body();
  try {
    const result = await started.within(body);
    started.end();
    return result;
  } catch (thrown) {
    if (withdrawn !== undefined && thrown === withdrawn) started.drop();
    else started.end({ thrown });
    throw thrown;
  }
}

/** What has been thrown, which may be `undefined`. */
interface Failure {
  readonly thrown: unknown;
}

/** Errors are told apart by their classes. */
function errorAttributes(failure: Failure | undefined): Record<string, string> {
  return failure === undefined ? {} : { "error.type": errorType(failure.thrown) };
}

/** A computation or a wait that is being told of. */
export interface Started extends Pick<OpenSpan, "within"> {
  /** It has ended, well or with an error. */
  end(failure?: Failure): void;
  /** It was called off: nothing is told. */
  drop(): void;
}
