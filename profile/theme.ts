/** How charts and reports look. */

/**
 * Eight colours that differ in lightness too: any two are apart for people who see no red, green or
 * blue (found by search, distances in OKLab after Machado's simulation are 0.099 or more, Okabe and
 * Ito's eight have 0.076), and each has a contrast of 2.9 or more with a white and with a dark
 * page.
 */
export const PALETTE: string[] = [
  "#0066bb",
  "#cc8800",
  "#994477",
  "#0099ff",
  "#ff55aa",
  "#666611",
  "#9900ff",
  "#997766",
];

/**
 * The marks that go with the colours: seven to eight, so that 56 names have each a pair of its own.
 */
export const SHAPES = [
  "circle",
  "square",
  "triangle-up",
  "diamond",
  "cross",
  "triangle-down",
  "triangle-right",
];

/** Text and ground of a page, light and dark. */
export const THEMES = {
  light: "color:#1f2328;background:#ffffff",
  dark: "color:#e6e8eb;background:#16181d",
} as const;

/** What is drawn in the colour of the text around it is legible on a light and on a dark page. */
export const INK = "currentColor";

/** The look of all charts, for Vega-Lite. */
export const CONFIG = {
  font: "system-ui, sans-serif",
  background: null,
  title: { color: INK, anchor: "start", fontSize: 14 },
  axis: {
    labelColor: INK,
    titleColor: INK,
    domainColor: INK,
    tickColor: INK,
    gridColor: INK,
    gridOpacity: 0.15,
    domainOpacity: 0.5,
    tickOpacity: 0.5,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: "normal",
  },
  header: { labelColor: INK, titleColor: INK, labelFontSize: 12, labelFontWeight: "bold" },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    labelLimit: 240,
    symbolSize: 80,
    symbolOpacity: 1,
  },
  view: { stroke: INK, strokeOpacity: 0.2 },
};
