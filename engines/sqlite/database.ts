import { basename, dirname, join } from "node:path";
import { errorCode, isNotFound } from "../../platform/errors.ts";
import {
  type FileInfo,
  giveMode,
  lstatSync,
  openFileSync,
  realPath,
  statSync,
} from "../../platform/files.ts";
import { Turns } from "../../platform/timers.ts";
import type { Awaitable } from "../engine.ts";
import { type FileHold, fileIdentity, SharedResources } from "../shared.ts";
import { chooseDriver, type DriverChoice } from "./choice.ts";
import type { Access, DriverName, SqlConnection, SqlDriver } from "./driver.ts";
import { isDiskFull } from "../file_failures.ts";
import { Reserve } from "./reserve.ts";
import {
  BUSY_SLICE,
  isBusy,
  isReadOnly,
  RefusedError,
  snapshot,
  transact,
  whenFree,
} from "./transaction.ts";

/** A database that is open in this process. */
interface OpenDatabase {
  /** The library that opened it. */
  readonly driver: DriverName;
  /** The one connection of this process. */
  readonly connection: SqlConnection;
  /** Its space for the day when the disk is full. */
  readonly reserve: Reserve;
  /** Whether the system lets us write it. */
  readonly access: Access;
}

/**
 * The databases that are open in this process, by their real path. One connection serves all
 * handles, and one library each file: a process that closes a file gives up all its POSIX locks on
 * it, also those of a second SQLite library that knows nothing of the first, and then the two
 * corrupt it. For the same reason nothing else of ours may open these files.
 */
const DATABASES = new SharedResources<OpenDatabase>(({ reserve }) => reserve.close());

/** How a handle's database is opened. */
export interface DatabaseOptions<T> {
  /** The file. */
  readonly path: string;
  /** The library. */
  readonly choice: DriverChoice;
  /** The mode of a file that is made; by default the umask decides. */
  readonly mode?: number;
  /** Makes the folder that the file is in, unless it is there. */
  makeFolder(): Awaitable<void>;
  /** Sets a new connection up; tried again while other processes are in the way. */
  configure(connection: SqlConnection, isReadOnly: boolean): void;
  /** Makes what the handle works with; tried again likewise. */
  prepare(connection: SqlConnection, isReadOnly: boolean): T;
}

/** What a step of `removeAll` did. */
export interface Step {
  /** How much it looked at. */
  readonly taken: number;
  /** How much of that was there. */
  readonly removed: number;
}

/** A handle's share of a database file, with what it has prepared on it. */
export class DatabaseHandle<T> {
  readonly #options: DatabaseOptions<T>;
  #hold!: FileHold<OpenDatabase>;
  #table!: T;
  #isOpen = false;
  #reopening: Promise<void> | undefined;

  constructor(options: DatabaseOptions<T>) {
    this.#options = options;
  }

  /** The connection that the handle uses now. */
  get connection(): SqlConnection {
    return this.#hold.resource.connection;
  }

  /** What `prepare` made. */
  get table(): T {
    return this.#table;
  }

  async open(): Promise<void> {
    const hold = await openDatabase(this.#options);
    const { access, connection } = hold.resource;
    try {
      const isReadOnly = access !== "write";
      this.#table = await whenFree(() => this.#options.prepare(connection, isReadOnly));
    } catch (error) {
      await hold.release();
      throw error;
    }
    this.#hold = hold;
    this.#isOpen = true;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#reopening?.catch(() => undefined);
    await this.#hold.release();
  }

  /**
   * Runs an action on the database: at once where possible, and while other processes keep it
   * locked, again. When somebody removed or replaced the file, the one that is at its path now is
   * opened before, or made.
   */
  run<R>(action: (table: T) => R): Awaitable<R> {
    if (this.#hold.isOutdated() && this.#isOpen) {
      return this.#reopen().then(() => whenFree(() => action(this.#table)));
    }
    return whenFree(() => action(this.#table));
  }

  /**
   * `run`, of what stores something.
   *
   * @param bytes About how many bytes it stores.
   */
  store<R>(bytes: number, action: (table: T) => R): Awaitable<R> {
    return this.run((table) => {
      const reserve = this.#reserve;
      reserve.prepare(bytes);
      try {
        return action(table);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        // The log may take more than what is in it.
        reserve.giveUp();
        reserve.prepare(bytes);
        return action(table);
      }
    });
  }

  /** `run`, of what removes something: on a full disk too. */
  remove<R>(action: (table: T) => R): Awaitable<R> {
    return this.run((table) => {
      const reserve = this.#reserve;
      try {
        return action(table);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        reserve.giveUp();
        return action(table);
      }
    });
  }

  /** `remove`, in a transaction. */
  change<R>(action: (table: T) => R): Awaitable<R> {
    return this.remove((table) => transact(this.connection, () => action(table)));
  }

  /**
   * `remove`, step by step, until one finds less than it may take. Where the disk has no room for a
   * whole step, they become smaller.
   *
   * @param most How much a step may take.
   * @param step Takes what comes after the first `start`, no more than `limit`.
   * @returns How many were removed.
   */
  async removeAll(
    most: number,
    step: (table: T, limit: number, start: number) => Step,
  ): Promise<number> {
    const turns = new Turns();
    let start = 0;
    let count = 0;
    for (let limit = most;;) {
      try {
        const { taken, removed } = await this.remove((table) => step(table, limit, start));
        start += taken;
        count += removed;
        if (taken < limit) return count;
      } catch (error) {
        if (!isDiskFull(error) || limit === 1) throw error;
        limit = Math.ceil(limit / 8);
      }
      if (turns.due()) await turns.next();
    }
  }

  /** `run`, on one state of the database. */
  read<R>(action: (table: T) => R): Awaitable<R> {
    return this.run((table) => snapshot(this.connection, () => action(table)));
  }

  /** What every change begins with: where nothing can be written, with SQLite's own words. */
  get #reserve(): Reserve {
    const { access, reserve } = this.#hold.resource;
    if (access !== "write") throw new Error("attempt to write a readonly database");
    return reserve;
  }

  #reopen(): Promise<void> {
    return this.#reopening ??= (async () => {
      const outdated = this.#hold;
      try {
        await this.open();
      } finally {
        this.#reopening = undefined;
      }
      await outdated.release();
    })();
  }
}

