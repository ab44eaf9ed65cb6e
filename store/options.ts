import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { CodecOptions } from "../codec/mod.ts";
import { isBuiltIn } from "../engines/built_in.ts";
import { defaultRootDir } from "../engines/location.ts";
import type { Bus, Engine, EngineFactory } from "../engines/engine.ts";
import type { AnyEngineOptions, EngineOptionsOf } from "../engines/engine_options.ts";
import { ENGINE_NAMES, type EngineName, isEngineName, keepsFiles } from "../engines/registry.ts";

/** What a stash is made with besides its engine; all optional. */
export interface HashStashBaseOptions {
  /**
   * The stash's name, `"unnamed"` by default: one path or key segment, never a way out of
   * `rootDir`.
   */
  name?: string;
  /** The store inside the stash, `"main"` by default; `/` nests. */
  dbname?: string;
  /**
   * The folder of all stashes: a path or a `file:` URL. By default `$HASHSTASH_DIR`, else
   * `hashstash` in `$XDG_CACHE_HOME` or the platform's cache folder.
   */
  rootDir?: string | URL;
  /** How values become bytes: `"hashstash"` by default. */
  serializer?: CodecOptions["serializer"];
  /** Whether, and with what, bytes are compressed; `false` by default, `true` means `"zstd"`. */
  compress?: CodecOptions["compress"];
  /** Whether stored bytes are base64 text; `false` by default. */
  b64?: boolean;
  /** How long an entry lives unless `set` says otherwise, ms; `Infinity` or absent: forever. */
  ttl?: number;
  /** Whether every version of a key is kept; `false` by default. */
  appendMode?: boolean;
  /** Whether the stash is emptied when it is opened; `false` by default. */
  clear?: boolean;
  /**
   * How many bytes what one stored value holds may have once it is decompressed; 1 GiB by default.
   * A read beyond it rejects with a `DecodeError`, before the memory is taken. It bounds no `set`:
   * another handle may be one that reads more.
   */
  maxValueBytes?: number;
  /**
   * What functions, `getOrSet`, `map` and batches do when the store can't be opened, read or written:
   * reject with the `EngineError` (`"throw"`, the default), or run without it (`"bypass"`). Then an
   * `"error"` event tells, what is made is not stored, and the store is asked again after a second,
   * doubling to 30. Everything else rejects as ever.
   */
  onEngineError?: "throw" | "bypass";
  /**
   * Keeps what was read and written in this process's memory, in front of the engine; `false` by
   * default, `true` means `{}`.
   */
  near?: boolean | NearOptions;
  /**
   * Values come back deeply frozen, and two reads of one stored state may give the same object;
   * `false` by default. Parts that can't be frozen (`Map`, `Date`, typed arrays, instances of
   * classes) are each reader's own.
   */
  frozen?: boolean;
  /** What leaves the program by way of events; see {@linkcode TelemetryOptions}. */
  telemetry?: TelemetryOptions;
  /**
   * The most entries of this store, of each store inside it and of each function's: room is made
   * before more are stored. `Infinity` or absent: no limit. All handles on a store should have the
   * same limits.
   */
  maxEntries?: number;
  /**
   * The most bytes of their keys (in UTF-8) and values as they are stored; in append mode those of
   * the latest versions. One that is larger by itself is a `RangeError`. `Infinity` or absent: no
   * limit.
   */
  maxBytes?: number;
  /**
   * Which entries go first when there is no room, nearly: the least recently used (`"lru"`, the
   * default), the least frequently used (`"lfu"`) or those set longest ago (`"oldest"`).
   */
  evict?: EvictPolicy;
}

