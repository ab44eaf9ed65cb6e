/** Which SQLite library opens a file. */
import { join } from "node:path";
import { statSync } from "../../platform/files.ts";
import { FileLock } from "../../platform/file_lock.ts";
import { arch, env, isGranted, os, type Permission, setEnv } from "../../platform/system.ts";
import { inTime } from "../../platform/timers.ts";
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
const VARIABLES: Permission[] = [PATH_VARIABLE, "DENO_SQLITE_LOCAL"].map((variable) => ({
  name: "env",
  variable,
}));
/** How long loading may take: with a library at hand, and when it has to be downloaded, ms. */
const AT_HAND = 5_000;
const DOWNLOAD = 60_000;

let auto: Promise<SqlDriver> | undefined;
let ffi: Promise<SqlDriver> | undefined;
/** The load that began last. */
let lastLoad: Promise<unknown> = Promise.resolve();

/**
 * The library for `engineOptions.driver`. `"auto"` downloads no native code and never prompts: it
 * takes `@db/sqlite` only where a library for it is at hand.
 *
 * @throws {RefusedError} When `@db/sqlite` was asked for and can't be loaded.
 */
export function chooseDriver(choice: DriverChoice): Promise<SqlDriver> | SqlDriver {
  switch (choice) {
    case "node:sqlite":
      return nodeDriver;
    case "auto":
      return auto ??= automatic();
    case "@db/sqlite":
      return ffi ??= explicit().catch((error) => {
        ffi = undefined;
        throw error;
      });
  }
}

async function automatic(): Promise<SqlDriver> {
  const library = libraryAtHand();
  if (library === undefined) return nodeDriver;
  try {
    return await loadIn(AT_HAND, library);
  } catch {
    return nodeDriver;
  }
}

async function explicit(): Promise<SqlDriver> {
  try {
    const library = libraryAtHand();
    if (library !== undefined) return await loadIn(AT_HAND, library);
    // Processes that download it at the same time would load halves of it.
    using _lock = await FileLock.take(join(defaultRootDir(), "sqlite_library.lock"));
    return await loadIn(DOWNLOAD);
  } catch (cause) {
    throw new RefusedError(
      `driver "@db/sqlite" cannot be loaded (${messageOf(cause)}); set ${PATH_VARIABLE} to a ` +
        `native SQLite library and allow --allow-ffi ` +
        `--allow-env=DENO_SQLITE_PATH,DENO_SQLITE_LOCAL, or use driver "node:sqlite"`,
      { cause },
    );
  }
}

/**
 * A native library that is there and that `@db/sqlite` may use without asking anybody: the one that
 * the environment names, or the system's own.
 */
function libraryAtHand(): string | undefined {
  if (!isGranted({ name: "import", host: "jsr.io:443" }, ...VARIABLES)) return undefined;
  const named = env(PATH_VARIABLE);
  const candidates = named ? [named] : isGranted({ name: "read" }) ? systemLibraries() : [];
  return candidates.find((path) => isGranted({ name: "ffi", path }) && (named || isFile(path)));
}

function systemLibraries(): string[] {
  if (os() !== "linux") return [];
  const folders = [`/usr/lib/${arch()}-linux-gnu`, "/usr/lib64", "/usr/lib"];
  return folders.map((folder) => `${folder}/libsqlite3.so.0`);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Loads `@db/sqlite`, one load at a time: each changes the environment, and puts it back. */
function loadIn(ms: number, library?: string): Promise<SqlDriver> {
  const load = lastLoad.then(() => loadAlone(ms, library));
  lastLoad = load.catch(() => undefined);
  return load;
}

/**
 * Loads `@db/sqlite`: first in a worker, which can be ended where a server is silent, and whose
 * output is not the program's; then here, when nothing has to be fetched any more.
 */
async function loadAlone(ms: number, library?: string): Promise<SqlDriver> {
  const before = env(PATH_VARIABLE);
  if (library !== undefined) setEnv(PATH_VARIABLE, library);
  try {
    await prefetch(ms);
    return await loadFfiDriver();
  } finally {
    if (library !== undefined) setEnv(PATH_VARIABLE, before);
  }
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
    await inTime(promise, ms, () => new Error(`it took longer than ${ms / 1_000} s`));
  } finally {
    worker.end();
  }
}
