/**
 * The profiler: which engine and codec suits the data at hand.
 *
 * @example
 * ```ts
 * import { HashStash } from "@hashstash/hashstash";
 *
 * await using stash = new HashStash({ engine: "memory" });
 * const profile = await stash.profile({ engine: ["memory"], size: 1_000, iterations: 3 });
 * console.log(profile.best().verdict);
 * ```
 *
 * @module
 */
export { profile } from "./profile.ts";
export type { OneOrMore, ProfileOptions } from "./plan.ts";
export type { CaseOptions, ProfiledStash } from "./profiled.ts";
export { Profile, type ProfileAbout, type ProfileJSON } from "./result.ts";
export { encodingName, type Operation, OPERATIONS, type ProfileRow, type RowCodec } from "./row.ts";
export type { ProfileSummary } from "./summary.ts";
export type { Best, BestOptions, Candidate, Goal } from "./best.ts";
export type { Category, ChartOptions, Measure } from "./chart_options.ts";
export type * from "../store/arquero.ts";
export { generateData, type GeneratedData, type GeneratedRecord } from "./data.ts";
