/**
 * LMDB environments: one for each path in the process, however many handles use it, with two
 * databases for each dbname. npm:lmdb is loaded here and nowhere else, when the first store is
 * opened.
 */
import { setImmediate } from "node:timers";
import { basename, dirname, extname, join } from "node:path";
import type { Awaitable, EngineOperation } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { explainFile } from "../file_failures.ts";
import { encodeSegment } from "../location.ts";
import { type Hold, SharedResources } from "../shared.ts";
import { isNotFound, isPermissionDenied } from "../../platform/errors.ts";
import { type FileInfo, makeFolder, realPath, stat } from "../../platform/files.ts";
import { delay } from "../../platform/timers.ts";
import { inspectFile } from "./file.ts";
import { WriteLock } from "./write_lock.ts";

/** How many pages of a file are looked at before LMDB opens it: some 15 ms. */
const INSPECTED_PAGES = 2_000;
/**
 * Two for each dbname. So many cost nothing that could be measured; LMDB wants to know it
 * beforehand.
 */
const MAX_DATABASES = 20_000;
const ENTRIES = "entries:";
const DEADLINES = "deadlines:";

/** What this engine uses of one of npm:lmdb's databases, with keys and values that are bytes. */
export interface LmdbDatabase {
  /**
   * A buffer that the next call writes to again, with the value's own `length` and more behind it.
   */
  getBinaryFast(
    key: Uint8Array,
    options?: { transaction: LmdbTransaction },
  ): Uint8Array | undefined;
  /**
   * Resolves once committed; whether the condition held: the version, or with `null` that nothing
   * was there.
   */
  put(
    key: Uint8Array,
    value: Uint8Array,
    version?: number,
    ifVersion?: number | null,
  ): Promise<boolean>;
  /** Resolves once committed; whether it was there, with that version when one is given. */
  remove(key: Uint8Array, ifVersion?: number): Promise<boolean>;
  clearAsync(): Promise<boolean>;
  getKeys(range: LmdbRange): Iterable<Uint8Array>;
  getRange(
    range: LmdbRange & { versions: true },
  ): Iterable<{ key: Uint8Array; value: Uint8Array; version: number }>;
  getStats(): LmdbStats;
}

/** Part of a database, in the order of the keys' bytes. */
export interface LmdbRange {
  /** `undefined`: the first key. Without the property npm:lmdb begins after some keys. */
  start: Uint8Array | undefined;
  exclusiveStart?: boolean;
  limit?: number;
}

interface LmdbStats {
  readonly entryCount: number;
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** A read transaction: it begins with the first read after its last end. */
interface LmdbTransaction {
  readonly address: number;
  abort(): void;
}

/** What this engine uses of the library besides its databases. */
interface LmdbLibrary {
  /** The version of the entry that was read last, by any database of the process. */
  getLastVersion(): number;
  readonly nativeAddon: {
    /** `READ_ONLY` makes a read transaction. */
    readonly Txn: new (env: unknown, flags: number) => LmdbTransaction;
    /** Ends it until the next read. */
    resetTxn(address: number): void;
  };
}

/** LMDB's flag of a transaction that only reads. */
const READ_ONLY = 0x20000;

interface LmdbRoot extends LmdbDatabase {
  readonly env: unknown;
  openDB(options: Record<string, unknown>): LmdbDatabase;
  resetReadTxn(): void;
  /** Settles with the commit that is under way. */
  readonly committed: PromiseLike<unknown>;
  close(): Promise<void>;
}

/** The databases of one dbname. */
export interface LmdbDatabases {
  /** Records by LMDB key, with a version each. */
  readonly entries: LmdbDatabase;
  /** An empty value under deadline and LMDB key for each set of an entry that expires. */
  readonly deadlines: LmdbDatabase;
}

/** Options of an environment. */
export interface LmdbOptions {
  readonly mapSize: number | undefined;
  readonly maxReaders: number | undefined;
}

/** An open environment. */
export class LmdbEnvironment {
  /** The data file. */
  readonly file: string;
  readonly #root: LmdbRoot;
  readonly #lock: WriteLock;
  readonly #library: LmdbLibrary;
  readonly #fresh: { transaction: LmdbTransaction };
  readonly #opened = new Map<string, LmdbDatabases>();
  #writing = false;
  #done: Promise<boolean> | undefined;
  #outcome!: Promise<boolean>;

  constructor(file: string, root: LmdbRoot, lock: WriteLock, library: LmdbLibrary) {
    this.file = file;
    this.#root = root;
    this.#lock = lock;
    this.#library = library;
    this.#fresh = { transaction: new library.nativeAddon.Txn(root.env, READ_ONLY) };
    this.#endRead();
  }

