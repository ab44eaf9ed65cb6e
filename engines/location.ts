import { join, resolve } from "node:path";
import { hash } from "../codec/hash.ts";
import { env, os } from "../platform/system.ts";
import type { EngineLocation } from "./engine.ts";

const WINDOWS_DEVICES = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/;
const SAFE = /^[a-z0-9_.-]{1,80}$/;

/** How many hex digits of a SHA-256 stand for a name: 128 bits. */
const DIGITS = 32;

/**
 * One file or folder name for any text: itself when every file system takes it, else a readable
 * rest and a hash of the whole, so that names that differ only in case stay apart on every disk.
 *
 * @param text Any text: a stash's name, a part of a dbname.
 *
 * @example
 * ```ts
 * import { encodeSegment } from "@hashstash/hashstash/engines";
 *
 * console.log(encodeSegment("my_cache")); // my_cache
 * console.log(encodeSegment("../x") === "../x"); // false
 * ```
 */
export function encodeSegment(text: string): string {
  // Where a store is made, `claimNames` sees to it that no two texts share a hash.
  if (
    SAFE.test(text) && !text.startsWith("..") && text !== "." && !text.endsWith(".") &&
    !WINDOWS_DEVICES.test(text)
  ) return text;
  const readable = text.replace(/[^A-Za-z0-9_-]+/g, "_").slice(0, 40);
  return `${readable}~${hash(text).slice(0, DIGITS)}`;
}

/**
 * The folder of all stores with this root and name: what an engine keeps on disk it keeps in there,
 * under a name of its own (`pairtree/…`, `sqlite.db`), so that two engines never meet.
 */
export function nameFolder(location: EngineLocation): string {
  return join(location.rootDir ?? defaultRootDir(), encodeSegment(location.name));
}

/**
 * The root folder when a location has none: `$HASHSTASH_DIR`, else `hashstash` in the user's cache
 * folder.
 *
 * @throws {TypeError} When the environment names no such folder or may not be read.
 *
 * @example
 * ```ts
 * import { defaultRootDir, type EngineLocation } from "@hashstash/hashstash/engines";
 *
 * const rootOf = ({ rootDir = defaultRootDir() }: EngineLocation) => rootDir;
 * console.log(rootOf({ rootDir: "/data", name: "my_cache", dbname: "main" })); // /data
 * ```
 */
export function defaultRootDir(): string {
  const own = variable("HASHSTASH_DIR");
  if (own) return resolve(own);
  if (os() === "windows") {
    const local = variable("LOCALAPPDATA");
    if (local) return join(local, "hashstash");
  } else {
    const xdg = variable("XDG_CACHE_HOME");
    if (xdg) return join(xdg, "hashstash");
    const home = variable("HOME");
    if (home) {
      return join(home, os() === "darwin" ? "Library/Caches" : ".cache", "hashstash");
    }
  }
  throw new TypeError("No folder to keep the stash in: pass rootDir, or set HASHSTASH_DIR");
}

function variable(name: string): string | undefined {
  try {
    return env(name);
  } catch (cause) {
    throw new TypeError(
      `The default folder needs the environment: pass rootDir, or allow --allow-env=${name}`,
      { cause },
    );
  }
}
