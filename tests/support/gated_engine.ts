/** An engine in memory of which a test can stop single calls on their way: one has few methods. */
import type { Entry, Guard, NewEntry } from "../../engines/engine.ts";
import { memory } from "../../engines/memory/mod.ts";

/** A call that has been made of the engine. */
interface EngineCall {
  readonly operation: "get" | "set" | "delete" | "compareAndSet" | "keys";
  readonly key: string;
}

let counter = 0;

/** The engine: several stashes can use one. */
export class GatedEngine {
  readonly name = "gated";
  readonly path = "";
  /** Whether it refuses whatever would change something. */
  isReadOnly = false;
  readonly supports = { persistent: false, shared: false };
  readonly #engine = memory({ name: `gated_${++counter}`, dbname: "main" });
  readonly #gates: { isMeant(call: EngineCall): boolean; pass(): Promise<void> }[] = [];

  /**
   * Stops the next call that is meant: `reached` resolves when it has come, and it goes on when
   * `open` is called.
   */
  gate(isMeant: (call: EngineCall) => boolean): { reached: Promise<void>; open(): void } {
    const reached = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    const gate = {
      isMeant,
      pass: () => {
        this.#gates.splice(this.#gates.indexOf(gate), 1);
        reached.resolve();
        return opened.promise;
      },
    };
    this.#gates.push(gate);
    return { reached: reached.promise, open: opened.resolve };
  }

  /** Stops the next call about a key that ends so. */
  gateAt(
    operation: EngineCall["operation"],
    end: string,
  ): { reached: Promise<void>; open(): void } {
    return this.gate((call) => call.operation === operation && call.key.endsWith(end));
  }

  async #pass(operation: EngineCall["operation"], key: string): Promise<void> {
    await this.#gates.find((gate) => gate.isMeant({ operation, key }))?.pass();
    const changes = operation !== "get" && operation !== "keys";
    if (changes && this.isReadOnly) throw new Error("It is read-only");
  }

  async open(): Promise<void> {
    await this.#engine.open();
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  async get(key: string): Promise<Entry | undefined> {
    await this.#pass("get", key);
    return await this.#engine.get(key);
  }

  async set(key: string, entry: NewEntry): Promise<void> {
    await this.#pass("set", key);
    await this.#engine.set(key, entry);
  }

  async delete(key: string): Promise<boolean> {
    await this.#pass("delete", key);
    return await this.#engine.delete(key);
  }

  async compareAndSet(
    key: string,
    expected: Entry | undefined,
    next: NewEntry | undefined,
    guard?: Guard,
  ): Promise<boolean> {
    await this.#pass("compareAndSet", key);
    return await this.#engine.compareAndSet(key, expected, next, guard);
  }

  async *keys(prefix = ""): AsyncGenerator<string> {
    await this.#pass("keys", prefix);
    yield* this.#engine.keys(prefix);
  }

  async size(): Promise<number> {
    return await this.#engine.size();
  }

  async clear(): Promise<void> {
    await this.#engine.clear();
  }
}
