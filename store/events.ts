/** The events of a stash, and the target that listeners are added to. */

/**
 * What can happen:
 *
 * - `"hit"`: a reader got a value: `get`, `getOrThrow`, each key of `getMany`, `setDefault`, `pop`,
 *   `popItem`, a function's result that was stored. Not `has`, `entry`, `getAll` nor listings.
 * - `"miss"`: the same found nothing that could be served.
 * - `"stale"`: in the place of a hit: a result whose `ttl` has ended was served.
 * - `"set"`: an entry was stored: `set`, each key of `setMany`, `update` and `load`, `setDefault` that
 *   stored, `modify`, a result that a function made.
 * - `"delete"`: an entry was removed by its key: `delete`, each key of `deleteMany` that was there,
 *   `pop`, `popItem`, `modify` to `undefined`, `forget`.
 * - `"clear"`: the stash was emptied; `"invalidate"`: entries were removed by tag or prefix, `count`
 *   of them. No other event tells of these entries, and neither has a key.
 * - `"expire"`: entries whose deadline has passed were found and dropped: by `prune`, by the engine
 *   while it stored others (memory, diskcache), by a read of memory, and a result that a function
 *   could not serve any more. One for each where the engine says which, else one with a `count`. Most engines
 *   pass over what has ended without a word.
 * - `"evict"`: an entry was dropped to keep within limits.
 * - `"compute"`: a run of a function ended, after so many `ms`, with an `outcome`.
 * - `"wait"`: a caller has waited for another run, of this process or another one.
 * - `"takeover"`: the lease of a process that is gone was taken over.
 * - `"error"`: something went wrong without a caller to be told, such as a result that was computed
 *   and could not be stored.
 */
export type StashEventType =
  | "hit"
  | "miss"
  | "stale"
  | "set"
  | "delete"
  | "clear"
  | "invalidate"
  | "expire"
  | "evict"
  | "compute"
  | "wait"
  | "takeover"
  | "error";

/** All types of events. */
export const EVENT_TYPES: readonly StashEventType[] = [
  "hit",
  "miss",
  "stale",
  "set",
  "delete",
  "clear",
  "invalidate",
  "expire",
  "evict",
  "compute",
  "wait",
  "takeover",
  "error",
];

/** What an event tells: `event.detail`. */
export interface StashEventDetail {
  /** The engine's name. */
  readonly engine: string;
  /** The stash's name. */
  readonly name: string;
  /** The store inside the stash: of a function, its own. */
  readonly dbname: string;
  /**
   * The key that it is about, decoded when it is asked for; of a function, the list of its arguments.
   * `undefined` when it is about more than one.
   */
  readonly key: unknown;
  /** How long it took, ms; absent where several keys were asked for together. */
  readonly ms?: number;
  /** Bytes of the value as it is stored. */
  readonly bytes?: number;
  /** How many entries it is about, where it is not one. */
  readonly count?: number;
  /** How a run or a wait ended. */
  readonly outcome?: "ok" | "error";
  /** What went wrong. */
  readonly error?: unknown;
}

/**
 * What subscribers of the channels `hashstash:hit`, `hashstash:miss`, … of
 * `node:diagnostics_channel` get. The key and the error, whose text may quote one, can be asked for
 * by name, but are not enumerable: they are in no copy and no JSON of the message, unless the
 * option `telemetry: { keys: true }` is given.
 */
export interface StashEventMessage extends Omit<StashEventDetail, "key"> {
  /** What has happened. */
  readonly type: StashEventType;
  /** As in {@linkcode StashEventDetail}. */
  readonly key?: unknown;
  /** The name of the error's class. */
  readonly errorType?: string;
}

/** What is told of an event besides where it happened. */
export type EventFields = Omit<StashEventDetail, "engine" | "name" | "dbname" | "key">;

/** How many listeners there are in the program: while there is none, no operation looks for any. */
export let listeners = 0;

/** An event of a stash. */
export type StashEvent = CustomEvent<StashEventDetail>;

/** Who listens to events of a stash; what it throws or rejects with is dropped. */
export type StashEventListener =
  | ((event: StashEvent) => unknown)
  | { handleEvent(event: StashEvent): unknown };

