/** The engines that functions, map and records are tested on. */
import type { EngineName } from "../engines/registry.ts";
import { ENGINES } from "./_test_bed.ts";

/** All of them. */
export const FUNCTION_ENGINES: readonly EngineName[] = ENGINES;

/** Those that several processes can use at once. */
export const SHARED_ENGINES: readonly EngineName[] = FUNCTION_ENGINES.filter((engine) =>
  engine !== "memory"
);
