/**
 * A process of the tests of functions: one of two that compute `c` and `d` at the same time, each
 * of which needs the other.
 */
import { HashStash } from "../../mod.ts";

const { options, first, lease } = JSON.parse(Deno.args[0]);
await using stash = new HashStash(options);
const sleep = () => new Promise((resolve) => setTimeout(resolve, 100));
type Ring = (x: number) => Promise<number>;
const c: Ring = stash.stashedResult((x: number) => sleep().then(() => d(x)), { name: "c", lease });
const d: Ring = stash.stashedResult((x: number) => sleep().then(() => c(x)), { name: "d", lease });
await stash.open();
console.log("ready");
for await (const _ of Deno.stdin.readable);
console.log(await (first === "c" ? c : d)(1).catch(String));
