import { basename, dirname, join } from "node:path";
import { isNotFound } from "../../platform/errors.ts";
import { makeFolder, realPath } from "../../platform/files.ts";
import { env, isGranted } from "../../platform/system.ts";
import { messageOf } from "../errors.ts";
import { type Hold, SharedResources } from "../shared.ts";
import type { DriverName, SqlConnection, SqlDriver } from "./driver.ts";
import { loadFfiDriver } from "./ffi.ts";
import { nodeDriver } from "./node.ts";
import { BUSY_SLICE, RefusedError, whenFree } from "./transaction.ts";

/** What `engineOptions.driver` can be. */
export const DRIVER_CHOICES = ["auto", "@db/sqlite", "node:sqlite"] as const;
/** One of them. */
export type DriverChoice = typeof DRIVER_CHOICES[number];

/** A database that is open in this process. */
export interface OpenDatabase {
  /** The library that opened it. */
  readonly driver: DriverName;
  /** The one connection of this process. */
  readonly connection: SqlConnection;
}

/**
 * The databases that are open in this process, by their real path. One connection serves all
 * handles, and one library each file: a process that closes a file gives up all its POSIX locks on
 * it, also those of a second SQLite library that knows nothing of the first, and then the two
 * corrupt it. For the same reason nothing else of ours may open these files.
 */
const DATABASES = new SharedResources<OpenDatabase>(({ connection }) => connection.close());

let loadingFfi: Promise<SqlDriver> | undefined;

/**
 * Opens a database file, or shares what this process has open of it.
 *
 * @param configure Sets the connection up; tried again while other processes are in the way.
 */
export async function openDatabase(
  path: string,
  choice: DriverChoice,
  configure: (connection: SqlConnection) => void,
): Promise<Hold<OpenDatabase>> {
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
    return { driver: driver.name, connection };
  });
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
  try {
    return await realPath(path);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return join(await realPath(dirname(path)), basename(path));
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