/** What a process keeps of a store in its memory, shared by all its handles on the store. */
export interface NearOptions {
  /** The most entries; 10,000 by default. The least recently used go. */
  maxEntries?: number;
  /** The most bytes that they take in memory; no limit by default. */
  maxBytes?: number;
  /**
   * How long, ms, what was read is served without asking the engine: what other processes write is
   * seen after it at the latest; 5,000 by default.
   */
  ttl?: number;
  /**
   * Has what other processes write seen within milliseconds: the engine's own bus, one of your own,
   * or none (`false`). By default the engine's, where it has one; `true` refuses to do without.
   */
  bus?: boolean | Bus;
}

/** What leaves the program by way of `node:diagnostics_channel` and OpenTelemetry. */
export interface TelemetryOptions {
  /**
   * Whether spans have the key, and whoever copies a message of a channel copies the key and the
   * error, whose text may quote it; `false` by default. Metrics never do.
   */
  keys?: boolean;
}

/** Which entries go first: the least recently used, the least frequently used, the oldest. */
export type EvictPolicy = "lru" | "lfu" | "oldest";

/**
 * An engine and its options.
 *
 * @typeParam E The engine.
 * @typeParam Options Its options.
 */
export interface EngineWithOptions<E, Options> {
  /**
   * A built-in engine by name (`"pairtree"` by default), any object with the `Engine` interface, or
   * a factory: one that `./engines/NAME` exports, or your own.
   */
  engine?: E;
  /**
   * Options of the engine: `MemoryEngineOptions`, `SqliteEngineOptions`, … of `./engines` say what
   * each takes.
   */
  engineOptions?: Options;
}

/**
 * What a stash is made with; all optional.
 *
 * Options in a literal are checked against those of the engine that stands beside them. Where the
 * compiler knows less (the engine is any of several, the options come from elsewhere) any object is
 * taken, and checked when the stash is opened.
 */
export type HashStashOptions =
  & HashStashBaseOptions
  & (
    | { [E in EngineName]: EngineWithOptions<E, EngineOptionsOf<E>> }[EngineName]
    | EngineWithOptions<Engine | EngineFactory<never>, object>
    | EngineWithOptions<EngineName | Engine | EngineFactory<never>, AnyEngineOptions>
  );

/** When an entry ends: by one of the two, or by the stash's own `ttl`. */
export interface TouchOptions {
  /** How long the entry lives, ms; `Infinity`: forever. */
  ttl?: number;
  /** The absolute deadline, ms since the epoch; `Infinity`: never. */
  expiresAt?: number;
}

/** When an entry ends, and what it can be invalidated by. */
export interface SetOptions extends TouchOptions {
  /** Names, up to 100, by each of which `invalidate` finds the entry. */
  tags?: readonly string[];
}

/** The options as plain data, as `toJSON` gives them. */
export interface HashStashJSON {
  /** As in {@linkcode HashStashOptions}. */
  name: string;
  /** As in {@linkcode HashStashOptions}. */
  dbname: string;
  /** The engine's name. */
  engine: string;
  /**
   * The root folder, absolute; absent when it is the default one of an engine that keeps no files.
   */
  rootDir?: string;
  /** The serializer's name. */
  serializer: string;
  /** The compressor's name, or `false`. */
  compress: string | false;
  /** As in {@linkcode HashStashOptions}. */
  b64: boolean;
  /** As in {@linkcode HashStashOptions}. */
  appendMode: boolean;
  /** As in {@linkcode HashStashOptions}; absent: forever. */
  ttl?: number;
  /** As in {@linkcode HashStashOptions}; absent: 1 GiB. */
  maxValueBytes?: number;
  /** As in {@linkcode HashStashOptions}; absent: no keys. */
  telemetry?: TelemetryOptions;
  /** As in {@linkcode HashStashOptions}, without a bus of the user's own; absent: off. */
  near?: NearJSON;
  /** As in {@linkcode HashStashOptions}; absent: `false`. */
  frozen?: boolean;
  /** As in {@linkcode HashStashOptions}; absent: no limit. */
  maxEntries?: number;
  /** As in {@linkcode HashStashOptions}; absent: no limit. */
  maxBytes?: number;
  /** As in {@linkcode HashStashOptions}; absent: `"lru"`. */
  evict?: EvictPolicy;
  /** As in {@linkcode HashStashOptions}; absent: `"throw"`. */
  onEngineError?: "bypass";
  /** The engine's options that are plain data; absent when there are none. */
  engineOptions?: Record<string, unknown>;
}