  /** The databases of a dbname, made when absent. */
  databases(dbname: string): Promise<LmdbDatabases> {
    return this.write(() => this.#open(nameOf(dbname)));
  }

  /** The databases of all dbnames nested in this one. */
  nested(dbname: string): Promise<LmdbDatabases[]> {
    const prefix = `${ENTRIES}${nameOf(dbname)}/`;
    return this.write(() =>
      this.#names()
        .filter((name) => name.startsWith(prefix))
        .map((name) => this.#open(name.slice(ENTRIES.length)))
    );
  }

  #open(name: string): LmdbDatabases {
    let databases = this.#opened.get(name);
    if (databases === undefined) {
      const common = { encoding: "binary", keyEncoding: "binary" };
      databases = {
        entries: this.#root.openDB({ ...common, name: ENTRIES + name, useVersions: true }),
        deadlines: this.#root.openDB({ ...common, name: DEADLINES + name }),
      };
      this.#opened.set(name, databases);
    }
    return databases;
  }

  /** Whether it is new, or holds what this engine writes. */
  isOurs(): boolean {
    const names = this.#names();
    return names.length === 0 || names.some((name) => name.startsWith(ENTRIES));
  }

  /** The state that the next listing shows is the newest one, of all processes. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  /**
   * What a database has under a key, in its newest state of all processes: by itself npm:lmdb reads
   * the same state until the next turn of the event loop.
   */
  read(database: LmdbDatabase, key: Uint8Array): Uint8Array | undefined {
    try {
      return database.getBinaryFast(key, this.#fresh);
    } finally {
      this.#endRead();
    }
  }

  /** The version of the entry that was read last. */
  get lastVersion(): number {
    return this.#library.getLastVersion();
  }

  #endRead(): void {
    this.#library.nativeAddon.resetTxn(this.#fresh.transaction.address);
  }

  /** Does something that writes, while no other process writes. */
  write<T>(action: () => Awaitable<T>): Promise<T> {
    return this.#lock.hold(action);
  }

  /** The outcome of a write that was given to npm:lmdb, once it is committed. */
  committed(done: Promise<boolean>): Promise<boolean> {
    if (!this.#writing) {
      this.#writing = true;
      // With the first write of a turn npm:lmdb makes a promise that nobody gets, in an immediate
      // of its own, just before this one. When the commit fails it would be an unhandled rejection,
      // which ends the program.
      setImmediate(() => {
        this.#writing = false;
        this.#root.committed.then(ignore, ignore);
      });
    }
    // Writes without conditions that share a commit have one promise.
    if (done !== this.#done) {
      this.#done = done;
      this.#outcome = done.catch(throwReason);
    }
    return this.#outcome;
  }

  async close(): Promise<void> {
    this.#fresh.transaction.abort();
    await this.#root.close();
    // npm:lmdb's timers for ending read transactions are still out.
    await delay(0);
  }

  #names(): string[] {
    this.refresh();
    const decoder = new TextDecoder();
    return Array.from(this.#root.getKeys({ start: undefined }), (key) => decoder.decode(key));
  }
}

function ignore(): void {}

/** Throws why a commit failed: npm:lmdb hands the reason over in a promise of its own. */
async function throwReason(error: unknown): Promise<never> {
  if (error instanceof Error && "commitError" in error) await error.commitError;
  throw error;
}

function nameOf(dbname: string): string {
  return dbname.split("/").map(encodeSegment).join("/");
}

const ENVIRONMENTS = new SharedResources<LmdbEnvironment>((environment) => environment.close());

/** The data file in an environment's folder. */
const DATA = "data.mdb";

/** Opens the environment at a path, or takes part in the one that is open. */
export async function openEnvironment(
  path: string,
  options: LmdbOptions,
): Promise<Hold<LmdbEnvironment>> {
  const given = await fileOf(path);
  await makeFolder(dirname(given));
  const file = join(await realPath(dirname(given)), basename(given));
  return await ENVIRONMENTS.acquire(file, () => openFile(file, options));
}

/** The data file: LMDB takes a folder, in which it names its files itself, or a file. */
async function fileOf(path: string): Promise<string> {
  const info = await statOf(path);
  const isFile = info === undefined ? extname(path) !== "" : info.isFile;
  return isFile ? path : join(path, DATA);
}

async function statOf(path: string): Promise<FileInfo | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function openFile(
  file: string,
  { mapSize, maxReaders }: LmdbOptions,
): Promise<LmdbEnvironment> {
  const fault = await inspectFile(file, INSPECTED_PAGES);
  if (fault !== undefined) throw new Error(`${file} cannot be used: ${fault.detail}`);
  const library = await import("lmdb");
  // A folder's own file has its lock beside it under another name than a file by itself: all must
  // use one lock.
  const noSubdir = basename(file) !== DATA;
  const lock = new WriteLock(`${file}.lock`);
  const environment = await lock.hold(() => {
    const root = library.open({
      path: noSubdir ? file : dirname(file),
      noSubdir,
      maxDbs: MAX_DATABASES,
      encoding: "binary",
      keyEncoding: "binary",
      ...(mapSize === undefined ? {} : { mapSize }),
      ...(maxReaders === undefined ? {} : { maxReaders }),
    });
    // Its types know neither versions that are null nor what getStats gives, nor what is native.
    return new LmdbEnvironment(
      file,
      root as unknown as LmdbRoot,
      lock,
      library as unknown as LmdbLibrary,
    );
  });
  if (environment.isOurs()) return environment;
  await environment.close();
  throw new Error(`${file} holds another program's data; give a path of its own`);
}

/** What an error means, and what to do about it. */
export function explain(
  error: unknown,
  operation: EngineOperation,
  path: string,
): string | undefined {
  if (operation === "open" && isPermissionDenied(error)) {
    const message = messageOf(error).replace(/, run again with.*$/, "");
    return `${message}; allow --allow-read --allow-write=${path} --allow-env --allow-ffi`;
  }
  const because = explainFile(error, path);
  // What the library says of itself tells no place.
  return because ??
    (typeof codeOf(error) === "number" ? `${path}: ${messageOf(error)}` : undefined);
}

/** LMDB's own number of an error, or the system's. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
