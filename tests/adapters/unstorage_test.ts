/** A stash as a driver of unstorage. */
import { assert, assertEquals } from "@std/assert";
import { createStorage, prefixStorage } from "npm:unstorage@^1.17.0";
import { stashDriver } from "../../adapters/unstorage.ts";
import { later, onEngines } from "../support/adapters.ts";

onEngines("unstorage: items, raw items, meta, keys, clear", async (bed) => {
  const storage = createStorage({ driver: stashDriver(bed.stash()) });
  assertEquals(await storage.getItem("absent"), null);
  await storage.setItem("a:b", { c: 1 });
  await storage.setItem("zero", 0);
  assertEquals([await storage.getItem("a:b"), await storage.getItem("zero")], [{ c: 1 }, 0]);
  assertEquals(await storage.hasItem("a:b"), true);
  const bytes = new Uint8Array([0, 255, 7]);
  await storage.setItemRaw("raw", bytes);
  assertEquals(await storage.getItemRaw("raw"), bytes);
  await storage.setItem("short", "x", { ttl: 0.03 });
  assert(Number((await storage.getMeta("short")).ttl) <= 0.03);
  await later(45);
  assertEquals(await storage.getItem("short"), null);
  await storage.setItems([{ key: "m:1", value: "1" }, { key: "m:2", value: "2" }]);
  assertEquals(
    (await storage.getItems(["m:1", "m:2", "m:3"])).map(({ value }) => value),
    [1, 2, null],
  );
  assertEquals((await storage.getKeys()).sort(), ["a:b", "m:1", "m:2", "raw", "zero"]);
  assertEquals((await prefixStorage(storage, "m").getKeys()).sort(), ["1", "2"]);
  await storage.removeItem("m:1");
  await storage.removeItem("m:2");
  await storage.removeItem("raw");
  assertEquals((await storage.getKeys()).sort(), ["a:b", "zero"]);
  await storage.clear();
  assertEquals(await storage.getKeys(), []);
  await using other = bed.stash();
  storage.mount("other", stashDriver(other));
  await storage.setItem("other:a", 1);
  await storage.setItem("mine", 2);
  assertEquals(await other.get("a"), "1");
  await storage.clear("other");
  assertEquals([await other.size(), await storage.getItem("mine")], [0, 2]);
  await storage.dispose();
});