/** The option `near` as plain data. */
export type NearJSON = Omit<NearOptions, "bus"> & { bus?: boolean };

/** The option `near` after the checks, with the defaults in place. */
export interface CheckedNear {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly ttl: number;
  readonly bus?: boolean | Bus;
}

/** Options after the checks, with the defaults in place. */
export interface CheckedOptions extends HashStashBaseOptions {
  name: string;
  dbname: string;
  engine: EngineName | Engine | EngineFactory;
  rootDir?: string;
  ttl: number;
  appendMode: boolean;
  clear: boolean;
  telemetry: { readonly keys: boolean };
  near?: CheckedNear;
  frozen: boolean;
  engineOptions: Record<string, unknown>;
}

const OPTION_NAMES = [
  "name",
  "dbname",
  "engine",
  "rootDir",
  "serializer",
  "compress",
  "b64",
  "ttl",
  "appendMode",
  "clear",
  "engineOptions",
  "maxValueBytes",
  "telemetry",
  "near",
  "frozen",
  "maxEntries",
  "maxBytes",
  "evict",
  "onEngineError",
];

/** What is kept in memory unless the option `near` says otherwise. */
const NEAR_DEFAULTS: CheckedNear = { maxEntries: 10_000, maxBytes: Infinity, ttl: 5_000 };

const EVICT_POLICIES: readonly EvictPolicy[] = ["lru", "lfu", "oldest"];

const DEADLINE_NAMES = ["ttl", "expiresAt"];
const SET_OPTION_NAMES = [...DEADLINE_NAMES, "tags"];

/** The most tags of one entry, and of one invalidation. */
const MOST_TAGS = 100;

/** What the names of temporary stashes begin with. */
export const TEMPORARY = ".tmp-";

/** Names of stores that a stash keeps for itself inside a dbname. */
export const RESERVED_DBNAMES = {
  versions: ".versions",
  errors: ".errors",
  leases: ".leases",
  tags: ".tags",
  use: ".use",
  /**
   * Says, by having an entry, that its store is a function's. The name alone does not: a stash made
   * by `sub` can be called so, and must not be removed as a function's.
   */
  function: ".function",
} as const;

/**
 * The options of `new HashStash(options)` and `new HashStash(name, options)`.
 *
 * @throws {TypeError} When they are neither.
 */
export function optionsOf(
  nameOrOptions: string | HashStashOptions | undefined,
  rest: HashStashOptions | undefined,
): HashStashOptions {
  const isName = typeof nameOrOptions === "string" || nameOrOptions === undefined;
  if (!isName && rest !== undefined) {
    throw new TypeError("Expected a name and options, or options alone, got options twice");
  }
  const given: unknown = isName ? rest : nameOrOptions;
  if (given !== undefined && (typeof given !== "object" || given === null)) {
    throw new TypeError(`Expected a name or an object of options, got ${typeOf(given)}`);
  }
  return typeof nameOrOptions === "string" ? { ...rest, name: nameOrOptions } : { ...given };
}

/**
 * Checks options; needs no permission and touches nothing.
 *
 * @throws {TypeError} On an unknown option or name, or a value of the wrong type.
 * @throws {RangeError} On a number out of range.
 */
