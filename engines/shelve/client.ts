import { each } from "../complete.ts";
import { messageOf } from "../failures.ts";
import { groupsOf } from "./chunks.ts";

/** How long a call is tried again while other processes keep the database locked, ms. */
const BUSY_LIMIT = 30_000;
/** The longest pause between two attempts, ms. */
const BUSY_PAUSE = 50;
/**
 * How long a call to a server may take, ms: Deno itself tries for ever, in the background also
 * after we have given up.
 */
const REMOTE_LIMIT = 30_000;
/** Entries that one read of a list fetches: up to 64 KB each. */
const BATCH = 200;
/** Deno's limit of checks in one commit, and that of `npm:@deno/kv`. */
const CHECKS = 100;
const FEWER_CHECKS = 10;

/** Deno KV that waits for other processes, and not for ever for a server. */
export class KvClient {
  /** How many checks one commit takes, as far as is known. */
  checksPerCommit = CHECKS;
  readonly #kv: Deno.Kv;
  readonly #remote: boolean;

  /** @param remote Whether it is on a server, which may not answer. */
  constructor(kv: Deno.Kv, remote = false) {
    this.#kv = kv;
    this.#remote = remote;
  }

  /** What is under a KV key; `versionstamp` is null when there is nothing. */
  get(key: Deno.KvKey): Promise<Deno.KvEntryMaybe<unknown>> {
    return this.#attempt(() => this.#kv.get<unknown>(key));
  }

  /** What is under up to 10 KV keys, at one moment. */
  getMany(keys: Deno.KvKey[]): Promise<Deno.KvEntryMaybe<unknown>[]> {
    return this.#attempt(() => this.#kv.getMany<unknown[]>(keys));
  }

  /** An operation to build up and give to `commit`. */
  atomic(): Deno.AtomicOperation {
    return this.#kv.atomic();
  }

  /** Commits an operation; `ok` says whether its checks held and it took effect. */
  commit(operation: Deno.AtomicOperation): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    return this.#attempt(() => operation.commit());
  }

  /**
   * Acts on items by commits with a check for each: on all together, or in smaller groups where the
   * database takes fewer. Only its refusal tells: a database that the user has opened may be of
   * either sort.
   */
  async commitChecked<T, R>(items: T[], act: (group: T[]) => Promise<R>): Promise<R[]> {
    try {
      return [await act(items)];
    } catch (error) {
      if (items.length <= FEWER_CHECKS || !/too ?many ?checks/i.test(messageOf(error))) throw error;
      this.checksPerCommit = FEWER_CHECKS;
      return await each(groupsOf(items, FEWER_CHECKS), act);
    }
  }

  /** All in a range, in the order of the keys. What is written meanwhile may be among it. */
  async *list(
    range: Deno.KvListSelector,
    options: Deno.KvListOptions = {},
  ): AsyncGenerator<Deno.KvEntry<unknown>> {
    const iterator = this.#kv.list<unknown>(range, { batchSize: BATCH, ...options });
    for (;;) {
      const { done, value } = await this.#attempt(() => iterator.next());
      if (done) return;
      yield value;
    }
  }

  async #attempt<T>(action: () => Promise<T>): Promise<T> {
    if (this.#remote) return await inTime(action());
    return await attempt(action);
  }
}

/** Does it, again and again for some time while other processes are in the way. */
export async function attempt<T>(action: () => Promise<T>): Promise<T> {
  const end = performance.now() + BUSY_LIMIT;
  for (let longest = 2;; longest = Math.min(longest * 2, BUSY_PAUSE)) {
    try {
      return await action();
    } catch (error) {
      if (!isBusy(error) || performance.now() > end) throw error;
    }
    // At random, or those who wait would come back all at the same time.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
  }
}

/**
 * Whether other processes are in the way for the moment. Of several writes that Deno commits
 * together only the first is told so.
 */
export function isBusy(error: unknown): boolean {
  return /database (table |schema )?is locked|batch transaction failed/.test(messageOf(error));
}

/** Whether the database itself can't be read, or parts of it. */
export function isDamage(error: unknown): boolean {
  return /malformed|not a database|invalid utf8|value encoding|deserialize/.test(messageOf(error));
}

/** The result of a call to a server, unless it takes too long. */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the server has not answered for ${REMOTE_LIMIT / 1_000} s`));
    }, REMOTE_LIMIT);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
