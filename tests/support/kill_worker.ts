/**
 * The process that the kill test kills: overwrites a few large entries in turn and says on standard
 * output, a line for each, what has been acknowledged to it. Its argument:
 * `{ place, name, start, atomic }` as JSON.
 */
import { KILL_KEYS, killValue } from "./kill_values.ts";
import { openEngine } from "./bed.ts";

const { place, name, start, atomic } = JSON.parse(Deno.args[0]);
const encoder = new TextEncoder();
const engine = await openEngine(place, { name, dbname: "main" });
for (let counter: number = start;; counter++) {
  const index = counter % KILL_KEYS;
  const key = `key ${index}`;
  const entry = { value: killValue(index, counter), timestamp: Date.now() };
  if (!atomic) await engine.set(key, entry);
  else if (!await engine.compareAndSet(key, await engine.get(key), entry)) continue;
  Deno.stdout.writeSync(encoder.encode(`${counter}\n`));
}
