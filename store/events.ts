/**
 * The events of a stash. So far one: `"error"`, for what goes wrong without a caller to be told,
 * such as a result that was computed and could not be stored.
 */

/** What an event tells: `event.detail`. */
export interface StashEventDetail {
  /** The engine's name. */
  readonly engine: string;
  /** The stash's name. */
  readonly name: string;
  /** The store inside the stash. */
  readonly dbname: string;
  /** The key that it is about. */
  readonly key: unknown;
  /** What went wrong. */
  readonly error?: unknown;
}

/**
 * An `EventTarget` whose listeners harm nobody: what one throws, or a promise of its rejects with,
 * is dropped. In a bare `EventTarget` of Deno it would end the program.
 */
export class StashEvents extends EventTarget {
  readonly #guarded = new WeakMap<object, EventListener>();
  #count = 0;

  /** Whether anybody may be listening: without a listener an event is not even made. */
  get hasListeners(): boolean {
    return this.#count > 0;
  }

  /** As of any `EventTarget`. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    if (listener === null) return;
    this.#count++;
    super.addEventListener(type, this.#guard(listener), options);
  }

  /** As of any `EventTarget`. */
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void {
    if (listener !== null) super.removeEventListener(type, this.#guard(listener), options);
  }

  #guard(listener: EventListenerOrEventListenerObject): EventListener {
    let guarded = this.#guarded.get(listener);
    if (guarded === undefined) {
      guarded = async (event) => {
        try {
          const call = typeof listener === "function"
            ? listener
            : listener.handleEvent.bind(listener);
          await (call as (event: unknown) => unknown)(event);
        } catch {
          // Nobody's operation fails because somebody watches.
          return;
        }
      };
      this.#guarded.set(listener, guarded);
    }
    return guarded;
  }
}
