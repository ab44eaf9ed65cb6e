/** A call that is under way, for those that have to come after it. */
export class Call {
  #isEnded = false;
  #end: PromiseWithResolvers<void> | undefined;

  /** Settles when the call has ended. */
  get ended(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    return (this.#end ??= Promise.withResolvers()).promise;
  }

  /** The call has ended: those behind it go on. */
  end(): void {
    this.#isEnded = true;
    this.#end?.resolve();
  }
}

/**
 * The order of the calls on one handle: of those that touch the same key, what is called later
 * happens later, awaited or not; those about all keys come after what was called before them and
 * before what is called after them. A call that nothing is under way for waits for nothing, and one
 * that ends at once need not enter.
 */
export class Order {
  /** The last call on each key that has not ended. */
  readonly #last = new Map<string, Call>();
  /** The last call about all keys that has not ended; it waits for all in `#last` before it. */
  #all: Call | undefined;

  /** Whether a call on this key would have to wait for none. */
  isFree(key: string): boolean {
    return this.#all === undefined && (this.#last.size === 0 || !this.#last.has(key));
  }

  /** Takes a place behind the calls on this key; what to wait for, if anything. */
  enter(key: string): { call: Call; before: Promise<void> | undefined } {
    const before = (this.#last.get(key) ?? this.#all)?.ended;
    const call = new Call();
    this.#last.set(key, call);
    return { call, before };
  }

  /** The call on this key has ended. */
  leave(key: string, call: Call): void {
    if (this.#last.get(key) === call) this.#last.delete(key);
    call.end();
  }

  /** Runs `body` in the place of a call on these keys. */
  async onKeys<T>(keys: readonly string[], body: () => T | Promise<T>): Promise<T> {
    const call = new Call();
    const before = new Set<Promise<void>>();
    const own = new Set(keys);
    for (const key of own) {
      const ahead = this.#last.get(key) ?? this.#all;
      if (ahead !== undefined) before.add(ahead.ended);
      this.#last.set(key, call);
    }
    try {
      if (before.size > 0) await Promise.all(before);
      return await body();
    } finally {
      for (const key of own) if (this.#last.get(key) === call) this.#last.delete(key);
      call.end();
    }
  }

  /** Runs `body` in the place of a call about all keys. */
  async onAll<T>(body: () => T | Promise<T>): Promise<T> {
    const ahead = Array.from(this.#last.values(), (call) => call.ended);
    if (this.#all !== undefined) ahead.push(this.#all.ended);
    // It stands for those ahead of it: who comes later has to wait only for this one.
    this.#last.clear();
    const call = this.#all = new Call();
    try {
      if (ahead.length > 0) await Promise.all(ahead);
      return await body();
    } finally {
      if (this.#all === call) this.#all = undefined;
      call.end();
    }
  }
}
