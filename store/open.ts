/** Opening a store: the engine that the options name, and what stands around it. */
import { complete, type CompleteOptions, type Store } from "../engines/complete.ts";
import type { DropListener, Engine, EngineFactory, EngineLocation } from "../engines/engine.ts";
import { engineError, messageOf } from "../engines/errors.ts";
import { enginePath, loadEngine } from "../engines/registry.ts";
import type { LimitedOptions } from "./limits.ts";
import {
  builtInName,
  type CheckedOptions,
  missingMethod,
  needsRootDir,
  RESERVED_DBNAMES,
} from "./options.ts";
import { isThere } from "../platform/files.ts";
import { Near, type NearSettings } from "./near.ts";
import { Writes } from "./near_tier.ts";
import type { TagSpace } from "./tag_space.ts";
import { Tags } from "./tags.ts";
import { Versions } from "./versions.ts";
import type { Watch } from "./watch.ts";

/** What is wanted of a store besides what the options say. */
interface OpenSettings {
  /** Told of the entries that the engine drops by itself, where it says which. */
  onDrop?: DropListener;
  /** Of its near tier, where the options ask for one; absent: it is not for this store. */
  near?: Omit<NearSettings, "name" | "dbname" | "place" | "near">;
}

/**
 * Opens the store of one dbname, without append mode; the caller closes it.
 */
export async function openStore(
  options: CheckedOptions,
  dbname: string,
  { onDrop, near }: OpenSettings = {},
): Promise<Store> {
  const { engine, name, rootDir, engineOptions } = options;
  const isObject = typeof engine === "object";
  const made = isObject ? engine : make(
    typeof engine === "function" ? engine : await load(engine),
    { rootDir, name, dbname },
    engineOptions,
  );
  const place = storeIdentity({ ...options, dbname }, made.path);
  const told = { onDrop, writes: new Writes(place, isInside) };
  let store = isObject ? partOf(made, name, dbname, told) : complete(made, told);
  if (near !== undefined && options.near !== undefined) {
    store = new Near(store, { ...near, name, dbname, place, near: options.near });
  }
  await store.open();
  return store;
}

/**
 * One store in an engine object: such an object is a single flat store, which several stashes and
 * those inside them share; each has the keys that begin with its own name and dbname.
 */
export function partOf(
  engine: Engine,
  name: string,
  dbname: string,
  told: Pick<CompleteOptions, "onDrop" | "writes"> = {},
): Store {
  const place = `${escape(name)}:${escape(dbname)}`;
  return complete(engine, {
    prefix: `${place}:`,
    ...told,
    nestedPrefix: `${place}/`,
    nestedKey(rest) {
      const end = rest.indexOf(":");
      return end < 0 ? undefined : [unescape(rest.slice(0, end)), rest.slice(end + 1)];
    },
  });
}

/** The engine that a factory makes. */
function make(
  create: EngineFactory,
  location: EngineLocation,
  engineOptions: Record<string, unknown>,
): Engine {
  let made: unknown;
  try {
    made = create(location, engineOptions);
  } catch (error) {
    // What is wrong with an option is said as it is.
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    throw engineError(create.name, "open", messageOf(error), error);
  }
  if (missingMethod(made) === undefined) return made as Engine;
  throw new TypeError(`The factory "${create.name}" gave no object with the methods of an engine`);
}

/** What decorators need of the handle that they are for. */
interface Owner {
  /** A name for the store in this process. */
  readonly place: string;
  /** Tells whoever watches. */
  readonly watch: Pick<Watch, "tell">;
  /** Opens a side store, which the owner closes. */
  side(name: string): Promise<Store>;
  /** The tags of a stash, by its dbname; of the one that the store is of, by default. */
  tagSpace(dbname?: string): TagSpace;
}

/**
 * The store with what the options ask for around it, each a decorator that knows nothing of the
 * others.
 *
 * @returns `latest` has the latest version of each key only; it is the same without append mode.
 */
