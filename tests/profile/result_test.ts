import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Profile } from "../../profile/result.ts";
import { COLUMNS, OPERATIONS, type ProfileRow } from "../../profile/row.ts";
import { provable, quantile, seededRandom } from "../../profile/statistics.ts";
import { brokenRow, inventRows } from "../support/profile_rows.ts";

const API_COLUMNS =
  ("engine, serializer, compress, b64, encoding, operation, size, rawSize, storedSize, ratio, " +
    "iteration, time, rate, speed").split(", ");

Deno.test("profile rows: exactly the columns of the API, and an error only where there is one", () => {
  const [row] = inventRows();
  assertEquals(Object.keys(row), API_COLUMNS);
  assertEquals(COLUMNS.slice(0, -1) as string[], API_COLUMNS);
  assertAlmostEquals(row.rate * row.time, 1);
  assertAlmostEquals(row.speed, row.rawSize / row.time / 1e6);
  assertEquals(Object.keys(brokenRow("redis", "no server")), [...API_COLUMNS, "error"]);
});

Deno.test("profile.summary: median, 95th percentile and spread of each group", () => {
  const rows = inventRows({ engines: { memory: 1e-6 }, sizes: [1_000] })
    .filter(({ operation, encoding }) => operation === "read" && encoding === "raw")
    .map((row, i) => ({ ...row, time: [5, 1, 2, 3, 100][i] }));
  const [summary, ...others] = new Profile(rows).summary();
  assertEquals(others, []);
  assertEquals(summary.count, 5);
  assertEquals(summary.median, 3);
  assertEquals([summary.min, summary.q25, summary.q75, summary.max], [1, 2, 5, 100]);
  assertAlmostEquals(summary.p95, 81);
  assertEquals(summary.spread, 1);
  assertAlmostEquals(summary.rate, 1 / 3);
  const all = new Profile([...inventRows(), brokenRow("redis", "no server")]).summary();
  assertEquals(all.length, 3 * 4 * 2 * OPERATIONS.length);
  assert(all.every(({ median }) => median > 0));
});

Deno.test("profile.best: the engine and codec with the least time, by how much, how sure", () => {
  const profile = new Profile(inventRows({ noise: (iteration) => 0.02 * iteration }));
  const best = profile.best({ operation: "read", size: 1_000 });
  assertEquals([best.engine, best.encoding, best.factor], ["memory", "raw", 1]);
  assertAlmostEquals(best.time, (1e-6 + 5e-6) * 1.06);
  assertEquals(best.nextEngine?.engine, "sqlite");
  assertAlmostEquals(best.nextEngine?.factor ?? 0, (5e-5 + 5e-6) / 6e-6);
  assertEquals(best.nextEngine?.sure, true);
  assert(best.nextEngine!.confidence > 0.99);
  assertEquals(best.nextCodec?.encoding, "b64");
  assertEquals(best.ranking.length, 12);
  const factors = best.ranking.map(({ factor }) => factor);
  assertEquals(factors, factors.toSorted((a, b) => a - b));
  assertStringIncludes(best.verdict, "Best for reads of 1 kB: memory with raw, 6.36 µs. ");
  assertStringIncludes(
    best.verdict,
    "The next engine, sqlite with raw, costs 9.17 times as much (> 99 % sure). ",
  );
});

Deno.test("profile.best: small size, a mix, a choice of engines, several sizes", () => {
  const profile = new Profile(inventRows());
  const small = profile.best({ operation: "size" });
  assertEquals([small.encoding, small.ratio], ["zstd", 0.4]);
  assertEquals(
    small.verdict,
    "Best for size of 1 kB, 10 kB: zstd, 0.40 of the JSON, on any engine. " +
      "The next codec, zstd+b64, costs 1.33 times as much (> 99 % sure).",
  );
  assertEquals(profile.best({ mix: { size: 1, read: 0 } }).encoding, "zstd");
  assertEquals(profile.best({ mix: { read: 9, size: 1 } }).encoding, "raw");
  const lasting = profile.best({ engine: ["sqlite", "pairtree"] });
  assertEquals(lasting.engine, "sqlite");
  assertEquals(lasting.goal, "50 % read + 50 % write");
  assertEquals(lasting.sizes, [1_000, 10_000]);
  const of = "Best of sqlite and pairtree, for 50 % read + 50 % write of 1 kB, 10 kB: sqlite with";
  assertStringIncludes(lasting.verdict, of);
  assertAlmostEquals(lasting.time, Math.sqrt((5e-5 + 5e-6) * (5e-5 + 5e-5)));
});

