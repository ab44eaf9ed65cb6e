/**
 * The package as others get it from JSR: published by `deno publish` to a registry on the loopback
 * interface, and used from fresh folders with fresh caches.
 */
import { assert, assertEquals, assertGreater, assertLessOrEqual, assertMatch } from "@std/assert";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { outputOf, ROOT } from "../../dev/run.ts";
import { npm } from "../../dev/tools.ts";
import { ENGINE_NAMES, type EngineName } from "../../engines/mod.ts";
import { Consumer, PACKAGE, type Registries } from "../support/consumer.ts";
import { JsrRegistry } from "../support/jsr_registry.ts";
import config from "../../deno.json" with { type: "json" };
import { NpmCache } from "../support/npm_cache.ts";
import { makeDatabase, type PostgresDatabase } from "../support/postgres_server.ts";
import { type RedisServer, startRedis } from "../support/redis_server.ts";

let registries: Registries;
let redis: RedisServer;
let postgres: PostgresDatabase;
const readme = await Deno.readTextFile(join(ROOT, "README.md"));

Deno.test.beforeAll(async () => {
  registries = { jsr: new JsrRegistry(), npm: await NpmCache.start() };
  await registries.jsr.publishAll();
  [redis, postgres] = await Promise.all([startRedis(), makeDatabase()]);
});

