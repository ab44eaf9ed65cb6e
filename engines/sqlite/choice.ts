/** Which SQLite library opens a file. */
import { join } from "node:path";
import { FileLock } from "../../platform/file_lock.ts";
import { env, isGranted } from "../../platform/system.ts";
import { inTime, now } from "../../platform/timers.ts";
import { startWorker } from "../../platform/workers.ts";
import { messageOf } from "../errors.ts";
import { defaultRootDir } from "../location.ts";
import type { SqlDriver } from "./driver.ts";
import { loadFfiDriver } from "./ffi.ts";
import { nodeDriver } from "./node.ts";
import { RefusedError } from "./transaction.ts";

/** What `engineOptions.driver` can be. */
export const DRIVER_CHOICES = ["auto", "@db/sqlite", "node:sqlite"] as const;
/** One of them. */
export type DriverChoice = typeof DRIVER_CHOICES[number];

/** The variable by which `@db/sqlite` is told of a native library. */
const PATH_VARIABLE = "DENO_SQLITE_PATH";
/** How long loading may take: with a library at hand, and when it has to be downloaded, ms. */
const AT_HAND = 5_000;
const DOWNLOAD = 60_000;

let ffi: Promise<SqlDriver> | undefined;

/**
 * The library for `engineOptions.driver`. `"auto"` is `node:sqlite`: it is the faster one, needs no
 * network, and is as new as the runtime. The library of a system or a package may be years older;
 * before SQLite 3.51.3, processes that write one file at the same time can, rarely, damage it
 * (https://sqlite.org/wal.html#walresetbug).
 *
 * @throws {RefusedError} When `@db/sqlite` was asked for and can't be loaded.
 */
export function chooseDriver(choice: DriverChoice): Promise<SqlDriver> | SqlDriver {
  if (choice !== "@db/sqlite") return nodeDriver;
  return ffi ??= load().catch((error) => {
    ffi = undefined;
    throw error;
  });
}

async function load(): Promise<SqlDriver> {
  try {
    if (isLibraryNamed()) return await loadIn(AT_HAND);
    const end = now() + DOWNLOAD;
    // Processes that download it at the same time would load halves of it.
    const path = join(defaultRootDir(), "sqlite_library.lock");
    const lock = await FileLock.take(path, { patience: DOWNLOAD });
    try {
      return await loadIn(end - now());
    } finally {
      lock[Symbol.dispose]();
    }
  } catch (cause) {
    throw new RefusedError(
      `driver "@db/sqlite" cannot be loaded (${messageOf(cause)}); set ${PATH_VARIABLE} to a ` +
        `native SQLite library and allow --allow-ffi ` +
        `--allow-env=DENO_SQLITE_PATH,DENO_SQLITE_LOCAL, or use driver "node:sqlite"`,
      { cause },
    );
  }
}

/** Whether `@db/sqlite` takes a native library that is there, and downloads none. */
function isLibraryNamed(): boolean {
  return isGranted({ name: "env", variable: PATH_VARIABLE }) && Boolean(env(PATH_VARIABLE));
}

/**
 * Loads `@db/sqlite`: first in a worker, which can be ended where a server is silent, and whose
 * output is not the program's; then here, when nothing has to be fetched any more.
 */
async function loadIn(ms: number): Promise<SqlDriver> {
  await prefetch(ms);
  return await loadFfiDriver();
}

async function prefetch(ms: number): Promise<void> {
  const { promise, reject, resolve } = Promise.withResolvers<void>();
  // A program that was bundled has no module for a worker, and does without it.
  const worker = startWorker(new URL("./prefetch", import.meta.url), {
    message: (error) => error === undefined ? resolve() : reject(new Error(String(error))),
    messageError: () => resolve(),
    error: () => resolve(),
    exit: () => resolve(),
  });
  try {
    await inTime(promise, ms, () => new Error(`it took longer than ${Math.ceil(ms / 1_000)} s`));
  } finally {
    worker.end();
  }
}
