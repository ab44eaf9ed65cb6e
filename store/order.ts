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

/** Whether a call changes what it is about: those that only read need not wait for each other. */
export type Access = "read" | "write";

/** The calls on a key that have not ended. */
interface Queue {
  /** The last one that writes; it waits for all before it. */
  write: Call | undefined;
  /** Those after it that read. */
  readonly reads: Set<Call>;
}

/**
 * The order of the calls on one handle: of those that touch the same key, what is called later
 * happens later, awaited or not; those about all keys come after what was called before them and
 * before what is called after them. A call that nothing is under way for waits for nothing, and one
 * that ends at once need not enter.
 */
export class Order {
  readonly #queues = new Map<string, Queue>();
  /** The last call about all keys that has not ended; it waits for all before it. */
  #all: Call | undefined;

  /** Whether a call on this key would have to wait for none. */
  isFree(key: string, access: Access): boolean {
    if (this.#all !== undefined) return false;
    if (this.#queues.size === 0) return true;
    const queue = this.#queues.get(key);
    return queue === undefined || (access === "read" && queue.write === undefined);
  }

  /** Takes a place behind the calls on this key. */
  enter(key: string, access: Access): Call {
    const call = new Call();
    this.#add(key, call, access);
    return call;
  }

  /** What a call on this key that is made now has to wait for, if anything. */
  ahead(key: string, access: Access): Promise<unknown> | undefined {
    const { write = this.#all, reads } = this.#queues.get(key) ?? {};
    if (access === "read" || reads === undefined || reads.size === 0) return write?.ended;
    const ended = Array.from(reads, (call) => call.ended);
    if (write !== undefined) ended.push(write.ended);
    return ended.length === 1 ? ended[0] : Promise.all(ended);
  }

  /** The call on this key has ended. */
  leave(key: string, call: Call): void {
    this.#remove(key, call);
    call.end();
  }

  /** Runs `body` in the place of a call on these keys. */
  async onKeys<T>(
    keys: readonly string[],
    access: Access,
    body: () => T | Promise<T>,
  ): Promise<T> {
    const call = new Call();
    const ahead: Promise<unknown>[] = [];
    const own = keys.length === 1 ? keys : new Set(keys);
    for (const key of own) {
      const before = this.ahead(key, access);
      if (before !== undefined) ahead.push(before);
      this.#add(key, call, access);
    }
    try {
      if (ahead.length > 0) await Promise.all(ahead);
      return await body();
    } finally {
      for (const key of own) this.#remove(key, call);
      call.end();
    }
  }

  /** Runs `body` in the place of a call about all keys. */
  async onAll<T>(body: () => T | Promise<T>): Promise<T> {
    const ahead: Promise<void>[] = [];
    for (const { write, reads } of this.#queues.values()) {
      if (write !== undefined) ahead.push(write.ended);
      for (const read of reads) ahead.push(read.ended);
    }
    if (this.#all !== undefined) ahead.push(this.#all.ended);
    // It stands for those ahead of it: who comes later has to wait only for this one.
    this.#queues.clear();
    const call = this.#all = new Call();
    try {
      if (ahead.length > 0) await Promise.all(ahead);
      return await body();
    } finally {
      if (this.#all === call) this.#all = undefined;
      call.end();
    }
  }

  #add(key: string, call: Call, access: Access): void {
    let queue = this.#queues.get(key);
    if (queue === undefined) this.#queues.set(key, queue = { write: undefined, reads: new Set() });
    if (access === "read") queue.reads.add(call);
    else {
      queue.write = call;
      queue.reads.clear();
    }
  }

  #remove(key: string, call: Call): void {
    const queue = this.#queues.get(key);
    if (queue === undefined) return;
    if (queue.write === call) queue.write = undefined;
    else queue.reads.delete(call);
    if (queue.write === undefined && queue.reads.size === 0) this.#queues.delete(key);
  }
}