Deno.test.afterAll(async () => {
  printCosts();
  await registries.jsr[Symbol.asyncDispose]();
  await registries.npm[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

/** The engines with npm packages: a program has them at hand only when it imports their factory. */
const WITH_NPM: readonly EngineName[] = ["redis", "lmdb", "postgres"];

/** A program that stores something and reads it. */
function program(engine: EngineName, { imported = WITH_NPM.includes(engine) } = {}): string {
  const url = { redis: redis.url, postgres: postgres.url }[engine as string];
  // FFI, and with it a download, is nothing that a program asks for unasked.
  const engineOptions = engine === "sqlite" ? { driver: "node:sqlite" } : url && { url };
  return `
    import { HashStash } from "${PACKAGE}";
    ${imported ? `import { ${engine} } from "${PACKAGE}/engines/${engine}";` : ""}
    await using stash = new HashStash({
      engine: ${imported ? engine : `"${engine}"`},
      rootDir: "data",
      engineOptions: ${JSON.stringify(engineOptions)},
    });
    await stash.set("key", new Map([[1, new Date(5)]]));
    console.log((await stash.get("key") as Map<number, Date>).get(1)?.getTime());
  `;
}

/** The flags for what README's table says that an engine needs, with a `rootDir` or without. */
function permissions(engine: EngineName, { rootDir = true } = {}): string[] {
  const row = new RegExp(`^\\| \`${engine}\` .*$`, "m").exec(readme)?.[0].split("|");
  assert(row !== undefined, engine);
  const column = /^\| Engine .*$/m.exec(readme)![0].split("|").findIndex((cell) => {
    return cell.trim() === "Permissions";
  });
  const cell = row[column].replaceAll(/\(.*?\)/g, "");
  const needed = cell.split(";")[0].replace(/env or `rootDir`/, rootDir ? "" : "env");
  const words = ["read", "write", "net", "env", "ffi"].filter((word) => {
    return new RegExp(`\\b${word}\\b`).test(needed);
  });
  const unstable = cell.includes("--unstable-kv") ? ["--unstable-kv"] : [];
  return [...words.map((word) => `--allow-${word}`), ...unstable];
}

/**
 * What a program of each engine may download, in kB and requests: of JSR, and of npm. About a sixth
 * more than it does, for npm a third: its packages grow without us.
 */
const LIMITS: Record<EngineName, { jsr: [number, number]; npm: [number, number] }> = {
  memory: { jsr: [1_650, 225], npm: [0, 0] },
  pairtree: { jsr: [1_650, 225], npm: [0, 0] },
  sqlite: { jsr: [1_650, 225], npm: [0, 0] },
  shelve: { jsr: [1_650, 225], npm: [0, 0] },
  pickledb: { jsr: [1_650, 225], npm: [0, 0] },
  diskcache: { jsr: [1_650, 225], npm: [0, 0] },
  redis: { jsr: [1_750, 240], npm: [1_100, 24] },
  lmdb: { jsr: [1_750, 240], npm: [12_000, 48] },
  postgres: { jsr: [1_750, 240], npm: [1_500, 60] },
};

const costs: Record<string, { bytes: number; requests: number }[]> = {};

for (const engine of ENGINE_NAMES) {
  Deno.test(`JSR: a program of ${engine} has README's permissions, and downloads little`, async () => {
    const { jsr, npm } = registries;
    await using consumer = new Consumer(registries);
    await consumer.configure();
    await consumer.write("program.ts", program(engine, { imported: false }));
    jsr.traffic.take(), npm.traffic.take();
    const flags = permissions(engine);
    assertEquals(await consumer.run(["run", "--quiet", ...flags, "program.ts"]), "5\n");
    const [ofJsr, ofNpm] = costs[engine] = [jsr.traffic.take(), npm.traffic.take()];
    const limits = LIMITS[engine];
    for (
      const [{ bytes, requests }, [kB, most]] of [[ofJsr, limits.jsr], [ofNpm, limits.npm]] as const
    ) {
      assertLessOrEqual(bytes / 1_000, kB);
      assertLessOrEqual(requests, most);
    }
    // Again: nothing is asked for twice.
    assertEquals(await consumer.run(["run", "--quiet", ...flags, "program.ts"]), "5\n");
    assertEquals([jsr.traffic.take().requests, npm.traffic.take().requests], [0, 0]);
  });
}

Deno.test("JSR: programs that were cached need no network", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  for (const engine of ENGINE_NAMES) await consumer.write(`${engine}.ts`, program(engine));
  await consumer.run(["cache", "--quiet", ...ENGINE_NAMES.map((engine) => `${engine}.ts`)]);
  for (const engine of ENGINE_NAMES) {
    const flags = ["--quiet", "--cached-only", "--frozen", ...permissions(engine)];
    assertEquals(await consumer.run(["run", ...flags, `${engine}.ts`]), "5\n", engine);
  }
});

/** What programs download, as a table. */
function printCosts(): void {
  const line = (cells: unknown[]) => cells.map((cell) => String(cell).padStart(10)).join("");
  console.log(line(["", "JSR bytes", "requests", "npm bytes", "requests"]));
  for (const [engine, [jsr, npm]] of Object.entries(costs)) {
    console.log(line([engine, jsr.bytes, jsr.requests, npm.bytes, npm.requests]));
  }
}

Deno.test("JSR: `deno add`, then README's first program", async () => {
  await using consumer = new Consumer(registries);
  const { minimumDependencyAge } = config;
  await consumer.write("deno.json", JSON.stringify({ minimumDependencyAge }));
  const [, add, name] = /```sh\ndeno (add) (jsr:\S+)\n/.exec(readme)!;
  const { jsr, npm } = registries;
  jsr.traffic.take(), npm.traffic.take();
  await consumer.run([add, "--quiet", name]);
  costs["deno add"] = [jsr.traffic.take(), npm.traffic.take()];
  // It fetches what the entry points import, and nothing that few programs use.
  const { specifiers } = JSON.parse(await Deno.readTextFile(join(consumer.folder, "deno.lock")));
  const packages = Object.keys(specifiers).filter((name) => name.startsWith("npm:"));
  assertEquals(packages.map((name) => name.split("@")[0]).sort(), [
    "npm:http-cache-semantics",
    "npm:ioredis",
    "npm:lmdb",
    "npm:pg",
  ]);
  const [, quickstart] = /## Quickstart[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)!;
  const [, flags] = /the program needs `(.*?)`/.exec(readme)!;
  await consumer.write("program.ts", quickstart);
  const run = ["run", "--quiet", "--frozen", ...flags.split(" ")];
  assertEquals(await consumer.run([...run, "--cached-only", "program.ts"]), "25\n");
  // The lock alone brings the same again.
  await consumer.emptyCache();
  assertEquals(await consumer.run([...run, "program.ts"]), "25\n");
  assert(existsSync(join(consumer.folder, ".cache")) || Deno.build.os !== "linux");
});

/** What a project of somebody else's does with each entry point. */
const APP = `
import { HashStash, hash, registerClass, type SetOptions } from "@hashstash/hashstash";
import { engineContract } from "@hashstash/hashstash/engines";
import { sqlite, type SqliteEngineOptions } from "@hashstash/hashstash/engines/sqlite";
import { Encoder } from "@hashstash/hashstash/codec";
import { KeyvStash } from "@hashstash/hashstash/adapters/keyv";
import { WebCache } from "@hashstash/hashstash/adapters/web-cache";

const options: SetOptions = { ttl: 60_000 };
for (const engine of ["memory", "pairtree", "sqlite"] as const) {
  await using stash = new HashStash<string, Map<number, Date>>({ engine, rootDir: "./data" });
  await stash.set("k", new Map([[1, new Date(5)]]), options);
  const value: Map<number, Date> | undefined = await stash.get("k");
  console.log(engine, value?.get(1)?.getTime());
}
const engineOptions: SqliteEngineOptions = { driver: "node:sqlite" };
const same = { engine: sqlite, rootDir: "./data", engineOptions };
await using stash = new HashStash<string, Map<number, Date>>(same);
console.log(stash.engine, await stash.get("k"));
console.log(hash("x").length, typeof registerClass, typeof Encoder, typeof KeyvStash, typeof WebCache);
console.log(engineContract({ create: () => { throw new Error("never made"); } }).length > 10);
`;

Deno.test("JSR: the published files, and a project that checks types and uses each entry point", async () => {
  const files = [...registries.jsr.files(PACKAGE, config.version).keys()];
  for (const file of ["/mod.ts", "/deno.json", "/README.md", "/LICENSE", "/engines/lmdb/mod.ts"]) {
    assert(files.includes(file), file);
  }
  assertEquals(files.filter((file) => /_test\.ts$|_bench\.ts$|^\/(tests|dev)\//.test(file)), []);

  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("app.ts", APP);
  const output = await consumer.run(["run", "-A", "--check", "--quiet", "app.ts"]);
  assertEquals(
    output,
    "memory 5\npairtree 5\nsqlite 5\nsqlite Map(1) { 1 => 1970-01-01T00:00:00.005Z }\n64 function function function function\ntrue\n",
  );
});

Deno.test("JSR: a folder with a package.json", async () => {
  await using consumer = new Consumer(registries);
  await consumer.write("package.json", JSON.stringify({ name: "app", type: "module" }));
  await consumer.run(["add", "--quiet", `jsr:${PACKAGE}`]);
  for (const engine of ["sqlite", ...WITH_NPM] as const) {
    await consumer.write(`${engine}.ts`, program(engine));
    await consumer.write(`${engine}_by_name.ts`, program(engine, { imported: false }));
    for (const file of [`${engine}.ts`, `${engine}_by_name.ts`]) {
      assertEquals(await consumer.run(["run", "-A", "--quiet", file]), "5\n");
    }
  }
});

Deno.test("JSR: vendored modules are all that a program needs", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure({ vendor: true });
  for (const engine of ["sqlite", "redis"] as const) {
    await consumer.write("program.ts", program(engine));
    await consumer.run(["cache", "--quiet", "program.ts"]);
    await consumer.emptyCache();
    const flags = ["--quiet", "--cached-only", ...permissions(engine)];
    assertEquals(await consumer.run(["run", ...flags, "program.ts"]), "5\n");
  }
});

/** Work for workers, and a program that gives it to them. */
const WORK = "export const square = (n: number) => n * n;";
const MAP = `
  import { HashStash } from "${PACKAGE}";
  import { square } from "./work.ts";
  await using stash = new HashStash({ engine: "memory" });
  const worker = { module: import.meta.resolve("./work.ts"), export: "square" };
  console.log(await stash.map(square, [1, 2, 3], { worker }).results());
`;
const PROFILE = `
  import { HashStash } from "${PACKAGE}";
  await using stash = new HashStash({ engine: "memory" });
  const profile = await stash.profile({ engine: ["memory"], size: 1_000, iterations: 2 });
  console.log(profile.rows.length > 0, profile.best().verdict.includes("memory"));
`;

Deno.test("JSR: map with workers, and profile, of a remote module that was cached", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("work.ts", WORK);
  await consumer.write("map.ts", MAP);
  await consumer.write("profile.ts", PROFILE);
  await consumer.run(["cache", "--quiet", "map.ts", "profile.ts"]);
  const run = ["run", "--quiet", "--cached-only"];
  assertEquals(await consumer.run([...run, "--allow-read", "map.ts"]), "[ 1, 4, 9 ]\n");
  assertEquals(await consumer.run([...run, "profile.ts"]), "true true\n");
});

/** Uses each library that few programs use. */
const LIBRARIES = `
  import { HashStash } from "${PACKAGE}";
  for (const options of [{ compress: "lz4" }, { serializer: "msgpack" }] as const) {
    await using stash = new HashStash({ engine: "memory", ...options });
    await stash.set("key", { text: "x".repeat(10_000) });
    console.log((await stash.get("key") as { text: string }).text.length);
  }
  await using stash = new HashStash({ engine: "memory" });
  await stash.set("key", { column: 1 });
  console.log((await stash.table()).numRows());
  const profile = await stash.profile({ engine: ["memory"], size: 1_000, iterations: 2 });
  console.log((await profile.toHTML()).startsWith("<!DOCTYPE html>"));
`;

Deno.test("JSR: libraries that few programs use come at their first use, and are cached", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("program.ts", LIBRARIES);
  for (const flags of [[], ["--cached-only", "--frozen"]]) {
    // LZ4 reads its WebAssembly.
    const args = ["run", "--quiet", "--allow-read", ...flags, "program.ts"];
    assertEquals(await consumer.run(args), "10000\n10000\n1\ntrue\n");
  }
});

Deno.test("JSR: bundles of a program for each engine, away from its modules", async () => {
  await using consumer = new Consumer(registries);
  await using elsewhere = new Consumer(registries);
  await consumer.configure();
  await elsewhere.configure();
  for (const engine of ENGINE_NAMES) {
    await consumer.write("program.ts", program(engine));
    // Native code can't be in a bundle.
    const isNative = engine === "lmdb";
    const external = isNative ? ["--external", "npm:lmdb@*"] : [];
    const out = join(elsewhere.folder, `${engine}.js`);
    await consumer.run(["bundle", "--quiet", ...external, "--output", out, "program.ts"]);
    const flags = ["--quiet", ...isNative ? [] : ["--cached-only"], ...permissions(engine)];
    assertEquals(await elsewhere.run(["run", ...flags, out]), "5\n", engine);
  }
  await consumer.write("profile.ts", PROFILE);
  const profile = join(elsewhere.folder, "profile.js");
  await consumer.run(["bundle", "--quiet", "--output", profile, "profile.ts"]);
  assertEquals(await elsewhere.run(["run", "--quiet", profile]), "true true\n");
});

Deno.test("JSR: a bundle without the engine that it names says what to import", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("program.ts", program("redis", { imported: false }));
  await consumer.run(["bundle", "--quiet", "--output", "out/bundle.js", "program.ts"]);
  const { success, stderr } = await consumer.try(["run", "-A", "--quiet", "out/bundle.js"]);
  assert(!success);
  assertMatch(
    stderr,
    /EngineError: Cannot open engine "redis": .*import \{ redis \} from "@hashstash\/hashstash\/engines\/redis" and give `engine: redis`/,
  );
});

Deno.test("JSR: `deno compile` embeds what a program of each engine needs", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("work.ts", WORK);
  await consumer.write("map.ts", MAP);
  const app = Deno.build.os === "windows" ? "app.exe" : "app";
  const args = ["compile", "--quiet", "-A", "--include", "work.ts", "--output", app, "map.ts"];
  const compiled = await consumer.try(args);
  if (compiled.success) {
    assertEquals(await consumer.run([], {}, join(consumer.folder, app)), "[ 1, 4, 9 ]\n");
  } else {
    // The part of Deno that runs compiled programs is a download: without it, what is embedded is
    // looked at alone.
    console.log("NOT RUN: a compiled program (Deno's runtime for them can't be had here)");
    const { success, stderr } = await consumer.try(args, { DENORT_BIN: Deno.execPath() });
    assert(success, stderr);
  }
  const embedded = new TextDecoder("latin1").decode(
    await Deno.readFile(join(consumer.folder, app)),
  );
  for (
    const module of [
      "functions/worker_main.ts",
      "engines/sqlite/mod.ts",
      "engines/pairtree/mod.ts",
      "engines/diskcache/mod.ts",
      "engines/pickledb/mod.ts",
      "engines/shelve/mod.ts",
      "profile/mod.ts",
    ]
  ) {
    assert(
      embedded.includes(`${registries.jsr.url}${PACKAGE}/${config.version}/${module}`),
      module,
    );
  }
});

Deno.test({
  name: "JSR: the command line as README installs and uses it",
  ignore: Deno.build.os === "windows", // It is a shell's script.
  async fn() {
    await using consumer = new Consumer(registries);
    const [, script] = /## On the command line\n\n```sh\n([\s\S]*?)```/.exec(readme)!;
    const installed = join(consumer.folder, "installed");
    const path = [join(installed, "bin"), dirname(Deno.execPath()), Deno.env.get("PATH")];
    const env = { DENO_INSTALL_ROOT: installed, PATH: path.join(":") };
    const { success, stdout, stderr } = await consumer.try(["-e", "-c", script], env, "sh");
    assert(success, stdout + stderr);
    assertMatch(stdout, /greeting/);
    const exported = await Deno.readTextFile(join(consumer.folder, "demo.ndjson"));
    assertMatch(exported, /"greeting".*"hello"/);
    // Nothing has to be fetched any more.
    registries.jsr.traffic.take();
    await consumer.run(
      ["get", "greeting", "--name", "demo"],
      env,
      join(installed, "bin/hashstash"),
    );
    assertEquals(registries.jsr.traffic.take().requests, 0);
  },
});

/** The programs in the documents, by the permissions that they need as the documents say. */
function documented(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const docs = Array.from(Deno.readDirSync(join(ROOT, "docs")), ({ name }) => `docs/${name}`);
  for (const page of ["README.md", ...docs.filter((name) => name.endsWith(".md"))]) {
    const [, ...parts] = Deno.readTextFileSync(join(ROOT, page)).split(/^```ts\n/m);
    for (const part of parts) {
      const [code, after] = part.split(/^```$/m);
      const engines = ENGINE_NAMES.filter((engine) => code.includes(`"${engine}"`));
      const flags = engines.flatMap((engine) => permissions(engine, { rootDir: false }));
      const [, said = ""] = /needs `(--allow[^`]*)`/.exec(after) ?? [];
      const key = [...new Set([...flags, ...said.split(" ")])].sort().join(" ").trim();
      found.getOrInsertComputed(key, () => []).push(`<!-- ${page} -->\n\`\`\`ts\n${code}\`\`\`\n`);
    }
  }
  return found;
}

Deno.test("JSR: every program in README and docs, with the permissions that they name", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  let count = 0;
  for (const [flags, programs] of documented()) {
    await consumer.write("page.md", programs.join("\n"));
    const args = [
      "test",
      "--quiet",
      "--doc",
      "--no-check",
      ...flags.split(" ").filter(Boolean),
      "page.md",
    ];
    const { success, stdout, stderr } = await consumer.try(args);
    assert(success, `${flags}\n${stdout}\n${stderr}`);
    count += programs.length;
  }
  assertGreater(count, 25);
});

/** The oldest Deno that README names, and the oldest for engines on files. */
const [, OLDEST, OLDEST_FOR_FILES] = /need Deno (\S+) or later, with engines on files (\S+)\.$/m
  .exec(readme)!;
const ON_FILES: readonly EngineName[] = ["pairtree", "sqlite", "pickledb", "diskcache", "lmdb"];

/** Runs a program of each engine on an older Deno, from npm. */
async function runOnOlder(
  version: string,
  judge: (engine: EngineName, run: () => ReturnType<Consumer["try"]>) => Promise<void>,
): Promise<void> {
  const print = `deno eval "console.log(Deno.execPath())"`;
  const [command, ...args] = npm(["-y", "-p", `deno@${version}`, "-c", print], "npx");
  const found = await outputOf(args, {}, command);
  assert(found.success, found.stderr);
  await using consumer = new Consumer(registries, found.stdout.trim());
  assertMatch(await consumer.run(["--version"]), new RegExp(`^deno ${version}`));
  await consumer.configure();
  for (const engine of ENGINE_NAMES) {
    await consumer.write(`${engine}.ts`, program(engine));
    const args = ["run", "--quiet", ...permissions(engine), `${engine}.ts`];
    await judge(engine, () => consumer.try(args));
  }
}

Deno.test(`JSR: a program of each engine on Deno ${OLDEST_FOR_FILES}`, async () => {
  // The first of its versions that npm has.
  await runOnOlder(`${OLDEST_FOR_FILES}.1`, async (engine, run) => {
    const { stdout, stderr } = await run();
    assertEquals([stdout, stderr], ["5\n", ""], engine);
  });
});

Deno.test(`JSR: on Deno ${OLDEST} a program of each engine runs, or says what it needs`, async () => {
  await runOnOlder(`${OLDEST}.0`, async (engine, run) => {
    const { success, stdout, stderr } = await run();
    if (!ON_FILES.includes(engine)) return assertEquals([stdout, stderr], ["5\n", ""], engine);
    assert(!success);
    const needed = `Cannot .*engine "${engine}": .* need Deno ${OLDEST_FOR_FILES} or later`;
    assertMatch(stderr, new RegExp(`EngineError: ${needed}, and this is Deno ${OLDEST}`), engine);
  });
});

Deno.test("JSR: an older Deno is told which one is needed", async () => {
  await using consumer = new Consumer(registries);
  await consumer.configure();
  await consumer.write("program.ts", program("memory"));
  await consumer.write(
    "older.ts",
    'Object.defineProperty(Deno, "version", { value: { deno: "2.4.5" } });',
  );
  const { success, stderr } = await consumer.try(["run", "--preload=older.ts", "program.ts"]);
  assert(!success);
  assertMatch(
    stderr,
    new RegExp(`HashStash needs Deno ${OLDEST} or later, and this is Deno 2\\.4\\.5`),
  );
});
