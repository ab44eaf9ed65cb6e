/** Python, and its own DiskCache, to judge and to share files with. */
import { assert } from "@std/assert";

/** Debian installs modules for its own Python, whatever other one comes first on the PATH. */
const PYTHON = Deno.build.os === "linux" ? "/usr/bin/python3" : "python3";

const decoder = new TextDecoder();

/**
 * A script in which `cache` is the directory's `diskcache.Cache` and `answer(value)` is what comes
 * back.
 */
function wrap(script: string): string {
  return `
import json, sys, warnings
try:
    from diskcache import Cache
except ImportError:
    sys.exit("Python's DiskCache is missing: install Debian's python3-diskcache, or run"
             " python3 -m pip install diskcache")

def answer(value):
    print(json.dumps(value))

with Cache(sys.argv[1]) as cache:
    def check():
        return [str(warning.message) for warning in cache.check()]
${script.replace(/^/gm, "    ")}
`;
}

function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(PYTHON, {
    args: ["-c", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function printedBy(child: Deno.ChildProcess): Promise<string> {
  const { success, stdout, stderr } = await child.output();
  assert(success, decoder.decode(stderr));
  return decoder.decode(stdout).trim();
}

/** Runs a Python script with these arguments; what it printed. */
export async function runPython(script: string, ...args: string[]): Promise<string> {
  return await printedBy(start(script, ...args));
}

/** Starts a Python script on a directory; it ends by itself. */
export function startPython(directory: string, script: string): Deno.ChildProcess {
  return start(wrap(script), directory);
}

/** Runs a Python script on a directory; what it answered, `undefined` for nothing. */
export async function python(directory: string, script: string): Promise<unknown> {
  return await answerOf(startPython(directory, script));
}

/** What a Python script answered. */
export async function answerOf(child: Deno.ChildProcess): Promise<unknown> {
  const text = await printedBy(child);
  return text === "" ? undefined : JSON.parse(text);
}
