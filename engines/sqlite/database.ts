import { basename, dirname, join } from "node:path";
import { isNotFound } from "../../platform/errors.ts";
import { lstatSync, makeFolder, realPath } from "../../platform/files.ts";
import { env, isGranted } from "../../platform/system.ts";
import { Turns } from "../../platform/timers.ts";
import { messageOf } from "../errors.ts";
import type { Awaitable } from "../engine.ts";
import { type FileHold, fileIdentity, SharedResources } from "../shared.ts";
import type { DriverName, SqlConnection, SqlDriver } from "./driver.ts";
import { loadFfiDriver } from "./ffi.ts";
import { nodeDriver } from "./node.ts";
import { isDiskFull, Reserve } from "./reserve.ts";
import { BUSY_SLICE, RefusedError, snapshot, transact, whenFree } from "./transaction.ts";

/** What `engineOptions.driver` can be. */
export const DRIVER_CHOICES = ["auto", "@db/sqlite", "node:sqlite"] as const;
/** One of them. */
export type DriverChoice = typeof DRIVER_CHOICES[number];

/** A database that is open in this process. */
interface OpenDatabase {
  /** The library that opened it. */
  readonly driver: DriverName;
  /** The one connection of this process. */
  readonly connection: SqlConnection;
  /** Its space for the day when the disk is full. */
  readonly reserve: Reserve;
}

/**
 * The databases that are open in this process, by their real path. One connection serves all
 * handles, and one library each file: a process that closes a file gives up all its POSIX locks on
 * it, also those of a second SQLite library that knows nothing of the first, and then the two
 * corrupt it. For the same reason nothing else of ours may open these files.
 */
const DATABASES = new SharedResources<OpenDatabase>(({ connection, reserve }) => {
  reserve.close();
  connection.close();
});

let loadingFfi: Promise<SqlDriver> | undefined;

/** How a handle's database is opened. */
export interface DatabaseOptions<T> {
  /** The file. */
  readonly path: string;
  /** The library. */
  readonly choice: DriverChoice;
  /** Sets a new connection up; tried again while other processes are in the way. */
  configure(connection: SqlConnection): void;
  /** Makes what the handle works with; tried again likewise. */
  prepare(connection: SqlConnection): T;
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
    const { connection } = hold.resource;
    try {
      this.#table = await whenFree(() => this.#options.prepare(connection));
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
      const { reserve } = this.#hold.resource;
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
      try {
        return action(table);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        this.#hold.resource.reserve.giveUp();
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
  { path, choice, configure }: Omit<DatabaseOptions<unknown>, "prepare">,
): Promise<FileHold<OpenDatabase>> {
  const driver = await chooseDriver(choice);
  const file = await fileOf(path);
  const hold = await DATABASES.acquire(file, async () => {
    const connection = await whenFree(() => driver.connect(file, { busyTimeout: BUSY_SLICE }));
    try {
      await whenFree(() => configure(connection));
    } catch (error) {
      connection.close();
      throw error;
    }
    return { driver: driver.name, connection, reserve: new Reserve(file, connection) };
  }, () => fileIdentity(file));
  if (choice === "auto" || choice === hold.resource.driver) return hold;
  await hold.release();
  throw new RefusedError(
    `this process has "${path}" open with driver "${hold.resource.driver}", and two SQLite ` +
      `libraries on one file in one process would damage it; use one driver for all`,
  );
}

/** The file's path without symbolic links, its folder made. */
async function fileOf(path: string): Promise<string> {
  await makeFolder(dirname(path));
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

function isFileOrFree(path: string): boolean {
  try {
    return lstatSync(path).isFile;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}

async function chooseDriver(choice: DriverChoice): Promise<SqlDriver> {
  if (choice === "node:sqlite") return nodeDriver;
  if (choice === "auto" && !ffiNeedsNoPrompt()) return nodeDriver;
  try {
    return await (loadingFfi ??= loadFfiDriver());
  } catch (cause) {
    if (choice === "auto") return nodeDriver;
    throw new RefusedError(
      `driver "@db/sqlite" cannot be loaded (${messageOf(cause)}); set DENO_SQLITE_PATH to a ` +
        `native SQLite library and allow --allow-ffi ` +
        `--allow-env=DENO_SQLITE_PATH,DENO_SQLITE_LOCAL, or use driver "node:sqlite"`,
      { cause },
    );
  }
}

/** Whether loading `@db/sqlite` asks the user for nothing. */
function ffiNeedsNoPrompt(): boolean {
  if (!isGranted({ name: "import", host: "jsr.io:443" })) return false;
  const variables = ["DENO_SQLITE_PATH", "DENO_SQLITE_LOCAL"];
  if (!isGranted(...variables.map((variable) => ({ name: "env", variable }) as const))) {
    return false;
  }
  const path = env("DENO_SQLITE_PATH");
  if (path) return isGranted({ name: "ffi", path });
  // It downloads its library then, and keeps it in a cache folder that the environment names.
  return isGranted(
    { name: "ffi" },
    { name: "env" },
    { name: "net" },
    { name: "read" },
    { name: "write" },
  );
}
