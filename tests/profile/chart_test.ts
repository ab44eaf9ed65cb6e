import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { PALETTE } from "../../profile/theme.ts";
import { Profile } from "../../profile/result.ts";
import { type Page, withChromium } from "../support/chromium.ts";
import { brokenRow, inventRows } from "../support/profile_rows.ts";

const noise = (iteration: number) => iteration / 20;
const profile = new Profile(
  [...inventRows({ noise }), brokenRow("keyv<b>&", 'no <img src="http://localhost/x">')],
  { deno: "<2>" },
);

/** How many points of data the page shows. */
const points = (page: Page) => page.locator('path[role="graphics-symbol"]').count();

/** The ground of the page and the colour of its text, as the browser resolves them. */
const colours = (page: Page, selector: string) =>
  page.evaluate<string[]>(`(() => {
    const style = getComputedStyle(document.querySelector(${JSON.stringify(selector)}));
    return [style.color, style.backgroundColor, style.fill];
  })()`);

const LIGHT = ["rgb(31, 35, 40)", "rgb(255, 255, 255)"];
const DARK = ["rgb(230, 232, 235)", "rgb(22, 24, 29)"];

Deno.test("profile.toSVG in Chromium: a mark for each engine, codec, size, and operation", () =>
  withChromium(async (look) => {
    const svg = await profile.toSVG();
    await look({ type: "svg", content: svg }, async (page) => {
      assertEquals(await page.evaluate("document.documentElement.localName"), "svg");
      assertEquals(await points(page), 3 * 4 * 2 * 2);
      const box = await page.evaluate(
        "JSON.stringify([...document.querySelectorAll('text')].every((t) => t.getBBox().width > 0))",
      );
      assertEquals(box, "true");
      const texts = await page.locator("text").allTextContents();
      for (const text of ["memory", "sqlite", "pairtree", "raw", "zstd+b64", "read", "write"]) {
        assert(texts.includes(text), `${text} is not among ${texts.join(", ")}`);
      }
      assert(texts.includes("speed (log scale)"));
      assert(texts.includes("10 MB/s"), texts.join());
      assertEquals(
        await page.locator("path > title").first().textContent(),
        "memory, hashstash raw, write of 1 kB: 6.90 µs, 145 MB/s, stored in 1 kB",
      );
    });
  }));

Deno.test("profile.toSVG in Chromium: light and dark, by the reader's wish or the caller's", () =>
  withChromium(async (look) => {
    const auto = await profile.toSVG({ size: 1_000 });
    const dark = await profile.toSVG({ size: 1_000, theme: "dark" });
    const light = await profile.toSVG({ size: 1_000, theme: "light" });
    for (
      const [content, colorScheme, expected] of [
        [auto, "light", LIGHT],
        [auto, "dark", DARK],
        [dark, "light", DARK],
        [light, "dark", LIGHT],
      ] as const
    ) {
      await look({ type: "svg", content, colorScheme }, async (page) => {
        assertEquals((await colours(page, "svg")).slice(0, 2), expected);
        assertEquals((await colours(page, "text"))[2], expected[0]);
      });
    }
    assert(!(await profile.toSVG({ theme: "inherit" })).includes("<style>"));
  }));

Deno.test("profile.toSVG in Chromium: any columns, facets, and a line where a size grows", () =>
  withChromium(async (look) => {
    const cases = [
      [{ x: "size", y: "time", color: "engine", encoding: "raw" }, 3 * 2 * 2, 3 * 2],
      [
        { x: "encoding", y: "rate", color: "engine", facet: "size", operation: "read" },
        3 * 4 * 2,
        0,
      ],
      [{ x: "ratio", y: "speed", engine: "sqlite", operation: "encode value" }, 4 * 2, 0],
      [{ x: "iteration", y: "time", engine: "memory", size: 1_000, operation: "read" }, 4 * 5, 4],
      [{ x: "b64", y: "compress", color: "operation", facet: "engine" }, 3 * 4 * 2 * 2, 0],
    ] as const;
    for (const [options, marks, lines] of cases) {
      const content = await profile.toSVG({ ...options, title: 'A <chart> & "more"' });
      await look({ type: "svg", content }, async (page) => {
        assertEquals(await points(page), marks, JSON.stringify(options));
        assertEquals(await page.locator("g.mark-line.role-mark path").count(), lines);
        assertEquals(await page.locator("text", { hasText: 'A <chart> & "more"' }).count(), 1);
      });
    }
  }));

Deno.test("profile.toSVG in Chromium: what has no channel of its own is told by shapes", () =>
  withChromium(async (look) => {
    const rows = inventRows({ engines: { memory: 1e-6 }, sizes: [1_000] });
    const both = new Profile([...rows, ...rows.map((row) => ({ ...row, serializer: "v8" }))]);
    const shapes = (page: Page, legend: string) =>
      page.evaluate<number>(`(() => {
        const legends = [...document.querySelectorAll("g.role-legend")];
        const named = legends.find((one) => one.textContent.endsWith(${JSON.stringify(legend)}));
        return new Set([...named.querySelectorAll("path[fill]")].map((path) => path.getAttribute("d"))).size;
      })()`);
    for (
      const [options, legend, count] of [
        [{ color: "encoding" }, "serializer", 2],
        [{ color: "serializer" }, "encoding", 4],
        [{ color: "operation", facet: "engine" }, "codec", 7],
        [{}, "codec", 7],
      ] as const
    ) {
      const content = await both.toSVG(options);
      assert(!/"(black|#000|white|#fff)[^"]*"/.test(content), "nothing is invisible in the dark");
      await look({ type: "svg", content }, async (page) => {
        assertEquals(await points(page), 2 * 4 * 2);
        assertEquals(await shapes(page, legend), count, JSON.stringify(options));
      });
    }
  }));

