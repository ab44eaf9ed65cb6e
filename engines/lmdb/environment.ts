/**
 * LMDB environments: one for each path in the process, however many handles use it, with two
 * databases for each dbname. npm:lmdb is loaded here and nowhere else, when the first store is
 * opened.
 */
import { existsSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { getSystemErrorName } from "node:util";
import type { Awaitable, EngineOperation } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { explainFile, isReadOnly } from "../file_failures.ts";
import { encodeSegment } from "../location.ts";
import { type FileHold, fileIdentity, SharedResources } from "../shared.ts";
import { errorCode, isNotFound, isPermissionDenied } from "../../platform/errors.ts";
import {
  discard,
  type FileInfo,
  folderMode,
  lstatSync,
  makeFolder,
  type OpenFile,
  openFileSync,
  realPath,
  removeSync,
  stat,
  statSync,
  writeFileSync,
} from "../../platform/files.ts";
import { delay, nextTick } from "../../platform/timers.ts";
import { inspectFile } from "./file.ts";
import { type Need, Room } from "./room.ts";
import { WriteLock } from "./write_lock.ts";

/** How many pages of a file are looked at before LMDB opens it: some 15 ms. */
const INSPECTED_PAGES = 2_000;
/**
 * Two for each dbname. So many cost nothing that could be measured; LMDB wants to know it
 * beforehand.
 */
const MAX_DATABASES = 20_000;

/** After so long a folder's next time is another one, ms: some file systems know only even seconds. */
const REST = 3_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const ENTRIES = "entries:";
const DEADLINES = "deadlines:";
/** The database of the dbnames that the names of databases have hashes of, by these. */
const NAMES = "names";

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
  /**
   * Lets the writes that the callback makes take effect only where an entry has this version, `null`
   * for where it is absent. A condition that something is absent must be the outermost: inside of
   * another one it holds also where that one fails.
   */
  ifVersion(key: Uint8Array, version: number | null, callback: () => void): Promise<boolean>;
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

/** What LMDB tells of a database. */
export interface LmdbStats {
  readonly entryCount: number;
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
  /** Of the database of what is free. */
  readonly free: LmdbPages;
}

type LmdbPages = Pick<LmdbStats, "treeBranchPageCount" | "treeLeafPageCount" | "overflowPages">;

/** A read transaction: it begins with the first read after its last end. */
interface LmdbTransaction {
  readonly address: number;
  abort(): void;
}

/** What this engine uses of the library besides its databases. */
interface LmdbLibrary {
  open(options: Record<string, unknown>): LmdbRoot;
  /** The version of the entry that was read last, by any database of the process. */
  getLastVersion(): number;
  readonly nativeAddon: {
    /** `READ_ONLY` makes a read transaction. */
    readonly Txn: new (env: LmdbEnv, flags: number) => LmdbTransaction;
    /** Ends it until the next read. */
    resetTxn(address: number): void;
  };
}

/** The library's own environment. */
interface LmdbEnv {
  /** The last page of the newest state of all processes. */
  info(): { readonly lastPageNumber: number };
  startWriting?(address: number, onStatus: (status: number) => unknown): unknown;
}

/** LMDB's flag of a transaction that only reads. */
const READ_ONLY = 0x20000;

interface LmdbRoot extends LmdbDatabase {
  readonly env: LmdbEnv;
  on(event: "beforecommit", callback: () => void): void;
  openDB(options: Record<string, unknown>): LmdbDatabase | undefined;
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
  /** Of the files that are made. */
  readonly mode: number;
}

/** The environment is not what is at its path any more: somebody removed or replaced it. */
export class OutdatedError extends Error {
  /** `"OutdatedError"`. */
  override readonly name = "OutdatedError";
}

/** An open environment. */
export class LmdbEnvironment {
  /** The data file. */
  readonly file: string;
  readonly #root: LmdbRoot;
  readonly #lock: WriteLock | undefined;
  readonly #library: LmdbLibrary;
  readonly #fresh: { transaction: LmdbTransaction };
  readonly #identity: string | undefined;
  /** The state of its folder when it was found to be what is at its path. */
  #folder: string | undefined;
  readonly #opened = new Map<string, LmdbDatabases>();
  readonly #room: Room;
  #notes: LmdbDatabase | undefined;
  #done: Promise<boolean> | undefined;
  #outcome!: Promise<boolean>;

  /** @param lock Absent: it is only read. */
  constructor(file: string, root: LmdbRoot, library: LmdbLibrary, lock: WriteLock | undefined) {
    this.file = file;
    this.#root = root;
    this.#lock = lock;
    this.#library = library;
    this.#identity = fileIdentity(file);
    this.#fresh = { transaction: new library.nativeAddon.Txn(root.env, READ_ONLY) };
    this.#endRead();
    const { pageSize } = root.getStats();
    const pages = () => root.env.info().lastPageNumber + 1;
    this.#room = new Room(file, { pageSize, pages, free: () => pages() - this.usedPages() });
    root.on("beforecommit", () => this.#room.commits());
    // For the first write of a turn npm:lmdb then makes a promise that nobody gets: when the commit
    // fails it would be an unhandled rejection, which ends the program.
    root.on("beforecommit", () => nextTick(() => root.committed.then(ignore, ignore)));
    quieten(root.env);
  }

  /** Whether nothing in it can be changed here. */
  get isOnlyRead(): boolean {
    return this.#lock === undefined;
  }

  /**
   * Whether it is what is at its path. A look at the file makes the next flush half as long again:
   * Linux then gives what is written a time of its own, which goes to the disk too. As long as
   * nothing in the file's folder is made, moved or removed, a look at that will do.
   */
  get isCurrent(): boolean {
    const folder = restingFolder(this.file);
    if (folder !== undefined && folder === this.#folder) return true;
    const isCurrent = fileIdentity(this.file) === this.#identity;
    this.#folder = isCurrent && !isLink(this.file) ? folder : undefined;
    return isCurrent;
  }

  /** The databases of a dbname, made when absent. */
  async databases(dbname: string): Promise<LmdbDatabases> {
    const name = nameOf(dbname);
    if (this.#lock === undefined) return this.#open(name);
    return await this.write(async () => {
      const databases = this.#open(name);
      if (name !== dbname) await this.#note(name, dbname);
      return databases;
    }, this.#opening(ENTRIES + name, DEADLINES + name));
  }

  /** The databases of a dbname that has some: without a write where they are open in this process. */
  async existing(dbname: string): Promise<LmdbDatabases> {
    return this.#opened.get(nameOf(dbname)) ?? await this.databases(dbname);
  }

  /** What it takes to open databases, and to note a name. */
  #opening(...names: string[]): Need {
    return {
      entries: names.length + 2,
      areThere: () => {
        const known = this.#names();
        return names.every((name) => known.includes(name));
      },
    };
  }

  /** The databases of all dbnames nested in this one; to be called in `write`. */
  nested(dbname: string): LmdbDatabases[] {
    return this.#nestedNames(dbname).map((name) => this.#open(name));
  }

  /** The dbnames nested in this one, as far as they are known. */
  async nestedDbnames(dbname: string): Promise<string[]> {
    const names = this.#nestedNames(dbname);
    if (names.every((name) => nameOf(name) === name)) return names;
    const open = () => this.#openNotes();
    const notes = this.#lock === undefined
      ? open()
      : this.#notes ?? await this.write(open, this.#opening(NAMES));
    return names.flatMap((name) => {
      if (nameOf(name) === name) return [name];
      const note = this.read(notes, encoder.encode(name));
      const text = note && decoder.decode(note.slice(0, note.length));
      return text !== undefined && nameOf(text) === name ? [text] : [];
    });
  }

  #nestedNames(dbname: string): string[] {
    const prefix = `${ENTRIES}${nameOf(dbname)}/`;
    return this.#names()
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(ENTRIES.length));
  }

  /** Writes a dbname down, unless that has been done. */
  async #note(name: string, dbname: string): Promise<void> {
    const notes = this.#openNotes();
    const key = encoder.encode(name);
    if (this.read(notes, key) !== undefined) return;
    await this.committed(notes.put(key, encoder.encode(dbname)));
  }

  #openNotes(): LmdbDatabase {
    return this.#notes ??= this.#openDatabase({ name: NAMES });
  }

  #open(name: string): LmdbDatabases {
    let databases = this.#opened.get(name);
    if (databases === undefined) {
      databases = {
        entries: this.#openDatabase({ name: ENTRIES + name, useVersions: true }),
        deadlines: this.#openDatabase({ name: DEADLINES + name }),
      };
      this.#opened.set(name, databases);
    }
    return databases;
  }

  #openDatabase(options: Record<string, unknown>): LmdbDatabase {
    // An environment that is only read may lack it.
    return this.#root.openDB({ encoding: "binary", keyEncoding: "binary", ...options }) ??
      NO_DATABASE;
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

  /**
   * Does something that writes, while no other process writes.
   *
   * @param need What it takes.
   * @throws {OutdatedError} When what would be written is no longer at its path.
   * @throws {NoRoomError} When the disk has no room for it.
   */
  async write<T>(action: () => Awaitable<T>, need: Need): Promise<T> {
    if (this.#lock === undefined) {
      throw new Error(
        `${this.file} can only be read here; change its owner or mode to write to it`,
      );
    }
    const lock = this.#lock;
    return await lock.hold(async () => {
      if (!this.isCurrent) throw new OutdatedError(this.file);
      const end = this.#room.take(need, lock.holds);
      try {
        return await action();
      } finally {
        end();
      }
    });
  }

  /** How many pages hold something; to be called in `write`. */
  usedPages(): number {
    const databases = this.#names().map((name) => {
      if (name === NAMES) return [this.#openNotes()];
      const isEntries = name.startsWith(ENTRIES);
      if (!isEntries && !name.startsWith(DEADLINES)) return [];
      const { entries, deadlines } = this.#open(name.slice(name.indexOf(":") + 1));
      return [isEntries ? entries : deadlines];
    });
    const stats = [this.#root, ...databases.flat()].map((database) => database.getStats());
    const [{ free }] = stats;
    return [free, ...stats].reduce(
      (sum, { treeBranchPageCount, treeLeafPageCount, overflowPages }) =>
        sum + treeBranchPageCount + treeLeafPageCount + overflowPages,
      0,
    );
  }

  /** The outcome of a write that was given to npm:lmdb, once it is committed. */
  committed(done: Promise<boolean>): Promise<boolean> {
    // Writes without conditions that share a commit have one promise.
    if (done !== this.#done) {
      this.#done = done;
      this.#outcome = done.catch(throwReason);
    }
    return this.#outcome;
  }

  /** Closes it, unless it is one that stays open. */
  async close(): Promise<void> {
    const lock = this.#lock;
    if (lock !== undefined) {
      this.#fresh.transaction.abort();
      const close = () => this.#root.close();
      let isClosed = false;
      await lock.hold(() => {
        isClosed = true;
        return close();
      }).catch((error) => {
        if (isClosed) throw error;
        // Somebody keeps the lock: to stay open for ever would be worse.
        return close();
      });
      lock[Symbol.dispose]();
    }
    // npm:lmdb's timers for ending read transactions are still out.
    await delay(0);
  }

  #names(): string[] {
    this.refresh();
    // npm:lmdb ends names as C does.
    const textOf = (key: Uint8Array) => decoder.decode(key).replace(/\0$/, "");
    return Array.from(this.#root.getKeys({ start: undefined }), textOf);
  }
}

