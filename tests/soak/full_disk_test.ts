/**
 * A disk that fills up: a set says so and what to do, what was there stays, and what is removed
 * makes room. Needs a system that lets its users have a small file system of their own.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { ROOT } from "../../dev/run.ts";
import type { EngineName } from "../support/bed.ts";
import { KEPT_IN_FILES } from "../support/kill_steps.ts";
import { runOnSmallDisk, smallDiskError } from "../support/small_disk.ts";

/**
 * Where removing takes space too, which others have to make: what Deno KV does within its database
 * is beyond our reach.
 */
const NEEDS_ROOM: readonly EngineName[] = ["shelve"];

const SCRIPT = (engine: EngineName, size: number) => `
  import { HashStash } from "./mod.ts";
  const options = { name: "n", engine: "${engine}", rootDir: Deno.args[0] };
  const SIZE = ${size};
  const needsRoom = ${NEEDS_ROOM.includes(engine)};
  const others = ["one", "two"].map((name) => Deno.args[0] + "/" + name);
  const makeRoom = () => Deno.removeSync(others.pop());
  if (needsRoom) for (const file of others) Deno.writeFileSync(file, new Uint8Array(5_000_000));
  const noise = (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 1_000) crypto.getRandomValues(bytes.subarray(i, i + 1_000));
    return bytes;
  };
  let stash = new HashStash(options);
  const kept = new Map();
  const fill = async (size) => {
    for (let i = 0;; i++) {
      const key = size + " " + i;
      const value = noise(size);
      try {
        await stash.set(key, value);
      } catch (error) {
        if (await stash.has(key)) console.log("it is there all the same");
        return error;
      }
      kept.set(key, value);
    }
  };
  const isWhole = async () => {
    for (const [key, value] of kept) {
      const found = await stash.get(key);
      if (found?.length !== value.length || found.some((byte, i) => byte !== value[i])) return key;
    }
    return await stash.size() === kept.size;
  };
  const error = await fill(SIZE);
  console.log(String(error), error.engine, error.operation);
  for (let smaller = SIZE >> 1; smaller > 0; smaller >>= 3) await fill(smaller);
  console.log("whole:", await isWhole());
  if (needsRoom) {
    const refusal = await stash.delete(SIZE + " 0").then(() => "", String);
    console.log("refused:", refusal.includes("free some space"));
    makeRoom();
  }
  const keys = [...kept.keys()];
  const half = keys.length >> 1;
  console.log("deleted:", await stash.delete(keys[0]));
  console.log("deleted:", await stash.deleteMany(keys.slice(1, half)) === half - 1);
  for (const key of keys.slice(0, half)) kept.delete(key);
  console.log("left:", await isWhole());
  console.log("deleted:", await stash.deleteMany(keys.slice(half)) === keys.length - half);
  kept.clear();
  await stash.set("next", noise(100));
  kept.set("next", await stash.get("next"));
  console.log("set:", await isWhole(), (await stash.check()).problems.length);
  await fill(SIZE);
  await stash.close();
  stash = new HashStash(options);
  console.log("opened:", await isWhole());
  if (needsRoom) makeRoom();
  await stash.clear();
  kept.clear();
  await stash.set("last", noise(SIZE));
  kept.set("last", await stash.get("last"));
  console.log("cleared:", await isWhole(), (await stash.check()).problems.length);
  await stash.close();
`;

