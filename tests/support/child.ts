/** Other processes: scripts with permissions of their own, and workers that are told what to do. */
import { ROOT } from "../../dev/run.ts";

/** How a script ended. */
export interface ScriptResult {
  readonly success: boolean;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs TypeScript in a child `deno run` with these flags. Imports are relative to the repository's
 * folder.
 */
export async function runScript(
  script: string,
  flags: string[],
  env: Record<string, string> = {},
): Promise<ScriptResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--ext=ts", ...flags, "-"],
    cwd: ROOT,
    env: { ...env, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(script));
  await stdin.close();
  const { success, code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { success, code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** How to run a worker of this folder: the command and its first arguments. */
export type Program = (worker: string) => string[];

/** Runs it in this Deno. */
export const inDeno: Program = (worker) => {
  const script = new URL(worker, import.meta.url).href;
  return [Deno.execPath(), "run", "-A", "--quiet", "--no-check", "--unstable-kv", script];
};

/** A process that runs a worker of this folder; at the end it is waited for. */
export class WorkerProcess implements AsyncDisposable {
  /** The lines that it prints. */
  readonly lines: AsyncGenerator<string, void>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #hasInput = true;

  /**
   * Starts `worker`, a file beside this one, with an argument that it gets as JSON, and with more in
   * its environment when asked; in Deno, unless told.
   */
  constructor(
    worker: string,
    argument: unknown = null,
    env: Record<string, string> = {},
    program: Program = inDeno,
  ) {
    const [command, ...args] = program(worker);
    this.#child = new Deno.Command(command, {
      args: [...args, JSON.stringify(argument)],
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.lines = linesOf(this.#child.stdout);
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Its next line; throws when it has ended. */
  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("A worker process ended before it answered");
    return value;
  }

  /** Writes a line to it. */
  async write(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Ends its input. */
  async endInput(): Promise<void> {
    if (!this.#hasInput) return;
    this.#hasInput = false;
    await this.#input.close();
  }

  /** Stops it, as if it got no time, until `resume`. */
  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Kills it, as a crash would. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endInput();
    await this.lines.return();
    await this.status;
  }
}

/** The whole lines of a stream. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
