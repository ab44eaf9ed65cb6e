import type { EngineName } from "../../../engines/mod.ts";
import type { OpenBare } from "./bare.ts";

/**
 * The bare backends, by the engine that stands on them. Loaded when asked for: some bring their
 * library.
 */
export const BARE: Partial<Record<EngineName, () => Promise<{ openBare: OpenBare }>>> = {
  diskcache: () => import("./diskcache.ts"),
  lmdb: () => import("./lmdb.ts"),
  memory: () => import("./memory.ts"),
  pairtree: () => import("./pairtree.ts"),
  pickledb: () => import("./pickledb.ts"),
  postgres: () => import("./postgres.ts"),
  redis: () => import("./redis.ts"),
  shelve: () => import("./shelve.ts"),
  sqlite: () => import("./sqlite.ts"),
};
