/** OpenTelemetry and the channels, in programs of their own: acceptance cases 155 and 156. */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { outputOf, ROOT_URL } from "../../dev/run.ts";
import { ENGINES, TestBed } from "../support/bed.ts";
import { runScript } from "../support/child.ts";
import { SECRET } from "../support/telemetry_worker.ts";

/** Deno's own OpenTelemetry, which writes what it would export to stderr. */
const CONSOLE = { OTEL_DENO: "true", OTEL_EXPORTER_OTLP_PROTOCOL: "console" };

async function run(worker: string, options: unknown, env: Record<string, string> = {}) {
  const script = `tests/support/${worker}`;
  const args = ["run", "-A", "--no-check", "--unstable-kv", script, JSON.stringify(options)];
  const { success, stdout, stderr } = await outputOf(args, { env });
  assert(success, stderr);
  return { out: stdout, exported: stderr };
}

interface ExportedSpan {
  readonly name: string;
  readonly id: string;
  readonly parent?: string;
  readonly text: string;
}

/** The spans of the console exporter. */
function spansOf(exported: string): ExportedSpan[] {
  return exported.split(/^(?=SPAN|METRIC|LOG)/m).filter((part) => part.startsWith("SPAN"))
    .map((text) => {
      const [, name, id] = text.match(/^SPAN (.*) \[\w+\/(\w+)\]/)!;
      return { name, id, parent: text.match(/^ {2}parent: (\w+)/m)?.[1], text };
    });
}

/** How often a metric has counted these attributes. */
function countOf(exported: string, metric: string, attributes: string): number {
  const part = exported.split(/^(?=SPAN|METRIC|LOG)/m)
    .find((part) => part.startsWith(`METRIC ${metric} `)) ?? "";
  const sorted = (list: string) => list.split(", ").sort().join();
  const line = part.split("\n").find((line) => {
    const [, list] = line.match(/^ {2}\{(.*)\} /) ?? [];
    return list !== undefined && sorted(list) === sorted(attributes);
  });
  return Number(line?.match(/(?:count|value)=(\d+)/)?.[1] ?? 0);
}

/** The spans below each span of the program. */
function assertBelow(spans: readonly Omit<ExportedSpan, "text">[]): void {
  const idOf = (name: string) => spans.find((span) => span.name === name)?.id;
  const below = (name: string) =>
    spans.filter(({ parent }) => parent !== undefined && parent === idOf(name));
  const compute = "hashstash.compute";
  for (const kind of ["", " the generator", " the batch"]) {
    const [run, ...more] = below(`outside${kind}`);
    assertEquals([run.name, more], [kind === " the batch" ? "hashstash.batch" : compute, []]);
    assertEquals(spans.find(({ name }) => name === `inside${kind}`)?.parent, run.id);
  }
  assertEquals(below("together").map(({ name }) => name).sort(), [compute, "hashstash.wait"]);
  assertEquals(below("failing").map(({ name }) => name), [compute]);
}

for (const engine of ENGINES) {
  Deno.test(`155, 156: Deno's OpenTelemetry with ${engine}`, async (t) => {
    await using bed = await TestBed.create(engine);
    const options = bed.options({ name: "watched" });
    const { out, exported } = await run("telemetry_worker.ts", options, CONSOLE);
    await t.step("a span below the caller's for each run and wait", () => {
      const spans = spansOf(exported);
      assertBelow(spans);
      const failed = spans.filter(({ text }) => text.includes("status: Error"));
      assertEquals(failed.map(({ name }) => name), ["hashstash.compute"]);
      assertStringIncludes(failed[0].text, "error.type: RangeError");
    });
    await t.step("the outcomes are counted", () => {
      const operation = (operation: string, outcome: string) => {
        const attributes =
          `engine=${engine}, name=watched, operation=${operation}, outcome=${outcome}`;
        return countOf(exported, "hashstash.operation.duration", attributes);
      };
      // The functions, what was asked for twice together, and what fails miss.
      assertEquals([operation("get", "hit"), operation("get", "miss")], [2, 6]);
      for (const name of ["setMany", "getMany", "pop", "deleteMany", "prune", "clear"]) {
        assertEquals([name, operation(name, "ok")], [name, 1]);
      }
      assertEquals([operation("set", "ok"), operation("invalidate", "ok")], [1, 2]);
      const failed = `engine=${engine}, error.type=RangeError, name=watched, `;
      const count = (metric: string, rest: string) => countOf(exported, metric, failed + rest);
      assertEquals(count("hashstash.operation.duration", "operation=modify, outcome=error"), 1);
      assertEquals(count("hashstash.compute.duration", "outcome=error"), 1);
      const computed = `engine=${engine}, name=watched, outcome=ok`;
      assertEquals(countOf(exported, "hashstash.compute.duration", computed), 4);
      const temporary = `engine=${engine}, name=.tmp-*, operation=set, outcome=ok`;
      assertEquals(countOf(exported, "hashstash.operation.duration", temporary), 1);
      assertGreater(countOf(exported, "hashstash.evictions", "engine=memory, name=small"), 0);
      assertStringIncludes(exported, "bounds:  [1e-5, 2.5e-5,");
      assertStringIncludes(exported, "(Histogram, unit=s)");
    });
    await t.step("no exported byte has a key, a value, a tag or an error's message", () => {
      const types = new Set(JSON.parse(out).map(({ type }: { type: string }) => type));
      for (const type of ["hit", "miss", "set", "delete", "evict", "compute", "wait", "error"]) {
        assert(types.has(type), type);
      }
      assertEquals(exported.includes(SECRET), false);
      assertEquals(out.includes(SECRET), false);
    });
  });
}

