import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { EngineLocation } from "../engine.ts";
import { messageOf } from "../errors.ts";
import { isReadOnly } from "../file_failures.ts";
import { type FileHold, fileIdentity, SharedResources } from "../shared.ts";
import { errorCode, isPermissionDenied } from "../../platform/errors.ts";
import { folderMode, makeFolderSync, statSync, writeFileSync } from "../../platform/files.ts";
import type { Place } from "./address.ts";
import { specifierOf } from "../../platform/library.ts";
import { builtinModule, runtimeName } from "../../platform/system.ts";
import { answerOf, attempt, KvClient } from "./client.ts";
import { type KvDatabase, nativeOpenKv, type OpenKv } from "../../platform/kv.ts";

/** A database that is open. */
interface Database {
  readonly kv: KvDatabase;
  /** Why nothing can be written to it. */
  readonly refusal?: string;
  close(): void;
}

/** Databases that handles in this process share. */
const DATABASES = new SharedResources<Database>((database) => database.close());

/** The one that was opened last at each place. */
const LATEST = new Map<string, Database>();

/** Opens the database of a place, or takes part in the one that is open. */
export async function openPlace(
  place: Place,
  location: EngineLocation,
): Promise<FileHold<KvClient>> {
  const { kind, path, kv } = place;
  if (kv !== undefined) {
    const release = () => Promise.resolve();
    return { resource: new KvClient(kv), release, isOutdated: () => false };
  }
  // What is in memory has no path to tell it apart by.
  const key = kind === "memory" ? `${path}${location.rootDir ?? ""}` : `${kind}:${path}`;
  const identify = kind === "file" ? () => fileIdentity(path) : undefined;
  const open = async (opens: () => void) => {
    // One whose file was removed or replaced: when SQLite closes it, it removes what is beside its
    // path, which must not yet belong to the next.
    LATEST.get(key)?.close();
    const database = await openDatabase(place, opens);
    LATEST.set(key, database);
    return database;
  };
  const { resource, ...hold } = await DATABASES.acquire(key, open, identify);
  const client = new KvClient(resource.kv, {
    remote: kind === "server",
    refusal: resource.refusal,
  });
  return { resource: client, ...hold };
}

async function openDatabase(
  { kind, path, mode }: Place,
  opens: () => void,
): Promise<Database> {
  const openKv = findOpenKv(kind);
  if (kind === "file") return await openFile(openKv, path, mode, opens);
  if (kind === "default") return databaseOf(await attempt(() => openKv()));
  if (kind === "server") return databaseOf(await answerOf(() => openKv(path)));
  return databaseOf(await attempt(() => openKv(path)));
}

function databaseOf(kv: KvDatabase, refusal?: string, cleanUp?: () => void): Database {
  let isOpen = true;
  return {
    kv,
    refusal,
    close() {
      if (!isOpen) return;
      isOpen = false;
      kv.close();
      cleanUp?.();
    },
  };
}

async function openFile(
  openKv: OpenKv,
  path: string,
  mode: number,
  opens: () => void,
): Promise<Database> {
  makeFile(path, mode);
  opens();
  if (isForeign(path)) {
    throw new Error(
      `"${path}" is an SQLite database of another program, not of Deno KV; give a path of its own`,
    );
  }
  try {
    return databaseOf(await attempt(() => openKv(path)));
  } catch (error) {
    const isRefused = /unable to open|read-?only/i.test(messageOf(error));
    if (!isRefused || !existsSync(path) || !statSync(path).isFile) throw error;
    return await openCopy(openKv, path).catch((failed) => {
      throw isPermissionDenied(failed) ? error : failed;
    });
  }
}

/** Makes the file, and its folder, unless it is there. */
function makeFile(path: string, mode: number): void {
  for (let hasFolder = false;;) {
    try {
      return writeFileSync(path, new Uint8Array(0), { createNew: true, mode });
    } catch (error) {
      const code = errorCode(error) ?? "";
      // What the program may not do is said by Deno KV, or that there is none.
      if (code === "EEXIST" || isPermissionDenied(error)) return;
      if (isReadOnly(error) && existsSync(path)) return;
      if (code !== "ENOENT" || hasFolder) throw error;
      // Only now, because it takes a permission for more than the file.
      makeFolderSync(dirname(path), folderMode(mode));
      hasFolder = true;
    }
  }
}

/**
 * Whether another program's tables are in the file. Asked of SQLite, which Deno KV uses too: to read
 * the file by itself and close it would drop the locks that this process has on it.
 */
function isForeign(path: string): boolean {
  try {
    if (statSync(path).size === 0) return false;
    const { DatabaseSync } = builtinModule("node:sqlite");
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      const names = database.prepare("SELECT name FROM sqlite_schema").all();
      return names.length > 0 && names.every(({ name }) => name !== TABLE_OF_KV);
    } finally {
      database.close();
    }
  } catch {
    // What can't be asked is opened, and says itself what is wrong.
    return false;
  }
}

/** A table that each database of Deno KV has. */
const TABLE_OF_KV = "migration_state";

/**
 * Opens a copy of a file in a folder that can't be written to: Deno KV can't do without writing
 * beside it.
 */
async function openCopy(openKv: OpenKv, path: string): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), "hashstash-"));
  const cleanUp = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, "copy.kv");
    for (const ending of ["", "-wal"]) {
      if (existsSync(path + ending)) copyFileSync(path + ending, copy + ending);
      if (existsSync(copy + ending)) chmodSync(copy + ending, COPY_MODE);
    }
    const kv = await attempt(() => openKv(copy));
    return databaseOf(kv, READ_ONLY, cleanUp);
  } catch (error) {
    cleanUp();
    throw error;
  }
}

/** What Deno KV itself says of a file that it could open and can't write to. */
const READ_ONLY = "Can not write to a read-only database";

/** The mode of a copy, whatever that of the file is. */
const COPY_MODE = 0o600;

/**
 * The library that opens the same files where Deno itself doesn't: not in the graph of a program
 * that doesn't need it.
 */
const PACKAGE = { name: "@deno/kv", versions: "^0.14.0" };

/** Deno's `openKv`, or the library's. */
function findOpenKv(kind: Place["kind"]): OpenKv {
  const native = nativeOpenKv();
  if (native !== undefined) return native;
  const runtime = runtimeName();
  if (runtime === "Bun") {
    throw new Error("there is no Deno KV for Bun; use another engine, such as sqlite");
  }
  const missing = runtime === "Deno"
    ? "Deno.openKv is missing: run with --unstable-kv"
    : `Node has no Deno KV of its own: npm install ${PACKAGE.name}@${PACKAGE.versions}`;
  if (kind === "default") throw new Error(`${missing}, and give a path`);
  return async (path) => {
    try {
      const { openKv } = await import(specifierOf(PACKAGE));
      // It has no ":memory:", but no path means that.
      return await openKv(kind === "memory" ? undefined : path);
    } catch (cause) {
      const failed = `${specifierOf(PACKAGE)} can't take its place: ${messageOf(cause)}`;
      throw new Error(`${missing} (${failed})`, { cause });
    }
  };
}
