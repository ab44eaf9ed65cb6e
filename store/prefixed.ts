/**
 * One store inside an engine object that a user passed: such an object is a single flat store,
 * which several stashes and their nested ones may share. Each gets the keys that begin with its own
 * `name:dbname:`.
 */
import { complete, type CompleteEngine } from "../engines/complete.ts";
import type { Engine, EngineCheck, EngineSupports, Entry, NewEntry } from "../engines/engine.ts";

/** How many stores have each engine object open, and the opening they wait for. */
const opened = new WeakMap<Engine, { handles: number; opening: Promise<void> }>();

const BATCH = 256;

/** The part of an engine under one prefix. */
export class PrefixedEngine implements Engine {
  readonly #inner: Engine;
  readonly #all: CompleteEngine;
  readonly #prefix: string;
  readonly #nestedPrefix: string;

  constructor(inner: Engine, name: string, dbname: string) {
    this.#inner = inner;
    this.#all = complete(inner);
    const path = `${escape(name)}:${escape(dbname)}`;
    this.#prefix = `${path}:`;
    this.#nestedPrefix = `${path}/`;
  }

  get name(): string {
    return this.#inner.name;
  }

  get path(): string {
    return this.#inner.path;
  }

  get supports(): EngineSupports {
    return this.#inner.supports;
  }

  get evictions(): number {
    return this.#inner.evictions ?? 0;
  }

  async open(): Promise<void> {
    let use = opened.get(this.#inner);
    if (use === undefined) {
      use = { handles: 0, opening: Promise.resolve(this.#inner.open()) };
      opened.set(this.#inner, use);
    }
    use.handles++;
    try {
      await use.opening;
    } catch (error) {
      opened.delete(this.#inner);
      throw error;
    }
  }

  async close(): Promise<void> {
    const use = opened.get(this.#inner);
    if (use === undefined || --use.handles > 0) return;
    opened.delete(this.#inner);
    await this.#inner.close();
  }

  get(key: string): ReturnType<Engine["get"]> {
    return this.#all.get(this.#prefix + key);
  }

  set(key: string, entry: NewEntry): ReturnType<Engine["set"]> {
    return this.#all.set(this.#prefix + key, entry);
  }

  delete(key: string): ReturnType<Engine["delete"]> {
    return this.#all.delete(this.#prefix + key);
  }

  compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
  ): ReturnType<Engine["compareAndSet"]> {
    return this.#all.compareAndSet(this.#prefix + key, expected, next);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    for await (const key of this.#all.keys(this.#prefix + prefix)) {
      yield key.slice(this.#prefix.length);
    }
  }

  async *entries(prefix = ""): AsyncGenerator<[string, Entry]> {
    for await (const [key, entry] of this.#all.entries(this.#prefix + prefix)) {
      yield [key.slice(this.#prefix.length), entry];
    }
  }

  async size(): Promise<number> {
    let size = 0;
    for await (const _ of this.#all.keys(this.#prefix)) size++;
    return size;
  }

  async clear(deep = false): Promise<void> {
    for (const prefix of deep ? [this.#prefix, this.#nestedPrefix] : [this.#prefix]) {
      let batch: string[] = [];
      for await (const key of this.#all.keys(prefix)) {
        if (batch.push(key) < BATCH) continue;
        await this.#all.deleteMany(batch);
        batch = [];
      }
      await this.#all.deleteMany(batch);
    }
  }

  has(key: string): ReturnType<CompleteEngine["has"]> {
    return this.#all.has(this.#prefix + key);
  }

  getMany(keys: string[]): ReturnType<CompleteEngine["getMany"]> {
    return this.#all.getMany(keys.map((key) => this.#prefix + key));
  }

  getValue(key: string): ReturnType<CompleteEngine["getValue"]> {
    return this.#all.getValue(this.#prefix + key);
  }

  getValues(keys: string[]): ReturnType<CompleteEngine["getValues"]> {
    return this.#all.getValues(keys.map((key) => this.#prefix + key));
  }

  setMany(pairs: [string, NewEntry][]): ReturnType<CompleteEngine["setMany"]> {
    return this.#all.setMany(pairs.map(([key, entry]) => [this.#prefix + key, entry]));
  }

  deleteMany(keys: string[]): ReturnType<CompleteEngine["deleteMany"]> {
    return this.#all.deleteMany(keys.map((key) => this.#prefix + key));
  }

  prune(): ReturnType<CompleteEngine["prune"]> {
    return this.#all.prune();
  }

  async check(options: { fix: boolean }): Promise<EngineCheck> {
    const { checked, problems } = await this.#all.check(options);
    return {
      checked,
      problems: problems.map((problem) =>
        problem.key?.startsWith(this.#prefix)
          ? { ...problem, key: problem.key.slice(this.#prefix.length) }
          : problem
      ),
    };
  }

  async byteSize(): Promise<number> {
    let bytes = 0;
    for await (const [key, entry] of this.#all.entries(this.#prefix)) {
      bytes += key.length + entry.value.length;
    }
    return bytes;
  }
}

function escape(text: string): string {
  return text.replace(/[%:]/g, encodeURIComponent);
}
