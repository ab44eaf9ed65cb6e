import { deno } from "./runtime.ts";

/** The system's code of an error (`"ENOENT"`), whichever API of the runtime threw it. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Whether an error says that a file or folder is not there. */
export function isNotFound(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

/**
 * Whether the runtime refused because the program was not given a permission (`--allow-read`). What
 * the system refuses to its user is `EACCES` or `EPERM`. Other runtimes give no such permissions.
 */
export function isPermissionDenied(error: unknown): boolean {
  return deno !== undefined && error instanceof deno.errors.NotCapable;
}
