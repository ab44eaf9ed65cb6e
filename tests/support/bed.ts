/**
 * A place for a test: a temporary folder, an engine, the server that it needs, and the engines and
 * stashes that the test opens on it; all gone at the end.
 */
import { complete, type Store } from "../../engines/complete.ts";
import type { Engine, EngineLocation } from "../../engines/engine.ts";
import { type EngineName, loadEngine } from "../../engines/registry.ts";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { makeDatabase } from "./postgres_server.ts";
import { startRedis } from "./redis_server.ts";

export { complete, type EngineName, type Store };

/** The engines, for tests that run on all. */
export const ENGINES: readonly EngineName[] = [
  "memory",
  "pairtree",
  "sqlite",
  "shelve",
  "redis",
  "pickledb",
  "diskcache",
  "lmdb",
  "postgres",
];

/** Engines whose data outlives the process, and that several processes can use at once. */
export const PERSISTENT = ENGINES.filter((engine) => engine !== "memory");

/** `engineOptions`. */
export type Options = Record<string, unknown>;

/** An engine's options; or what starts a server, gives the options for it and stops it. */
export type Setup = Options | (() => Promise<{ options: Options; stop(): Promise<void> }>);

/** What a handle is opened on, here or, sent as JSON, in another process. */
export interface Place {
  readonly engine: EngineName;
  readonly rootDir: string;
  readonly options: Options;
}

async function startOwnRedis() {
  const server = await startRedis();
  return { options: { url: server.url }, stop: () => server[Symbol.asyncDispose]() };
}

async function makeOwnDatabase() {
  const database = await makeDatabase();
  return { options: { url: database.url }, stop: () => database[Symbol.asyncDispose]() };
}

/** Engines that need a server. */
const SERVERS: Partial<Record<EngineName, Setup>> = {
  redis: startOwnRedis,
  postgres: makeOwnDatabase,
};

/** Whether an engine keeps its data in a server, and nothing below the root folder. */
export function hasServer(engine: EngineName): boolean {
  return Object.hasOwn(SERVERS, engine);
}

/** Makes an engine, which isn't opened. */
export async function makeEngine(
  { engine, rootDir, options }: Place,
  location: EngineLocation,
): Promise<Engine> {
  const createEngine = await loadEngine(engine);
  return createEngine({ rootDir, ...location }, options);
}

/** Opens a handle. */
export async function openEngine(
  place: Place,
  location: EngineLocation,
): Promise<Store> {
  const handle = complete(await makeEngine(place, location));
  await handle.open();
  return handle;
}

/** A handle, not opened, that `await using` closes. */
export function disposable(engine: Engine): Store & AsyncDisposable {
  const handle = complete(engine);
  return Object.assign(handle, {
    [Symbol.asyncDispose]: async () => await handle.close(),
  });
}

let counter = 0;

/** Makes engines and stashes on one engine. */
export class TestBed implements AsyncDisposable {
  readonly engine: EngineName;
  /** The temporary folder. */
  readonly root: string;
  readonly #options: Options;
  readonly #handles = new Set<Store>();
  readonly #stack = new AsyncDisposableStack();

  private constructor(engine: EngineName, root: string, options: Options) {
    this.engine = engine;
    this.root = root;
    this.#options = options;
  }

  /** Makes a bed; with a server or database of its own, unless `setup` says otherwise. */
  static async create(engine: EngineName, setup?: Setup): Promise<TestBed> {
    setup ??= SERVERS[engine] ?? {};
    const { options, stop } = typeof setup === "function"
      ? await setup()
      : { options: setup, stop: undefined };
    const root = await Deno.makeTempDir({ prefix: `hashstash_${engine}_` });
    const bed = new TestBed(engine, root, options);
    bed.defer(() => Deno.remove(root, { recursive: true }));
    if (stop) bed.defer(stop);
    bed.defer(() => bed.close());
    return bed;
  }

  /** Where its engines are; for other processes too. */
  get place(): Place {
    return { engine: this.engine, rootDir: this.root, options: this.#options };
  }

  /** Opens an engine here, with more options or elsewhere when asked. */
  async open(
    options: Options = {},
    location: Partial<EngineLocation> = {},
  ): Promise<Store> {
    const place = { ...this.place, options: { ...this.#options, ...options } };
    const handle = await openEngine(place, { name: "test", dbname: "main", ...location });
    this.#handles.add(handle);
    return handle;
  }

  /** Closes the engines that were opened. */
  async close(): Promise<void> {
    for (const handle of this.#handles) await handle.close();
    this.#handles.clear();
  }

  /** Options of a stash here; under a name of its own unless one is given. */
  options(overrides: HashStashOptions = {}): HashStashOptions {
    return {
      name: `stash_${++counter}`,
      engine: this.engine,
      rootDir: this.root,
      ...overrides,
      engineOptions: { ...this.#options, ...overrides.engineOptions },
    };
  }

  /** A stash here. */
  // deno-lint-ignore no-explicit-any -- tests put all sorts of things in
  stash<K = any, V = any>(overrides?: HashStashOptions): HashStash<K, V> {
    return this.#stack.use(new HashStash<K, V>(this.options(overrides)));
  }

  /** Has something done at the end, before the folder goes. */
  defer(action: () => void | Promise<void>): void {
    this.#stack.defer(action);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Makes a function that registers tests with a bed each, their names after the label. */
export function bedTests(
  engine: EngineName,
  label: string,
): (name: string, fn: (bed: TestBed) => void | Promise<void>) => void {
  return (name, fn) =>
    Deno.test({
      name: `${label} ${name}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn() {
        await using bed = await TestBed.create(engine);
        await fn(bed);
      },
    });
}