const obstacle = await smallDiskError();
if (obstacle !== undefined) console.log(`NO DISK IS FILLED: ${obstacle}`);
for (const engine of obstacle === undefined ? KEPT_IN_FILES : []) {
  // Where pages are shared, and where values have some of their own.
  const sizes = engine === "lmdb" ? [100, 1_900, 20_000] : [];
  for (const size of [4_000, 100_000, ...sizes]) {
    Deno.test(`soak: ${engine}: a full disk, of values of ${size} bytes`, async () => {
      const folder = await Deno.makeTempDir();
      try {
        const printed = await runOnSmallDisk(
          folder,
          NEEDS_ROOM.includes(engine) ? 15_000_000 : 5_000_000,
          SCRIPT(engine, size),
        );
        const [message, ...rest] = printed!.split("\n");
        assertMatch(
          message,
          new RegExp(
            `^EngineError: Cannot set entry in engine "${engine}": the disk of .* is full.*; ` +
              `free some space ${engine} set$`,
          ),
        );
        assertEquals(rest, [
          "whole: true",
          ...NEEDS_ROOM.includes(engine) ? ["refused: true"] : [],
          "deleted: true",
          "deleted: true",
          "left: true",
          "deleted: true",
          "set: true 0",
          "opened: true",
          "cleared: true 0",
          "",
        ]);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

/** Functions whose results can't be stored, nor the lease that says who makes them. */
const COMPUTING = (engine: EngineName) => `
  import { HashStash } from "./mod.ts";
  const options = { name: "n", engine: "${engine}", rootDir: Deno.args[0] };
  await using stash = new HashStash(options);
  await stash.set("opened", true);
  const twice = stash.stashedResult((x) => x + x, { name: "twice" });
  const each = stash.stashedResult(async function* (x) { yield x; yield x; }, { name: "each" });
  await twice("stored");
  await Array.fromAsync(each("stored"));
  const large = "x".repeat(200_000);
  const plus = (x) => x + large;
  await stash.map(plus, [0]).results();
  let errors = 0;
  stash.events.addEventListener("error", ({ detail: { error } }) => {
    if (!/the disk of .* is full/.test(String(error))) console.log("unexpected", error);
    errors++;
  });
  const filler = Deno.openSync(Deno.args[0] + "/filler", { write: true, create: true });
  for (let size = 65_536; size > 0; size >>= 3) {
    try {
      for (;;) filler.writeSync(new Uint8Array(size));
    } catch (error) {
      if (error.code !== "ENOSPC") throw error;
    }
    for (let i = 0;; i++) {
      const value = crypto.getRandomValues(new Uint8Array(size));
      if (await stash.set(size + " " + i, value).then(() => false, () => true)) break;
    }
  }
  const tell = (what, ...found) => {
    console.log(what, ...found, errors > 0);
    errors = 0;
  };
  tell("getOrSet", await stash.getOrSet("new", () => large) === large);
  const both = await Promise.all([twice(large), twice(large)]);
  tell("function", both.every((value) => value === large + large));
  tell("force", await twice.force(large) === large + large);
  tell("generator", (await Array.fromAsync(each(large))).join("") === large + large);
  const mapped = stash.map(plus, [1, 2, 3]);
  const found = await mapped.results().catch(String);
  tell("map", Array.isArray(found) && found.join() === [1 + large, 2 + large, 3 + large].join());
  const many = await stash.getOrSetMany([1, 2, 3], (ids) => ids.map((id) => id + large));
  tell("batch", many.join() === [1 + large, 2 + large, 3 + large].join());
  console.log("stored:", await twice("stored"), (await twice.peek(large))?.length);
`;

for (const engine of obstacle === undefined ? KEPT_IN_FILES : []) {
  Deno.test(`soak: ${engine}: functions run on a full disk`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      assertEquals((await runOnSmallDisk(folder, 5_000_000, COMPUTING(engine)))!.split("\n"), [
        "getOrSet true true",
        "function true true",
        "force true true",
        "generator true true",
        "map true true",
        "batch true true",
        "stored: storedstored undefined",
        "",
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** Does what comes to mind to a store on a disk that is too small for it, and tells what it found. */
const ROAMING = (seed: number, processes: number) => `
  import { HashStash } from "./mod.ts";
  const [root, part = "0"] = Deno.args;
  const others = part !== "0" ? [] : Array.from({ length: ${processes - 1} }, (_, i) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", "--config", "${ROOT}deno.json"]
        .concat([Deno.mainModule, root, String(i + 1)]),
    }).spawn());
  let state = ${seed} * 7_919 + part * 104_729 + 1;
  const random = (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor(state / 2 ** 31 * below);
  };
  const noise = (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 60_000) crypto.getRandomValues(bytes.subarray(i, i + 60_000));
    return bytes;
  };
  const SIZES = [0, 10, 100, 1_000, 1_900, 4_000, 10_000, 50_000, 100_000, 300_000];
  const options = { name: "n", engine: "lmdb", rootDir: root };
  let stash = new HashStash(options);
  const kept = new Map();
  const wrong = [];
  let refused = 0;
  const key = () => part + " " + random(400);
  const keys = (below) => [...new Set(Array.from({ length: random(below) }, key))];
  const tries = async (touched, action) => {
    try {
      await action();
      return;
    } catch (error) {
      refused++;
      if (!/the disk of .* is full/.test(String(error))) wrong.push(String(error));
    }
    // Of a batch a part may be there.
    for (const one of touched) {
      const found = await stash.get(one);
      if (found === undefined) kept.delete(one);
      else kept.set(one, found);
    }
  };
  const set = (one, value) => tries([one], async () => {
    await stash.set(one, value, random(2) ? { ttl: 3_600_000 } : undefined);
    kept.set(one, value);
  });
  const ACTIONS = [
    () => set(key(), noise(SIZES[random(SIZES.length)])),
    () => set(key(), noise(SIZES[random(SIZES.length)])),
    () => Promise.all(keys(60).map((one) => set(one, noise(random(3_000))))),
    () => {
      const pairs = keys(300).map((one) => [one, noise(random(2_000))]);
      return tries(pairs.map(([one]) => one), async () => {
        await stash.setMany(pairs);
        for (const [one, value] of pairs) kept.set(one, value);
      });
    },
    async () => {
      const one = key();
      if (await stash.delete(one) !== kept.delete(one)) wrong.push("delete " + one);
    },
    async () => {
      if (random(4) > 0) return;
      const some = keys(200);
      await stash.deleteMany(some);
      for (const one of some) kept.delete(one);
    },
    () => {
      const [one, value] = [key(), noise(SIZES[random(SIZES.length)])];
      return tries([one], async () => kept.set(one, await stash.modify(one, () => value)));
    },
    async () => {
      if (random(10) > 0) return;
      await stash.close();
      stash = new HashStash(options);
    },
  ];
  for (let i = 0; i < 400; i++) await ACTIONS[random(ACTIONS.length)]();
  for (const [one, value] of kept) {
    const found = await stash.get(one);
    if (found?.length !== value.length || found.some((byte, i) => byte !== value[i])) {
      wrong.push("value of " + one);
    }
  }
  for (const other of others) if (!(await other.status).success) wrong.push("another process");
  if (part === "0") {
    wrong.push(...(await stash.check()).problems);
    await stash.clear();
    await stash.set("last", noise(${processes === 1 ? 100_000 : 1_000}));
  }
  await stash.close();
  if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
  if (part === "0") console.log(refused > 0);
`;

// With several processes one of them ended with a SIGSEGV in 1 of about 67 runs, of a cause that is
// not known (docs/guarantees.md): `deno task soak` looks for it, the suite has to be reliable.
const crowds = Deno.env.has("HASHSTASH_SOAK_SECONDS") ? [1, 3] : [1];
for (const processes of obstacle === undefined ? crowds : []) {
  Deno.test(`soak: lmdb: ${processes} processes that write to a full disk`, async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const folder = await Deno.makeTempDir();
      try {
        const printed = await runOnSmallDisk(folder, 5_000_000, ROAMING(seed, processes));
        assertEquals(printed, "true\n");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  });
}
