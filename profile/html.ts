import { escape } from "@std/html";
import { failures, summaryTable } from "./text.ts";
import { THEMES } from "./theme.ts";
import { chartSvg } from "./chart.ts";
import type { ChartOptions } from "./chart_options.ts";
import type { Profile } from "./result.ts";
import type { ProfileRow } from "./row.ts";

/**
 * A report as one HTML file: recommendations, charts, the table. It has no script and asks for
 * nothing from anywhere, which its content security policy enforces.
 */
export async function profileHtml(profile: Profile, title: string): Promise<string> {
  const { head, lines } = summaryTable(profile.rows);
  const charts = await drawCharts(profile.rows);
  const about = Object.entries(profile.about).map(([name, value]) => `${name} ${value}`);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p>${escape(about.join(" \u00b7 "))}</p>
${section("Recommended", list(profile.verdicts()))}
${section("Could not run", list(failures(profile.rows)))}
${
    charts.map(([heading, note, svg]) =>
      section(heading, `<p>${escape(note)}</p>\n<div class="wide">${svg}</div>`)
    ).join("\n")
  }
${
    section(
      "All medians",
      `<div class="wide"><table>\n<thead>${tableLine("th", head)}</thead>\n<tbody>\n${
        lines.map((line) => tableLine("td", line)).join("\n")
      }\n</tbody>\n</table></div>`,
    )
  }
</main>
</body>
</html>
`;
}

type Chart = [heading: string, note: string, svg: string];

async function drawCharts(rows: readonly ProfileRow[]): Promise<Chart[]> {
  const timed = rows.filter(({ error }) => error === undefined);
  const has = (operation: string) => timed.some((row) => row.operation === operation);
  const encodings = [...new Set(timed.map(({ encoding }) => encoding))];
  const plain = encodings.includes("raw") ? "raw" : encodings[0];
  const draw = (options: ChartOptions, of: readonly ProfileRow[] = timed) =>
    chartSvg(of, { ...options, theme: "inherit" });
  const charts: Chart[] = [];
  if (timed.length > 0) {
    charts.push([
      "Speed by engine",
      "Right is better. A mark is the median, its line goes from quartile to quartile.",
      await draw({}),
    ]);
  }
  if (has("encode value")) {
    // The codec is the same in every engine, so all that it did counts together.
    const together = timed.map((row) => ({ ...row, engine: "all" }));
    charts.push([
      "Stored size against speed, by codec",
      "Left is smaller, up is faster.",
      await draw({
        x: "ratio",
        y: "speed",
        operation: ["encode value", "decode value"],
      }, together),
    ]);
  }
  if (new Set(timed.map(({ size }) => size)).size > 1) {
    charts.push([
      "Growth with size",
      `Down is better. Only the codec "${plain}".`,
      await draw({
        x: "size",
        y: "time",
        color: "engine",
        encoding: plain,
      }),
    ]);
  }
  return charts;
}

function section(heading: string, content: string): string {
  return content && `<section>\n<h2>${escape(heading)}</h2>\n${content}\n</section>`;
}

function list(texts: string[]): string {
  return texts.length &&
      `<ul>\n${texts.map((text) => `<li>${escape(text)}</li>`).join("\n")}\n</ul>` || "";
}

function tableLine(tag: "td" | "th", cells: string[]): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("")}</tr>`;
}

const STYLE = `
body{${THEMES.light};margin:0;font:16px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;margin:0}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .75rem;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}
th:nth-child(2),td:nth-child(2),th:nth-child(3),td:nth-child(3){text-align:left}
@media (prefers-color-scheme:dark){body{${THEMES.dark}}}
`;
