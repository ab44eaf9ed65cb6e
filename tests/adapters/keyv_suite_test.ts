/**
 * Keyv's own test suite over every engine: as published for Keyv 5, and for Keyv 6, whose suite is
 * not on the registry, the published cases that still hold of it with its other claims written
 * after it.
 */
import { assertEquals } from "@std/assert";
// Its own types bring in those of a whole test runner.
// @ts-types="../support/keyv_suite.d.ts"
import {
  keyvApiTests,
  keyvIteratorTests,
  keyvNamespaceTest,
  keyvValueTests,
} from "npm:@keyv/test-suite@2.1.2";
import { Keyv as Keyv5 } from "npm:keyv@^5.6.0";
import { Keyv as Keyv6 } from "npm:keyv@^6.1.0";
import { KeyvStash } from "../../adapters/keyv.ts";
import { ENGINES, TestBed } from "../support/bed.ts";
import { casesOf, type SuiteCase } from "../support/expect.ts";

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Store = () => KeyvStash;

/** A store that tells when nothing is under way. */
class TrackedStash extends KeyvStash {
  readonly #pending = new Set<Promise<unknown>>();

  async settled(): Promise<void> {
    while (this.#pending.size > 0) {
      await Promise.allSettled(this.#pending);
      // For what Keyv does next.
      await later(0);
    }
  }

  override set(...args: Parameters<KeyvStash["set"]>): Promise<boolean> {
    return this.#tracked(super.set(...args));
  }

  override delete(key: string): Promise<boolean> {
    return this.#tracked(super.delete(key));
  }

  override clear(): Promise<void> {
    return this.#tracked(super.clear());
  }

  override deleteMany(keys: string[]): Promise<boolean[]>;
  override deleteMany(keys: string[]): Promise<boolean>;
  override deleteMany(keys: string[]): Promise<boolean[] | boolean> {
    return this.#tracked<boolean[] | boolean>(super.deleteMany(keys));
  }

  #tracked<T>(promise: Promise<T>): Promise<T> {
    this.#pending.add(promise);
    promise.finally(() => this.#pending.delete(promise)).catch(() => {});
    return promise;
  }
}

function published(Keyv: unknown, store: Store): SuiteCase[] {
  return casesOf(
    (test) => keyvApiTests(test, Keyv, store),
    (test) => keyvValueTests(test, Keyv, store),
    (test) => keyvNamespaceTest(test, Keyv, store),
    (test) => keyvIteratorTests(test, Keyv, store),
  );
}

/** What Keyv 6 answers otherwise than Keyv 5. */
const CHANGED: Record<string, (store: Store) => Promise<void>> = {
  async ".deleteMany([keys]) with nonexistent keys resolves to false"(store) {
    const keyv = new Keyv6({ store: store() });
    assertEquals(await keyv.delete(["foo", "foo1"]), [false, false]);
  },

  async "value can not be symbol"(store) {
    const keyv = new Keyv6({ store: store() });
    const errors: unknown[] = [];
    keyv.on("error", (error: unknown) => errors.push(error));
    assertEquals(await keyv.set("foo", Symbol("value")), false);
    assertEquals(errors, ["symbol cannot be serialized"]);
  },

  async "value can be BigInt using other serializer/deserializer"(store) {
    const serialization = {
      stringify: (data: unknown) =>
        JSON.stringify(data, (_, value) => typeof value === "bigint" ? `${value}n` : value),
      parse: <T>(text: string): T =>
        JSON.parse(
          text,
          (_, value) => /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
        ),
    };
    const keyv = new Keyv6({ store: store(), serialization });
    await keyv.set("foo", 9223372036854775807n);
    assertEquals(await keyv.get("foo"), 9223372036854775807n);
  },
};

/** What Keyv 6 asks of a store itself. */
const STORAGE: Record<string, (store: KeyvStash) => Promise<void>> = {
  async "set and get"(store) {
    assertEquals(await store.set("a", "text"), true);
    assertEquals(await store.get("a"), "text");
  },
  async "get of an absent key is undefined"(store) {
    assertEquals(await store.get("a"), undefined);
  },
  async "delete of a key that is there is true"(store) {
    await store.set("a", "text");
    assertEquals([await store.delete("a"), await store.get("a")], [true, undefined]);
  },
  async "delete of an absent key is false"(store) {
    assertEquals(await store.delete("a"), false);
  },
  async "has of a key that is there is true"(store) {
    await store.set("a", "text");
    assertEquals(await store.has("a"), true);
  },
  async "has of an absent key is false"(store) {
    assertEquals(await store.has("a"), false);
  },
  async "has after delete is false"(store) {
    await store.set("a", "text");
    await store.delete("a");
    assertEquals(await store.has("a"), false);
  },
  async "clear removes all"(store) {
    await store.set("a", "text");
    await store.set("b", "text");
    await store.clear();
    assertEquals(await store.getMany(["a", "b"]), [undefined, undefined]);
  },
  async "setMany stores many"(store) {
    const entries = ["a", "b", "c"].map((key) => ({ key, value: `of ${key}` }));
    await store.setMany(entries);
    for (const { key, value } of entries) assertEquals(await store.get(key), value);
  },
  async "setMany of nothing"(store) {
    assertEquals(await store.setMany([]), []);
  },
  async "getMany of many"(store) {
    await store.set("a", "1");
    await store.set("b", "2");
    assertEquals(await store.getMany(["b", "a"]), ["2", "1"]);
  },
  async "getMany of absent keys"(store) {
    assertEquals(await store.getMany(["a", "b"]), [undefined, undefined]);
  },
  async "getMany of nothing"(store) {
    assertEquals(await store.getMany([]), []);
  },
  async "hasMany answers for each"(store) {
    await store.set("a", "1");
    await store.set("b", "2");
    assertEquals(await store.hasMany(["a", "b", "c"]), [true, true, false]);
  },
  async "hasMany of nothing"(store) {
    assertEquals(await store.hasMany([]), []);
  },
  async "deleteMany removes and answers for each"(store) {
    await store.set("a", "1");
    await store.set("b", "2");
    assertEquals(await store.deleteMany(["a", "b"]), [true, true]);
    assertEquals(await store.getMany(["a", "b"]), [undefined, undefined]);
  },
  async "deleteMany of absent keys"(store) {
    assertEquals(await store.deleteMany(["a", "b"]), [false, false]);
  },
  async "deleteMany of nothing"(store) {
    assertEquals(await store.deleteMany([]), []);
  },
  async "iterator is async"(store) {
    const iterator = store.iterator();
    assertEquals(typeof iterator[Symbol.asyncIterator], "function");
    await iterator.return();
  },
  async "iterator yields all pairs"(store) {
    store.namespace = "all";
    const pairs = [["a", "1"], ["b", "2"], ["c", "3"]];
    for (const [key, value] of pairs) await store.set(key, value);
    assertEquals((await Array.fromAsync(store.iterator())).sort(), pairs);
  },
  async "iterator yields the namespace's pairs alone"(store) {
    await store.set("outside", "1");
    store.namespace = "inside";
    await store.set("a", "1");
    await store.set("b", "2");
    assertEquals((await Array.fromAsync(store.iterator())).sort(), [["a", "1"], ["b", "2"]]);
  },
  async "iterator of an empty namespace"(store) {
    store.namespace = "empty";
    assertEquals(await Array.fromAsync(store.iterator()), []);
  },
  async "set with a deadline"(store) {
    await store.get("warm");
    await store.set("a", "1", Date.now() + 1_000);
    assertEquals(await store.get("a"), "1");
    await later(1_010);
    assertEquals(await store.get("a"), undefined);
  },
  async "set with a deadline that is past"(store) {
    await store.set("a", "1", Date.now() - 300);
    assertEquals(await store.get("a"), undefined);
  },
  async "has after the deadline"(store) {
    await store.set("a", "1", Date.now() + 30);
    await later(50);
    assertEquals(await store.has("a"), false);
  },
  async "setMany with a deadline of one entry"(store) {
    await store.get("warm");
    await store.setMany([
      { key: "a", value: "1", expires: Date.now() + 1_000 },
      { key: "b", value: "2" },
    ]);
    assertEquals(await store.getMany(["a", "b"]), ["1", "2"]);
    await later(1_010);
    assertEquals(await store.getMany(["a", "b"]), [undefined, "2"]);
  },
  async "namespace can be set and unset"(store) {
    assertEquals(store.namespace, undefined);
    store.namespace = "one";
    assertEquals(store.namespace, "one");
    store.namespace = undefined;
    await store.set("a", "1");
    assertEquals(await store.get("a"), "1");
  },
  async "disconnect resolves"(store) {
    assertEquals(await store.disconnect(), undefined);
  },
};

function casesFor6(store: Store): SuiteCase[] {
  const kept = published(Keyv6, store).map(({ name, run }) => {
    const changed = CHANGED[name];
    return { name, run: changed === undefined ? run : () => changed(store) };
  });
  const own = Object.entries(STORAGE).map(([name, fn]) => ({
    name,
    async run() {
      // As Keyv 6 does.
      const one = store();
      assertEquals(one.capabilities.expires, true);
      await one.clear();
      await fn(one);
    },
  }));
  return [...kept, ...own];
}

const SUITES: [version: string, count: number, (store: Store) => SuiteCase[]][] = [
  ["5.6", 42, (store) => published(Keyv5, store)],
  ["6", 70, casesFor6],
];

for (const [version, count, suite] of SUITES) {
  for (const engine of ENGINES) {
    Deno.test({
      name: `Keyv ${version}: its suite on ${engine}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn(t) {
        await using bed = await TestBed.create(engine);
        const name = crypto.randomUUID();
        const stores: TrackedStash[] = [];
        // Each has a handle of its own, as "disconnect" closes it.
        const store = () => {
          stores.push(new TrackedStash(bed.stash({ name })));
          return stores.at(-1)!;
        };
        let passed = 0;
        const cases = suite(store);
        for (const [i, { name, run }] of cases.entries()) {
          // Some are called alike.
          if (await t.step(`${i + 1} ${name}`, run)) passed++;
          // Some await nothing of what they start: the next case must not see it.
          await later(0);
          for (const one of stores.splice(0)) {
            await one.settled();
            await one.disconnect();
          }
        }
        console.log(`Keyv ${version} on ${engine}: ${passed} of ${cases.length}`);
        assertEquals([passed, cases.length], [count, count]);
      },
    });
  }
}