async function openDatabase(
  { path, choice, configure, makeFolder, mode }: Omit<DatabaseOptions<unknown>, "prepare">,
): Promise<FileHold<OpenDatabase>> {
  const driver = await chooseDriver(choice);
  await makeFolder();
  const file = await fileOf(path);
  let access: Access = "write";
  const identify = () => {
    const identity = fileIdentity(file);
    // An immutable file has no lock that would tell of a change.
    return identity && identity + (access === "immutable" ? contentMark(file) : "");
  };
  const hold = await DATABASES.acquire(file, async (opens) => {
    for (;;) {
      try {
        if (mode !== undefined && isFree(file)) makeFile(file, mode);
        opens();
        const connection = await connect(driver, file, access, configure);
        const reserve = new Reserve(file, connection);
        return { driver: driver.name, connection, reserve, access };
      } catch (error) {
        const less = lessAccess(access, file, error);
        if (less === undefined) throw error;
        access = less;
      }
    }
  }, identify);
  if (choice === "auto" || choice === hold.resource.driver) return hold;
  await hold.release();
  throw new RefusedError(
    `this process has "${path}" open with driver "${hold.resource.driver}", and two SQLite ` +
      `libraries on one file in one process would damage it; use one driver for all`,
  );
}

async function connect(
  driver: SqlDriver,
  file: string,
  access: Access,
  configure: DatabaseOptions<unknown>["configure"],
): Promise<SqlConnection> {
  const open = () => driver.connect(file, { busyTimeout: BUSY_SLICE, access });
  const connection = await whenFree(open);
  try {
    await whenFree(() => configure(connection, access !== "write"));
    if (access === "write") tryToWrite(connection);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * A file that may not be written opens all the same, and would say so in the middle of something.
 *
 * @throws When it may not be written.
 */
function tryToWrite(connection: SqlConnection): void {
  try {
    connection.exec("BEGIN IMMEDIATE");
  } catch (error) {
    // Somebody else writes, so it can be written.
    if (isBusy(error)) return;
    throw error;
  }
  try {
    // A transaction alone is granted where nothing can be written, too.
    connection.exec("PRAGMA user_version = 1");
  } finally {
    connection.exec("ROLLBACK");
  }
}

/** Makes an empty file, a database without tables: SQLite itself would make it readable for all. */
function makeFile(file: string, mode: number): void {
  try {
    openFileSync(file, { createNew: true, write: true, mode }).close();
  } catch (error) {
    // Another process was faster. One that has it open must not lose its locks to our closing it.
    if (errorCode(error) === "EEXIST") return;
    throw error;
  }
  giveMode(file, mode);
}

/** With what access to try again when the one before was too much; `undefined` for none. */
function lessAccess(access: Access, file: string, error: unknown): Access | undefined {
  if (!isReadOnly(error) || isFree(file)) return undefined;
  if (access === "write") return "read";
  // Whoever reads a database with a log needs files beside it, which nobody can make here; without
  // a log it is all there is.
  return access === "read" && isFree(`${file}-wal`) ? "immutable" : undefined;
}

/** What changes with the content of a file, or with a log of changes beside it. */
function contentMark(file: string): string {
  const { mtime, size } = statSync(file);
  return `:${mtime?.getTime()}:${size}:${isFree(`${file}-wal`)}`;
}

/** The file's path without symbolic links. */
async function fileOf(path: string): Promise<string> {
  const file = await realFile(path);
  // SQLite would write through a link that somebody put beside the file, and wait for a pipe.
  for (const ending of ["", "-wal", "-shm", "-journal"]) {
    if (isFileOrFree(file + ending)) continue;
    throw new RefusedError(
      `"${file}${ending}" is a folder, a link or a device where a file should be; move it away or ` +
        `use another path`,
    );
  }
  return file;
}

async function realFile(path: string): Promise<string> {
  try {
    return await realPath(path);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return join(await realPath(dirname(path)), basename(path));
  }
}

function isFree(path: string): boolean {
  return lookAt(path) === undefined;
}

function isFileOrFree(path: string): boolean {
  return lookAt(path)?.isFile ?? true;
}

function lookAt(path: string): FileInfo | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
