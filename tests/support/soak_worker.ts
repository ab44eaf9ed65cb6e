/** One of several processes that do random things to few keys: prints what it did, as JSON. */
import { HashStash } from "../../mod.ts";
import type { Operation } from "../soak/linearizability.ts";
import { machineClock } from "./machine_clock.ts";
import { RandomValues } from "./random.ts";

const [options, index, seed, milliseconds, keys, others = []] = JSON.parse(Deno.args[0]);
const clock = machineClock();

await using stash = new HashStash<string, number>(options);
await stash.open();
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));

const KINDS = ["get", "get", "get", "has", "set", "set", "delete", "pop", "setDefault"] as const;
const history: [string, Operation][] = [];
// In one process its handles, which may have a near tier, do it side by side.
const handles = [stash, ...others.map((more: object) => new HashStash({ ...options, ...more }))];
await Promise.all(handles.map((handle, i) => doRandomly(handle, index * 10 + i)));
for (const handle of handles) await handle.close();
console.log(JSON.stringify(history));

async function doRandomly(stash: HashStash<string, number>, index: number): Promise<void> {
  const random = new RandomValues(seed + index);
  let written = index * 10_000_000;
  let count = 0;
  const end = performance.now() + milliseconds;
  // On a machine that is busy, a second may be over before much has been done.
  while (performance.now() < end || count++ < 30) {
    const key = `key ${random.below(keys)}`;
    const kind = random.pick(KINDS);
    const argument = kind === "set" || kind === "setDefault" ? ++written : undefined;
    const called = clock.before();
    const result = await act(stash, key, kind, argument);
    history.push([key, { kind, argument, result, called, returned: clock.after() }]);
    // Memory answers at once: the others have to have their turn.
    if (random.below(10) === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

async function act(
  stash: HashStash<string, number>,
  key: string,
  kind: Operation["kind"],
  argument = 0,
): Promise<number | boolean | null> {
  switch (kind) {
    case "get":
      return await stash.get(key) ?? null;
    case "has":
      return await stash.has(key);
    case "set":
      await stash.set(key, argument);
      return null;
    case "delete":
      return await stash.delete(key);
    case "pop":
      return await stash.pop(key) ?? null;
    case "setDefault":
      return await stash.setDefault(key, argument);
  }
}
