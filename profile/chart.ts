/** Charts of a profile, drawn by Vega without a browser. */
import { escape } from "@std/html";
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { checkNames } from "../store/options.ts";
import { chooseRows, type Point, pointsOf } from "./points.ts";
import { CONFIG, INK, PALETTE, SHAPES, THEMES } from "./theme.ts";
import type { Category, ChartOptions, Measure } from "./chart_options.ts";
import type { ProfileRow } from "./row.ts";

/** The columns that are numbers, drawn on an axis. */
const MEASURES: Record<Measure, { title: string; unit: string; log: boolean }> = {
  size: { title: "size of the data", unit: "B", log: true },
  rawSize: { title: "size as JSON", unit: "B", log: true },
  storedSize: { title: "stored size", unit: "B", log: true },
  ratio: { title: "stored size in parts of the JSON", unit: "", log: false },
  time: { title: "time per operation", unit: "s", log: true },
  rate: { title: "operations per second", unit: "", log: true },
  speed: { title: "speed", unit: "B/s", log: true },
  iteration: { title: "iteration", unit: "", log: false },
};

const CATEGORIES: Category[] = [
  "engine",
  "serializer",
  "compress",
  "b64",
  "encoding",
  "codec",
  "operation",
  "size",
];

const OPTION_NAMES = [
  "x",
  "y",
  "color",
  "facet",
  "operation",
  "size",
  "engine",
  "encoding",
  "title",
  "theme",
];

/**
 * Draws the rows' medians, with a line from quartile to quartile, as an SVG.
 *
 * @throws {TypeError} On a name that is no column.
 * @throws {Error} When there is nothing to draw.
 */
export async function chartSvg(
  rows: readonly ProfileRow[],
  options: ChartOptions = {},
): Promise<string> {
  checkNames(options, OPTION_NAMES);
  const view = new View(parse(compile(chartSpec(rows, options)).spec), { renderer: "none" });
  try {
    return finish(await view.toSVG(), options);
  } finally {
    view.finalize();
  }
}

/** The Vega-Lite specification of a chart. */
export function chartSpec(rows: readonly ProfileRow[], options: ChartOptions): TopLevelSpec {
  const channels = channelsOf(options);
  const { x, y, color, facet } = channels;
  const points = pointsOf(chooseRows(rows, options), Object.values(channels).includes("iteration"));
  const several = (column: string) => new Set(points.map((point) => point[column])).size > 1;
  const shown = (column: Category) => Object.values(channels).includes(column);
  // What has no channel and yet differs would make points that nobody can tell apart.
  const untold = shown("codec")
    ? color
    : shown("encoding")
    ? "serializer"
    : shown("serializer")
    ? "encoding"
    : "codec";
  const shape = several(untold) && !shown(untold) ? untold : color;
  const row = !shown("size") && several("size") ? "size" : undefined;
  const colors = several(color) ? { color: category(color, points, { range: PALETTE }) } : {};
  const beside = several(color) ? category(color, points) : undefined;
  const layer: object[] = [{
    mark: { type: "point", filled: true, size: 60, opacity: 1, color: PALETTE[0] },
    encoding: {
      ...colors,
      ...(several(shape) ? { shape: shapes(shape, shape !== color, points) } : {}),
      description: { field: "words" },
    },
  }];
  const noise = [["x", x], ["y", y]].find(([, column]) => isNoisy(column));
  if (noise) {
    const [channel, column] = noise;
    const quartiles = {
      [channel]: { ...axis(column as Measure, points), field: `${column}Low` },
      [`${channel}2`]: { field: `${column}High` },
    };
    layer.unshift({
      mark: { type: "rule", aria: false, opacity: 0.6, strokeWidth: 1.5, color: PALETTE[0] },
      encoding: { ...colors, ...quartiles },
    });
  }
  if (isMeasure(y) && (x === "size" || x === "rawSize" || x === "iteration")) {
    layer.unshift({
      mark: { type: "line", aria: false, opacity: 0.6, color: PALETTE[0] },
      encoding: { ...colors, ...(several(shape) ? { detail: { field: fieldOf(shape) } } : {}) },
    });
  }
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    ...(options.title ? { title: options.title } : {}),
    padding: 12,
    data: { values: points },
    facet: {
      column: { ...category(facet, points), header: { title: null } },
      ...(row ? { row: { ...category(row, points), header: { title: null } } } : {}),
    },
    spec: {
      width: isMeasure(x) ? 280 : { step: beside ? 9 : 24 },
      height: isMeasure(y) ? 220 : { step: beside ? 9 : 22 },
      encoding: {
        x: isMeasure(x) ? axis(x, points) : place(x, points),
        y: isMeasure(y) ? axis(y, points) : place(y, points),
        // Points of one place stand beside each other instead of on each other.
        ...(beside && !isMeasure(x) ? { xOffset: beside } : {}),
        ...(beside && !isMeasure(y) ? { yOffset: beside } : {}),
      },
      layer,
    },
    config: CONFIG,
  } as unknown as TopLevelSpec;
}

