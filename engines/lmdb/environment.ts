/**
 * LMDB environments: one for each path in the process, however many handles use it, with two
 * databases for each dbname. npm:lmdb is loaded here and nowhere else, when the first store is
 * opened.
 */
import { setImmediate } from "node:timers";
import { basename, dirname, extname, join } from "node:path";
import { EngineError } from "../errors.ts";
import { engineError, messageOf } from "../errors.ts";
import { errorCode, isNotFound, isPermissionDenied } from "../../platform/errors.ts";
import { type FileInfo, makeFolder, realPath, stat } from "../../platform/files.ts";
import { delay } from "../../platform/timers.ts";
import { fileError } from "../file_failures.ts";
import { inspectFile } from "./file.ts";
import { encodeSegment } from "../location.ts";
import { type Hold, SharedResources } from "../shared.ts";

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
  getBinaryFast(key: Uint8Array): Uint8Array | undefined;
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

interface LmdbRoot extends LmdbDatabase {
  openDB(options: Record<string, unknown>): LmdbDatabase;
  resetReadTxn(): void;
  /** Settles with the commit that is under way. */
  readonly committed: PromiseLike<unknown>;
  close(): Promise<void>;
}

/** The databases of one dbname. */
export interface LmdbStore {
  /** Records by LMDB key, with a version each. */
  readonly entries: LmdbDatabase;
  /**
   * An empty value under deadline and LMDB key for each set of an entry that expires. It says where
   * to look, the entry itself what holds: replaced entries leave theirs behind, until it is due.
   */
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
  /** The version of the entry that was read last, by any database of the process. */
  readonly lastVersion: () => number;
  readonly #root: LmdbRoot;
  readonly #stores = new Map<string, LmdbStore>();
  #refreshed = 0;
  #writing = false;

  constructor(file: string, root: LmdbRoot, lastVersion: () => number) {
    this.file = file;
    this.#root = root;
    this.lastVersion = lastVersion;
  }

  /** The databases of a dbname, made when absent. */
  store(dbname: string): LmdbStore {
    return this.#storeOf(nameOf(dbname));
  }

  /** The stores of all dbnames nested in this one. */
  nested(dbname: string): LmdbStore[] {
    const prefix = `${ENTRIES}${nameOf(dbname)}/`;
    return this.#databases()
      .filter((database) => database.startsWith(prefix))
      .map((database) => this.#storeOf(database.slice(ENTRIES.length)));
  }

  #storeOf(name: string): LmdbStore {
    let store = this.#stores.get(name);
    if (store === undefined) {
      const common = { encoding: "binary", keyEncoding: "binary" };
      store = {
        entries: this.#root.openDB({ ...common, name: ENTRIES + name, useVersions: true }),
        deadlines: this.#root.openDB({ ...common, name: DEADLINES + name }),
      };
      this.#stores.set(name, store);
    }
    return store;
  }

  /** Whether it is new, or holds what this engine writes. */
  isOurs(): boolean {
    const databases = this.#databases();
    return databases.length === 0 || databases.some((database) => database.startsWith(ENTRIES));
  }

  /**
   * Lets the next read see what other processes have written; the time. By itself npm:lmdb reads
   * the same state until the next turn of the event loop, which a loop of awaited reads never comes
   * to.
   */
  refresh(): number {
    const now = Date.now();
    if (now !== this.#refreshed) {
      this.#refreshed = now;
      this.#root.resetReadTxn();
    }
    return now;
  }

  /** To be called after each write in the queue of npm:lmdb. */
  wrote(): void {
    if (this.#writing) return;
    this.#writing = true;
    // With the first write of a turn npm:lmdb makes a promise that nobody gets, in an immediate of
    // its own, just before this one. When the commit fails it would be an unhandled rejection,
    // which ends the program.
    setImmediate(() => {
      this.#writing = false;
      this.#root.committed.then(ignore, ignore);
    });
  }

  async close(): Promise<void> {
    await this.#root.close();
    // npm:lmdb's timers for ending read transactions are still out.
    await delay(0);
  }

  #databases(): string[] {
    const decoder = new TextDecoder();
    return Array.from(this.#root.getKeys({ start: undefined }), (key) => decoder.decode(key));
  }
}

function ignore(): void {}

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
  try {
    const given = await fileOf(path);
    await makeFolder(dirname(given));
    const file = join(await realPath(dirname(given)), basename(given));
    return await ENVIRONMENTS.acquire(file, () => openFile(file, options));
  } catch (error) {
    throw explain(path, error);
  }
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
  if (fault !== undefined) throw refusal(`${file} cannot be used: ${fault.detail}`);
  const { open, getLastVersion } = await import("lmdb");
  // A folder's own file has its lock beside it under another name than a file by itself: all must
  // use one lock.
  const noSubdir = basename(file) !== DATA;
  const root = open({
    path: noSubdir ? file : dirname(file),
    noSubdir,
    maxDbs: MAX_DATABASES,
    encoding: "binary",
    keyEncoding: "binary",
    ...(mapSize === undefined ? {} : { mapSize }),
    ...(maxReaders === undefined ? {} : { maxReaders }),
  });
  // Its types know neither versions that are null nor what getStats gives.
  const environment = new LmdbEnvironment(file, root as unknown as LmdbRoot, getLastVersion);
  if (environment.isOurs()) return environment;
  await environment.close();
  throw refusal(`${file} holds another program's data; give a path of its own`);
}

function refusal(because: string): EngineError {
  return engineError("lmdb", "open", because, undefined);
}

function explain(path: string, error: unknown): Error {
  if (isPermissionDenied(error)) {
    const message = messageOf(error).replace(/, run again with.*$/, "");
    const because = `${message}; allow --allow-read --allow-write=${path} --allow-env --allow-ffi`;
    return engineError("lmdb", "open", because, error);
  }
  if (error instanceof EngineError || errorCode(error) !== undefined) {
    return fileError("lmdb", "open", path, error);
  }
  return engineError("lmdb", "open", `${path}: ${messageOf(error)}`, error);
}
