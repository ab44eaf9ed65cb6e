/**
 * The package for npm as JSR makes it, and the programs of the tests for Node and Bun. `deno pack`
 * transpiles and makes types by the same code as JSR; in place of the packages of JSR it gets what
 * stands in for them in dev/.
 */
import { build, type Plugin, stop } from "esbuild";
import { join, relative } from "node:path";
import { outputOf, ROOT } from "../../../dev/run.ts";
import { installRuntimes, type Runtime, type Runtimes } from "../../../dev/runtimes.ts";

const PACKAGE = "node_modules/@hashstash/hashstash";

/** Programs of the tests: those that Deno runs as they are, and those for other runtimes alone. */
const PROGRAMS = [
  "process_worker.ts",
  "kill_worker.ts",
  "stash_worker.ts",
  "runtimes/lock_main.ts",
  "runtimes/suite_main.ts",
];

/** The runtimes with the package installed. */
export interface Installed extends Runtimes, AsyncDisposable {
  /** The folder of a program that uses the package. */
  readonly app: string;
  /** The folder of the package. */
  readonly package: string;
  /** How to run one of `PROGRAMS` (`"./kill_worker.ts"`) in a runtime. */
  program(runtime: Runtime): (worker: string) => string[];
}

/** Installs the package. */
export async function install(): Promise<Installed> {
  const runtimes = await installRuntimes();
  const app = await Deno.makeTempDir({ dir: runtimes.folder, prefix: "app_" });
  await Deno.writeTextFile(join(app, "package.json"), '{ "type": "module", "private": true }');
  await pack(app);
  await bundle(app);
  return {
    ...runtimes,
    app,
    package: join(app, PACKAGE),
    program: ({ command }) => (worker) => [command, join(app, worker.replace(/ts$/, "js"))],
    [Symbol.asyncDispose]: () => Deno.remove(app, { recursive: true }),
  };
}

async function pack(app: string): Promise<void> {
  const tarball = join(app, "package.tgz");
  const { success, stderr } = await outputOf(["pack", "--allow-dirty", "--output", tarball]);
  if (!success) throw new Error(`deno pack failed: ${stderr}`);
  const folder = join(app, PACKAGE);
  await Deno.mkdir(folder, { recursive: true });
  const args = ["-xzf", tarball, "--strip-components=1", "-C", folder];
  const tar = await outputOf(args, {}, "tar");
  if (!tar.success) throw new Error(tar.stderr);
  await Deno.remove(tarball);
  await installStandIns(app);
}

/** As packages of their own, as those of JSR are. */
async function installStandIns(app: string): Promise<void> {
  const standIns = join(app, PACKAGE, "dev");
  for await (const { name } of Deno.readDir(standIns)) {
    const { name: own, exports } = JSON.parse(
      await Deno.readTextFile(join(ROOT, "dev", name, "deno.json")),
    );
    const folder = join(app, "node_modules", own);
    await Deno.mkdir(join(folder, ".."), { recursive: true });
    await Deno.rename(join(standIns, name), folder);
    const entries = Object.entries<string>(
      typeof exports === "string" ? { ".": exports } : exports,
    );
    await Deno.writeTextFile(
      join(folder, "package.json"),
      JSON.stringify({
        name: own,
        type: "module",
        exports: Object.fromEntries(entries.map(([key, file]) => [key, file.replace(/ts$/, "js")])),
      }),
    );
  }
  await Deno.remove(standIns);
}

/** Makes the programs: of the tests alone, so that what they test is the package. */
async function bundle(app: string): Promise<void> {
  const support = join(ROOT, "tests", "support");
  const own: Plugin = {
    name: "package",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const file = relative(ROOT, join(resolveDir, path)).replaceAll("\\", "/");
        if (/^(tests|dev)\//.test(file)) return undefined;
        return { path: `@package/${file.replace(/ts$/, "js")}`, external: true };
      });
      onResolve({ filter: /^@std\// }, ({ path }) => {
        const [, name, ...rest] = path.split("/");
        const file = rest.length > 0 ? `${rest.join("/").replaceAll("-", "_")}.ts` : "mod.ts";
        return { path: join(ROOT, "dev", `std_${name}`, file) };
      });
    },
  };
  await build({
    entryPoints: PROGRAMS.map((name) => join(support, name)),
    outbase: support,
    outdir: app,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    packages: "external",
    inject: [join(support, "runtimes", "deno_shim.ts")],
    plugins: [own],
    logLevel: "error",
  });
  await stop();
  // Their imports of the package by its files, as it has no exports of these.
  for (const file of await filesIn(app)) {
    const text = await Deno.readTextFile(file);
    const to = new URL(`file://${join(app, PACKAGE)}/`).href;
    await Deno.writeTextFile(file, text.replaceAll('"@package/', `"${to}`));
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (name === "node_modules") continue;
    if (isDirectory) files.push(...await filesIn(path));
    else if (name.endsWith(".js")) files.push(path);
  }
  return files;
}