Deno.test("profile.best: differences within the noise are said to be no difference", () => {
  const random = seededRandom(3);
  const rows = inventRows({ engines: { one: 1e-4, two: 1.02e-4 }, noise: () => random() * 0.5 });
  const best = new Profile(rows).best({ operation: "write", size: 1_000 });
  assertEquals(best.nextEngine?.sure, false);
  assert(best.nextEngine!.confidence < 0.95);
  assertMatch(best.verdict, /costs 1\.\d\d times as much(: no difference that counts| \(only )/);
});

Deno.test("profile.best: one measurement proves nothing, however far apart", () => {
  const best = new Profile(inventRows({ iterations: 1 })).best({ operation: "read" });
  assertEquals(best.nextEngine?.confidence, 0.5);
  assertEquals(best.nextEngine?.sure, false);
  assertMatch(best.verdict, /costs \d\.\d\d times as much \(only 50 % sure\)/);
  assertEquals([1, 2, 3, 5].map((n) => Math.round(1_000 * provable(n))), [500, 833, 950, 996]);
});

Deno.test("profile.best: the same rows give the same answer", () => {
  const rows = inventRows({ noise: (iteration) => iteration / 10 });
  assertEquals(new Profile(rows).best(), new Profile(rows).best());
});

Deno.test("profile.best: an engine that missed a part of what counts is no candidate", () => {
  const rows = inventRows().filter((row) => row.engine !== "memory" || row.size === 1_000);
  const profile = new Profile([...rows, brokenRow("redis", "no server")]);
  assertEquals(profile.best().engine, "sqlite");
  assertEquals(profile.best({ size: 1_000 }).engine, "memory");
  assertThrows(
    () => profile.best({ engine: "redis" }),
    Error,
    "Cannot recommend an engine for 50 % read + 50 % write: none of redis ran all of it",
  );
});

Deno.test("profile.best: options that make no sense", () => {
  const profile = new Profile(inventRows());
  assertThrows(() => profile.best({ size: 7 }), RangeError, "expected one of: 1000, 10000");
  assertThrows(
    () => profile.best({ operation: "fetch" as "read" }),
    TypeError,
    'Unknown operation "fetch", expected one of: encode key',
  );
  assertThrows(() => profile.best({ mix: { read: -1 } }), RangeError, 'weight of "read"');
  assertThrows(() => profile.best({ mix: { read: 0 } }), RangeError, "above 0");
  assertThrows(
    () => profile.best({ sizes: 1_000 } as object),
    TypeError,
    'Unknown option "sizes", expected one of: operation, size, mix, engine',
  );
  assertThrows(() => new Profile([]).best(), Error, "Cannot recommend");
});

Deno.test("String(profile): an aligned table, what could not run, and what is recommended", () => {
  const profile = new Profile([...inventRows(), brokenRow("redis", "no server")]);
  const [table, failed, verdicts] = String(profile).split("\n\n");
  const lines = table.split("\n");
  assertEquals(lines.length, 2 + 3 * 4 * 2);
  assertMatch(lines[0], /^size +engine +codec +ratio +write +read +encode value +decode value$/);
  assertEquals(new Set(lines.map((line) => line.length)).size, 1, "all lines are of one length");
  assertMatch(lines[2], /^1 kB +memory +raw +1\.00 +6\.00 µs +6\.00 µs +5\.00 µs +5\.00 µs$/);
  assertEquals(failed, "Could not run redis: no server");
  assertMatch(verdicts, /^Best for reads of 1 kB, 10 kB: memory with raw/);
  assertMatch(
    verdicts,
    /\nBest of the engines that outlive the process, for reads of 1 kB, 10 kB: sqlite with raw/,
  );
  assertEquals(String(new Profile([])), "size  engine  codec  ratio\n────  ──────  ─────  ─────");
});

Deno.test("profile.toCSV, table: all rows and columns; what is not a number is empty", () => {
  const profile = new Profile([...inventRows(), brokenRow("redis", 'no "server", sorry')]);
  const lines = profile.toCSV().trimEnd().split("\n");
  assertEquals(lines[0], [...API_COLUMNS, "error"].join(","));
  assertEquals(lines.length, 1 + profile.rows.length);
  assertEquals(
    lines.at(-1),
    'redis,hashstash,false,false,raw,write,1000,,,,1,,,,"no ""server"", sorry"',
  );
  const medians = profile.table().params({ read: "read" })
    .filter((row: ProfileRow, $: { read: string }) => row.operation === $.read)
    .groupby("engine").count();
  assertEquals(medians.numRows(), 3);
});

Deno.test("profile.toJSON and fromJSON: the same profile again, by way of text", () => {
  const profile = new Profile([...inventRows(), brokenRow("redis", "no server")], { deno: "2" });
  const text = JSON.stringify(profile);
  assertStringIncludes(text, '"time":null');
  const again = Profile.fromJSON(JSON.parse(text));
  assertEquals(again.rows, profile.rows);
  assertEquals(again.about, profile.about);
});

Deno.test("quantile: between the values, and of none", () => {
  assertEquals(quantile([1, 2, 4], 0.75), 3);
  assertEquals(quantile([7], 0.95), 7);
  assertEquals(quantile([], 0.5), NaN);
});
