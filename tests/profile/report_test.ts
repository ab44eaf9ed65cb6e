import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { outputOf, ROOT } from "../../dev/run.ts";
import { benchNames, profileOfBenches } from "../../profile/bench/bench_json.ts";
import { Profile, type ProfileJSON } from "../../profile/mod.ts";
import { withChromium } from "../support/chromium.ts";
import { inventRows } from "../support/profile_rows.ts";
import { startRedis } from "../support/redis_server.ts";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "hashstash_report_" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readProfile(folder: string): Promise<Profile> {
  const json: ProfileJSON = JSON.parse(await Deno.readTextFile(`${folder}/profile.json`));
  return Profile.fromJSON(json);
}

Deno.test("deno task profile: writes the report of a run, and leaves nothing else", () =>
  withFolder(async (folder) => {
    const dir = `${folder}/data`;
    await Deno.mkdir(dir);
    const { code, stdout, stderr } = await outputOf(
      ["task", "--quiet", "profile", "--engine", "memory,pairtree,redis", "--compress", "false"]
        .concat(["--redis", "redis://127.0.0.1:1", "--out", `${folder}/out`, "--dir", dir]),
      { env: { HASHSTASH_BENCH_SIZE: "500,2000", HASHSTASH_BENCH_ITERATIONS: "2" } },
    );
    assertEquals(code, 0, stderr);
    assertEquals([...Deno.readDirSync(dir)], []);
    const profile = await readProfile(`${folder}/out`);
    assertEquals(profile.rows.filter(({ error }) => !error).length, 2 * 2 * 2 * 8 * 2);
    assertStringIncludes(stdout, String(profile));
    assertMatch(stdout, /Could not run redis: .*127\.0\.0\.1:1/);
    assertMatch(stderr, /profile: \d+ of 288 \(100 %\)/);
    assertEquals(await Deno.readTextFile(`${folder}/out/profile.csv`), profile.toCSV());
    await withChromium(async (look) => {
      const content = await Deno.readTextFile(`${folder}/out/profile.html`);
      await look({ type: "html", content }, async (page) => {
        assertEquals(await page.locator("svg").count(), 3);
        assertEquals(await page.locator("tbody tr").count(), 2 * 2 * 2);
      });
    });
  }));

Deno.test("deno task profile: Ctrl-C ends it, and leaves nothing behind", () =>
  withFolder(async (folder) => {
    await using redis = await startRedis();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "profile/bench/report.ts", "--engine", "redis,pairtree", "--dir", folder]
        .concat(["--redis", redis.url, "--iterations", "1000", "--out", `${folder}/out`]),
      cwd: ROOT,
      stderr: "piped",
      stdout: "null",
    }).spawn();
    const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("profile: 1 of");) {
      const { value, done } = await lines.read();
      assert(!done, `ended early: ${text}`);
      text += value;
    }
    assert(Number(await redis.cli("DBSIZE")) > 0);
    child.kill("SIGINT");
    while (!(await lines.read()).done);
    assertEquals((await child.status).code, 130);
    assertEquals([...Deno.readDirSync(folder)], []);
    assertEquals(await redis.cli("DBSIZE"), "0");
  }));

Deno.test("deno task profile: the same report of what deno bench printed", () =>
  withFolder(async (folder) => {
    const files = [`${folder}/1.json`, `${folder}/2.json`];
    for (const file of files) {
      const { code, stdout, stderr } = await outputOf(
        ["bench", "-A", "--quiet", "--json", "profile/bench/profile_bench.ts", "--"]
          .concat(["--engine", "memory,sqlite", "--size", "500", "--compress", "true"])
          .concat(["--iterations", "3", "--operation", "write,decode value"]),
      );
      assertEquals(code, 0, stderr);
      await Deno.writeTextFile(file, stdout);
    }
    const { code, stderr } = await outputOf(
      ["run", "-A", "profile/bench/report.ts", ...files, "--out", folder],
    );
    assertEquals(code, 0, stderr);
    const { rows, about } = await readProfile(folder);
    assertEquals(
      rows.map((row) => [row.engine, row.encoding, row.operation, row.size, row.iteration].join()),
      [1, 2].flatMap((iteration) => [
        `memory,zstd,decode value,500,${iteration}`,
        `memory,zstd+b64,decode value,500,${iteration}`,
        `memory,zstd,write,500,${iteration}`,
        `memory,zstd+b64,write,500,${iteration}`,
        `sqlite,zstd,write,500,${iteration}`,
        `sqlite,zstd+b64,write,500,${iteration}`,
      ]),
    );
    assert(rows.every(({ time, ratio }) => time > 1e-9 && time < 1 && ratio > 0 && ratio < 1.1));
    assertMatch(about.runtime, /^Deno\/2/);
    assertStringIncludes(await Deno.readTextFile(`${folder}/profile.html`), "<svg");
  }));

Deno.test("deno task profile: wrong arguments end with 2 and a word about them", async () => {
  for (
    const [args, message] of [
      [["--engine", "mysql"], 'Unknown engine "mysql"'],
      [["--iterations", "many"], "integers from 1 on, got NaN"],
      [["--b64", "yes"], "b64"],
      [["--color", "red"], "--color"],
    ] as const
  ) {
    const { code, stderr } = await outputOf(["run", "-A", "profile/bench/report.ts", ...args]);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, message);
    assertStringIncludes(stderr, "--help");
    assert(!stderr.includes("    at "), stderr);
  }
  const { code, stdout } = await outputOf(["run", "-A", "profile/bench/report.ts", "--help"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "Usage: deno task profile");
});

Deno.test("profileOfBenches: names go there and back; others are left out; failures are rows", () => {
  const rows = inventRows({ iterations: 1 });
  const benches = rows.map((row) => ({
    ...benchNames(row),
    results: [{ ok: { p75: row.time * 1e9 } }],
  }));
  const again = profileOfBenches({
    benches: [{ group: "get", name: "bare JSON", results: [{ ok: { p75: 1 } }] }, ...benches],
  });
  assertEquals(
    again.rows.map((row) => ({ ...row, time: 0, rate: 0, speed: 0 })),
    rows.map((row) => ({ ...row, time: 0, rate: 0, speed: 0 })),
  );
  const failed = profileOfBenches({
    benches: [{ ...benchNames(rows[0]), results: [{ failed: { message: "no" } }] }],
  });
  assertEquals(failed.rows.map(({ error, time }) => [error, time]), [["no", NaN]]);
  assertThrows(
    () => profileOfBenches({ benches: [{ group: null, name: "a", results: [] }] }),
    TypeError,
    "none is a case of profile_bench.ts",
  );
});
