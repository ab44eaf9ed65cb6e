/**
 * The package for npm in Node and Bun: in processes of these runtimes, which come from npm. Prints
 * a table of what ran. Where npm or its registry can't be reached nothing of this runs, and that is
 * said; in CI it is an error. On Linux alone: npm does not have all of them for each other system.
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "../../dev/run.ts";
import type { Runtime } from "../../dev/runtimes.ts";
import config from "../../deno.json" with { type: "json" };
import { type EngineName, ENGINES, TestBed } from "../support/bed.ts";
import { inDeno, type Program, WorkerProcess } from "../support/child.ts";
import { testKills } from "../support/kill.ts";
import { testProcesses } from "../support/processes.ts";
import { install, type Installed } from "../support/runtimes/package.ts";
import type { SuiteResult } from "../support/runtimes/suite_main.ts";

let installed: Installed | undefined;
try {
  if (Deno.build.os === "linux") installed = await install();
  else console.error("NODE AND BUN ARE NOT TESTED HERE, but on Linux");
} catch (error) {
  if (Deno.env.get("CI") === "true") throw error;
  console.error(`NODE AND BUN WERE NOT TESTED: they can't be installed: ${error}`);
}

/** What ran, by runtime and engine. */
const table: Record<string, Record<string, string>> = {};

function report(runtime: Runtime, engine: string, what: string): void {
  const row = table[`${engine} on ${runtime.name}`] ??= {};
  const [column, ...words] = what.split(": ");
  row[column] = words.join(": ");
}

Deno.test.afterAll(async () => {
  if (installed === undefined) return;
  console.table(table);
  await installed[Symbol.asyncDispose]();
});

/** Registers a test with the runtimes. */
function test(
  name: string,
  fn: (installed: Installed, t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    name: `in Node and Bun: ${name}`,
    ignore: installed === undefined,
    fn: (t) => fn(installed!, t),
  });
}

/** All but those that a runtime lacks. */
function enginesOf({ name }: Runtime): EngineName[] {
  return ENGINES.filter((engine) => engine !== "shelve" || name !== "Bun");
}

/** Runs suites one after another, each with a server of its own where the engine needs one. */
async function runSuites(
  { program }: Installed,
  runtime: Runtime,
  engine: EngineName,
  suites: ("contract" | "behaviours")[],
): Promise<void> {
  const [command, script] = program(runtime)("./runtimes/suite_main.ts");
  for (const suite of suites) {
    await using bed = await TestBed.create(engine);
    const argument = JSON.stringify({ engine, options: bed.place.options, suite });
    const { stdout, stderr } = await outputOf([script, argument], {}, command);
    const line = stdout.trimEnd().split("\n").at(-1);
    assert(line, `${engine} in ${runtime.name}: ${stderr}`);
    const { passed, failed }: SuiteResult = JSON.parse(line);
    report(runtime, engine, `${suite}: ${passed}`);
    assertEquals(failed, [], `${engine} in ${runtime.name}, ${suite}`);
    assert(passed > 50, `only ${passed} cases ran`);
  }
}

test("every engine passes the contract and the behaviours", async (installed, t) => {
  const { node22, node24, current, bun } = installed;
  for (const engine of ENGINES) {
    const run = async (runtime: Runtime, ...suites: ("contract" | "behaviours")[]) => {
      if (enginesOf(runtime).includes(engine)) await runSuites(installed, runtime, engine, suites);
    };
    // All cases in the ends of what there is, the oldest and the other one. At the same time: most
    // of it waits for timers and disks.
    await t.step(engine, async () => {
      const runs = [
        run(node22, "contract", "behaviours"),
        run(bun, "contract", "behaviours"),
        run(node24, "contract").then(() => run(current, "contract")),
      ];
      for (const result of await Promise.allSettled(runs)) {
        if (result.status === "rejected") throw result.reason;
      }
    });
  }
});

test("Deno, Node and Bun share a store", async (installed, t) => {
  const { node22, current, bun, program } = installed;
  const mixed = [inDeno, ...[node22, bun, current].map(program)];
  for (const engine of ENGINES.filter((engine) => engine !== "memory")) {
    const programs = mixed.filter((one) => engine !== "shelve" || one !== mixed[2]);
    await t.step(engine, async (t) => {
      await testProcesses(t, engine, undefined, programs);
      for (
        const runtime of [node22, bun, current].filter((one) => enginesOf(one).includes(engine))
      ) {
        report(runtime, engine, "processes: 4, with Deno");
      }
    });
  }
});