export function checkOptions(options: HashStashOptions): CheckedOptions {
  checkNames(options, OPTION_NAMES);
  const engine = checkEngine(options.engine === undefined ? "pairtree" : options.engine);
  return {
    serializer: options.serializer,
    compress: options.compress,
    b64: checkBoolean(options, "b64"),
    // Checked by the codec.
    maxValueBytes: options.maxValueBytes,
    maxEntries: checkStoreLimit("maxEntries", options.maxEntries),
    maxBytes: checkStoreLimit("maxBytes", options.maxBytes),
    evict: checkEvict(options.evict),
    onEngineError: checkOnEngineError(options.onEngineError),
    name: checkName("name", options.name === undefined ? "unnamed" : options.name),
    dbname: checkDbname(options.dbname === undefined ? "main" : options.dbname),
    engine,
    rootDir: checkRootDir(options.rootDir, engine),
    ttl: options.ttl === undefined ? Infinity : checkTime("ttl", options.ttl),
    appendMode: checkBoolean(options, "appendMode"),
    clear: checkBoolean(options, "clear"),
    telemetry: {
      keys: flag(options.telemetry === undefined ? {} : options.telemetry, "keys"),
    },
    near: checkNear(options.near),
    frozen: checkBoolean(options, "frozen"),
    engineOptions: checkEngineOptions(options.engineOptions),
  };
}

function checkOnEngineError(value: unknown): "bypass" | undefined {
  if (value === undefined || value === "throw") return undefined;
  if (value === "bypass") return value;
  const got = typeof value === "string" ? `"${value}"` : typeOf(value);
  throw new TypeError(`Expected onEngineError to be "throw" or "bypass", got ${got}`);
}

/**
 * The absolute deadline that the options of `set` and the stash's `ttl` amount to, ms since the
 * epoch; `undefined`: never.
 *
 * @throws {TypeError | RangeError} When they are not times.
 */
export function deadline(
  options: TouchOptions | undefined,
  stashTtl: number,
  now: number,
): number | undefined {
  if (options !== undefined) checkNames(options, SET_OPTION_NAMES);
  let expiresAt: number;
  if (options?.expiresAt !== undefined) {
    if (options.ttl !== undefined) throw new TypeError("Expected ttl or expiresAt, got both");
    expiresAt = checkTime("expiresAt", options.expiresAt);
  } else {
    const ttl = options?.ttl === undefined ? stashTtl : checkTime("ttl", options.ttl);
    if (ttl === Infinity) return undefined;
    expiresAt = now + ttl;
  }
  // Engines keep deadlines as integers; one that no clock reaches is none.
  return expiresAt >= Number.MAX_SAFE_INTEGER ? undefined : Math.ceil(expiresAt);
}

/**
 * Checks the options of `touch`.
 *
 * @throws {TypeError | RangeError} When they are not times.
 */
export function checkDeadline(options: TouchOptions | undefined): void {
  if (options !== undefined) checkNames(options, DEADLINE_NAMES);
  deadline(options, Infinity, 0);
}

/**
 * Checks the options of `set`; they are as they are now, also when the caller changes them.
 *
 * @throws {TypeError | RangeError} When they make no sense.
 */
export function checkSetOptions(options: SetOptions | undefined): CheckedSetOptions {
  deadline(options, Infinity, 0);
  return { ...options, tags: checkTags(options?.tags) };
}

/** The options of `set` after the checks. */
export interface CheckedSetOptions extends TouchOptions {
  /** Each once; none: the entry has none from now on; absent: nothing was said of them. */
  readonly tags?: string[];
}

/**
 * Checks tags; each comes once.
 *
 * @throws {TypeError} When they are no strings, or one is empty.
 * @throws {RangeError} When there are more than 100.
 */
export function checkTags(tags: unknown): string[] | undefined {
  if (tags === undefined) return undefined;
  if (!Array.isArray(tags)) {
    throw new TypeError(`Expected tags to be an array of strings, got ${typeOf(tags)}`);
  }
  for (const tag of tags) {
    if (typeof tag !== "string") {
      throw new TypeError(`Expected each of the tags to be a string, got ${typeOf(tag)}`);
    }
    if (tag === "") throw new TypeError("Expected tags that are not empty");
  }
  const unique = [...new Set<string>(tags)];
  if (unique.length > MOST_TAGS) {
    throw new RangeError(`Expected up to ${MOST_TAGS} tags, got ${unique.length}`);
  }
  return unique;
}

