/**
 * One LMDB environment for each name, with two databases for each dbname: the entries, and an index
 * of their deadlines.
 *
 * Reads are synchronous and cost some microseconds. Writes of one turn of the event loop share a
 * commit, in a thread of npm:lmdb's own. Conditions are checked there, against the version that
 * each write gives its entry anew.
 */
import type { Engine, EngineCheck, EngineLocation, Entry, NewEntry } from "../engine.ts";
import { checkTable } from "./check.ts";
import { type LmdbEnvironment, type LmdbOptions, openEnvironment } from "./environment.ts";
import { attempt, attemptAsync, attemptEach } from "./errors.ts";
import { LmdbTable } from "./table.ts";
import { checkOptionNames, type EngineOptions, integerOption } from "../options.ts";
import { sharedPath } from "../paths.ts";
import type { Hold } from "../shared.ts";

class LmdbEngine implements Engine {
  readonly name = "lmdb";
  readonly path: string;
  readonly supports = { persistent: true, shared: true };
  readonly #dbname: string;
  readonly #options: LmdbOptions;
  #hold: Hold<LmdbEnvironment> | undefined;
  #opened: LmdbTable | undefined;

  constructor(path: string, dbname: string, options: LmdbOptions) {
    this.path = path;
    this.#dbname = dbname;
    this.#options = options;
  }

  async open(): Promise<void> {
    if (this.#hold !== undefined) return;
    const hold = await openEnvironment(this.path, this.#options);
    try {
      this.#opened = attempt("open", () => {
        return new LmdbTable(hold.resource, hold.resource.store(this.#dbname));
      });
    } catch (error) {
      await hold.release();
      throw error;
    }
    this.#hold = hold;
  }

  async close(): Promise<void> {
    const hold = this.#hold;
    this.#hold = this.#opened = undefined;
    await hold?.release();
  }

  get(key: string): Entry | undefined {
    return attempt("get", () => this.#table.get(key));
  }

  has(key: string): boolean {
    return attempt("has", () => this.#table.has(key));
  }

  getMany(keys: string[]): Promise<(Entry | undefined)[]> {
    return attemptAsync("getMany", () => this.#table.getMany(keys));
  }

  set(key: string, entry: NewEntry): Promise<void> {
    return attemptAsync("set", () => this.#table.set(key, entry));
  }

  setMany(pairs: [string, NewEntry][]): Promise<void> {
    return attemptAsync("setMany", () => this.#table.setMany(pairs));
  }

  delete(key: string): Promise<boolean> {
    return attemptAsync("delete", () => this.#table.delete(key));
  }

  deleteMany(keys: string[]): Promise<number> {
    return attemptAsync("deleteMany", () => this.#table.deleteMany(keys));
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): Promise<boolean> {
    return attemptAsync("compareAndSet", () => this.#table.compareAndSet(key, expected, next));
  }

  keys(prefix = ""): AsyncGenerator<string> {
    return attemptEach("keys", this.#table.keys(prefix));
  }

  entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    return attemptEach("entries", this.#table.entries(prefix));
  }

  size(): Promise<number> {
    return attemptAsync("size", async () => await this.#table.size());
  }

  clear(deep = false): Promise<void> {
    return attemptAsync("clear", async () => {
      const tables = [this.#table];
      const environment = this.#environment;
      if (deep) {
        for (const store of environment.nested(this.#dbname)) {
          tables.push(new LmdbTable(environment, store));
        }
      }
      await Promise.all(tables.map((table) => table.clear()));
    });
  }

  prune(): Promise<number> {
    return attemptAsync("prune", () => this.#table.prune());
  }

  check({ fix }: { fix: boolean }): Promise<EngineCheck> {
    return attemptAsync("check", () => checkTable(this.#environment, this.#table, fix));
  }

  byteSize(): number {
    return attempt("byteSize", () => this.#table.byteSize());
  }

  get #environment(): LmdbEnvironment {
    if (this.#hold === undefined) throw new TypeError('Engine "lmdb" is not open');
    return this.#hold.resource;
  }

  get #table(): LmdbTable {
    if (this.#opened === undefined) throw new TypeError('Engine "lmdb" is not open');
    return this.#opened;
  }
}

/** Makes the engine "lmdb". */
export function lmdb(location: EngineLocation, options: EngineOptions): Engine {
  checkOptionNames("lmdb", options, ["path", "mapSize", "maxReaders"]);
  return new LmdbEngine(sharedPath("lmdb", location, options), location.dbname, {
    mapSize: integerOption("lmdb", options, "mapSize"),
    maxReaders: integerOption("lmdb", options, "maxReaders"),
  });
}
