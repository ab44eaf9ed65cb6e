/**
 * Lists of keys, a page at a time. A list is one lazy walk over the store that the server goes on
 * with when the next page is asked for: so page n costs a page, whatever order an engine lists keys
 * in, and a million keys are never counted or sorted.
 */
import { Turns } from "../platform/timers.ts";
import type { Handle } from "../store/handle.ts";
import type { SelectOptions } from "../store/selection.ts";
import { DecodeError } from "../codec/errors.ts";
import { showKey } from "../store/show.ts";
import { searchText } from "./texts.ts";

/** Keys on a page. */
export const PAGE_SIZE = 50;
/** A search looks at no more keys for one page, … */
const KEYS_PER_STEP = 20_000;
/** … or reads no more values … */
const VALUES_PER_STEP = 2_000;
/** … and no more bytes of them; then it asks whether to go on. */
const BYTES_PER_STEP = 16_000_000;

/** Lists that are kept: those that were used last. */
const LISTS = 32;
/** Characters of keys that are kept of a list, for going back. */
const CHARACTERS = 4_000_000;

/** What is listed. */
export interface Wanted extends SelectOptions {
  /** The store. */
  readonly dbname: string;
  /** Only keys, or entries, in which this is. */
  readonly find?: string;
  /** Where it is looked for. */
  readonly within: "keys" | "values";
}

/** What a list has cost so far. */
export interface Cost {
  /** Keys or entries that were looked at. */
  looked: number;
  /** Bytes of values that were read. */
  bytes: number;
  /** Entries that could not be decoded. */
  unread: number;
}

/** One page of a list. */
export interface Page {
  /** The canonical texts of its keys. */
  readonly keys: readonly string[];
  /** Whether there may be more. */
  readonly hasMore: boolean;
}

/** Why there is no such page, for a person. */
export class NoPage extends Error {
  override readonly name = "NoPage";
}

/** A list of keys. */
export class Listing {
  /** By what the pages of it are asked for. */
  readonly id: string = crypto.randomUUID();
  /** What it has cost. */
  readonly cost: Cost = { looked: 0, bytes: 0, unread: 0 };
  readonly #wanted: Wanted;
  readonly #found: AsyncGenerator<string | undefined>;
  /** The pages so far; those that are no longer kept are absent. */
  readonly #pages: (Page | undefined)[] = [];
  #characters = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** Begins nothing: the first page does. */
  constructor(handle: Handle, wanted: Wanted) {
    this.#wanted = wanted;
    this.#found = search(handle, wanted, this.cost);
  }

  /** Whether it lists this. */
  isOf(wanted: Wanted): boolean {
    const { dbname, prefix, tag, find, within } = this.#wanted;
    return dbname === wanted.dbname && prefix === wanted.prefix && tag === wanted.tag &&
      find === wanted.find && within === wanted.within;
  }

  /**
   * A page, from 1.
   *
   * @throws {NoPage} When it is beyond the end, not the next one, or no longer kept.
   */
  async page(number: number): Promise<Page> {
    // Two that ask for the next page at once get the same one.
    const page = this.#last.then(() => this.#page(number));
    this.#last = page.catch(() => undefined);
    return await page;
  }

  async #page(number: number): Promise<Page> {
    const pages = this.#pages;
    if (number > pages.length) {
      const last = pages.at(-1);
      if (last !== undefined && !last.hasMore) {
        throw new NoPage(`There is no page ${number}: the list ends with page ${pages.length}`);
      }
      if (number > pages.length + 1) {
        throw new NoPage(`Pages are listed in turn: after page ${pages.length} comes the next one`);
      }
      pages.push(await this.#next());
      this.#forget();
    }
    const page = pages[number - 1];
    if (page === undefined) {
      throw new NoPage(`Page ${number} is no longer kept: list the keys again`);
    }
    return page;
  }

  async #next(): Promise<Page> {
    const isSearch = this.#wanted.find !== undefined;
    const step = this.#wanted.within === "values" ? VALUES_PER_STEP : KEYS_PER_STEP;
    const [looked, bytes] = [this.cost.looked + step, this.cost.bytes + BYTES_PER_STEP];
    const turns = new Turns();
    const keys: string[] = [];
    while (keys.length < PAGE_SIZE) {
      const { done, value } = await this.#found.next();
      if (done) return { keys, hasMore: false };
      if (value !== undefined) keys.push(value);
      if (isSearch && (this.cost.looked >= looked || this.cost.bytes >= bytes)) break;
      if (turns.due()) await turns.next();
    }
    return { keys, hasMore: true };
  }

  #forget(): void {
    const pages = this.#pages;
    this.#characters += lengthOf(pages.at(-1)!);
    for (let i = 0; this.#characters > CHARACTERS && i < pages.length - 1; i++) {
      const page = pages[i];
      if (page === undefined) continue;
      this.#characters -= lengthOf(page);
      pages[i] = undefined;
    }
  }

  /** Ends the walk over the store. */
  async end(): Promise<void> {
    await this.#last;
    await this.#found.return(undefined);
  }
}

function lengthOf({ keys }: Page): number {
  return keys.reduce((sum, text) => sum + text.length, 0);
}

/** The keys that are wanted, and `undefined` for each that was looked at in vain. */
async function* search(
  handle: Handle,
  { prefix, tag, find, within }: Wanted,
  cost: Cost,
): AsyncGenerator<string | undefined> {
  const selection = { prefix, tag };
  const needle = find?.toLowerCase();
  if (needle === undefined || within === "keys") {
    for await (const [text, key] of handle.keys(selection)) {
      cost.looked++;
      const isIt = needle === undefined || showKey(key).toLowerCase().includes(needle) ||
        typeof key === "string" && key.toLowerCase().includes(needle);
      yield isIt ? text : undefined;
    }
    return;
  }
  for await (const [text, , entry] of handle.entries("query", selection)) {
    cost.looked++;
    cost.bytes += entry.value.length;
    let isIt = false;
    try {
      isIt = searchText(await handle.read(entry, text)).toLowerCase().includes(needle);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      cost.unread++;
    }
    yield isIt ? text : undefined;
  }
}

/** The lists that are kept. */
export class Listings {
  /** In the order of their last use. */
  readonly #kept = new Map<string, Listing>();

  /** Begins a list. */
  begin(handle: Handle, wanted: Wanted): Listing {
    const listing = new Listing(handle, wanted);
    this.#kept.set(listing.id, listing);
    const [oldest] = this.#kept.values();
    if (this.#kept.size > LISTS) this.drop(oldest);
    return listing;
  }

  /** The list of this name, if it is kept and lists this. */
  find(id: string, wanted: Wanted): Listing | undefined {
    const listing = this.#kept.get(id);
    if (listing === undefined || !listing.isOf(wanted)) return undefined;
    this.#kept.delete(id);
    this.#kept.set(id, listing);
    return listing;
  }

  /** Ends a list. */
  drop(listing: Listing): void {
    this.#kept.delete(listing.id);
    // What goes wrong at the end of a walk that nobody needs concerns nobody.
    listing.end().catch(() => undefined);
  }
}
