/**
 * What the shared tests use of Deno, in other runtimes: it stands in its place in their program, not
 * in the package that they test.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { opendir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Readable } from "node:stream";
import { inspect } from "node:util";

/** A test that was registered. */
export interface Registered {
  readonly name: string;
  readonly ignore?: boolean;
  fn(): Promise<void> | void;
}

export const tests: Registered[] = [];
export const before: (() => Promise<void> | void)[] = [];
export const after: (() => Promise<void> | void)[] = [];

function test(first: Registered | string, fn?: () => Promise<void>): void {
  if (typeof first !== "string") tests.push(first);
  else if (fn) tests.push({ name: first, fn });
}

function makeTempDir({ prefix = "" } = {}): Promise<string> {
  return Promise.resolve(mkdtempSync(join(tmpdir(), prefix)));
}

export const Deno = {
  test: Object.assign(test, {
    beforeAll: (fn: () => Promise<void>) => before.push(fn),
    afterAll: (fn: () => Promise<void>) => after.push(fn),
  }),
  args: process.argv.slice(2),
  build: { os: process.platform === "win32" ? "windows" : process.platform },
  env: { get: (name: string) => process.env[name] },
  pid: process.pid,
  uid: () => process.getuid?.() ?? null,
  inspect,
  makeTempDir,
  remove: (path: string, options?: { recursive: boolean }) => rm(path, options),
  readTextFile: (path: string) => readFile(path, "utf8"),
  readTextFileSync: (path: string) => readFileSync(path, "utf8"),
  writeTextFile: (path: string, text: string) => writeFile(path, text),
  statSync,
  removeSync: (path: string) => rmSync(path),
  async *readDir(path: string) {
    for await (const entry of await opendir(path)) {
      yield { name: entry.name, isFile: entry.isFile(), isDirectory: entry.isDirectory() };
    }
  },
  stdin: {
    get readable() {
      return Readable.toWeb(process.stdin);
    },
  },
  stdout: { writeSync: (bytes: Uint8Array) => writeSync(1, bytes) },
};

/** What Node 22 lacks of the language. */
class Stack implements AsyncDisposable {
  readonly #actions: (() => unknown)[] = [];

  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  defer(action: () => unknown): void {
    this.#actions.push(action);
  }

  async disposeAsync(): Promise<void> {
    for (const action of this.#actions.splice(0).reverse()) await action();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}

export { Stack as AsyncDisposableStack };
