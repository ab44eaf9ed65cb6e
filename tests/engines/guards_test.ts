/** Guards of `compareAndSet`: which engines obey them, and that the contract tells who does not. */
import { assertEquals, assertRejects } from "@std/assert";
import { complete, type Store } from "../../engines/complete.ts";
import { engineContract } from "../../engines/contract/mod.ts";
import { Decorator } from "../../engines/decorator.ts";
import type { EngineLocation, Entry, Guard, NewEntry } from "../../engines/engine.ts";
import { memory } from "../../engines/memory/mod.ts";
import { loadEngine } from "../../engines/registry.ts";
import { disposable, ENGINES } from "../support/bed.ts";
import { entryOf, textAt } from "../support/entries.ts";

const LOCATION = { name: "guards", dbname: "main" };

for (const name of ENGINES) {
  Deno.test(`guards: ${name} obeys them`, async () => {
    const createEngine = await loadEngine(name);
    const options = name === "postgres" ? { url: "postgres://127.0.0.1/none" } : {};
    assertEquals(createEngine(LOCATION, options).supports.guard, true);
  });
}

Deno.test("guards: redis obeys them in a cluster where the name has a hash tag", async () => {
  const createEngine = await loadEngine("redis");
  const obeys = (name: string) =>
    createEngine({ name, dbname: "main" }, { cluster: ["redis://127.0.0.1"] }).supports.guard;
  for (const name of ["{a}", "a{b}c", "{{a}", "a{b}{c}", "{:}"]) {
    assertEquals(obeys(name), true, name);
  }
  for (const name of ["a", "{}", "{}{a}", "{a", "a}", "}a{"]) {
    assertEquals(obeys(name), false, name);
  }
});

Deno.test("guards: one on a store of another engine is refused", async () => {
  await using store = disposable(memory(LOCATION));
  await store.open();
  const other = { ...memory({ ...LOCATION, dbname: "other" }), name: "other" };
  const expected = { value: new Uint8Array(), revision: 1 };
  await assertRejects(
    async () => {
      const guard = { engine: other, key: "guard", expected };
      await store.compareAndSet("key", undefined, entryOf("value"), guard);
    },
    TypeError,
    'The guard of compareAndSet is on a store of engine "other"',
  );
  assertEquals(await textAt(store, "key"), undefined);
});

/** Says that it obeys guards, and does not look at them. */
class Ignoring extends Decorator {
  override compareAndSet(key: string, expected?: Entry, next?: NewEntry) {
    return this.inner.compareAndSet(key, expected, next);
  }
}

/** Looks at them, and then does its work. */
class TwoSteps extends Decorator {
  override async compareAndSet(key: string, expected?: Entry, next?: NewEntry, guard?: Guard) {
    if (guard !== undefined) {
      const found = await guard.engine.get(guard.key);
      if (found?.revision !== guard.expected.revision) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return await this.inner.compareAndSet(key, expected, next);
  }
}

for (
  const [Faulty, title] of [
    [Ignoring, "changes nothing when the guard does not hold"],
    [TwoSteps, "stores nothing once the guard's entry was removed"],
  ] as [new (inner: Store) => Store, string][]
) {
  Deno.test(`guards: the contract notices an engine of the kind ${Faulty.name}`, async () => {
    const create = (location: EngineLocation) => new Faulty(complete(memory(location)));
    const [found, ...more] = engineContract({ create })
      .filter(({ name }) => name.startsWith(title));
    assertEquals(more, []);
    await assertRejects(() => found.fn(), Error);
    const [sound] = engineContract({ create: memory }).filter(({ name }) => name.startsWith(title));
    await sound.fn();
  });
}
