/** Rows of an invented machine, for what is computed from rows. */
import {
  encodingName,
  failedRow,
  OPERATIONS,
  type ProfileRow,
  timedRow,
} from "../../profile/row.ts";

/** Seconds that one write takes, by engine. */
export const ENGINES: Record<string, number> = { memory: 1e-6, sqlite: 5e-5, pairtree: 4e-4 };

export interface Invented {
  engines?: Record<string, number>;
  sizes?: number[];
  iterations?: number;
  /** How much the times vary, in parts of them: a function of the iteration. */
  noise?: (iteration: number) => number;
}

/**
 * One row per engine, codec, size, operation and iteration; what is compressed is slower and
 * smaller.
 */
export function inventRows(
  { engines = ENGINES, sizes = [1_000, 10_000], iterations = 5, noise = () => 0 }: Invented = {},
): ProfileRow[] {
  const rows: ProfileRow[] = [];
  for (const size of sizes) {
    for (const [engine, cost] of Object.entries(engines)) {
      for (const compress of [false, "zstd"] as const) {
        for (const b64 of [false, true]) {
          for (const operation of OPERATIONS) {
            for (let iteration = 1; iteration <= iterations; iteration++) {
              const stores = operation === "write" || operation === "read" ? cost : 0;
              const codec = size * 5e-9 * (compress ? 10 : 1) * (b64 ? 1.2 : 1);
              const stored = Math.round(size * (compress ? 0.4 : 1) * (b64 ? 4 / 3 : 1));
              rows.push(timedRow({
                engine,
                serializer: "hashstash",
                compress,
                b64,
                encoding: encodingName(compress, b64),
                operation,
                size,
                rawSize: size,
                storedSize: stored,
                iteration,
              }, (stores + codec) * (1 + noise(iteration))));
            }
          }
        }
      }
    }
  }
  return rows;
}

/** The row of an engine that could not run. */
export function brokenRow(engine: string, error: string): ProfileRow {
  return failedRow({
    engine,
    serializer: "hashstash",
    compress: false,
    b64: false,
    encoding: "raw",
    operation: "write",
    size: 1_000,
  }, new Error(error));
}
