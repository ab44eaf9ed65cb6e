/**
 * A process of the tests of near tiers: it reads orders from standard input, each a line of JSON
 * with a method of a stash and its arguments, and answers each with a line of JSON: what the method
 * gave, and the message of what it threw.
 */
import { HashStash } from "../../mod.ts";
import { linesOf } from "./child.ts";
import { socketBus } from "./socket_bus.ts";

const { options, bus } = JSON.parse(Deno.args[0]);
if (bus !== undefined) options.near = { ...options.near, bus: socketBus(bus) };
await using stash = new HashStash(options);
await stash.open();
console.log(JSON.stringify("ready"));
for await (const line of linesOf(Deno.stdin.readable)) {
  const [method, ...args] = JSON.parse(line);
  const call = Reflect.get(stash, method) as (...args: unknown[]) => unknown;
  try {
    console.log(JSON.stringify([await call.apply(stash, args)]));
  } catch (error) {
    console.log(JSON.stringify([null, String(error)]));
  }
}
