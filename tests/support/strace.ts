/** Programs that are watched by `strace`, and killed by it at a system call of its choice. */
import { linesOf } from "./child.ts";

/** The system calls that change what is on a disk. */
const CALLS = [
  "openat",
  ...["write", "pwrite64", "writev", "pwritev", "fallocate"],
  ...["ftruncate", "fsync", "fdatasync", "msync"],
  ...["rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"],
  ...["link", "linkat", "chmod", "fchmod", "fchmodat", "utimensat"],
];

/** The n-th system call of this name in one of the threads. */
export interface CallSite {
  readonly call: string;
  readonly n: number;
}

function args(more: string[]): string[] {
  // A name that this machine's kernel does not have is passed over.
  const trace = `trace=${CALLS.map((call) => `?${call}`).join()}`;
  return ["-f", "-qq", "-e", trace, "-e", "signal=none", ...more];
}

/** Why programs can't be watched here; `undefined`: they can. */
export async function straceError(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `there is no strace for ${Deno.build.os}`;
  try {
    const { success, stderr } = await new Deno.Command("strace", {
      args: args(["-o", "/dev/null", "true"]),
    }).output();
    if (success) return undefined;
    return `strace may not trace here: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "strace is not installed (`deno task setup` installs it where it can)";
  }
}

/** Runs a program to its end; where it called the system for a file below this folder. */
export async function callSites(
  command: string[],
  folder: string,
): Promise<{ sites: CallSite[]; lines: string[] }> {
  const log = await Deno.makeTempFile();
  try {
    const { lines } = await run(["-y", "-s", "0", "-o", log, ...command]);
    const counts = new Map<string, number>();
    const sites = new Map<string, CallSite>();
    for (const line of (await Deno.readTextFile(log)).split("\n")) {
      const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
      if (call === undefined) continue;
      const counter = `${thread} ${call}`;
      const n = (counts.get(counter) ?? 0) + 1;
      counts.set(counter, n);
      const isChange = call !== "openat" || /O_CREAT|O_WRONLY|O_RDWR/.test(line);
      if (isChange && line.includes(folder)) sites.set(`${call} ${n}`, { call, n });
    }
    return { sites: [...sites.values()], lines };
  } finally {
    await Deno.remove(log);
  }
}

/** Runs a program and kills it on its way into a system call; what it had printed by then. */
export async function runUntil(
  { call, n }: CallSite,
  command: string[],
): Promise<{ lines: string[]; isKilled: boolean }> {
  return await run([
    ...["-o", "/dev/null", "-e", `inject=${call}:signal=SIGKILL:when=${n}`],
    ...command,
  ]);
}

async function run(more: string[]): Promise<{ lines: string[]; isKilled: boolean }> {
  const child = new Deno.Command("strace", {
    args: args(more),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = await Array.fromAsync(linesOf(child.stdout));
  const { code, signal } = await child.status;
  // strace ends as what it traces did.
  const isKilled = signal === "SIGKILL";
  if (code !== 0 && !isKilled) throw new Error(`The traced program ended with ${code}`);
  return { lines, isKilled };
}