/**
 * Whether the engine keeps files under a root folder, rather than at a path or server of its own.
 * One of a factory that is not ours may.
 */
export function needsRootDir({ engine, engineOptions }: CheckedOptions): boolean {
  return isOfFiles(engine) && engineOptions.path === undefined && engineOptions.kv === undefined;
}

/** The root folder, absolute: the default one when none was given and one is needed. */
export function rootDirOf(options: CheckedOptions): string | undefined {
  return options.rootDir ?? (needsRootDir(options) ? defaultRootDir() : undefined);
}

/**
 * Without a path of files; one that is no file (`:memory:`, `default`, a URL) stays: the name keeps
 * stashes there apart.
 */
export function withoutFilePath(options: object | undefined): object {
  const { path, ...rest } = { ...options } as { path?: unknown };
  const isFile = path instanceof URL
    ? path.protocol === "file:"
    : typeof path === "string" && !/^(:memory:|default|https?:.*)$/.test(path);
  return isFile || path === undefined ? rest : { path, ...rest };
}

/** The options as plain data: an open client can't be, nor a serializer of the user's own. */
export function optionsJson(
  options: CheckedOptions,
  codec: Pick<HashStashJSON, "serializer" | "compress" | "b64">,
): HashStashJSON {
  const { name, dbname, engine, appendMode, ttl, maxValueBytes, onEngineError } = options;
  const { telemetry, near, frozen } = options;
  const { maxEntries, maxBytes, evict } = options;
  const engineOptions = plainOptions(options.engineOptions);
  return {
    name,
    dbname,
    engine: engineName(engine),
    rootDir: rootDirOf(options),
    ...codec,
    appendMode,
    ...(ttl === Infinity ? {} : { ttl }),
    // JSON has no Infinity; nothing is longer than this either.
    ...(maxValueBytes === undefined
      ? {}
      : { maxValueBytes: Math.min(maxValueBytes, Number.MAX_SAFE_INTEGER) }),
    ...(telemetry.keys ? { telemetry } : {}),
    ...(near === undefined ? {} : { near: nearJson(near) }),
    ...(frozen ? { frozen } : {}),
    ...(maxEntries === undefined ? {} : { maxEntries }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(evict === undefined ? {} : { evict }),
    ...(onEngineError === "bypass" ? { onEngineError } : {}),
    ...(Object.keys(engineOptions).length === 0 ? {} : { engineOptions }),
  };
}

/** The option as plain data: JSON has no Infinity, and a bus of the user's own can't be kept. */
function nearJson({ maxEntries, maxBytes, ttl, bus }: CheckedNear): NearJSON {
  const finite = (value: number) => Math.min(value, Number.MAX_SAFE_INTEGER);
  return {
    maxEntries: finite(maxEntries),
    ...(maxBytes === Infinity ? {} : { maxBytes }),
    ttl: finite(ttl),
    ...(typeof bus === "boolean" ? { bus } : {}),
  };
}

function plainOptions(options: Record<string, unknown>): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value instanceof URL) plain[name] = value.href;
    else if (["string", "number", "boolean"].includes(typeof value) || Array.isArray(value)) {
      plain[name] = value;
    }
  }
  return plain;
}

/** The name of a built-in engine, however it was given; `undefined` for other ones. */
export function builtInName(engine: CheckedOptions["engine"]): EngineName | undefined {
  if (typeof engine === "object" || typeof engine === "function" && !isBuiltIn(engine)) return;
  return engineName(engine) as EngineName;
}

function isOfFiles(engine: CheckedOptions["engine"]): boolean {
  const name = builtInName(engine);
  return name === undefined ? typeof engine === "function" : keepsFiles(name);
}

/** The engine's name; a factory has that of its engine. */
export function engineName(engine: NonNullable<HashStashOptions["engine"]>): string {
  return typeof engine === "string" ? engine : engine.name;
}

