/** What is printed, and what becomes of it. Every command is a child process. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Output } from "../../cli/io.ts";
import type { HashStash } from "../../mod.ts";
import { TestBed } from "../support/bed.ts";
import { hashstash, hashstashArguments, MAIN, optionsOf } from "../support/cli.ts";

/** What a command leaves when its reader goes after the first piece: status and messages. */
async function readFirstPiece(args: string[]): Promise<{ code: number; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...hashstashArguments, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assert((await reader.read()).value);
  await reader.cancel();
  const [{ code }, stderr] = await Promise.all([
    child.status,
    new Response(child.stderr).text(),
  ]);
  return { code, stderr };
}

/** Fills a stash: keys k0, k1, …, whose values are their numbers. */
async function fill(stash: HashStash, count: number): Promise<void> {
  await stash.setMany(Array.from({ length: count }, (_, i) => [`k${i}`, i] as const));
}

Deno.test("a reader that has enough is no failure", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  // More than a pipe holds.
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`key number ${i}, of a few`, i] as const);
  await stash.setMany(pairs);
  await stash.set("text", "x".repeat(2_000_000));
  await stash.set("bytes", new Uint8Array(2_000_000));
  for (
    const args of [["ls"], ["ls", "--json", "--long"], ["export"], ["get", "text"], [
      "get",
      "bytes",
    ]]
  ) {
    const { code, stderr } = await readFirstPiece([...args, ...optionsOf(bed)]);
    assertEquals([args, code, stderr], [args, 0, ""]);
  }
});

Deno.test("what the system refuses is said in one line, with status 1", async () => {
  await using bed = await TestBed.create("sqlite");
  const where = optionsOf(bed);
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", "value");
  const file = `${bed.root}/file`;
  await Deno.writeTextFile(file, "");
  for (
    const [args, named] of [
      [["import", "/"], "/"],
      [["import", `${bed.root}/absent`], "absent"],
      [["set", "k", "--file", "/"], "/"],
      [["set", "k", "--file", `${file}/inside`], "inside"],
      [["export", "/"], "/"],
      [["export", `${bed.root}/absent/export`], "absent"],
      [["profile", "--engine", "memory", "--size", "9", "-i", "1", "--output", "/a/b.csv"], "/a/b"],
    ] as [string[], string][]
  ) {
    const { code, stderr } = await hashstash([...args, ...where]);
    assertEquals([args, code, stderr.trimEnd().split("\n").length], [args, 1, 1], stderr);
    assertMatch(stderr, /^hashstash \w+: Cannot (read|write to) /);
    assertStringIncludes(stderr, named);
  }
  const denied = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", MAIN, "ls"],
  }).output();
  assertEquals(denied.code, 1);
  assertMatch(new TextDecoder().decode(denied.stderr), /^hashstash ls: .*--allow-env.*\n$/);
});

Deno.test("a full disk is said in one line, with status 1", async () => {
  if (Deno.build.os !== "linux") return; // Elsewhere there is no /dev/full.
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  await stash.set("k", "value");
  const where = optionsOf(bed);
  for (
    const command of [["ls"], ["get", "k"], ["stats"], ["export"], ["--help"], ["--version"]]
  ) {
    const { code, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        'exec "$@" > /dev/full',
        "sh",
        Deno.execPath(),
        ...hashstashArguments,
        ...command,
        ...(command[0].startsWith("-") ? [] : where),
      ],
    }).output();
    const text = new TextDecoder().decode(stderr);
    assertEquals([command, code], [command, 1]);
    assertMatch(text, /^hashstash.*: Cannot write to the standard output: No space left.*\n$/);
  }
  const exported = await hashstash(["export", "/dev/full", ...where]);
  assertEquals(exported.code, 1);
  assertMatch(exported.stderr, /^hashstash export: Cannot write to \/dev\/full: .*\n$/);
});

Deno.test("ls shows each key on a line, and nothing that a terminal obeys", async () => {
  await using bed = await TestBed.create("sqlite");
  await using stash = bed.stash({ name: "cli" });
  const keys: [key: unknown, shown: string][] = [
    ["plain é 日本 👩‍👧", "plain é 日本 👩‍👧"],
    ["", '""'],
    ["two\nlines", '"two\\nlines"'],
    ["\x1b[31mred", '"\\u001b[31mred"'],
    ["\x9b31m\x7f", '"\\u009b31m\\u007f"'],
    ["abc\u202ecba", '"abc\\u202ecba"'],
    ['"quoted"', '"\\"quoted\\""'],
    [["a\x1b"], '[ "a\\x1b" ]'],
  ];
  for (const [key] of keys) await stash.set(key, 1);
  const { stdout } = await hashstash(["ls", ...optionsOf(bed)]);
  assertEquals(stdout.trimEnd().split("\n").sort(), keys.map(([, shown]) => shown).sort());
});

Deno.test("what is printed is written in large pieces, what comes slowly at once", async () => {
  const pieces: string[] = [];
  const output = new Output("here", (bytes) => {
    pieces.push(new TextDecoder().decode(bytes));
    return Promise.resolve();
  });
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`);
  for (const line of lines) await output.print(line);
  await output.write(new Uint8Array([0x2e]));
  assertEquals(pieces.join(""), `${lines.join("")}.`);
  assert(pieces.length < 20, `${pieces.length} pieces`);
  pieces.length = 0;
  await new Promise((resolve) => setTimeout(resolve, 150));
  await output.print("slow");
  assertEquals(pieces, ["slow"]);
});

Deno.test("long commands draw a bar on a terminal, and none with --quiet", async () => {
  await using bed = await TestBed.create("pairtree");
  await using stash = bed.stash({ name: "cli" });
  await fill(stash, 300);
  const where = optionsOf(bed);
  const file = `${bed.root}/all.ndjson`;
  // script(1), from Debian's bsdutils, runs the command on a pseudo-terminal.
  const onTerminal = async (...args: string[]) => {
    const command = [Deno.execPath(), ...hashstashArguments, ...args, ...where].join(" ");
    const { code, stdout } = await new Deno.Command("script", {
      args: ["-qec", `${command} 2>&1 >/dev/null`, "/dev/null"],
      stdin: "null",
    }).output();
    assertEquals(code, 0);
    return new TextDecoder().decode(stdout);
  };
  const bar = `${"\u2588".repeat(30)} 300/300`;
  for (
    const [args, end] of [
      [["export", file], `export ${bar}`],
      [["import", file], "import 300"],
      [["check"], `check ${bar}`],
      [["copy", "--to-name", "other"], `copy ${bar}`],
      [["clear", "--yes"], `clear ${bar}`],
    ] as const
  ) {
    assertEquals(await onTerminal(...args, "--quiet"), "");
    if (args[0] === "clear") await fill(stash, 300);
    const text = await onTerminal(...args);
    assertStringIncludes(text, end);
    assert(text.lastIndexOf("\x1b[?7h") > text.lastIndexOf("\x1b[?7l"), text);
  }
});