test("what was acknowledged survives that they are killed", async (installed, t) => {
  const { node22, bun, program } = installed;
  const rounds = 6;
  for (const engine of ENGINES.filter((engine) => engine !== "memory")) {
    for (const runtime of [node22, bun]) {
      if (!enginesOf(runtime).includes(engine)) continue;
      await t.step(`${engine} in ${runtime.name}`, async () => {
        await testKills(engine, undefined, { program: program(runtime), rounds });
        report(runtime, engine, `kill -9: ${rounds}`);
      });
    }
  }
});

/** A process that takes a lock. */
class Holder extends WorkerProcess {
  constructor(path: string, program: Program, env?: Record<string, string>) {
    super("./runtimes/lock_main.ts", path, env, program);
  }

  /** Waits until it has the lock. */
  async held(): Promise<void> {
    assertEquals(await this.line(), "held");
  }
}

/** Whether it does not get the lock for so long. */
async function waits(next: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(true), 400));
  const result = await Promise.race([next.then(() => false), late]);
  clearTimeout(timer);
  return result;
}

test("a lock excludes the others, and goes with its process", async (installed, t) => {
  const { node22, current, bun, program } = installed;
  const programs = { Deno: inDeno } as Record<string, Program>;
  for (const runtime of [node22, current, bun]) programs[runtime.name] = program(runtime);
  const folder = await Deno.makeTempDir();
  try {
    for (const [first, own] of Object.entries(programs)) {
      for (const [second, other] of Object.entries(programs)) {
        await t.step(`${first}, then ${second}`, async () => {
          // A new one, as it is to who comes first; and for both as one that all have used.
          for (const path of [join(folder, `${first} ${second}`), join(folder, "shared")]) {
            await using holder = new Holder(path, own);
            await holder.held();
            await using waiting = new Holder(path, other);
            const next = waiting.held();
            assert(await waits(next), `${second} has the lock that ${first} holds`);
            holder.kill();
            await next;
          }
        });
      }
    }
    for (const { name } of [node22, bun]) {
      await t.step(`Deno, then ${name} where there is no program flock`, async () => {
        const path = join(folder, `${name} alone`);
        await using holder = new Holder(path, inDeno);
        await holder.held();
        await using waiting = new Holder(path, programs[name], { PATH: folder });
        const next = waiting.held();
        assert(await waits(next), `${name} has the lock that Deno holds`);
        holder.kill();
        await next;
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("every entry point can be imported, and everything is transpiled", async (installed) => {
  const { node22, node24, current, bun, app, package: root } = installed;
  const entries = Object.keys(config.exports).filter((entry) => entry !== "./cli");
  const script = join(app, "entries.js");
  await Deno.writeTextFile(
    script,
    entries.map((entry) => {
      const specifier = JSON.stringify(`@hashstash/hashstash${entry.slice(1)}`);
      return `console.log(Object.keys(await import(${specifier})).length > 0);\n`;
    }).join(""),
  );
  for (const { command, name } of [node22, node24, current, bun]) {
    const { stdout, stderr } = await outputOf([script], {}, command);
    assertEquals(stdout, "true\n".repeat(entries.length), `${name}: ${stderr}`);
  }
  const raw: string[] = [];
  const look = async (folder: string, path: string) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) await look(join(folder, name), `${path}${name}/`);
      else if (name.endsWith(".ts") && !name.endsWith(".d.ts")) raw.push(path + name);
    }
  };
  await look(root, "");
  // Beside the examples: what needs packages of several megabytes, and what loads `@db/sqlite`: on Deno alone.
  assertEquals(raw.filter((path) => !path.startsWith("examples/")).sort(), [
    "engines/sqlite/prefetch.ts",
    "profile/chart.ts",
    "profile/html.ts",
    "profile/points.ts",
    "profile/theme.ts",
    "store/table.ts",
  ]);
});

test("a program in TypeScript checks and runs", async (installed) => {
  const { node22, node24, current, bun, app, folder } = installed;
  await Deno.writeTextFile(
    join(app, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        target: "es2022",
        lib: ["esnext"],
        types: ["node"],
        strict: true,
        skipLibCheck: false,
      },
      files: ["app.ts"],
    }),
  );
  await Deno.writeTextFile(join(app, "app.ts"), APP);
  await Deno.writeTextFile(join(app, "work.js"), "export const double = (n) => 2 * n;\n");
  const tsc = join(folder, "node_modules", "typescript", "bin", "tsc");
  const checked = await outputOf([tsc, "-p", app], { cwd: app }, node24.command);
  assert(checked.success, checked.stdout);
  for (const { command, name } of [node22, node24, current, bun]) {
    const { stdout, stderr } = await outputOf(["app.js"], { cwd: app }, command);
    assertEquals(stdout, "2020\n2,4,6\nmsgpack lz4\n", `${name}: ${stderr}`);
  }
});

const APP = `
import { HashStash } from "@hashstash/hashstash";
import { sqlite, type SqliteEngineOptions } from "@hashstash/hashstash/engines/sqlite";

const engineOptions: SqliteEngineOptions = { path: "cache.db" };
await using stash = new HashStash<string, Date>({ engine: sqlite, rootDir: ".", engineOptions });
await stash.set("year", new Date("2020-05-01"));
const year: Date | undefined = await stash.get("year");
console.log(year?.getUTCFullYear());

const module = new URL("./work.js", import.meta.url);
const doubled: number[] = [];
for await (const value of stash.map((n: number): number => n, [1, 2, 3], {
  worker: { module, export: "double" },
})) doubled.push(value);
console.log(String(doubled));

await using packed = new HashStash({ engine: "memory", serializer: "msgpack", compress: "lz4" });
await packed.set("text", "x".repeat(10_000));
if (await packed.get("text") === "x".repeat(10_000)) console.log(packed.serializer, packed.compress);
`;

test("the command line runs in Node 24 and Bun", async (installed) => {
  const { node24, current, bun, app, package: root } = installed;
  const main = join(root, "cli", "main.js");
  for (const { command, name } of [node24, current, bun]) {
    const folder = ["--root", join(app, "cli"), "--name", "numbers"];
    const set = await outputOf([main, "set", ...folder, "key", "[1, 2]"], {}, command);
    assert(set.success, `${name}: ${set.stderr}`);
    const { stdout } = await outputOf([main, "get", "--json", ...folder, "key"], {}, command);
    assertEquals(JSON.parse(stdout), [1, 2], name);
  }
});

test("V8's structured clones are refused on Bun, and stay", async ({ node22, bun, app }) => {
  const script = join(app, "v8.js");
  await Deno.writeTextFile(
    script,
    `import { HashStash } from "@hashstash/hashstash";
const stash = new HashStash({ name: "v8", rootDir: ".", serializer: "v8" });
await stash.set("key", new Map([[1, 2]])).catch((error) => console.log(error.message));
await stash.get("key").then((map) => console.log(map?.get(1)), (e) => console.log(e.kind));
console.log((await stash.check({ fix: true })).ok);
await stash.close();`,
  );
  const outputs: string[] = [];
  for (const { command } of [bun, node22, bun, node22]) {
    outputs.push((await outputOf([script], { cwd: app }, command)).stdout);
  }
  const refusal = 'Cannot encode value by serializer "v8": Bun has no V8; use the serializer ' +
    '"hashstash" or "msgpack"\n';
  assertEquals(outputs, [
    `${refusal}undefined\ntrue\n`,
    "2\ntrue\n",
    `${refusal}unknown\ntrue\n`,
    "2\ntrue\n",
  ]);
});

test("shelve is refused on Bun with a word that says why", async ({ bun, app }) => {
  const script = join(app, "shelve.js");
  await Deno.writeTextFile(
    script,
    `import { HashStash } from "@hashstash/hashstash";
await new HashStash({ engine: "shelve", rootDir: "." }).open().catch((e) => console.log(e.message));`,
  );
  const { stdout } = await outputOf([script], { cwd: app }, bun.command);
  assert(stdout.includes("there is no Deno KV for Bun; use another engine"), stdout);
  assertEquals(existsSync(join(app, "shelve")), false);
});
