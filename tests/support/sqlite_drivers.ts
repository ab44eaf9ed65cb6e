/** The SQLite libraries that load here: what is shown on one must hold on the other. */
import type { DriverName } from "../../engines/sqlite/driver.ts";
import { loadFfiDriver } from "../../engines/sqlite/ffi.ts";

// Loaded here and not in a test, which would have to unload the library when it ends.
const ffi = await loadFfiDriver().catch((error: unknown) => error);

/** Why `@db/sqlite` does not load here, if so. */
export const FFI_ERROR: unknown = ffi instanceof Error ? ffi : undefined;

/** The drivers to test. */
export const DRIVERS: DriverName[] = FFI_ERROR === undefined
  ? ["node:sqlite", "@db/sqlite"]
  : ["node:sqlite"];
