import type { Operation } from "./row.ts";

/** A column that is a number. */
export type Measure =
  | "size"
  | "rawSize"
  | "storedSize"
  | "ratio"
  | "time"
  | "rate"
  | "speed"
  | "iteration";

/** A column that names something: drawn as a place, a colour and shape, or a chart of its own. */
export type Category =
  | "engine"
  | "serializer"
  | "compress"
  | "b64"
  | "encoding"
  | "codec"
  | "operation"
  | "size";

/** What a chart shows. */
export interface ChartOptions {
  /** What goes to the right; numbers other than the ratio on a log scale. Default: `"speed"`. */
  x?: Measure | Category;
  /** What goes up. Default: `"engine"`. */
  y?: Measure | Category;
  /**
   * What has colours and shapes; `"codec"` is serializer and encoding in one. Default: `"codec"`.
   */
  color?: Category;
  /** What has a chart each, side by side. Default: `"operation"`. */
  facet?: Category;
  /** The operations that are shown. Default: `["write", "read"]`, or what was profiled of these. */
  operation?: Operation | Operation[];
  /** The size or sizes that are shown. Default: all. */
  size?: number | number[];
  /** The engine or engines that are shown. Default: all. */
  engine?: string | string[];
  /** The encoding or encodings that are shown. Default: all. */
  encoding?: string | string[];
  /** What is said above it. */
  title?: string;
  /**
   * `"auto"` (default) follows the reader's `prefers-color-scheme`; `"inherit"` takes the colours
   * of the page around it.
   */
  theme?: "auto" | "light" | "dark" | "inherit";
}