/**
 * Which folder a file is in, and when something in it was last made, moved or removed; `undefined`
 * when that was a moment ago, so that the next time could look the same.
 */
function restingFolder(file: string): string | undefined {
  const info = optional(() => statSync(dirname(file)));
  const changed = info?.mtime?.getTime() ?? Infinity;
  return Date.now() - changed > REST ? `${info?.dev}:${info?.ino}:${changed}` : undefined;
}

/** Whether a file may be a link, which leads to another folder. */
function isLink(file: string): boolean {
  return optional(() => lstatSync(file))?.isSymlink ?? true;
}

/** What there is at a path; `undefined` when it can't be looked at, which others tell of. */
function optional(look: () => FileInfo): FileInfo | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** What stands for a database that is not there. */
const NO_DATABASE: LmdbDatabase = {
  getBinaryFast: () => undefined,
  put: () => Promise.resolve(false),
  remove: () => Promise.resolve(false),
  ifVersion: () => Promise.resolve(false),
  clearAsync: () => Promise.resolve(true),
  getKeys: () => [],
  getRange: () => [],
  getStats: () => ({
    entryCount: 0,
    pageSize: 0,
    treeBranchPageCount: 0,
    treeLeafPageCount: 0,
    overflowPages: 0,
    free: { treeBranchPageCount: 0, treeLeafPageCount: 0, overflowPages: 0 },
  }),
};