Deno.test("profile.toSVG: unknown columns and nothing to draw", async () => {
  await assertRejects(
    () => profile.toSVG({ x: "colour" as "time" }),
    TypeError,
    'Unknown column "colour" for x, expected one of: engine, ',
  );
  await assertRejects(
    () => profile.toSVG({ color: "time" as "engine" }),
    TypeError,
    'Unknown column "time" for color',
  );
  await assertRejects(
    () => profile.toSVG({ theme: "sepia" as "dark" }),
    TypeError,
    'Unknown theme "sepia", expected one of: auto, light, dark, inherit',
  );
  await assertRejects(
    () => profile.toSVG({ colour: "engine" } as object),
    TypeError,
    'Unknown option "colour", expected one of: x, y, color',
  );
  await assertRejects(() => profile.toSVG(null as unknown as object), TypeError, "got null");
  await assertRejects(() => profile.toSVG({ size: 7 }), Error, "Cannot draw a chart: no row");
});

Deno.test("profile.toHTML in Chromium: charts, recommendations, table, and no request", () =>
  withChromium(async (look) => {
    const content = await profile.toHTML("Profile of <mine>");
    assert(!/<script|<link[^>]*href="http|url\(/.test(content));
    for (const [colorScheme, expected] of [["light", LIGHT], ["dark", DARK]] as const) {
      await look({ type: "html", content, colorScheme }, async (page) => {
        assertEquals(await page.title(), "Profile of <mine>");
        assertEquals(await page.locator("svg").count(), 3);
        assertEquals(await points(page), 3 * 4 * 2 * 2 + 4 * 2 * 2 + 3 * 2 * 2);
        assertEquals(await page.locator("tbody tr").count(), 3 * 4 * 2);
        assertEquals(
          await page.locator("section", { hasText: "Could not run" }).locator("li")
            .allTextContents(),
          ['keyv<b>&: no <img src="http://localhost/x">'],
        );
        assertMatch(
          (await page.locator("section", { hasText: "Recommended" }).locator("li").first()
            .textContent())!,
          /^Best for reads of 1 kB, 10 kB: memory with raw/,
        );
        assertEquals(await page.locator("img").count(), 0);
        assertEquals((await colours(page, "body")).slice(0, 2), expected);
        assertEquals((await colours(page, "svg text"))[2], expected[0]);
      });
    }
  }));

Deno.test("profile.toHTML: on a narrow screen only what is wide scrolls", () =>
  withChromium(async (look) => {
    await look({ type: "html", content: await profile.toHTML() }, async (page) => {
      await page.setViewportSize({ width: 380, height: 700 });
      const width = await page.evaluate("document.documentElement.scrollWidth");
      assertEquals(width, 380);
    });
  }));

Deno.test("profile.toHTML: a profile in which nothing ran is still a report", () =>
  withChromium(async (look) => {
    const nothing = new Profile([brokenRow("redis", "no server")]);
    await look({ type: "html", content: await nothing.toHTML() }, async (page) => {
      assertEquals(await page.locator("svg").count(), 0);
      assertStringIncludes((await page.locator("body").textContent())!, "redis: no server");
    });
  }));

Deno.test("palette: any two colours are apart however one sees, and legible on both grounds", () => {
  const seen = PALETTE.map((colour) => SIGHTS.map((sight) => perceived(colour, sight)));
  for (const [i, one] of seen.entries()) {
    for (const [j, other] of seen.entries()) {
      if (i >= j) continue;
      const distance = Math.min(
        ...one.map((lab, sight) => Math.hypot(...minus(lab, other[sight]))),
      );
      assert(distance > 0.098, `${PALETTE[i]} and ${PALETTE[j]} are only ${distance} apart`);
    }
    for (const ground of ["#ffffff", "#16181d"]) {
      const [less, more] = [luminance(PALETTE[i]), luminance(ground)].sort((a, b) => a - b);
      assert((more + 0.05) / (less + 0.05) > 2.9, `${PALETTE[i]} on ${ground}`);
    }
  }
});

type Triple = [number, number, number];

/** Full sight, and Machado's matrices (2009) for sight without red, green and blue cones. */
const SIGHTS: Triple[][] = [
  [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
];

function apply(matrix: Triple[], [a, b, c]: Triple): Triple {
  return matrix.map(([x, y, z]) => x * a + y * b + z * c) as Triple;
}

function minus(a: Triple, b: Triple): Triple {
  return a.map((value, i) => value - b[i]) as Triple;
}

/** Linear sRGB. */
function linear(colour: string): Triple {
  return [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as Triple;
}

function luminance(colour: string): number {
  const [red, green, blue] = linear(colour);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The colour in OKLab, as it is seen. */
function perceived(colour: string, sight: Triple[]): Triple {
  const rgb = apply(sight, linear(colour)).map((value) => Math.max(0, value)) as Triple;
  const cones = apply([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
  ], rgb).map(Math.cbrt) as Triple;
  return apply([
    [0.2104542553, 0.793617785, -0.0040720468],
    [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766],
  ], cones);
}
