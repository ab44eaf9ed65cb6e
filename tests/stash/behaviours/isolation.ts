/**
 * The lines of section 10 that need one process only: iteration, handles, large and late things.
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EngineError, HashStash } from "../../../mod.ts";
import { runtimeName } from "../../../platform/system.ts";
import type { Behaviour } from "./mod.ts";

export const ISOLATION: readonly Behaviour[] = [
  ["50, 82: any handle reads what other codec options wrote", async (bed) => {
    const { compress: _c, b64: _b, ...options } = bed.options();
    const value = { text: "x".repeat(3_000), date: new Date(5), bytes: new Uint8Array(300) };
    const serializers = ["hashstash", "msgpack", "v8"] as const;
    // Bun has no V8.
    for (const serializer of runtimeName() === "Bun" ? serializers.slice(0, 2) : serializers) {
      for (const compress of [false, "zstd", "lz4", "gzip", "zlib", "brotli"] as const) {
        for (const b64 of [false, true]) {
          await using writer = new HashStash({ ...options, serializer, compress, b64 });
          await writer.set("k", value);
          await using reader = new HashStash(options);
          assertEquals(await reader.get("k"), value, `${serializer} ${compress} ${b64}`);
        }
      }
    }
  }],
  ["116: iteration goes on while entries are set and deleted", async (bed) => {
    await using stash = bed.stash();
    const keys = Array.from({ length: 600 }, (_, i) => `stays ${i}`);
    await stash.setMany(keys.map((key) => [key, 1]));
    await stash.setMany(Array.from({ length: 100 }, (_, i) => [`goes ${i}`, 1]));
    const seen: string[] = [];
    for await (const key of stash.keys()) {
      seen.push(key);
      if (seen.length <= 100) {
        await stash.delete(`goes ${seen.length - 1}`);
        await stash.set(`comes ${seen.length}`, 1);
      }
    }
    const stayed = seen.filter((key) => key.startsWith("stays"));
    assertEquals(stayed.length, 600);
    assertEquals(new Set(seen).size, seen.length);
  }],
  ["117: an abandoned iterator holds nothing", async (bed) => {
    await using stash = bed.stash();
    await stash.setMany(Array.from({ length: 50 }, (_, i) => [i, i]));
    for await (const _ of stash.keys()) break;
    for await (const _ of stash.entries()) break;
    const open = stash.values();
    await open.next();
    await stash.set("after", 1);
    await stash.clear();
    assertEquals(await stash.size(), 0);
    await open.return();
  }],
  ["operations after close reject; close waits for those under way", async (bed) => {
    const options = bed.options();
    const stash = new HashStash(options);
    const sets = Array.from({ length: 20 }, (_, i) => stash.set(`k${i}`, i));
    await stash.close();
    await stash.close();
    await Promise.all(sets);
    await assertRejects(() => stash.set("late", 1), EngineError, "closed");
    await assertRejects(() => stash.open(), EngineError, "closed");
    await using again = new HashStash(options);
    assertEquals(await again.size(), 20);
  }],
  ["a value is stored as it was when set was called", async (bed) => {
    await using stash = bed.stash();
    const value = { list: [1] };
    const setting = stash.set("k", value);
    value.list.push(2);
    await setting;
    assertEquals(await stash.get("k"), { list: [1] });
    const bytes = new Uint8Array([1, 2, 3]);
    const settingBytes = stash.set("b", bytes);
    bytes.fill(9);
    await settingBytes;
    assertEquals(await stash.get("b"), new Uint8Array([1, 2, 3]));
    const back = await stash.get("b");
    back.fill(7);
    assertEquals(await stash.get("b"), new Uint8Array([1, 2, 3]));
  }],
  ["a value of 20 MB", async (bed) => {
    await using stash = bed.stash();
    const bytes = new Uint8Array(20_000_000);
    for (let i = 0; i < bytes.length; i += 4_096) bytes[i] = i >> 12;
    await stash.set("big", bytes);
    const back = await stash.get("big");
    assert(Buffer.compare(back, bytes) === 0);
  }],
];