/**
 * An `EventTarget` whose listeners harm nobody: what one throws, or a promise of its rejects with,
 * is dropped. In a bare `EventTarget` of Deno it would end the program.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * stash.events.addEventListener("miss", ({ detail }) => console.log("not there:", detail.key));
 * await stash.get("key"); // not there: key
 * ```
 */
export class StashEvents extends EventTarget {
  /** Who listens: by type and phase, then by listener. */
  readonly #guards = new Map<string, Map<object, EventListener>>();
  #count = 0;

  /** Whether anybody listens to this type. */
  listens(type: string): boolean {
    if (this.#count === 0) return false;
    const heard = (phase: string) => (this.#guards.get(phase + type)?.size ?? 0) > 0;
    return heard(BUBBLE) || heard(CAPTURE);
  }

  /** As of any `EventTarget`. */
  override addEventListener(
    type: StashEventType,
    listener: StashEventListener | null,
    options?: Parameters<EventTarget["addEventListener"]>[2],
  ): void;
  /** As of any `EventTarget`. */
  override addEventListener(
    type: string,
    listener: Parameters<EventTarget["addEventListener"]>[1],
    options?: Parameters<EventTarget["addEventListener"]>[2],
  ): void;
  override addEventListener(
    type: string,
    listener: StashEventListener | Parameters<EventTarget["addEventListener"]>[1],
    options?: Parameters<EventTarget["addEventListener"]>[2],
  ): void {
    const { once = false, signal } = typeof options === "object" ? options : {};
    if (listener === null || signal?.aborted) return;
    const phase = phaseOf(options) + type;
    let guards = this.#guards.get(phase);
    if (guards === undefined) this.#guards.set(phase, guards = new Map());
    if (guards.has(listener)) return;
    const guard = guarded(listener, () => {
      if (once) this.#forget(phase, listener);
    });
    guards.set(listener, guard);
    this.#count++;
    listeners++;
    signal?.addEventListener("abort", () => this.#forget(phase, listener, guard), { once: true });
    super.addEventListener(type, guard, options);
  }

  /** As of any `EventTarget`. */
  override removeEventListener(
    type: StashEventType,
    listener: StashEventListener | null,
    options?: Parameters<EventTarget["removeEventListener"]>[2],
  ): void;
  /** As of any `EventTarget`. */
  override removeEventListener(
    type: string,
    listener: Parameters<EventTarget["addEventListener"]>[1],
    options?: Parameters<EventTarget["removeEventListener"]>[2],
  ): void;
  override removeEventListener(
    type: string,
    listener: StashEventListener | Parameters<EventTarget["addEventListener"]>[1],
    options?: Parameters<EventTarget["removeEventListener"]>[2],
  ): void {
    if (listener === null) return;
    const phase = phaseOf(options) + type;
    const guard = this.#guards.get(phase)?.get(listener);
    if (guard === undefined) return;
    this.#forget(phase, listener);
    super.removeEventListener(type, guard, options);
  }

  /** @param only Not one that the listener has been given since. */
  #forget(phase: string, listener: object, only?: EventListener): void {
    const guards = this.#guards.get(phase);
    if (only !== undefined && guards?.get(listener) !== only) return;
    if (!guards?.delete(listener)) return;
    this.#count--;
    listeners--;
  }
}

const [BUBBLE, CAPTURE] = ["bubble ", "capture "];

function phaseOf(options: Parameters<EventTarget["removeEventListener"]>[2]): string {
  return (typeof options === "object" ? options.capture : options) ? CAPTURE : BUBBLE;
}

/** A listener that neither throws nor rejects. */
function guarded(
  listener: StashEventListener | NonNullable<Parameters<EventTarget["addEventListener"]>[1]>,
  called: () => void,
): EventListener {
  const call =
    (typeof listener === "function" ? listener : (event: never) => listener.handleEvent(event)) as (
      event: unknown,
    ) => unknown;
  return async (event: unknown) => {
    called();
    try {
      await call(event);
    } catch {
      // Nobody's operation fails because somebody watches.
      return;
    }
  };
}
