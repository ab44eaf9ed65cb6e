/**
 * A local stand-in for the functions of `jsr:@std/async` that this repository uses, for machines
 * that cannot reach JSR. Same names, same signatures; never published.
 *
 * @module
 */
export * from "./abortable.ts";
export * from "./deadline.ts";
export * from "./delay.ts";
export * from "./retry.ts";
