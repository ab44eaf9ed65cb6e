import { errorCode, isPermissionDenied } from "../platform/errors.ts";
import { EngineError, messageOf } from "./errors.ts";

/** What the file system's own codes mean for a person, and what to do. */
const MEANING: Record<string, (path: string) => string> = {
  EACCES: denied,
  EPERM: denied,
  EROFS: (path) => `the file system of ${path} is read-only`,
  ENOSPC: (path) => `the disk of ${path} is full; free some space`,
  EDQUOT: (path) => `the disk quota for ${path} is used up; free some space`,
  ENOTDIR: inTheWay,
  EEXIST: inTheWay,
  EISDIR: (path) => `a folder is where a file should be: ${path}; move it away`,
  ENOENT: (path) => `${path} is not there; was it removed meanwhile?`,
  ELOOP: (path) => `links lead in a circle, or where none may be, in ${path}; remove them`,
  EIO: (path) => `the disk of ${path} failed to read or write; the system's log says more`,
  ESTALE: (path) => `the network file system of ${path} has lost it; mount it anew`,
  EFBIG: (path) =>
    `it is larger than the file system of ${path}, or the limit of this process (ulimit -f), allows`,
  EMFILE: () => "this process has too many open files; raise its limit (ulimit -n)",
  ENFILE: () => "the system has too many open files; end other programs or raise its limit",
  ENAMETOOLONG: (path) =>
    `the path is too long for the file system: ${path}; use a shorter rootDir`,
};

function denied(path: string): string {
  return `the system does not let this user do that in ${path}; change its owner or mode`;
}

function inTheWay(path: string): string {
  return `a file is where a folder should be, in ${path}; move it away or use another rootDir`;
}

/** Whether an error says that this process may not write there. */
export function isReadOnly(error: unknown): boolean {
  return isPermissionDenied(error) || ["EACCES", "EPERM", "EROFS"].includes(errorCode(error) ?? "");
}

/**
 * Whether an error, of the system, a library, a server or an engine, says that there is no space
 * left: on a disk, or in a server's memory.
 */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof EngineError) return isDiskFull(error.cause);
  return ["ENOSPC", "EDQUOT"].includes(errorCode(error) ?? "") ||
    /disk is full|No space left on device|^OOM /.test(messageOf(error));
}

/**
 * What an error of the file system means and what to do about it, or which flag is missing;
 * `undefined` when its own message says all there is to say.
 *
 * @param error What the file system threw.
 * @param path Where it happened; for a missing permission what the program should be allowed to use.
 *
 * @example
 * ```ts
 * import { explainFile } from "@hashstash/hashstash/engines";
 *
 * const error = Object.assign(new Error("os error 28"), { code: "ENOSPC" });
 * console.log(explainFile(error, "/data")); // the disk of /data is full; free some space
 * ```
 */
export function explainFile(error: unknown, path: string): string | undefined {
  if (isPermissionDenied(error)) {
    return `no permission; run with --allow-read="${path}" --allow-write="${path}"`;
  }
  return MEANING[errorCode(error) ?? ""]?.(path);
}