/** A method that what should be an engine lacks; `undefined`: none. */
export function missingMethod(engine: unknown): string | undefined {
  const methods = [
    "open",
    "close",
    "get",
    "set",
    "delete",
    "compareAndSet",
    "keys",
    "size",
    "clear",
  ];
  if (typeof engine !== "object" || engine === null) return methods[0];
  return methods.find((method) => typeof Reflect.get(engine, method) !== "function");
}

function checkEngine(engine: unknown): CheckedOptions["engine"] {
  if (typeof engine === "string" && isEngineName(engine)) return engine;
  if (typeof engine === "function") return engine as EngineFactory;
  if (typeof engine === "object" && engine !== null) {
    const missing = missingMethod(engine);
    if (missing === undefined) return engine as Engine;
    throw new TypeError(`The engine object has no method "${missing}"`);
  }
  const got = typeof engine === "string" ? `"${engine}"` : typeOf(engine);
  throw new TypeError(
    `Unknown engine ${got}, expected one of: ${
      ENGINE_NAMES.join(", ")
    }, an Engine object, or a factory of engines`,
  );
}

function checkName(option: string, name: unknown): string {
  if (typeof name !== "string") {
    throw new TypeError(`Expected ${option} to be a string, got ${typeOf(name)}`);
  }
  if (name === "") throw new TypeError(`Expected ${option} to be a string that is not empty`);
  // deno-lint-ignore no-control-regex -- these are what is refused
  if (/[\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed()) {
    throw new TypeError(
      `Expected ${option} without control characters or lone surrogates, got ${
        JSON.stringify(name)
      }`,
    );
  }
  return name;
}

function checkDbname(dbname: unknown): string {
  checkName("dbname", dbname);
  for (const segment of (dbname as string).split("/")) {
    if (segment === "") {
      throw new TypeError(`Expected dbname without empty parts, got ${JSON.stringify(dbname)}`);
    }
    // What others write in there would be taken for versions, or leases, ….
    if (Object.values<string>(RESERVED_DBNAMES).includes(segment)) {
      throw new TypeError(`Expected another dbname: the stash keeps "${segment}" for itself`);
    }
  }
  return dbname as string;
}

function checkRootDir(rootDir: unknown, engine: CheckedOptions["engine"]): string | undefined {
  if (rootDir === undefined) return undefined;
  if (rootDir instanceof URL) {
    if (rootDir.protocol === "file:") return pathOf(rootDir);
    throw new TypeError(`Expected rootDir to be a path or a file: URL, got ${rootDir.protocol}`);
  }
  if (typeof rootDir !== "string" || rootDir === "") {
    const got = rootDir === "" ? "an empty string" : typeOf(rootDir);
    throw new TypeError(`Expected rootDir to be a path or a file: URL, got ${got}`);
  }
  if (rootDir.startsWith("file:")) return pathOf(rootDir);
  // For memory it is a mere name.
  return isOfFiles(engine) ? resolve(rootDir) : rootDir;
}

/**
 * Refuses what is no object of options, and names that are not among those expected.
 *
 * @throws {TypeError} It lists the valid names.
 */
export function checkNames(options: object, names: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Expected an object of options, got ${typeOf(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`Unknown option "${name}", expected one of: ${names.join(", ")}`);
    }
  }
}

