import type { Awaitable } from "./engine.ts";
import { errorCode } from "./file_failures.ts";

/**
 * By these codes Windows says that a file is being read or replaced; after so long, ms, it is tried
 * again.
 */
const CODES = ["EPERM", "EACCES", "EBUSY"];
const DELAYS = Deno.build.os === "windows" ? [1, 2, 4, 8, 16, 32, 64, 128, 256] : [];

/** Whether an error may be gone in a moment. */
export function isFileBusy(error: unknown): boolean {
  return DELAYS.length > 0 && CODES.includes(errorCode(error) ?? "");
}

/** Does it, again and again for half a second while a file is busy. */
export async function whileBusy<T>(action: () => Awaitable<T>): Promise<T> {
  for (const delay of DELAYS) {
    try {
      return await action();
    } catch (error) {
      if (!isFileBusy(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
  return await action();
}
