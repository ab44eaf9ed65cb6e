/**
 * A local stand-in for the functions of `jsr:@std/path` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
import * as native from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The path itself, or that of a `file:` URL. */
const textOf = (path: string | URL) => path instanceof URL ? fromFileUrl(path) : path;

/** The path's last part, less `suffix` if it ends with it. */
export function basename(path: string | URL, suffix = ""): string {
  return native.basename(textOf(path), suffix);
}

/** The folder that the path lies in. */
export function dirname(path: string | URL): string {
  return native.dirname(textOf(path));
}

/** The end of the path's last part from its last dot on; empty without one. */
export function extname(path: string | URL): string {
  return native.extname(textOf(path));
}

/** Whether the path begins at a root. */
export function isAbsolute(path: string): boolean {
  return native.isAbsolute(path);
}

/** One path out of several parts, without `.` and `..` where they can go. */
export function join(path: string | URL, ...paths: string[]): string {
  return native.join(textOf(path), ...paths);
}

/** The way from one path to the other. */
export function relative(from: string, to: string): string {
  return native.relative(from, to);
}

/** The absolute path that comes of going along the segments from the current folder. */
export function resolve(...pathSegments: string[]): string {
  return native.resolve(...pathSegments);
}

/**
 * The path of a `file:` URL.
 *
 * @throws {TypeError} if the URL has another scheme
 */
export function fromFileUrl(url: string | URL): string {
  return fileURLToPath(url);
}

/**
 * The `file:` URL of an absolute path.
 *
 * @throws {TypeError} if the path is relative
 */
export function toFileUrl(path: string): URL {
  if (!isAbsolute(path)) throw new TypeError(`Path must be absolute: received "${path}"`);
  return pathToFileURL(path);
}
