/**
 * Which runtime this is. What is in this folder alone asks: everything else uses `node:` modules,
 * which Deno, Node and Bun have, or what stands here for something that they don't have alike.
 */

/** Deno's own API; `undefined` in other runtimes. */
export const deno: typeof Deno | undefined = globalThis.Deno;

/** A runtime, as programs are told of it. */
export type RuntimeName = "Deno" | "Node" | "Bun";

/** Which runtime this is. */
export const runtime: RuntimeName = deno ? "Deno" : "Bun" in globalThis ? "Bun" : "Node";