export async function decorated(
  store: Store,
  options: CheckedOptions,
  owner: Owner,
): Promise<{ store: Store; latest: Store }> {
  const find = (dbname: string) => owner.tagSpace(dbname);
  const inner = await limited(store, options, {
    outermost: () => outermost,
    evicted: (text, bytes) => owner.watch.tell("evict", text, { bytes }),
  });
  const latest = new Tags(
    inner,
    options.dbname,
    owner.tagSpace(),
    find,
    options.near !== undefined,
  );
  const side = () => owner.side(RESERVED_DBNAMES.versions);
  const outermost = options.appendMode ? new Versions(latest, side, () => owner.place) : latest;
  return { store: outermost, latest };
}

/** The store with its limits around it, if it has any: only then is what they take loaded. */
export async function limited(
  store: Store,
  options: CheckedOptions,
  around: Pick<LimitedOptions, "outermost" | "evicted">,
): Promise<Store> {
  const { maxEntries = Infinity, maxBytes = Infinity, evict = "lru" } = options;
  if (maxEntries === Infinity && maxBytes === Infinity) return store;
  const { Limited } = await import("./limits.ts");
  return new Limited(store, {
    maxEntries,
    maxBytes,
    evict,
    identity: storeIdentity(options, store.path),
    openSide: () => openStore(options, `${options.dbname}/${RESERVED_DBNAMES.use}`),
    ...around,
  });
}

/**
 * Whether somebody may have made the store of a dbname: opening one makes folders and files where
 * each store has its own.
 */
export function mayBeThere(options: CheckedOptions, dbname: string): boolean {
  if (builtInName(options.engine) === undefined || !needsRootDir(options)) return true;
  return isThere(storePathOf({ ...options, dbname }));
}

async function load(name: Parameters<typeof loadEngine>[0]): Promise<EngineFactory> {
  try {
    return await loadEngine(name);
  } catch (cause) {
    throw engineError(name, "open", `its module can't be loaded: ${messageOf(cause)}`, cause);
  }
}

/** Where the data of these options lives, without opening it. */
export function storePathOf(options: CheckedOptions): string {
  const { engine, rootDir, name, dbname, engineOptions } = options;
  if (typeof engine === "object") return engine.path;
  const location = { rootDir, name, dbname };
  return typeof engine === "string"
    ? enginePath(engine, location, engineOptions)
    : make(engine, location, engineOptions).path;
}

const ids = new WeakMap<object, number>();
let count = 0;

function idOf(thing: object): number {
  let id = ids.get(thing);
  if (id === undefined) ids.set(thing, id = ++count);
  return id;
}

/**
 * A name for the store of these options in this process: two handles on one store have one name,
 * and two stores never do. A path is not enough for that: memory is kept apart by root too, and
 * objects (an engine, an open client) may have any path.
 */
export function storeIdentity(options: CheckedOptions, path: string): string {
  const { engine, rootDir, name, dbname, engineOptions } = options;
  const objects = Object.values(engineOptions).filter((value) =>
    typeof value === "object" && value !== null && !(value instanceof URL) && !Array.isArray(value)
  ) as object[];
  const builtIn = builtInName(engine);
  return JSON.stringify([
    builtIn ?? idOf(engine as object),
    builtIn === "memory" ? rootDir ?? null : null,
    path,
    name,
    dbname,
    ...objects.map(idOf),
  ]);
}

/** Whether a store is nested in another one, by their identities. */
export function isInside(identity: string, outer: string): boolean {
  const [kind, root, , name, dbname, ...objects] = JSON.parse(identity);
  const [outerKind, outerRoot, , outerName, outerDbname, ...outerObjects] = JSON.parse(outer);
  return kind === outerKind && root === outerRoot && name === outerName &&
    dbname.startsWith(`${outerDbname}/`) && String(objects) === String(outerObjects);
}

function escape(text: string): string {
  return text.replace(/[%:]/g, encodeURIComponent);
}

function unescape(text: string): string {
  return text.replace(/%(25|3A)/g, decodeURIComponent);
}
