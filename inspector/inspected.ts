/** The stash that is inspected: its stores, what they hold, one entry of them. */
import { DecodeError } from "../codec/errors.ts";
import { hash } from "../codec/hash.ts";
import { layerOf } from "../codec/format.ts";
import { messageOf } from "../engines/errors.ts";
import type { HashStash, HashStashOptions, StoreInfo, Usage } from "../mod.ts";
import { now } from "../platform/timers.ts";
import { handleOf } from "../stash/hash_stash.ts";
import { Handle } from "../store/handle.ts";
import { openedIfWhole, type StoredEntry } from "../store/header.ts";
import { kindOfStore } from "../store/stores.ts";
import { Listings } from "./listing.ts";

/** What the stores held at some time. */
export interface Counted {
  readonly stores: readonly StoreInfo[];
  /** When that was, ms since the epoch. */
  readonly at: number;
  /** How long it took to count, ms. */
  readonly ms: number;
}

/** An entry with what is known of it without its value. */
export interface Facts {
  /** Bytes of the value as they are stored. */
  readonly bytes: Uint8Array;
  readonly timestamp?: number;
  readonly expiresAt?: number;
  readonly freshUntil?: number;
  readonly tags: readonly string[];
  readonly version: number;
  /** The outermost layer of the stored bytes: `"json"`, `"zstd"`, … */
  readonly layer: string;
  /** Changes when what is stored does. */
  readonly state: string;
}

/** A value, or why there is none. */
export type Decoded = { readonly value: unknown } | { readonly problem: string };

/** An entry as the page of it shows it. */
export interface Seen {
  readonly facts: Facts;
  readonly decoded: Decoded;
}

/** One of the versions of a key. */
export interface SeenVersion {
  readonly version: number;
  readonly timestamp?: number;
  readonly decoded: Decoded;
}

/** Versions of a key that are shown: the latest. */
export const MOST_VERSIONS = 50;
/** Bytes of values that are read for the sizes of a page of keys. */
const BYTES_FOR_SIZES = 16_000_000;
/** Entries that are read at once for them. */
const AT_ONCE = 10;

/** For how long the stores are not counted again for metrics, ms … */
const FRESH = 60_000;
/** … and how many times as long as counting took. */
const RATIO = 20;

/** The handles on one store. */
export interface Handles {
  /** To look: nobody's call waits for it, and what is looked at counts neither as used nor as read. */
  readonly reader: Handle;
  /** To change: as the program whose stash it is would. */
  readonly writer: Handle;
}

/** How full a store with limits is. */
export interface Fullness extends Usage {
  /** The most entries; `Infinity`: any number. */
  readonly maxEntries: number;
  /** The most bytes of keys and values; `Infinity`: any number. */
  readonly maxBytes: number;
}

/** A stash under inspection. */
export class Inspected {
  readonly stash: HashStash;
  /** The lists of keys that pages go through. */
  readonly listings: Listings = new Listings();
  readonly #root: Handle;
  readonly #stores = new Map<string, Handles>();
  /** Counts, which takes long, apart from the reader. */
  #counter: Handle | undefined;
  /** Has the limits of the stash, and what is known of how full it is. */
  #gauge: Handle | undefined;
  #counted: Counted | undefined;
  #counting: Promise<Counted> | undefined;

  /** Opens nothing. */
  constructor(stash: HashStash) {
    this.stash = stash;
    this.#root = handleOf(stash);
  }

  /** The dbname of the stash. */
  get dbname(): string {
    return this.#root.options.dbname;
  }

  /** Whether it holds a function's results. */
  get kind(): StoreInfo["kind"] {
    return this.#root.kind;
  }

