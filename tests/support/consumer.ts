/** A project of somebody else's, in a folder outside the repository, with a cache of its own. */
import { assert } from "@std/assert";
import { dirname, join } from "node:path";
import { type Output, outputOf } from "../../dev/run.ts";
import type { JsrRegistry } from "./jsr_registry.ts";
import type { NpmCache } from "./npm_cache.ts";
import config from "../../deno.json" with { type: "json" };

/** Where packages come from. */
export interface Registries {
  readonly jsr: JsrRegistry;
  readonly npm: NpmCache;
}

/** The package, as projects name it. */
export const PACKAGE = config.name;

/** What they write for its newest version. */
export const SPECIFIER = `jsr:${PACKAGE}@^${config.version}`;

/** A project; its folder goes with `await using`. */
export class Consumer implements AsyncDisposable {
  /** Its folder. */
  readonly folder: string = Deno.makeTempDirSync();
  /** Deno's cache. */
  readonly denoDir: string = Deno.makeTempDirSync();
  readonly #env: Record<string, string>;
  readonly #deno: string;

  /**
   * An empty project.
   *
   * @param registries Where its packages come from.
   * @param deno The Deno that it uses.
   */
  constructor({ jsr, npm }: Registries, deno: string = Deno.execPath()) {
    this.#deno = deno;
    this.#env = {
      JSR_URL: jsr.url,
      NPM_CONFIG_REGISTRY: npm.url,
      DENO_DIR: this.denoDir,
      DENO_NO_UPDATE_CHECK: "1",
      DENO_NO_PROMPT: "1",
      DENO_COVERAGE_DIR: "",
      HOME: this.folder,
      LOCALAPPDATA: this.folder,
      XDG_CACHE_HOME: "",
      HASHSTASH_DIR: "",
    };
  }

  /** Writes a file below its folder. */
  async write(file: string, text: string): Promise<void> {
    await Deno.mkdir(dirname(join(this.folder, file)), { recursive: true });
    await Deno.writeTextFile(join(this.folder, file), text);
  }

  /** Writes a configuration that names this package, as `deno add` does. */
  async configure(settings: object = {}): Promise<void> {
    const imports = { [PACKAGE]: SPECIFIER };
    // Everybody's npm packages may be newer than this machine has all parts of.
    const { minimumDependencyAge } = config;
    await this.write("deno.json", JSON.stringify({ imports, minimumDependencyAge, ...settings }));
  }

  /** Runs Deno, or another program, in its folder. */
  try(args: string[], env: Record<string, string> = {}, command?: string): Promise<Output> {
    return outputOf(
      args,
      { cwd: this.folder, env: { ...this.#env, ...env } },
      command ?? this.#deno,
    );
  }

  /** Runs it, and gives its output; it must succeed, and have nothing to say on standard error. */
  async run(args: string[], env?: Record<string, string>, command?: string): Promise<string> {
    const { success, stdout, stderr } = await this.try(args, env, command);
    assert(
      success && stderr === "",
      `${command ?? "deno"} ${args.join(" ")}\n${stdout}\n${stderr}`,
    );
    return stdout;
  }

  /** Forgets all that has been downloaded. */
  async emptyCache(): Promise<void> {
    await Deno.remove(this.denoDir, { recursive: true });
  }

  /** Removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of [this.folder, this.denoDir]) {
      // A cache may have been removed already.
      await Deno.remove(folder, { recursive: true }).catch(() => {});
    }
  }
}
