/**
 * Where each built-in engine keeps its data. Kept apart from the engines so that `stash.path` can
 * be told before an engine, and what it imports, is loaded.
 */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineLocation } from "./engine.ts";
import { encodeSegment, nameFolder } from "./location.ts";

/** The dbname that stands for a store given by `engineOptions.path` itself. */
const MAIN = "main";

/** Where a location's data lives in the memory of this process, as `stash.path` shows it. */
export function memoryPath({ name, dbname }: EngineLocation): string {
  return `memory:${encodeURIComponent(name)}/${dbname}`;
}

/**
 * `engineOptions.path` as an absolute path, or `undefined` when absent.
 *
 * @throws {TypeError} When it is neither a non-empty string nor a `file:` URL.
 */
export function pathOption(options: { readonly path?: unknown }): string | undefined {
  const { path } = options;
  if (path === undefined) return undefined;
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  if (typeof path !== "string" || path === "") {
    throw new TypeError(
      `Expected engineOptions.path to be a path or a file: URL, got ${String(path)}`,
    );
  }
  return path.startsWith("file:") ? fileURLToPath(path) : resolve(path);
}

/**
 * The path of an engine that keeps one file or folder per dbname. Nested stores (`main/sub`) stand
 * beside their parent, in a folder named after it and `+`, never inside it: DiskCache's `check`
 * removes what it doesn't know.
 *
 * - `<root>/<name>/<engine>/main<ending>`, `<root>/<name>/<engine>/main+/sub<ending>`
 * - with `path`: `<path>`, `<path>+/sub<ending>`; a dbname other than "main": `<path>~<dbname>`
 *
 * @param engine The engine's name.
 * @param location The root folder and the names.
 * @param options The engine's options, of which `path` counts.
 * @param ending What file names end in, with its dot.
 *
 * @example
 * ```ts
 * import { storePath } from "@hashstash/hashstash/engines";
 *
 * const location = { rootDir: "/data", name: "my_cache", dbname: "main/sub" };
 * console.log(storePath("mine", location, {}, ".json")); // /data/my_cache/mine/main+/sub.json
 * ```
 */
export function storePath(
  engine: string,
  location: EngineLocation,
  options: { readonly path?: unknown },
  ending = "",
): string {
  const [first, ...rest] = location.dbname.split("/").map(encodeSegment);
  const given = pathOption(options);
  const base = given === undefined
    ? join(nameFolder(location), engine, first)
    : first === MAIN
    ? given
    : `${given}~${first}`;
  if (rest.length === 0) return given === undefined ? base + ending : base;
  const folders = rest.slice(0, -1).map((segment) => `${segment}+`);
  return join(`${base}+`, ...folders, rest[rest.length - 1] + ending);
}

/**
 * The folder that holds the stores nested in another one: what `clear(true)` empties too.
 *
 * @param path The path of that one, as `storePath` gave it.
 * @param ending What file names end in, as `storePath` was given it.
 *
 * @example
 * ```ts
 * import { nestedFolder } from "@hashstash/hashstash/engines";
 *
 * console.log(nestedFolder("/data/my_cache/mine/main.json", ".json")); // /data/my_cache/mine/main+
 * ```
 */
export function nestedFolder(path: string, ending = ""): string {
  const base = ending !== "" && path.endsWith(ending) ? path.slice(0, -ending.length) : path;
  return `${base}+`;
}

/**
 * The path of an engine that keeps all dbnames of one name in one file or folder:
 * `<root>/<name>/<file>`.
 *
 * @param file What it is called.
 * @param location The root folder and the names.
 * @param options The engine's options, of which `path` counts.
 *
 * @example
 * ```ts
 * import { sharedPath } from "@hashstash/hashstash/engines";
 *
 * const location = { rootDir: "/data", name: "my_cache", dbname: "main" };
 * console.log(sharedPath("mine.db", location, {})); // /data/my_cache/mine.db
 * ```
 */
export function sharedPath(
  file: string,
  location: EngineLocation,
  options: { readonly path?: unknown },
): string {
  return pathOption(options) ?? join(nameFolder(location), file);
}