Deno.test("156: keys are in spans and channels, not in metrics, with telemetry.keys", async () => {
  const options = { engine: "memory", telemetry: { keys: true } };
  const { out, exported } = await run("telemetry_worker.ts", options, CONSOLE);
  assertStringIncludes(out, SECRET);
  const [spans, metrics] = [/^SPAN/, /^METRIC/].map((kind) =>
    exported.split(/^(?=SPAN|METRIC|LOG)/m).filter((part) => kind.test(part)).join("")
  );
  assertStringIncludes(spans, `key: [ "${SECRET} of a key" ]`);
  assertEquals([spans.includes("of a value"), spans.includes("of an error")], [false, false]);
  assertEquals([metrics.includes("hashstash."), metrics.includes(SECRET)], [true, false]);
});

Deno.test("155, 156: an SDK of OpenTelemetry that the program has registered", async () => {
  const { out } = await run("telemetry_sdk_worker.ts", { engine: "memory" });
  assertEquals(out.includes(SECRET), false);
  const { spans, metrics } = JSON.parse(out);
  assertBelow(spans);
  const failed = spans.filter(({ status }: { status: { code: number } }) => status.code === 2);
  assertEquals(failed.length, 1);
  assertEquals(failed[0].status, { code: 2 });
  assertEquals(failed[0].attributes["error.type"], "RangeError");
  interface Metric {
    descriptor: { name: string; unit: string };
    dataPoints: {
      attributes: Record<string, string>;
      value: { count: number; buckets: { boundaries: number[] } };
    }[];
  }
  const all: Metric[] = metrics.flatMap((scope: { metrics: Metric[] }) => scope.metrics);
  const duration = all.find(({ descriptor }) =>
    descriptor.name === "hashstash.operation.duration"
  )!;
  assertEquals(duration.descriptor.unit, "s");
  const hits = duration.dataPoints.find(({ attributes }) =>
    attributes.name === "watched" && attributes.outcome === "hit"
  )!;
  assertEquals(hits.attributes, {
    operation: "get",
    outcome: "hit",
    engine: "memory",
    name: "watched",
  });
  assertEquals([hits.value.count, hits.value.buckets.boundaries[0]], [2, 1e-5]);
  const names = all.map(({ descriptor }) => descriptor.name).sort();
  assertEquals(names, [
    "hashstash.compute.duration",
    "hashstash.evictions",
    "hashstash.operation.duration",
  ]);
});

Deno.test("telemetry: without OpenTelemetry nothing is exported", async () => {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: "console" };
  const script = `
    import { HashStash } from "./mod.ts";
    await using stash = new HashStash({ engine: "memory" });
    await stash.getOrSet("a", () => 1);
    console.log(Reflect.get(globalThis, Symbol.for("opentelemetry.js.api.1")));
  `;
  const { success, stdout, stderr } = await runScript(script, [], env);
  assertEquals([success, stdout, stderr], [true, "undefined\n", ""]);
});

Deno.test("telemetry: the dashboard asks for what there is", async () => {
  const dashboard = JSON.parse(await Deno.readTextFile(new URL("docs/grafana.json", ROOT_URL)));
  const { exported } = await run("telemetry_worker.ts", { engine: "memory" }, CONSOLE);
  const metrics = exported.split(/^(?=SPAN|METRIC|LOG)/m).filter((part) => /^METRIC/.test(part));
  const [names, labels] = [new Set<string>(), new Set(["le"])];
  for (const metric of metrics) {
    const [, name, kind] = metric.match(/^METRIC (\S+) \((\w+)/)!;
    // As Prometheus has them.
    const base = name.replaceAll(".", "_");
    if (kind === "Sum") names.add(`${base}_total`);
    else for (const end of ["bucket", "count", "sum"]) names.add(`${base}_seconds_${end}`);
    for (const [, list] of metric.matchAll(/^ {2}\{(.*)\} /gm)) {
      for (const pair of list.split(", ")) labels.add(pair.split("=")[0].replace(".", "_"));
    }
  }
  interface Panel {
    readonly title: string;
    readonly targets: { readonly expr: string }[];
  }
  const panels: Panel[] = dashboard.panels;
  assertGreater(panels.length, 5);
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      const asked = [...expr.matchAll(/hashstash_\w+/g)].map(([name]) => name);
      assertGreater(asked.length, 0, title);
      assertEquals(asked.filter((name) => !names.has(name)), [], title);
      const by = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list.split(", "));
      const matched = [...expr.matchAll(/(\w+)=~?"/g)].map(([, label]) => label);
      assertEquals([...by, ...matched].filter((label) => !labels.has(label)), [], title);
    }
  }
});