  /** The store of a dbname; `undefined` when there is none. To look for one must not make it. */
  async store(dbname: string): Promise<Handles | undefined> {
    const known = this.#stores.get(dbname);
    if (known !== undefined) return known;
    if (dbname === this.dbname) {
      const handles = { reader: bareTwin(this.#root), writer: this.#root };
      this.#stores.set(dbname, handles);
      return handles;
    }
    const inside = dbname.slice(this.dbname.length + 1);
    if (!dbname.startsWith(`${this.dbname}/`) || inside === "") return undefined;
    const { reader } = (await this.store(this.dbname))!;
    // Looked for once only: on some engines that goes over the names of all entries.
    const kind = await reader.run("stores", (store) => kindOfStore(store, inside));
    if (kind === undefined) return undefined;
    return this.#stores.get(dbname) ?? this.#open(dbname, [reader, this.#root], inside, kind);
  }

  #open(dbname: string, outer: [Handle, Handle], inside: string, kind: StoreInfo["kind"]): Handles {
    const [reader, writer] = outer.map((handle) => {
      const handleInside = handle.sub(inside, {}, kind);
      this.#root.adopt(handleInside);
      return handleInside;
    });
    const handles = { reader, writer };
    this.#stores.set(dbname, handles);
    return handles;
  }

  /** What the stores held when they were last counted; `undefined`: not yet. */
  get counted(): Counted | undefined {
    return this.#counted;
  }

  /** Counts the stores: once, however many ask meanwhile. */
  async count(): Promise<Counted> {
    this.#counting ??= this.#count();
    try {
      return await this.#counting;
    } finally {
      this.#counting = undefined;
    }
  }

  async #count(): Promise<Counted> {
    const start = now();
    const stores = await (this.#counter ??= bareTwin(this.#root)).stores();
    return this.#counted = { stores, at: Date.now(), ms: now() - start };
  }

  /** How full the stash is, if it has limits. */
  async fullness(): Promise<Fullness | undefined> {
    const { maxEntries = Infinity, maxBytes = Infinity, evict } = this.#root.options;
    if (maxEntries === Infinity && maxBytes === Infinity) return undefined;
    this.#gauge ??= twinOf(this.#root, { maxEntries, maxBytes, evict });
    return { maxEntries, maxBytes, ...await this.#gauge.usage() };
  }

  /** A count that is not older than a minute, or than is worth the time that counting takes. */
  async recentCount(): Promise<Counted> {
    const last = this.#counted;
    const isRecent = last !== undefined && Date.now() - last.at < Math.max(FRESH, RATIO * last.ms);
    return isRecent ? last : await this.count();
  }
}

/**
 * Another handle on the same store, closed with it, without what counts uses, evicts or keeps copies.
 * Calls on the stash's own handle would wait for those of whoever looks.
 */
function bareTwin(root: Handle): Handle {
  return twinOf(root, { maxEntries: undefined, maxBytes: undefined, evict: undefined });
}

/** The same with these limits. */
function twinOf(
  root: Handle,
  limits: Pick<HashStashOptions, "maxEntries" | "maxBytes" | "evict">,
): Handle {
  const { kind, options: { dbname, ...rest } } = root;
  const bare = { ...rest, clear: false, near: undefined, ...limits };
  const twin = (options: HashStashOptions) => {
    const handle = new Handle(options);
    root.adopt(handle);
    return handle;
  };
  if (kind === "stash") return twin({ ...bare, dbname });
  // The tags of a function are those of the stash that it is in.
  const end = dbname.lastIndexOf("/");
  const handle = twin({ ...bare, dbname: dbname.slice(0, end) }).sub(
    dbname.slice(end + 1),
    {},
    kind,
  );
  root.adopt(handle);
  return handle;
}

/** An entry; `undefined` when it is absent. */
export async function look(handle: Handle, text: string): Promise<Seen | undefined> {
  const entry = await handle.getEntry(text);
  if (entry === undefined) return undefined;
  return { facts: factsOf(entry), decoded: await decodedOf(handle, entry, text) };
}

/**
 * What is known of many entries, in the order of their keys: `undefined` where one is absent, and
 * `"unread"` where enough bytes have been read already.
 */
export async function factsOfMany(
  handle: Handle,
  texts: readonly string[],
): Promise<(Facts | undefined | "unread")[]> {
  const facts: (Facts | undefined | "unread")[] = [];
  let bytes = 0;
  for (let i = 0; i < texts.length; i += AT_ONCE) {
    const group = texts.slice(i, i + AT_ONCE);
    if (bytes > BYTES_FOR_SIZES) facts.push(...group.map(() => "unread" as const));
    else {
      for (
        const entry of await handle.onKeys("get", group, "read", (store) => store.getMany(group))
      ) {
        bytes += entry?.value.length ?? 0;
        facts.push(entry && factsOf(entry));
      }
    }
  }
  return facts;
}

/** The latest versions of a key, oldest first, and how many there are. */
export async function lookAtVersions(
  handle: Handle,
  text: string,
): Promise<{ versions: SeenVersion[]; all: number }> {
  return await handle.onKeys("getAll", [text], "read", async (store) => {
    const head = await store.get(text);
    if (head === undefined) return { versions: [], all: 0 };
    const latest: StoredEntry[] = [];
    let all = 0;
    for await (const entry of handle.versions(text, head)) {
      all++;
      latest.push(entry);
      if (latest.length > MOST_VERSIONS) latest.shift();
    }
    const versions = await Promise.all(latest.map(async (entry, i) => {
      const { version = all - latest.length + i + 1, timestamp = entry.timestamp } =
        openedIfWhole(entry).header ?? {};
      return { version, timestamp, decoded: await decodedOf(handle, entry, text) };
    }));
    return { versions, all };
  });
}

/** What changes when what is stored under a key does. */
export function stateOf(entry: StoredEntry): string {
  return hash(openedIfWhole(entry).value).slice(0, 32);
}

async function decodedOf(handle: Handle, entry: StoredEntry, text: string): Promise<Decoded> {
  try {
    return { value: await handle.read(entry, text) };
  } catch (error) {
    if (error instanceof DecodeError) return { problem: messageOf(error) };
    throw error;
  }
}

function factsOf(entry: StoredEntry): Facts {
  const { header, value } = openedIfWhole(entry);
  const { expiresAt } = entry;
  return {
    bytes: value,
    timestamp: header?.timestamp ?? entry.timestamp,
    expiresAt,
    freshUntil: expiresAt && expiresAt - (header?.stale ?? 0),
    tags: header?.tags ?? [],
    version: header?.version ?? 1,
    layer: layerOf(value)?.name ?? "none of ours",
    state: stateOf(entry),
  };
}