/** The library's own statuses of a commit that did not fail. */
const DONE = [0, 1, 2];

/**
 * Keeps npm:lmdb from writing the stack of each failed commit to the console, besides rejecting the
 * writes in it.
 */
function quieten(env: LmdbEnv): void {
  const { startWriting } = env;
  const quiet: typeof startWriting = (address, onStatus) =>
    startWriting?.call(env, address, (status) => {
      if (DONE.includes(status)) return onStatus(status);
      const { error } = console;
      console.error = ignore;
      try {
        return onStatus(status);
      } finally {
        console.error = error;
      }
    });
  // Not by `=`: on Node the library's own is not writable.
  Object.defineProperty(env, "startWriting", { value: quiet });
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

/**
 * Environments that are only read, by the data file, also when nobody holds them: npm:lmdb never
 * closes one that it could not lock.
 */
const ONLY_READ = new Map<string, LmdbEnvironment>();

/** The data file in an environment's folder. */
const DATA = "data.mdb";

/** How many readers LMDB has room for unless told otherwise. */
const MAX_READERS = 126;
/** How many it counts of each thread that has an environment open: for reads, and for listings. */
const READERS_EACH = 2;
/** Bytes of LMDB's lock file, for each reader and for the rest. */
const READER_SIZE = 64;
const LOCK_HEAD = 272;
/** How many files LMDB opens at once, and one to spare: without them it ends the process. */
const FILES_NEEDED = 5;

/** Bytes that LMDB writes to a new data file, and some to spare: likewise. */
const ROOM_NEEDED = 65_536;

/** Opens the environment at a path, or takes part in the one that is open. */
export async function openEnvironment(
  path: string,
  options: LmdbOptions,
): Promise<FileHold<LmdbEnvironment>> {
  const given = await fileOf(path);
  await makeFolder(dirname(given), folderMode(options.mode));
  const file = join(await realPath(dirname(given)), basename(given));
  return await ENVIRONMENTS.acquire(file, () => openFile(file, options), () => fileIdentity(file));
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

async function openFile(file: string, options: LmdbOptions): Promise<LmdbEnvironment> {
  // What is not LMDB's gets nothing beside it; others may be writing to what is.
  const fault = await inspectFile(file, 0);
  if (fault?.kind === "foreign") throw new Error(`${file} cannot be used: ${fault.detail}`);
  // Its types know neither versions that are null nor what getStats gives, nor what is native.
  const library = await import("lmdb") as unknown as LmdbLibrary;
  let environment: LmdbEnvironment;
  if (canWrite(file, options.mode)) {
    const lock = new WriteLock(`${file}.lock`);
    try {
      environment = await lock.hold(() => openRoot(file, library, lock, options));
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  } else {
    const kept = ONLY_READ.get(file);
    environment = kept?.isCurrent ? kept : await openRoot(file, library, undefined, options);
    ONLY_READ.set(file, environment);
  }
  if (environment.isOurs()) return environment;
  await environment.close();
  throw new Error(`${file} holds another program's data; give a path of its own`);
}

/** Whether the data file can be written to. Makes it, and our lock file, where they are absent. */
function canWrite(file: string, mode: number): boolean {
  try {
    makeFile(file, 0, mode);
    makeFile(`${file}.lock`, 0, mode);
    openFileSync(file, { write: true }).close();
    openFileSync(`${file}.lock`, { write: true }).close();
    return true;
  } catch (error) {
    if (!isReadOnly(error) || isPermissionDenied(error) || fileSize(file) === 0) throw error;
    return false;
  }
}

/** Makes a file of so many bytes, all of them on the disk, unless it is there. */
function makeFile(path: string, size: number, mode: number): void {
  // Where nothing can be made, that would be said of what is there too.
  if (existsSync(path)) return;
  try {
    writeFileSync(path, new Uint8Array(size), { createNew: true, mode });
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    // A disk that is full has taken a part of it.
    if (existsSync(path)) removeSync(path);
    throw error;
  }
}

function fileSize(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

async function openRoot(
  file: string,
  library: LmdbLibrary,
  lock: WriteLock | undefined,
  { mapSize, maxReaders = MAX_READERS, mode }: LmdbOptions,
): Promise<LmdbEnvironment> {
  const fault = await inspectFile(file, INSPECTED_PAGES);
  if (fault !== undefined) throw new Error(`${file} cannot be used: ${fault.detail}`);
  // A folder's own file has its lock beside it under another name than a file by itself: all must
  // use one lock.
  const noSubdir = basename(file) !== DATA;
  const readers = READERS_EACH * maxReaders;
  if (lock !== undefined) {
    // LMDB leaves holes in this file and maps it: where the disk has no room for them then, the
    // system ends the process.
    const lockFile = noSubdir ? `${file}-lock` : join(dirname(file), "lock.mdb");
    makeFile(lockFile, READER_SIZE * (readers - 1) + LOCK_HEAD, mode);
    if (fileSize(file) === 0) probeRoom(`${file}.room`, mode);
  }
  probeFiles(file);
  const root = library.open({
    path: noSubdir ? file : dirname(file),
    noSubdir,
    maxDbs: MAX_DATABASES,
    maxReaders: readers,
    encoding: "binary",
    keyEncoding: "binary",
    permissionsMode: mode,
    readOnly: lock === undefined,
    ...(mapSize === undefined ? {} : { mapSize }),
  });
  try {
    return new LmdbEnvironment(file, root, library, lock);
  } catch (error) {
    await root.close();
    throw error;
  }
}

/**
 * Fails as the system does when the disk has no room for a new data file.
 *
 * @param path A file for this alone, which exists for no longer. Who is killed meanwhile leaves it,
 * and the data file empty: the next one comes by here again.
 */
function probeRoom(path: string, mode: number): void {
  try {
    writeFileSync(path, new Uint8Array(ROOM_NEEDED), { mode });
  } finally {
    discard(path);
  }
}

/** Fails as the system does when a process has no room for the files that LMDB opens. */
function probeFiles(path: string): void {
  const files: OpenFile[] = [];
  try {
    for (let i = 0; i < FILES_NEEDED; i++) files.push(openFileSync(path));
  } finally {
    for (const file of files) file.close();
  }
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
  const code = codeOf(error);
  if (typeof code !== "number") return explainFile(error, path);
  const meaning = MEANING[code];
  if (meaning !== undefined) return meaning(path);
  // The system's own number.
  const named = code > 0 ? Object.assign(new Error(), { code: getSystemErrorName(-code) }) : error;
  // What the library says of itself tells no place.
  return explainFile(named, path) ?? `${path}: ${messageOf(error)}`;
}

const CORRUPTED = -30_796;
const PAGE_NOT_FOUND = -30_797;

/** What LMDB's own numbers of errors mean, and what to do. */
const MEANING: Record<number, (path: string) => string> = {
  // The system's EIO, by which LMDB says that not all of a write was taken.
  5: (path) => `the disk of ${path} is full, or broken; free some space`,
  [-30_790]: (path) =>
    `as many threads of processes have ${path} open as "maxReaders" allows; close some, or close ` +
    `all and open it with a larger number`,
  [-30_791]: (path) =>
    `this process has opened ${MAX_DATABASES / 2} dbnames of ${path}, and LMDB has no room for ` +
    "more; close all handles on it, or use another name",
  [-30_792]: (path) => `${path} does not fit into the address space`,
  [-30_795]: (path) =>
    `an earlier write to ${path} failed half way; close all handles on it and open them again`,
  [CORRUPTED]: damaged,
  [PAGE_NOT_FOUND]: damaged,
};

/** Whether LMDB met a damaged page. */
export function isDamage(error: unknown): boolean {
  return [CORRUPTED, PAGE_NOT_FOUND].includes(codeOf(error) as number);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function damaged(path: string): string {
  return `${path} is damaged: check names where; restore it from a copy, or move it away`;
}
