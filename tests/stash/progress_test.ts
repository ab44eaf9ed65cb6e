import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Writable } from "node:stream";
import { createProgress, type ProgressStream } from "../../store/progress.ts";

function capture(isTTY: boolean) {
  let text = "";
  const stream: ProgressStream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    }),
    { isTTY },
  );
  return { stream, text: () => text };
}

Deno.test("progress: no terminal, a line for every tenth and one for the end", async () => {
  const { stream, text } = capture(false);
  const progress = await createProgress({ total: 40, label: "map", stream });
  for (let i = 0; i < 40; i++) progress.tick();
  progress.stop();
  progress.stop();
  const lines = text().trimEnd().split("\n");
  assertEquals(lines.length, 11);
  assertEquals(lines[0], "map: 1 of 40 (2 %)");
  assertEquals(lines[1], "map: 4 of 40 (10 %)");
  assertEquals(lines.at(-1), "map: 40 of 40 (100 %)");
});

Deno.test("progress: a run that is stopped early tells how far it came", async () => {
  const { stream, text } = capture(false);
  const progress = await createProgress({ total: 100, label: "map", stream });
  progress.tick(15, "fifteen");
  progress.tick();
  progress.stop();
  assertEquals(text(), "map: 15 of 100 (15 %) fifteen\nmap: 16 of 100 (16 %)\n");
});

Deno.test("progress: an unknown number of steps", async () => {
  const { stream, text } = capture(false);
  const progress = await createProgress({ label: "copy", stream });
  for (let i = 0; i < 1000; i++) progress.tick();
  progress.stop();
  const lines = text().trimEnd().split("\n");
  assertEquals(lines.at(-1), "copy: 1000");
  assertEquals(lines.length, 11);
});

Deno.test("progress: nothing done, nothing but the zero", async () => {
  const { stream, text } = capture(false);
  const progress = await createProgress({ total: 0, label: "map", stream });
  progress.stop();
  assertEquals(text(), "map: 0 of 0 (0 %)\n");
});

Deno.test("progress: a terminal gets a bar on stderr and its settings back", async () => {
  const module = new URL("../../store/progress.ts", import.meta.url).href;
  const program = `const { createProgress } = await import(${JSON.stringify(module)});
    const progress = await createProgress({ total: 4, label: "terminal" });
    for (let i = 0; i < 4; i++) progress.tick(1, "step " + i);
    progress.stop();`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    // script(1), from Debian's bsdutils, runs the command on a pseudo-terminal.
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const command = `${Deno.execPath()} run -A --config ${config} ${file} 2>&1 >/dev/null`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qec", command, "/dev/null"],
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stdout);
    assertStringIncludes(text, "\u2588".repeat(30) + " 4/4");
    assertStringIncludes(text, "step 3");
    assert(text.lastIndexOf("\x1b[?7h") > text.lastIndexOf("\x1b[?7l"), text);
  } finally {
    await Deno.remove(file);
  }
});
