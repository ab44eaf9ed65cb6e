/** Whether a call changes what it is about: those that only read need not wait for each other. */
export type Access = "read" | "write";

/** A call that is under way, for those that have to come after it. */
export class Call {
  readonly access: Access;
  #isEnded = false;
  #end: PromiseWithResolvers<void> | undefined;

  constructor(access: Access) {
    this.access = access;
  }

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

/** A call on many keys, and which they are. */
interface Batch {
  readonly keys: readonly string[];
  readonly call: Call;
}

/** Several calls on a key: reads, and the write that they wait for until it has ended. */
interface Reads {
  write: Call | undefined;
  readonly reads: Set<Call>;
}

/**
 * The order of the calls on one handle: of those that touch the same key, what is called later
 * happens later, awaited or not; those about all keys come after what was called before them and
 * before what is called after them. A call that nothing is under way for waits for nothing, and one
 * that ends at once need not enter.
 */
export class Order {
  /**
   * The calls on each key that have not ended, as far as others have to wait for them: the last
   * write, which waits for all before it, or reads. Most often it is one call.
   */
  readonly #last = new Map<string, Call | Reads>();
  /** The last call about all keys that has not ended; it waits for all before it. */
  #all: Call | undefined;
  /**
   * A call on many keys while it is the only one: its keys are entered when another call comes, as
   * entering a hundred takes longer than reading them from memory.
   */
  #alone: Batch | undefined;

  /** Whether a call on this key would have to wait for none. */
  isFree(key: string, access: Access): boolean {
    this.#enterAlone();
    if (this.#all !== undefined) return false;
    if (this.#last.size === 0) return true;
    const last = this.#last.get(key);
    if (last === undefined) return true;
    if (access === "write") return false;
    return last instanceof Call ? last.access === "read" : last.write === undefined;
  }

  /** Takes a place behind the calls on this key. */
  enter(key: string, access: Access): Call {
    this.#enterAlone();
    const call = new Call(access);
    this.#add(key, call);
    return call;
  }

  /** What a call on this key that is made now has to wait for, if anything. */
  ahead(key: string, access: Access): Promise<unknown> | undefined {
    this.#enterAlone();
    const last = this.#last.get(key);
    if (last === undefined) return this.#all?.ended;
    if (last instanceof Call) {
      const isBeside = access === "read" && last.access === "read";
      return isBeside ? this.#all?.ended : last.ended;
    }
    if (access === "read") return (last.write ?? this.#all)?.ended;
    return Promise.all(endsOf(last));
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
    this.#enterAlone();
    const call = new Call(access);
    const ahead: Promise<unknown>[] = [];
    if (this.#last.size === 0 && this.#all === undefined) this.#alone = { keys, call };
    else {
      for (const key of new Set(keys)) {
        const before = this.ahead(key, access);
        if (before !== undefined) ahead.push(before);
        this.#add(key, call);
      }
    }
    try {
      if (ahead.length > 0) await Promise.all(ahead);
      return await body();
    } finally {
      if (this.#alone?.call === call) this.#alone = undefined;
      else for (const key of new Set(keys)) this.#remove(key, call);
      call.end();
    }
  }

  /** Runs `body` in the place of a call about all keys. */
  async onAll<T>(body: () => T | Promise<T>): Promise<T> {
    this.#enterAlone();
    const ahead = [...this.#last.values()].flatMap((last) =>
      last instanceof Call ? [last.ended] : endsOf(last)
    );
    if (this.#all !== undefined) ahead.push(this.#all.ended);
    // It stands for those ahead of it: who comes later has to wait only for this one.
    this.#last.clear();
    const call = this.#all = new Call("write");
    try {
      if (ahead.length > 0) await Promise.all(ahead);
      return await body();
    } finally {
      if (this.#all === call) this.#all = undefined;
      call.end();
    }
  }

  /** Another call comes: what is under way has to be told apart by its keys. */
  #enterAlone(): void {
    if (this.#alone === undefined) return;
    const { keys, call } = this.#alone;
    this.#alone = undefined;
    for (const key of new Set(keys)) this.#add(key, call);
  }

  #add(key: string, call: Call): void {
    const last = this.#last.get(key);
    if (last === undefined || call.access === "write") this.#last.set(key, call);
    else if (!(last instanceof Call)) last.reads.add(call);
    else if (last.access === "write") this.#last.set(key, { write: last, reads: new Set([call]) });
    else this.#last.set(key, { write: undefined, reads: new Set([last, call]) });
  }

  #remove(key: string, call: Call): void {
    const last = this.#last.get(key);
    if (last === call) this.#last.delete(key);
    if (last === undefined || last instanceof Call) return;
    if (last.write === call) last.write = undefined;
    else last.reads.delete(call);
    if (last.write === undefined && last.reads.size === 0) this.#last.delete(key);
  }
}

function endsOf({ write, reads }: Reads): Promise<void>[] {
  const ends = Array.from(reads, (call) => call.ended);
  if (write !== undefined) ends.push(write.ended);
  return ends;
}
