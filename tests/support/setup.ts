/** How the tests that all engines share come by an engine and a place for its data. */
import { complete, type CompleteEngine } from "../../engines/complete.ts";
import { type EngineName, loadEngine } from "../../engines/registry.ts";

type Options = Record<string, unknown>;

/**
 * `engineOptions` that survive JSON; or what starts a server, gives the options for it and stops
 * it.
 */
export type Setup = Options | (() => Promise<{ options: Options; stop(): Promise<void> }>);

/**
 * An engine with its options in a root folder of its own: what a test needs to open handles, here
 * or in a child.
 */
export interface Site {
  readonly engine: EngineName;
  readonly rootDir: string;
  readonly options: Options;
}

/** A site that ends with the test: its server stopped, its folder removed. */
export async function startSite(
  engine: EngineName,
  setup: Setup,
): Promise<Site & AsyncDisposable> {
  const { options, stop } = typeof setup === "function"
    ? await setup()
    : { options: setup, stop: () => Promise.resolve() };
  const rootDir = await Deno.makeTempDir({ prefix: `hashstash_${engine}_` });
  return {
    engine,
    rootDir,
    options,
    async [Symbol.asyncDispose]() {
      await stop();
      await Deno.remove(rootDir, { recursive: true });
    },
  };
}

/** Opens a handle. */
export async function openEngine(
  { engine, rootDir, options }: Site,
  name: string,
  dbname = "main",
): Promise<CompleteEngine> {
  const createEngine = await loadEngine(engine);
  const handle = complete(createEngine({ rootDir, name, dbname }, options));
  await handle.open();
  return handle;
}
