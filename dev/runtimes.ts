/**
 * Node and Bun, in which the tests run the package for npm. They come from npm, with the packages
 * that this one needs there, into a folder beside other temporary ones: once, for all runs.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import config from "../deno.json" with { type: "json" };

/** A runtime, and how programs are run in it. */
export interface Runtime {
  /** `"Node 22"`. */
  readonly name: string;
  /** Its program. */
  readonly command: string;
}

/** Where the runtimes are, and what is installed beside them. */
export interface Runtimes {
  /** The folder of `node_modules`. */
  readonly folder: string;
  readonly node22: Runtime;
  readonly node24: Runtime;
  readonly current: Runtime;
  readonly bun: Runtime;
}

const FROM_NPM = {
  "node-22": "npm:node@22",
  "node-24": "npm:node@24",
  "node-current": "npm:node@>=26",
  "bun": ">=1.3",
  // What a program in Node adds where it wants to use it.
  "@deno/kv": "^0.14.0",
  "typescript": "^5.9.0",
  "@types/node": "^24.0.0",
};

/** Packages of ours that programs in Node use, too. */
const OWN = [
  "http-cache-semantics",
  "ioredis",
  "lmdb",
  "lz4-wasm-nodejs",
  "msgpackr",
  "pg",
] as const;

/** Installs the runtimes where they are not there yet; fails where npm or its registry is not. */
export async function installRuntimes(): Promise<Runtimes> {
  const own = OWN.map((name) => [name, config.imports[name].slice(`npm:${name}@`.length)]);
  const dependencies = { ...FROM_NPM, ...Object.fromEntries(own) };
  const text = JSON.stringify({ private: true, type: "module", dependencies }, undefined, 2);
  const version = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const folder = join(tmpdir(), `hashstash_runtimes_${version}`);
  if (!existsSync(folder)) {
    const own = await Deno.makeTempDir({ prefix: "hashstash_runtimes_new_" });
    try {
      await Deno.writeTextFile(join(own, "package.json"), text);
      await npm(["install", "--no-audit", "--no-fund", "--loglevel=error"], own);
      // Another process may have been faster.
      if (!existsSync(folder)) await Deno.rename(own, folder);
    } finally {
      await Deno.remove(own, { recursive: true }).catch(() => undefined);
    }
  }
  const inModules = (...path: string[]) => join(folder, "node_modules", ...path);
  const node = (name: string, alias: string): Runtime => {
    const program = Deno.build.os === "windows" ? "node.exe" : "node";
    return { name, command: inModules(alias, "bin", program) };
  };
  return {
    folder,
    node22: node("Node 22", "node-22"),
    node24: node("Node 24", "node-24"),
    current: node("current Node", "node-current"),
    bun: { name: "Bun", command: inModules("bun", "bin", "bun.exe") },
  };
}

async function npm(args: string[], cwd: string): Promise<void> {
  const isWindows = Deno.build.os === "windows";
  const { success, stderr } = await new Deno.Command(isWindows ? "cmd" : "npm", {
    args: isWindows ? ["/c", "npm", ...args] : args,
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`npm ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
}
