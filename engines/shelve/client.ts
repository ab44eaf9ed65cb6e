import { each, groupsOf } from "../each.ts";
import { messageOf } from "../errors.ts";
import type {
  KvCommit,
  KvConsistency,
  KvDatabase,
  KvEntry,
  KvEntryMaybe,
  KvKey,
  KvListOptions,
  KvOperation,
  KvRange,
} from "../../platform/kv.ts";
import { tryAgain } from "../../platform/retry.ts";
import { inTime } from "../../platform/timers.ts";

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

/** What a client is told of its database. */
interface ClientOptions {
  /** Whether it is on a server, which may not answer. */
  readonly remote?: boolean;
  /** Why nothing can be written to it. */
  readonly refusal?: string;
}

/** Deno KV that waits for other processes, and not for ever for a server. */
export class KvClient {
  /** How many checks one commit takes, as far as is known. */
  checksPerCommit = CHECKS;
  readonly #kv: KvDatabase;
  readonly #remote: boolean;
  readonly #refusal: string | undefined;

  constructor(kv: KvDatabase, { remote = false, refusal }: ClientOptions = {}) {
    this.#kv = kv;
    this.#remote = remote;
    this.#refusal = refusal;
  }

  /** The database: the same for all clients of it. */
  get database(): KvDatabase {
    return this.#kv;
  }

  /** What is under a KV key, now and after each change that Deno KV tells of. */
  watch(key: KvKey): ReadableStream<KvEntryMaybe[]> {
    return this.#kv.watch([key]);
  }

  /** What is under a KV key; `versionstamp` is null when there is nothing. */
  get(key: KvKey, consistency?: KvConsistency): Promise<KvEntryMaybe> {
    return this.#attempt(() => this.#kv.get(key, { consistency }));
  }

  /** What is under up to 10 KV keys, at one moment. */
  getMany(keys: KvKey[], consistency?: KvConsistency): Promise<KvEntryMaybe[]> {
    return this.#attempt(() => this.#kv.getMany(keys, { consistency }));
  }

  /** An operation to build up and give to `commit`. */
  atomic(): KvOperation {
    return this.#kv.atomic();
  }

  /** Commits an operation; `ok` says whether its checks held and it took effect. */
  async commit(operation: KvOperation): Promise<KvCommit> {
    if (this.#refusal !== undefined) throw new Error(this.#refusal);
    return await this.#attempt(() => operation.commit());
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
    range: KvRange,
    options: KvListOptions = {},
  ): AsyncGenerator<KvEntry> {
    const iterator = this.#kv.list(range, { batchSize: BATCH, ...options });
    for (;;) {
      const { done, value } = await this.#attempt(() => iterator.next());
      if (done) return;
      yield value;
    }
  }

  async #attempt<T>(action: () => Promise<T>): Promise<T> {
    if (this.#remote) return await answerOf(action);
    return await attempt(action);
  }
}

/**
 * What Deno KV said in a `TypeError`, which it throws for a server that is not there and for a
 * damaged file too: thrown as it is, it would pass for one of an argument.
 */
export class KvError extends Error {
  /** `"KvError"`. */
  override readonly name = "KvError";
}

/** Does it, again and again for some time while other processes are in the way. */
export async function attempt<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!isBusy(error)) throw kvError(error);
    return await tryAgain(action, isBusy).catch((error) => {
      throw kvError(error);
    });
  }
}

function kvError(error: unknown): unknown {
  return error instanceof TypeError ? new KvError(error.message, { cause: error }) : error;
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
export async function answerOf<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await inTime(
      action(),
      REMOTE_LIMIT,
      () => new Error(`the server has not answered for ${REMOTE_LIMIT / 1_000} s`),
    );
  } catch (error) {
    throw kvError(error);
  }
}
