import type { TestBed } from "./bed.ts";
import { runScript, type ScriptResult } from "./child.ts";

/** Runs the command line as a person would: another process. */
export const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** What Deno's own command line needs before the arguments of ours. */
export const hashstashArguments: readonly string[] = [
  "run",
  "-A",
  "--quiet",
  "--unstable-kv",
  "--no-check",
  MAIN,
];

/** The options that name a stash of the bed. */
export function optionsOf(bed: TestBed, name = "cli"): string[] {
  const { url } = (bed.options().engineOptions ?? {}) as { url?: string };
  return [
    "--engine",
    bed.engine,
    "--name",
    name,
    "--root",
    bed.root,
    ...(url ? ["--url", url] : []),
  ];
}

/** What a run gave. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

/** Runs `hashstash ARGS`, with bytes or text on its standard input. */
export async function hashstash(
  args: string[],
  options: { input?: Uint8Array | string; env?: Record<string, string> } = {},
): Promise<Run> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...hashstashArguments, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...options.env },
  }).spawn();
  const writer = child.stdin.getWriter();
  const { input = "" } = options;
  const writing = writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input)
    .then(() => writer.close())
    // A command that does not read its input ends before it is written.
    .catch((error) => {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    });
  const { code, stdout, stderr } = await child.output();
  await writing;
  const decoder = new TextDecoder();
  return { code, bytes: stdout, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/**
 * Runs `hashstash ARGS` in a process that sends itself a signal in the middle of its work.
 *
 * @param middle Statements that put a call of `interrupt()` there: they may change `HashStash`.
 */
export async function hashstashInterrupted(
  args: string[],
  middle: string,
  signal: "SIGINT" | "SIGTERM" = "SIGINT",
): Promise<ScriptResult> {
  return await runScript(
    `
    import { HashStash } from "./mod.ts";
    import { main } from "./cli/main.ts";
    async function interrupt() {
      // The system delivers it at its own pace: until the command has heard it.
      const heard = Promise.withResolvers();
      const { abort } = AbortController.prototype;
      AbortController.prototype.abort = function (reason) {
        abort.call(this, reason);
        heard.resolve();
      };
      Deno.kill(Deno.pid, "${signal}");
      await heard.promise;
      AbortController.prototype.abort = abort;
    }
    ${middle}
    Deno.exit(await main(${JSON.stringify(args)}));
  `,
    ["-A", "--unstable-kv"],
  );
}