type Channels = Required<Pick<ChartOptions, "x" | "y" | "color" | "facet">>;

function channelsOf(options: ChartOptions): Channels {
  const { x = "speed", y = "engine", color = "codec", facet = "operation" } = options;
  const channels: Channels = { x, y, color, facet };
  for (const [channel, column] of Object.entries(channels)) {
    const onAxis = channel === "x" || channel === "y";
    const known: string[] = onAxis ? [...CATEGORIES, ...Object.keys(MEASURES)] : [...CATEGORIES];
    if (!known.includes(column)) {
      throw new TypeError(
        `Unknown column "${column}" for ${channel}, expected one of: ${known.join(", ")}`,
      );
    }
  }
  return channels;
}

function isMeasure(column: string): column is Measure {
  return column in MEASURES;
}

function isNoisy(column: string): boolean {
  return column === "time" || column === "rate" || column === "speed";
}

function fieldOf(column: Category): string {
  return column === "size" ? "sizeName" : column;
}

/** A channel of names, in the order in which they come; sizes from small to large. */
function category(column: Category, points: Point[], scale?: object): object {
  const names = order(column, points, ({ size }) => column === "size" ? Number(size) : 0);
  return {
    field: fieldOf(column),
    type: "nominal",
    sort: names,
    title: column,
    ...(scale ? { scale } : {}),
  };
}

/** Shapes; with a legend of their own unless they go with the colours. */
function shapes(column: Category, own: boolean, points: Point[]): object {
  const channel = category(column, points, { range: SHAPES });
  return own ? { ...channel, legend: { symbolFillColor: INK } } : channel;
}

/** A place for each name, the fastest first. */
function place(column: Category, points: Point[]): object {
  const names = order(column, points, ({ time, size }) => Math.log(Number(time) / Number(size)));
  return { ...category(column, points), sort: names, title: null };
}

/** The names in a column, ordered by the mean of a number of their points. */
function order(column: Category, points: Point[], by: (point: Point) => number): unknown[] {
  const field = fieldOf(column);
  const groups = Map.groupBy(points, (point) => point[field]);
  const mean = (group: Point[]) => group.reduce((sum, point) => sum + by(point), 0) / group.length;
  return [...groups].toSorted(([, a], [, b]) => mean(a) - mean(b)).map(([name]) => name);
}

/** An axis of numbers. */
function axis(column: Measure, points: Point[]): object {
  const { title, unit, log } = MEASURES[column];
  if (!log) return { field: column, type: "quantitative", title, scale: { zero: true } };
  return {
    field: column,
    type: "quantitative",
    title: `${title} (log scale)`,
    scale: { type: "log", nice: false, padding: 12 },
    axis: {
      labelExpr: `replace(format(datum.value, "~s"), /(\\D?)$/, " $1") + "${unit}"`,
      values: logTicks(
        points.flatMap((point) =>
          [`${column}Low`, column, `${column}High`].map((field) => Number(point[field] ?? NaN))
        ),
      ),
    },
  };
}

/** Powers of ten, with their double and fivefold when these alone would be few. */
function logTicks(values: number[]): number[] {
  const known = values.filter((value) => value > 0);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const first = Math.floor(Math.log10(least));
  const last = Math.ceil(Math.log10(most));
  const steps = most >= 100 * least ? [1] : [1, 2, 5];
  return Array.from({ length: last - first + 1 }, (_, i) =>
    steps.map((step) =>
      // From text, as 10 ** -6 * 5 is 0.0000049999.
      Number(`${step}e${first + i}`)
    )).flat();
}

/** Adds the theme, and what a mark stands for where the pointer rests on it. */
function finish(svg: string, options: ChartOptions): string {
  const { theme = "auto", x, y, title } = { ...channelsOf(options), ...options };
  const rules = {
    auto: `svg{${THEMES.light}}@media (prefers-color-scheme:dark){svg{${THEMES.dark}}}`,
    light: `svg{${THEMES.light}}`,
    dark: `svg{${THEMES.dark}}`,
    inherit: "",
  };
  if (!Object.hasOwn(rules, theme)) {
    throw new TypeError(
      `Unknown theme "${theme}", expected one of: ${Object.keys(rules).join(", ")}`,
    );
  }
  const style = rules[theme] && `<style>${rules[theme]}</style>`;
  return svg
    .replace(/^<svg /, `<svg role="img" aria-label="${escape(title ?? `${y} by ${x}`)}" `)
    .replace(/^<svg [^>]*>/, (opening) => opening + style)
    .replace(/(<path aria-label="([^"]*)"[^>]*)\/>/g, "$1><title>$2</title></path>");
}