/**
 * Checks a signal.
 *
 * @throws {TypeError} When it is something else.
 */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Expected signal to be an AbortSignal, got ${typeOf(signal)}`);
  }
}

/** Whether the one option there is is on. */
export function flag<N extends string>(options: { readonly [_ in N]?: boolean }, name: N): boolean {
  checkNames(options, [name]);
  return checkBoolean(options, name);
}

function pathOf(url: string | URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new TypeError(`Expected rootDir to be a path or a file: URL, got ${url}`, { cause });
  }
}

/** Checks a number of ms. */
export function checkTime(option: string, value: unknown): number {
  if (typeof value !== "number") {
    throw new TypeError(`Expected ${option} to be a number of ms, got ${typeOf(value)}`);
  }
  if (Number.isNaN(value) || value < 0) {
    throw new RangeError(`Expected ${option} to be a number of ms from 0 on, got ${value}`);
  }
  return value;
}

/** Checks a number of ms that must not be `Infinity`. */
export function checkFiniteTime(option: string, value: unknown): void {
  if (checkTime(option, value) === Infinity) {
    throw new RangeError(`Expected ${option} to be a finite number of ms`);
  }
}

/** Checks an option that is on or off; `false` when it is absent. */
export function checkBoolean<N extends string>(
  options: { readonly [_ in N]?: boolean },
  option: N,
): boolean {
  const value: unknown = options[option];
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw new TypeError(`Expected ${option} to be a boolean, got ${typeOf(value)}`);
}

/** Checks the option `near`; `undefined`: it is off. */
function checkNear(near: unknown): CheckedNear | undefined {
  if (near === undefined || near === false) return undefined;
  if (near === true) return NEAR_DEFAULTS;
  if (typeof near !== "object" || near === null || Array.isArray(near)) {
    throw new TypeError(
      `Expected near to be a boolean or an object of options, got ${typeOf(near)}`,
    );
  }
  checkNames(near, ["maxEntries", "maxBytes", "ttl", "bus"]);
  const { maxEntries, maxBytes, ttl, bus } = near as NearOptions;
  return {
    maxEntries: maxEntries === undefined
      ? NEAR_DEFAULTS.maxEntries
      : checkLimit("near.maxEntries", maxEntries),
    maxBytes: maxBytes === undefined ? Infinity : checkLimit("near.maxBytes", maxBytes),
    ttl: ttl === undefined ? NEAR_DEFAULTS.ttl : checkTime("near.ttl", ttl),
    bus: checkBus(bus),
  };
}

function checkLimit(option: string, value: unknown): number {
  if (typeof value !== "number") {
    throw new TypeError(`Expected ${option} to be a number, got ${typeOf(value)}`);
  }
  if (value === Infinity || Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(
    `Expected ${option} to be a whole number from 1 on, or Infinity for no limit, got ${value}`,
  );
}

function checkBus(bus: unknown): boolean | Bus | undefined {
  if (bus === undefined || typeof bus === "boolean") return bus;
  if (typeof bus === "object" && bus !== null) {
    const missing = ["publish", "subscribe"].find((method) =>
      typeof Reflect.get(bus, method) !== "function"
    );
    if (missing === undefined) return bus as Bus;
    throw new TypeError(`Expected near.bus to have a method "${missing}"`);
  }
  throw new TypeError(
    `Expected near.bus to be a boolean or an object with publish and subscribe, got ${typeOf(bus)}`,
  );
}

/** A limit of a store; `undefined`: there is none. */
function checkStoreLimit(option: string, value: unknown): number | undefined {
  const limit = value === undefined ? Infinity : checkLimit(option, value);
  return limit === Infinity ? undefined : limit;
}

function checkEvict(evict: unknown): EvictPolicy | undefined {
  if (evict === undefined) return undefined;
  const policy = EVICT_POLICIES.find((policy) => policy === evict);
  if (policy !== undefined) return policy;
  const got = typeof evict === "string" ? `"${evict}"` : typeOf(evict);
  throw new TypeError(`Expected evict to be one of: ${EVICT_POLICIES.join(", ")}, got ${got}`);
}

function checkEngineOptions(options: unknown): Record<string, unknown> {
  if (options === undefined) return {};
  if (typeof options === "object" && options !== null && !Array.isArray(options)) {
    return Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    );
  }
  throw new TypeError(`Expected engineOptions to be an object, got ${typeOf(options)}`);
}

/** What sort of thing was given, for messages. */
export function typeOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
